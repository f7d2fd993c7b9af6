//! Asks the vendor, and reads what it says.

use std::borrow::Cow;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    codes,
    config::TencentConfig,
    encryption::EncryptionError,
    errors::classify,
    sign::Tc3,
    wire::{self, AnswerBody, Content, Reply},
};
use crate::{
    config::{
        providers::{TencentSettings, VendorSettings},
        secret::SecretRef,
    },
    domain::{
        Answer, CardFacts, CardInfoResult, CardInquiry, CardRef, Charge, Finding, IdentityType,
        Operation, ProviderMessage, ProviderName, Question, ResultCode, VendorToken, Verification,
        vendor_text,
    },
    provider::{
        CallContext, Capabilities, Provider, ProviderError, ProviderErrorKind,
        codes::{CodeRow, phrase_of, row_of, wording_of},
        credentials::Credentials,
        http::{HttpCall, HttpClient, HttpReply},
        setup::SetupError,
        vendor_reply::error_of,
    },
};

const VERSION: &str = "2018-03-01";
const SERVICE: &str = "faceid";
const CONTENT_TYPE: &str = "application/json";

/// Tencent Cloud FaceID, international or mainland.
pub struct Tencent {
    name: ProviderName,
    config: TencentConfig,
    credentials: Credentials,
    http: HttpClient,
}

impl Tencent {
    /// Makes the client. Variables of the environment are looked up with `env`, once.
    ///
    /// # Errors
    /// When a secret, a file or a setting cannot be used.
    pub fn new(
        name: ProviderName,
        settings: &TencentSettings,
        vendor: &VendorSettings,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SetupError> {
        let mut sources: Vec<(&'static str, SecretRef)> = vec![
            ("secret_id", settings.secret_id.clone()),
            ("secret_key", settings.secret_key.clone()),
        ];
        sources.extend(
            settings
                .session_token
                .clone()
                .map(|token| ("session_token", token)),
        );
        Ok(Self {
            config: TencentConfig::new(settings, vendor)?,
            credentials: Credentials::load(sources, env)?,
            http: HttpClient::new(&name, &settings.endpoint, vendor)?,
            name,
        })
    }

    /// The secrets, for whoever looks at their files again.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    async fn ask(
        &self,
        operation: Operation,
        body: Result<Vec<u8>, EncryptionError>,
        context: &CallContext,
    ) -> Result<HttpReply, ProviderError> {
        let body = body.map_err(|_| ProviderError::cannot("the request could not be encrypted"))?;
        let call = HttpCall {
            path_and_query: "/".to_owned(),
            headers: self.headers(operation, &body, Timestamp::now()),
            body,
            operation: Some(operation),
            url_template: "/",
        };
        let credentials = self.credentials.current();
        let mut reply = self.http.post(call, context.timeout).await?;
        credentials.mask_in(&mut reply.body);
        Ok(reply)
    }

    /// Signed anew for every attempt: a signature is as old as its timestamp.
    fn headers(
        &self,
        operation: Operation,
        body: &[u8],
        at: Timestamp,
    ) -> Vec<(&'static str, Cow<'static, str>)> {
        let secrets = self.credentials.current();
        let authorization = Tc3 {
            secret_id: secrets.get("secret_id").unwrap_or_default(),
            secret_key: secrets.get("secret_key").unwrap_or_default(),
            service: SERVICE,
            host: &self.config.authority,
            content_type: CONTENT_TYPE,
            at,
        }
        .authorization(body);
        let mut headers = vec![
            ("authorization", authorization.into()),
            ("content-type", CONTENT_TYPE.into()),
            ("x-tc-action", wire::action(operation).into()),
            ("x-tc-version", VERSION.into()),
            ("x-tc-timestamp", at.as_second().to_string().into()),
        ];
        let token = secrets.get("session_token");
        headers.extend(token.map(|token| ("x-tc-token", token.to_owned().into())));
        headers
    }
}

#[async_trait]
impl Provider for Tencent {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn secrets(&self) -> Option<&Credentials> {
        Some(&self.credentials)
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::none();
        for operation in Operation::ALL {
            capabilities = capabilities.with(*operation);
        }
        for kind in IdentityType::ALL {
            if self.config.accepts(*kind) {
                capabilities = capabilities.with_identity(*kind);
            }
        }
        capabilities
    }

    async fn verify(
        &self,
        question: &Verification,
        context: &CallContext,
    ) -> Result<Answer, ProviderError> {
        let kind = question.identity().map(|identity| identity.kind());
        if kind.is_some_and(|kind| !self.config.accepts(kind)) {
            return Err(ProviderError::cannot("no code for this kind of document"));
        }
        let operation = question.factors().into();
        let body = wire::verification_body(question, &self.config);
        let reply = self.ask(operation, body, context).await?;
        let question = Question::Verify(question.clone());
        read_reply(&reply, &question, Timestamp::now())
    }

    async fn card_info(
        &self,
        question: &CardInquiry,
        context: &CallContext,
    ) -> Result<Answer, ProviderError> {
        let CardRef::Full(card) = &question.card else {
            return Err(ProviderError::cannot("only full card numbers are offered"));
        };
        let body = wire::card_info_body(card, &self.config);
        let reply = self.ask(Operation::CardInfo, body, context).await?;
        let question = Question::CardInfo(question.clone());
        read_reply(&reply, &question, Timestamp::now())
    }
}

/// Reads a reply. Pure.
///
/// # Errors
/// When it holds no answer.
pub fn read_reply(
    reply: &HttpReply,
    question: &Question,
    now: Timestamp,
) -> Result<Answer, ProviderError> {
    let unusable = |detail| error_of(reply, ProviderErrorKind::OutcomeUnknown, detail);
    // the vendor answers everything with 200; another status is from something in between
    if reply.status != 200 {
        return Err(unusable("the reply has an unexpected HTTP status"));
    }
    let Some(Reply {
        request_id,
        content,
    }) = wire::read(&reply.body)
    else {
        return Err(unusable("the reply cannot be read"));
    };
    let request_id = VendorToken::screened(&request_id, question);
    match content {
        Content::Answer(body) => Ok(answer(&body, request_id, question, now)),
        Content::Error {
            code,
            beside_a_result,
        } => {
            let class = classify(&code);
            let mut error = unusable(class.detail);
            // a reply that contradicts itself does not prove that nothing was run
            if !beside_a_result {
                error.kind = class.kind;
            }
            error.provider_code = VendorToken::screened(&code, question);
            error.provider_request_id = request_id;
            Err(error)
        }
    }
}

fn answer(
    body: &AnswerBody,
    provider_request_id: VendorToken<64>,
    question: &Question,
    answered_at: Timestamp,
) -> Answer {
    let (finding, charge) = match question.operation() {
        Operation::CardInfo => card_info(body, question),
        operation => verification(body, operation),
    };
    Answer {
        finding,
        charge,
        provider_code: VendorToken::screened(&body.code, question),
        provider_message: ProviderMessage::screened(&body.description, question, wording_of),
        provider_request_id,
        answered_at,
    }
}

fn verification(body: &AnswerBody, operation: Operation) -> (Finding, Charge) {
    let said = phrase_of(&body.description).map(|phrase| phrase.verification);
    let row = row_of(codes::verification(operation), &body.code)
        .filter(|row| is_uncontradicted(row, ResultCode::Match, said));
    match row {
        Some(row) => (Finding::verified(row.result), row.charge),
        None => (
            Finding::verified(ResultCode::UnknownProviderCode),
            Charge::Unknown,
        ),
    }
}

fn card_info(body: &AnswerBody, question: &Question) -> (Finding, Charge) {
    let said = phrase_of(&body.description).map(|phrase| phrase.card_info);
    let row = row_of(codes::CARD_INFO, &body.code)
        .filter(|row| is_uncontradicted(row, CardInfoResult::Found, said));
    let (result, charge) = row.map_or(
        (CardInfoResult::UnknownProviderCode, Charge::Unknown),
        |row| (row.result, row.charge),
    );
    let facts = if result == CardInfoResult::Found {
        CardFacts {
            bank_name: vendor_text::bank_name(&body.account_bank, question).into(),
            card_type: body.account_type,
            ..CardFacts::default()
        }
    } else {
        CardFacts::default()
    };
    (Finding::CardInfo { result, facts }, charge)
}

/// The code alone decides, but for one thing: it says the best only if the vendor's own text, where
/// that is a known wording, does not say something else.
fn is_uncontradicted<R: PartialEq>(row: &CodeRow<R>, best: R, said: Option<Option<R>>) -> bool {
    row.result != best || said.is_none_or(|said| said.as_ref() == Some(&row.result))
}
