//! One suite for every provider, at the trait: what each has to keep to, whoever stands behind it.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use cardproof::{
    app,
    config::{Config, ConfigSource},
    domain::{
        CardInquiry, CardNumber, CardRef, Charge, Factors, Identity, IdentityType, Operation,
        PersonName, Phone, Question, Verification, question::Proof,
    },
    provider::{CallContext, Probe, Provider, ProviderError, ProviderErrorKind},
    service::Service,
};
use cardproof_emulator::{Emulator, Script, Vendor};
use jiff::civil::date;
use tokio::runtime::Handle;

use super::{
    house::{Asked, ID_NUMBER, PHONE, ace, alibaba, emulator, section, tencent},
    remote::Mine,
};

const LONG: CallContext = CallContext {
    timeout: Duration::from_secs(5),
    attempt: 1,
};
const SHORT: CallContext = CallContext {
    timeout: Duration::from_millis(250),
    attempt: 1,
};

/// What differs between providers.
struct Nature {
    card_info: bool,
    embedded: bool,
    /// Who plays the vendor; scripts are for that one alone.
    vendor: Option<Vendor>,
    probe: Probe,
}

fn verification(factors: Factors, asked: &Asked) -> Verification {
    let identity =
        || Identity::parse(IdentityType::ResidentId, ID_NUMBER, date(2026, 6, 1)).unwrap();
    Verification {
        card: CardNumber::parse(&asked.card).unwrap(),
        name: PersonName::parse(&asked.name).unwrap(),
        proof: match factors {
            Factors::Two => Proof::NameOnly,
            Factors::Three => Proof::Identity(identity()),
            Factors::Four => Proof::IdentityAndPhone(identity(), Phone::parse(PHONE).unwrap()),
        },
    }
}

fn asked() -> Asked {
    Asked::new(cardproof_emulator::Operation::Two)
}

fn shows_nothing(text: &str, asked: &Asked) {
    for private in [
        &asked.card,
        &asked.name,
        ID_NUMBER,
        PHONE,
        "emulator-",
        "127.0.0.1",
    ] {
        assert!(!text.contains(private), "{text}");
    }
}

/// The suite.
async fn conforms(provider: &dyn Provider, nature: &Nature, emulator: &Emulator) {
    let name = provider.name().as_str().to_owned();
    let can = provider.capabilities();
    assert_eq!(can.embedded, nature.embedded, "{name}");
    assert_eq!(can.can(Operation::CardInfo), nature.card_info, "{name}");
    assert_eq!(provider.probe(&LONG).await.unwrap(), nature.probe, "{name}");

    for factors in Factors::ALL {
        if can.can((*factors).into()) {
            let asked = asked();
            let question = verification(*factors, &asked);
            let answer = provider.verify(&question, &LONG).await.unwrap();
            assert!(
                answer.finding.verdict().is_some(),
                "{name}: an answer of the wrong kind"
            );
            shows_nothing(&format!("{question:?} {answer:?}"), &asked);
        }
    }
    let asked = asked();
    let inquiry = CardInquiry {
        card: CardRef::parse(&asked.card).unwrap(),
    };
    let answer = provider.card_info(&inquiry, &LONG).await;
    assert_eq!(answer.is_ok(), nature.card_info, "{name}");
    match answer {
        Ok(answer) => assert!(answer.finding.verdict().is_none(), "{name}"),
        Err(error) => assert!(error.kind.may_fail_over(), "{name}: nothing was sent"),
    }
    shows_nothing(&format!("{:?}", Question::CardInfo(inquiry)), &asked);
    if let Some(vendor) = nature.vendor {
        troubles(provider, &name, vendor, emulator).await;
    }
}

async fn fails(provider: &dyn Provider, asked: &Asked, context: &CallContext) -> ProviderError {
    let question = verification(Factors::Two, asked);
    let error = provider.verify(&question, context).await.unwrap_err();
    shows_nothing(&format!("{error} {error:?}"), asked);
    error
}

/// What any vendor may do to any client.
async fn troubles(provider: &dyn Provider, name: &str, vendor: Vendor, emulator: &Emulator) {
    let script = |asked: &Asked| Script::new(vendor).card(&asked.card);

    let slow = asked();
    emulator.script(script(&slow).delay_ms(3000));
    let begun = Instant::now();
    let error = fails(provider, &slow, &SHORT).await;
    assert_eq!(error.kind, ProviderErrorKind::OutcomeUnknown, "{name}");
    assert_eq!(error.kind.charge(), Charge::Unknown);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{name} keeps to no timeout"
    );

    // dropped while the vendor works: no panic, no second call, and the next call is answered
    let dropped = asked();
    emulator.script(script(&dropped).hold(name));
    let question = verification(Factors::Two, &dropped);
    let call = provider.verify(&question, &LONG);
    let waiting = emulator.wait_until_waiting(name, 1, Duration::from_secs(4));
    tokio::select! {
        biased;
        _ = call => panic!("{name} answered a held call"),
        arrived = waiting => assert!(arrived, "{name}"),
    }
    emulator.release(name);
    let next = verification(Factors::Two, &asked());
    provider.verify(&next, &LONG).await.unwrap();
    assert_eq!(dropped.entries(emulator).len(), 1, "{name}");

    for (status, body) in [(200, "<html>"), (200, ""), (200, "{\"a\":"), (500, "{}")] {
        let asked = asked();
        emulator.script(script(&asked).raw(status, "text/html", body.as_bytes()));
        let error = fails(provider, &asked, &LONG).await;
        assert_eq!(
            error.kind,
            ProviderErrorKind::OutcomeUnknown,
            "{name} {body}"
        );
        assert_eq!(asked.entries(emulator).len(), 1, "{name} {body}");
    }

    let (throttled, credentials, refused) = match vendor {
        Vendor::Ace => ("rate_limited", "invalid_token", "bad_request"),
        Vendor::Tencent => (
            "RequestLimitExceeded",
            "AuthFailure.SignatureFailure",
            "InvalidParameter",
        ),
        Vendor::Alibaba => (
            "Throttling.Api",
            "SignatureDoesNotMatch",
            "MissingParameter",
        ),
    };
    for (code, kind) in [
        (throttled, ProviderErrorKind::Throttled),
        (credentials, ProviderErrorKind::Misconfigured),
        (refused, ProviderErrorKind::Refused),
        ("SomethingNew", ProviderErrorKind::OutcomeUnknown),
    ] {
        let asked = asked();
        let reply = script(&asked)
            .error(code)
            .status(if vendor == Vendor::Tencent { 200 } else { 400 });
        emulator.script(reply.header("retry-after", "3"));
        let error = fails(provider, &asked, &LONG).await;
        assert_eq!(error.kind, kind, "{name} {code}");
        assert_eq!(error.provider_code.as_str(), code, "{name}");
        assert_eq!(
            error.retry_after,
            Some(Duration::from_secs(3)),
            "{name} {code}"
        );
        assert!(
            error.clock_skew_seconds.is_some_and(|skew| skew.abs() <= 2),
            "{name}"
        );
    }
}

fn service(providers: &str) -> Service {
    let source = ConfigSource {
        file: Some((PathBuf::from("cardproof.toml"), providers.to_owned())),
        env: Vec::new(),
    };
    let config = Config::load(&source).unwrap().config;
    let env = |name: &str| {
        let value = match name {
            "T_ACE" => "emulator-ace-token",
            "T_TENCENT_ID" => "AKIDEMULATOR",
            "T_TENCENT_KEY" => "emulator-tencent-secret",
            "T_ALIBABA_ID" => "LTAIEMULATOR",
            "T_ALIBABA_SECRET" => "emulator-alibaba-secret",
            _ => return None,
        };
        Some(value.to_owned())
    };
    app::service(&config, &env, &Handle::current()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_provider_conforms() {
    let emulator = emulator().await;
    let mine = Mine::start().await;
    let url = emulator.url();
    let config = [
        ace("ace", &url, ""),
        tencent("tencent", &url, ""),
        alibaba("alibaba", &url, "intl", ""),
        alibaba("alibaba_cn", &url, "mainland", "param_type = \"md5\"\n"),
        section("mine", &mine.url, "grpc", ""),
    ]
    .concat();
    let service = service(&config);
    let natures = [
        ("ace", true, false, Some(Vendor::Ace), Probe::NotOffered),
        (
            "tencent",
            true,
            false,
            Some(Vendor::Tencent),
            Probe::NotOffered,
        ),
        (
            "alibaba",
            false,
            false,
            Some(Vendor::Alibaba),
            Probe::Accepted,
        ),
        (
            "alibaba_cn",
            false,
            false,
            Some(Vendor::Alibaba),
            Probe::NotOffered,
        ),
        ("mine", true, false, None, Probe::NotOffered),
        ("sandbox", true, true, None, Probe::NotOffered),
        ("bin", true, true, None, Probe::NotOffered),
    ];
    let mut seen = 0;
    for lane in service.lanes() {
        let found = natures
            .iter()
            .find(|(name, ..)| *name == lane.name().as_str());
        let (_, card_info, embedded, vendor, probe) = *found.unwrap();
        let nature = Nature {
            card_info,
            embedded,
            vendor,
            probe,
        };
        conforms(lane.provider(), &nature, &emulator).await;
        seen += 1;
    }
    assert_eq!(
        seen,
        natures.len(),
        "a provider of the configuration is missing"
    );
}
