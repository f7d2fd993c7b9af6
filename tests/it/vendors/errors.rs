//! Every error code of every vendor's page: the reason that a caller gets, what an attempt says, what
//! it costs, and that nothing was sent twice.

use cardproof::proto::bankcard::v1::{AttemptOutcome, Charge, Verdict};
use cardproof_emulator::{Emulator, Operation, Script, Vendor};
use tonic::Code;

use super::{
    house::{Asked, House, ace, alibaba, emulator, reason, section, tencent},
    remote::Mine,
};

/// What the pages say of a request that ended with a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Throttled,
    Misconfigured,
    ClockSkewed,
    OutOfCredit,
    Refused,
    Unknown,
    NonceReused,
    /// An answer after all.
    AttemptsExceeded,
}

use Class::{
    AttemptsExceeded, ClockSkewed, Misconfigured, NonceReused, OutOfCredit, Refused, Throttled,
    Unknown,
};

const ACE: &[(&str, Class)] = &[
    ("token_mismatched", Misconfigured),
    ("invalid_token", Misconfigured),
    ("no_token", Misconfigured),
    ("token_expired", Misconfigured),
    ("disabled", Misconfigured),
    ("unauthorized", Misconfigured),
    ("api_not_implemented", Misconfigured),
    ("no_api", Misconfigured),
    ("bad_request", Refused),
    ("invalid_request", Refused),
    ("forbidden", Refused),
    ("used_up", OutOfCredit),
    ("insufficient_balance", OutOfCredit),
    ("too_many_requests", Throttled),
    ("rate_limited", Throttled),
    ("api_error", Unknown),
    ("upstream_error", Unknown),
    ("timeout", Unknown),
    ("upstream_timeout", Unknown),
    ("something_new", Unknown),
];

const TENCENT: &[(&str, Class)] = &[
    ("RequestLimitExceeded", Throttled),
    ("RequestLimitExceeded.UinLimitExceeded", Throttled),
    ("FailedOperation.RequestLimitExceeded", Throttled),
    ("AuthFailure.SignatureFailure", Misconfigured),
    ("AuthFailure.SecretIdNotFound", Misconfigured),
    ("AuthFailure.TokenFailure", Misconfigured),
    ("AuthFailure.SignatureExpire", ClockSkewed),
    ("UnauthorizedOperation", Misconfigured),
    ("UnauthorizedOperation.NonAuthorize", Misconfigured),
    ("UnauthorizedOperation.Nonactivated", Misconfigured),
    ("UnauthorizedOperation.ActivateError", Misconfigured),
    ("UnauthorizedOperation.SomethingNew", Unknown),
    ("IpInBlacklist", Misconfigured),
    ("IpNotInWhitelist", Misconfigured),
    ("UnauthorizedOperation.Arrears", OutOfCredit),
    ("UnauthorizedOperation.ChargeStatusException", OutOfCredit),
    ("LimitExceeded", OutOfCredit),
    ("InternalError", Unknown),
    ("InternalError.EncryptSystemError", Unknown),
    ("FailedOperation", Unknown),
    ("FailedOperation.UnKnown", Unknown),
    ("ServiceUnavailable", Unknown),
    ("ResourceUnavailable", Unknown),
    ("ResourceInsufficient", Unknown),
    ("InvalidParameter", Refused),
    ("InvalidParameterValue", Refused),
    ("InvalidParameterValue.NameFormat", Refused),
    ("MissingParameter", Refused),
    ("UnknownParameter", Refused),
    ("InvalidRequest", Refused),
    ("RequestSizeLimitExceeded", Refused),
    ("InvalidAction", Misconfigured),
    ("NoSuchVersion", Misconfigured),
    ("NoSuchProduct", Misconfigured),
    ("ActionOffline", Misconfigured),
    ("UnsupportedOperation", Misconfigured),
    ("UnsupportedRegion", Misconfigured),
    ("OperationDenied", Misconfigured),
    ("FailedOperation.DecryptSystemError", Misconfigured),
    ("FailedOperation.StsUnAuthErrError", Misconfigured),
    ("InvalidParameter.UnsupportEncryptField", Misconfigured),
    ("SomethingNew", Unknown),
];

const ALIBABA: &[(&str, Class)] = &[
    ("Throttling", Throttled),
    ("Throttling.Api", Throttled),
    ("Throttling.User", Throttled),
    ("ServiceUnavailable", Unknown),
    ("InternalError", Unknown),
    ("Forbidden.ExceptionRepeatedInvoke", AttemptsExceeded),
    ("MissingParameter", Refused),
    ("InvalidParameter", Refused),
    ("InvalidParameter.BankCard", Refused),
    ("InvalidParameterValue", Refused),
    ("Forbidden.RAMUserAccessDenied", Misconfigured),
    ("Forbidden.AccountAccessDenied", Misconfigured),
    ("InvalidAccessKeyId.NotFound", Misconfigured),
    ("InvalidAccessKeyId.Inactive", Misconfigured),
    ("SignatureDoesNotMatch", Misconfigured),
    ("InvalidTimeStamp.Expired", ClockSkewed),
    ("SignatureNonceUsed", NonceReused),
    ("SomethingNew", Unknown),
];

const ALIBABA_MAINLAND: &[(&str, Class)] = &[
    ("400", Refused),
    ("401", Refused),
    ("402", Unknown),
    ("403", AttemptsExceeded),
    ("410", Misconfigured),
    ("411", Misconfigured),
    ("412", OutOfCredit),
    ("500", Unknown),
    ("499", Unknown),
    ("Throttling.User", Throttled),
    ("SignatureDoesNotMatch", Misconfigured),
];

/// gRPC code, reason, and what the details say of the provider.
fn wanted(class: Class) -> (Code, &'static str, &'static str) {
    match class {
        Throttled => (Code::Unavailable, "PROVIDERS_UNAVAILABLE", "THROTTLED"),
        Misconfigured => (
            Code::FailedPrecondition,
            "PROVIDER_MISCONFIGURED",
            "MISCONFIGURED",
        ),
        ClockSkewed => (
            Code::FailedPrecondition,
            "PROVIDER_MISCONFIGURED",
            "CLOCK_SKEWED",
        ),
        OutOfCredit => (
            Code::FailedPrecondition,
            "PROVIDER_MISCONFIGURED",
            "OUT_OF_CREDIT",
        ),
        Refused => (Code::FailedPrecondition, "PROVIDER_REFUSED", "REFUSED"),
        Unknown | NonceReused | AttemptsExceeded => (Code::Unknown, "OUTCOME_UNKNOWN", ""),
    }
}

/// Every code with a provider of its own, because a misconfigured one is not asked again for a while.
struct Coded {
    provider: String,
    vendor: Vendor,
    code: &'static str,
    status: Option<u16>,
    class: Class,
}

fn coded(url: &str) -> (Vec<Coded>, String) {
    let mut all = Vec::new();
    let mut config = String::new();
    let mut add = |vendor, base: &str, code, status, class| {
        let provider = format!("{base}_{}", all.len());
        config.push_str(&match base {
            "ace" => ace(&provider, url, ""),
            "tencent" => tencent(&provider, url, ""),
            "alibaba" => alibaba(&provider, url, "intl", ""),
            _ => alibaba(&provider, url, "mainland", ""),
        });
        all.push(Coded {
            provider,
            vendor,
            code,
            status,
            class,
        });
    };
    for (code, class) in ACE {
        add(Vendor::Ace, "ace", code, None, *class);
    }
    for (code, class) in TENCENT {
        add(Vendor::Tencent, "tencent", code, None, *class);
    }
    for (code, class) in ALIBABA {
        add(Vendor::Alibaba, "alibaba", code, None, *class);
    }
    for (code, class) in ALIBABA_MAINLAND {
        add(Vendor::Alibaba, "alibaba_cn", code, None, *class);
    }
    // the code before the status, which the vendors' own pages disagree about
    for status in [400, 401, 403, 500] {
        add(
            Vendor::Ace,
            "ace",
            "token_mismatched",
            Some(status),
            Misconfigured,
        );
        add(
            Vendor::Ace,
            "ace",
            "upstream_timeout",
            Some(status),
            Unknown,
        );
    }
    for status in [400, 403, 429, 503] {
        add(
            Vendor::Alibaba,
            "alibaba",
            "Throttling.Api",
            Some(status),
            Throttled,
        );
    }
    // an unknown code: of the statuses, only these two say that it was not run
    for (status, class) in [
        (401, Misconfigured),
        (429, Throttled),
        (400, Unknown),
        (403, Unknown),
        (404, Unknown),
        (500, Unknown),
        (503, Unknown),
    ] {
        add(Vendor::Ace, "ace", "new_code", Some(status), class);
        add(Vendor::Alibaba, "alibaba", "NewCode", Some(status), class);
    }
    // Tencent answers everything with 200; another status is from something in between
    for status in [400, 401, 429, 502] {
        add(
            Vendor::Tencent,
            "tencent",
            "RequestLimitExceeded",
            Some(status),
            Unknown,
        );
    }
    (all, config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_error_code_is_what_the_vendors_pages_say() {
    let emulator = emulator().await;
    let (all, config) = coded(&emulator.url());
    let house = House::open(&["ace_0"], &config).await;
    for one in &all {
        check(one, &house, &emulator).await;
    }
    println!("error codes end to end: {} cases", all.len());
    assert!(all.len() > 100);
}

async fn check(one: &Coded, house: &House, emulator: &Emulator) {
    let what = format!("{} {} {:?}", one.provider, one.code, one.status);
    let asked = Asked::new(Operation::Three);
    let mut script = Script::new(one.vendor).card(&asked.card).error(one.code);
    if let Some(status) = one.status {
        script = script.status(status);
    }
    emulator.script(script);
    let answer = house.verify(asked.request(&one.provider)).await;
    emulator.clear_scripts();
    assert_eq!(asked.entries(emulator).len(), 1, "{what}");
    if one.class == AttemptsExceeded {
        let answer = answer.unwrap();
        assert_eq!(answer.verdict(), Verdict::Inconclusive, "{what}");
        let result = answer.result().as_str_name();
        assert_eq!(result, "RESULT_CODE_ATTEMPTS_EXCEEDED", "{what}");
        assert_eq!(answer.charge(), Charge::NotCharged, "{what}");
        return;
    }
    let status = answer.unwrap_err();
    let (code, wanted_reason, of_provider) = wanted(one.class);
    let (reason, said) = reason(&status, &one.provider);
    assert_eq!(
        (status.code(), reason.as_str()),
        (code, wanted_reason),
        "{what}"
    );
    assert_eq!(said, of_provider, "{what}");
    let pushback = status.metadata().get("grpc-retry-pushback-ms");
    assert_eq!(pushback.is_some(), code == Code::Unknown, "{what}");
}

/// What happens next: elsewhere only if the vendor surely did not run it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_surely_was_not_run_is_asked_elsewhere() {
    let emulator = emulator().await;
    let mine = Mine::start().await;
    let url = emulator.url();
    let skip = "misconfigured_skip_s = 1\n";
    let config = [
        ace("ace", &url, skip),
        tencent("tencent", &url, skip),
        alibaba("alibaba", &url, "intl", skip),
        section("mine", &mine.url, "grpc", ""),
    ]
    .concat();
    let routes = "verify_two = [\"ace\", \"mine\"]\nverify_three = [\"tencent\", \"mine\"]\n\
                  verify_four = [\"alibaba\", \"mine\"]\ncard_info = [\"mine\"]\n";
    let house = House::open_with(routes, &config).await;
    let cases = [
        (Vendor::Ace, Operation::Two, "ace", ACE),
        (Vendor::Tencent, Operation::Three, "tencent", TENCENT),
        (Vendor::Alibaba, Operation::Four, "alibaba", ALIBABA),
    ];
    for (vendor, operation, name, codes) in cases {
        let mut seen = Vec::new();
        for (code, class) in codes {
            if seen.contains(class) || *class == AttemptsExceeded {
                continue;
            }
            seen.push(*class);
            let asked = Asked::new(operation);
            emulator.script(Script::new(vendor).card(&asked.card).error(*code));
            let before = mine.calls();
            let answer = house.verify(asked.request("")).await;
            assert_eq!(asked.entries(&emulator).len(), 1, "{name} {code}");
            let (outcome, reason) = match class {
                Throttled => (AttemptOutcome::Throttled, "THROTTLED"),
                Misconfigured => (AttemptOutcome::Misconfigured, "MISCONFIGURED"),
                ClockSkewed => (AttemptOutcome::Misconfigured, "CLOCK_SKEWED"),
                OutOfCredit => (AttemptOutcome::OutOfCredit, "OUT_OF_CREDIT"),
                Refused | Unknown | NonceReused | AttemptsExceeded => {
                    answer.unwrap_err();
                    assert_eq!(mine.calls(), before, "{name} {code}");
                    continue;
                }
            };
            let answer = answer.unwrap();
            let [first, second] = &answer.attempts[..] else {
                panic!("{name} {code}: {:?}", answer.attempts);
            };
            assert_eq!(
                (
                    first.provider.as_str(),
                    first.outcome(),
                    first.charge(),
                    first.error_reason.as_str()
                ),
                (name, outcome, Charge::NotCharged, reason),
            );
            assert_eq!(
                (second.provider.as_str(), second.outcome()),
                ("mine", AttemptOutcome::Answered)
            );
            assert_eq!(
                (answer.verdict(), answer.charge()),
                (Verdict::Match, Charge::Charged)
            );
            if matches!(class, Misconfigured | OutOfCredit) {
                // until it is asked again
                tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
            }
        }
        assert!(seen.len() >= 5, "{seen:?}");
    }
}
