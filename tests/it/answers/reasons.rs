//! Every reason of the vocabulary: either it is provoked here, or it is written down why nothing
//! can provoke it yet.

use std::{collections::BTreeSet, time::Duration};

use cardproof::{
    domain::{InvalidInput, Reason},
    proto::bankcard::v1::{
        CacheMode, CachePolicy, IdentityType, QueryCardInfoRequest, VerifyBankCardRequest,
    },
};
use tonic::{Code, Status};

use super::{MATCHING, NEVER_ANSWERED, Refused, SLOW, card_info, verify};
use crate::support::{
    server::Server,
    vendor::{HttpVendor, json_reply},
};

/// What a caller can meet today, with the code that belongs to it.
const REACHABLE: &[(&str, Code)] = &[
    ("CARD_NUMBER_INVALID", Code::InvalidArgument),
    ("NAME_INVALID", Code::InvalidArgument),
    ("ID_NUMBER_INVALID", Code::InvalidArgument),
    ("PHONE_INVALID", Code::InvalidArgument),
    ("FACTORS_INVALID", Code::InvalidArgument),
    ("IDENTITY_TYPE_INVALID", Code::InvalidArgument),
    ("REQUEST_ID_INVALID", Code::InvalidArgument),
    ("CACHE_POLICY_INVALID", Code::InvalidArgument),
    ("CONSENT_REFERENCE_INVALID", Code::InvalidArgument),
    ("PROVIDER_UNKNOWN", Code::InvalidArgument),
    ("PROVIDERS_UNAVAILABLE", Code::Unavailable),
    ("OVERLOADED", Code::Unavailable),
    ("OUTCOME_UNKNOWN", Code::Unknown),
    ("DEADLINE_EXCEEDED", Code::DeadlineExceeded),
    ("NO_PROVIDER", Code::FailedPrecondition),
    ("PROVIDER_MISCONFIGURED", Code::FailedPrecondition),
    ("PROVIDER_REFUSED", Code::FailedPrecondition),
    ("NOT_CACHED", Code::NotFound),
    ("REQUEST_ID_REUSED", Code::InvalidArgument),
    ("REQUEST_IDS_EXHAUSTED", Code::ResourceExhausted),
    ("CARD_ATTEMPTS_EXCEEDED", Code::ResourceExhausted),
    ("PROVIDER_BUDGET_SPENT", Code::ResourceExhausted),
    ("LEDGER_UNAVAILABLE", Code::Unavailable),
];

/// What nothing can provoke from outside, and why.
const OUT_OF_REACH: &[(&str, &str)] = &[
    ("CREDENTIALS_MISSING", "there is no authentication yet"),
    ("CREDENTIALS_INVALID", "there is no authentication yet"),
    (
        "METHOD_NOT_ALLOWED",
        "everybody is one caller, who may do everything",
    ),
    (
        "PROVIDER_NOT_ALLOWED",
        "everybody is one caller, who may do everything",
    ),
    (
        "BYPASS_NOT_ALLOWED",
        "everybody is one caller, who may do everything",
    ),
    (
        "CALLER_RATE_LIMITED",
        "everybody is one caller, without limits",
    ),
    (
        "CALLER_BUDGET_SPENT",
        "everybody is one caller, without a budget",
    ),
    ("SHARED_STATE_UNAVAILABLE", "there is no shared state yet"),
    (
        "DRAINING",
        "a server that drains serves until it accepts nothing any more",
    ),
    ("INTERNAL", "it takes a defect"),
];

#[test]
fn every_reason_is_in_one_of_the_lists() {
    let listed: Vec<_> = REACHABLE
        .iter()
        .map(|(reason, _)| *reason)
        .chain(OUT_OF_REACH.iter().map(|(reason, _)| *reason))
        .collect();
    let distinct: BTreeSet<_> = listed.iter().copied().collect();
    assert_eq!(distinct.len(), listed.len(), "one is listed twice");
    let all: BTreeSet<_> = InvalidInput::ALL
        .iter()
        .map(|reason| reason.as_str())
        .chain(Reason::ALL.iter().map(|reason| reason.as_str()))
        .collect();
    assert_eq!(distinct, all, "decide where a new reason belongs");
}

async fn verified(server: &Server, request: VerifyBankCardRequest) -> Status {
    server
        .client()
        .await
        .verify_bank_card(request)
        .await
        .unwrap_err()
}

async fn informed(server: &Server, request: QueryCardInfoRequest) -> Status {
    server
        .client()
        .await
        .query_card_info(request)
        .await
        .unwrap_err()
}

fn with_mode(mode: i32) -> Option<CachePolicy> {
    Some(CachePolicy {
        mode,
        max_age: None,
    })
}

/// A request that is right but for one field.
fn invalid(reason: &str) -> VerifyBankCardRequest {
    let mut request = verify(MATCHING);
    match reason {
        "CARD_NUMBER_INVALID" => request.bank_card = "62000001".to_owned(),
        "NAME_INVALID" => request.name = "张3".to_owned(),
        "ID_NUMBER_INVALID" => request.id_number = "110105194912310021".to_owned(),
        "PHONE_INVALID" => {
            request.id_number = "11010519491231002X".to_owned();
            request.phone = "+1 202 555 0123".to_owned();
        }
        "FACTORS_INVALID" => request.name.clear(),
        "IDENTITY_TYPE_INVALID" => request.set_identity_type(IdentityType::Passport),
        "REQUEST_ID_INVALID" => request.request_id = "0815".to_owned(),
        "CACHE_POLICY_INVALID" => request.cache = with_mode(99),
        "CONSENT_REFERENCE_INVALID" => request.consent_reference = "张三's".to_owned(),
        "PROVIDER_UNKNOWN" => request.provider = "nobody".to_owned(),
        other => panic!("nothing provokes {other}"),
    }
    request
}

/// Brings about a reason that is no matter of the request's form.
async fn provoked(server: &Server, reason: &str) -> Status {
    match reason {
        "PROVIDERS_UNAVAILABLE" => verified(server, verify("6200000400000019")).await,
        "OUTCOME_UNKNOWN" => verified(server, verify(NEVER_ANSWERED)).await,
        "NO_PROVIDER" => {
            let mut request = verify(MATCHING);
            request.provider = "bin".to_owned();
            verified(server, request).await
        }
        "PROVIDER_MISCONFIGURED" => verified(server, verify("6200000400000035")).await,
        "PROVIDER_REFUSED" => verified(server, verify("6200000400000068")).await,
        "NOT_CACHED" => {
            let mut request = verify(MATCHING);
            request.cache = with_mode(CacheMode::OnlyIfCached.into());
            verified(server, request).await
        }
        "DEADLINE_EXCEEDED" => {
            let hasty = "[server]\nmax_deadline_ms = 400\nmin_attempt_ms = 100\n";
            verified(&Server::start(hasty), verify(SLOW)).await
        }
        "OVERLOADED" => overloaded().await,
        "REQUEST_ID_REUSED" => second_id(server, "6f9619ff-8b86-4d01-b42d-00cf4fc964ff").await,
        "REQUEST_IDS_EXHAUSTED" => {
            let forgetful = "[idempotency]\nmax_entries_per_caller = 1\n";
            second_id(
                &Server::start(forgetful),
                "0b9619ff-8b86-4d01-b42d-00cf4fc964ff",
            )
            .await
        }
        "CARD_ATTEMPTS_EXCEEDED" => second_paid("[guard]\nmax_calls = 1\n", "").await,
        "PROVIDER_BUDGET_SPENT" => {
            let spent = "daily_budget = { currency = \"CNY\", amount = 0.3 }\n\
                         price = { currency = \"CNY\", two = 0.2 }\n";
            second_paid("", spent).await
        }
        "LEDGER_UNAVAILABLE" => {
            // a disk that takes nothing
            let full = "[telemetry]\nledger_file = \"/dev/full\"\n";
            let vendor = HttpVendor::start(|_| json_reply(200, MATCH));
            let refused = verified(&with_vendor(&vendor, full, ""), verify(MATCHING)).await;
            assert_eq!(vendor.calls(), 0, "what cannot be written down is not sent");
            refused
        }
        other => verified(server, invalid(other)).await,
    }
}

/// Gives a request id with one question, and an id with another.
async fn second_id(server: &Server, id: &str) -> Status {
    let mut first = verify(MATCHING);
    first.request_id = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff".to_owned();
    let mut second = verify(MATCHING);
    second.name = "李四".to_owned();
    second.request_id = id.to_owned();
    assert!(server.client().await.verify_bank_card(first).await.is_ok());
    verified(server, second).await
}

const MATCH: &str = r#"{"result": "0", "description": "Authentication passed"}"#;

fn with_vendor(vendor: &HttpVendor, more: &str, of_vendor: &str) -> Server {
    let toml = format!(
        "{more}[routes]\nverify = []\nverify_two = [\"paid\"]\n[providers.paid]\nkind = \"ace\"\n\
         endpoint = \"http://{}\"\ntoken = {{ env = \"PAID_TOKEN\" }}\n{of_vendor}",
        vendor.address
    );
    Server::start_with(&toml, &[("PAID_TOKEN", "token-of-the-test")])
}

/// Asks a paid vendor about one card twice, with two names.
async fn second_paid(more: &str, of_vendor: &str) -> Status {
    let vendor = HttpVendor::start(|_| json_reply(200, MATCH));
    let server = with_vendor(&vendor, more, of_vendor);
    let mut second = verify(MATCHING);
    second.name = "李四".to_owned();
    assert!(
        server
            .client()
            .await
            .verify_bank_card(verify(MATCHING))
            .await
            .is_ok()
    );
    let refused = verified(&server, second).await;
    assert_eq!(vendor.calls(), 1);
    refused
}

async fn overloaded() -> Status {
    let mut server = Server::start("[server]\nmax_in_flight = 1\n");
    let mut client = server.client().await;
    let slow = tokio::spawn(async move { client.verify_bank_card(verify(SLOW)).await });
    server.wait_for("the slow call", |server| {
        let status: serde_json::Value = serde_json::from_str(&server.page("/status")?.body).ok()?;
        (status["calls"]["in_flight"] == 1).then_some(())
    });
    let refused = informed(&server, card_info("622202")).await;
    assert!(slow.await.unwrap().is_ok(), "who is inside is answered");
    let mut client = server.client().await;
    assert!(client.query_card_info(card_info("622202")).await.is_ok());
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reachable_reason_comes_with_its_code() {
    let server = Server::start("");
    for (reason, code) in REACHABLE {
        let refused = Refused::from(&provoked(&server, reason).await);
        assert_eq!((refused.reason.as_str(), refused.code), (*reason, *code));
        // only what surely was not run may be repeated, and then it is told when
        let repeatable = *code == Code::Unavailable || *code == Code::ResourceExhausted;
        assert_eq!(refused.retry_after.is_some(), repeatable, "{reason}");
        let until_midnight = Duration::from_secs(24 * 3600);
        assert!(
            refused
                .retry_after
                .is_none_or(|after| after <= until_midnight),
            "{reason}"
        );
        let pushback = (*reason == "OUTCOME_UNKNOWN").then_some("-1");
        assert_eq!(refused.pushback.as_deref(), pushback, "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reasons_about_the_form_are_the_same_for_card_information() {
    let server = Server::start("");
    let good = card_info("622202");
    let wrong = [
        ("CARD_NUMBER_INVALID", card_info("62220")),
        ("CARD_NUMBER_INVALID", card_info("")),
        ("CARD_NUMBER_INVALID", card_info("62220200000000000000")),
        (
            "CACHE_POLICY_INVALID",
            QueryCardInfoRequest {
                cache: with_mode(3),
                ..good.clone()
            },
        ),
        (
            "PROVIDER_UNKNOWN",
            QueryCardInfoRequest {
                provider: "nobody".into(),
                ..good.clone()
            },
        ),
        (
            "PROVIDER_UNKNOWN",
            QueryCardInfoRequest {
                provider: "No Body".into(),
                ..good.clone()
            },
        ),
        (
            "REQUEST_ID_INVALID",
            QueryCardInfoRequest {
                request_id: "x".into(),
                ..good
            },
        ),
    ];
    for (reason, request) in wrong {
        let refused = Refused::from(&informed(&server, request).await);
        assert_eq!(
            (refused.reason.as_str(), refused.code),
            (reason, Code::InvalidArgument)
        );
        assert_eq!(refused.violations.len(), 1);
    }
    // the sandbox gives card information on full numbers only
    let mut prefix = card_info("622202");
    prefix.provider = "sandbox".to_owned();
    let refused = Refused::from(&informed(&server, prefix).await);
    assert_eq!(
        (refused.reason.as_str(), refused.code),
        ("NO_PROVIDER", Code::FailedPrecondition)
    );
}
