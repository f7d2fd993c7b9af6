//! The parts of a call, one at a time, for whatever measures them.

use std::{collections::BTreeSet, error::Error, hint::black_box, sync::Arc};

use cardproof::{
    cache::{Digests, LocalCache, QuestionTag, Scope, Stored},
    config::LuhnPolicy,
    domain::{
        Answer, Charge, Finding, ProviderMessage, ProviderName, Question, ResultCode, VendorToken,
    },
    grpc::convert::Reading,
    proto::bankcard::v1::VerifyBankCardRequest,
    provider::{http::HttpReply, tencent},
    service::ask::Caller,
};
use jiff::{Timestamp, civil::date};
use zeroize::Zeroizing;

use crate::{
    questions::{ID_NUMBER, NAME, PHONE, card_at},
    vendor::{SECRET_ID, SECRET_KEY},
};

const BODY: &str = r#"{"Response":{"Result":"0","Description":"认证通过","RequestId":"0f8fad5b-d9cb-469f-a165-70867728950e"}}"#;

/// A part: its name, and one round of it.
pub type Part<'a> = (&'static str, Box<dyn Fn() + 'a>);

/// Everything that the parts need, made once.
pub struct Parts {
    caller: Arc<Caller>,
    providers: BTreeSet<ProviderName>,
    request: VerifyBankCardRequest,
    question: Question,
    digests: Digests,
    tag: QuestionTag,
    cache: LocalCache,
    reply: HttpReply,
}

fn reading<'a>(caller: &'a Arc<Caller>, providers: &'a BTreeSet<ProviderName>) -> Reading<'a> {
    Reading {
        caller,
        providers,
        deadline: tokio::time::Instant::now(),
        luhn: LuhnPolicy::Warn,
        today: date(2026, 1, 1),
    }
}

impl Parts {
    /// Makes it.
    ///
    /// # Errors
    /// When the question of the benchmark is malformed.
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let caller = Arc::new(Caller::anonymous());
        let providers = BTreeSet::new();
        let request = VerifyBankCardRequest {
            bank_card: card_at(0),
            name: NAME.to_owned(),
            id_number: ID_NUMBER.to_owned(),
            phone: PHONE.to_owned(),
            ..VerifyBankCardRequest::default()
        };
        let ask = reading(&caller, &providers)
            .verification(request.clone())
            .map_err(|_| "the question of the benchmark is malformed")?;
        let digests = Digests::new(b"a key");
        let tag = digests.question(&ask.question, Scope::All, None);
        let cache = LocalCache::new(1 << 20);
        let now = Timestamp::now();
        let stored = Stored {
            answer: Arc::new(Answer {
                finding: Finding::verified(ResultCode::Match),
                charge: Charge::Charged,
                provider_code: VendorToken::trusted("0"),
                provider_message: ProviderMessage::None,
                provider_request_id: VendorToken::trusted("0f8fad5b-d9cb-469f-a165-70867728950e"),
                answered_at: now,
            }),
            provider: ProviderName::new("tencent").ok_or("no name")?,
            fresh_until: now + std::time::Duration::from_secs(86_400),
            stale_until: now + std::time::Duration::from_secs(86_400),
        };
        cache.put(&tag.into(), &stored);
        Ok(Self {
            caller,
            providers,
            request,
            question: ask.question,
            digests,
            tag,
            cache,
            reply: HttpReply {
                status: 200,
                body: Zeroizing::new(BODY.as_bytes().to_vec()),
                content_type: None,
                retry_after: None,
                clock_skew_seconds: None,
            },
        })
    }

    /// The request parsed, the question's tag made, its answer looked up, a vendor's request signed,
    /// a vendor's reply read.
    #[must_use]
    pub fn all(&self) -> [Part<'_>; 5] {
        let reading = reading(&self.caller, &self.providers);
        let parse = move || keep(reading.verification(self.request.clone()));
        let key = || keep(self.digests.question(&self.question, Scope::All, None));
        let lookup = || keep(self.cache.get(&self.tag.into()));
        let decode = || {
            let now = Timestamp::UNIX_EPOCH;
            keep(tencent::client::read_reply(
                &self.reply,
                &self.question,
                now,
            ));
        };
        [
            ("parse", Box::new(parse)),
            ("key", Box::new(key)),
            ("lookup", Box::new(lookup)),
            ("sign", Box::new(|| keep(sign()))),
            ("decode", Box::new(decode)),
        ]
    }
}

/// Has it made, whatever the compiler thinks of its use.
fn keep<T>(value: T) {
    let _kept = black_box(value);
}

fn sign() -> String {
    tencent::sign::Tc3 {
        secret_id: SECRET_ID,
        secret_key: SECRET_KEY,
        service: "faceid",
        host: "faceid.intl.tencentcloudapi.com",
        content_type: "application/json",
        at: black_box(Timestamp::UNIX_EPOCH),
    }
    .authorization(black_box(BODY.as_bytes()))
}
