//! Attempts at several vendors, and what they cost: over HTTP on loopback.

use std::collections::BTreeSet;

use cardproof::proto::bankcard::v1::{
    AttemptOutcome, CardInfoResult, Charge, QueryCardInfoResponse, Source, Verdict,
    VerifyBankCardResponse,
};
use futures_util::future::join_all;
use tonic::Code;

use super::{card_info, refused, verify};
use crate::support::{
    server::Server,
    vendor::{HttpVendor, json_reply},
};

/// Every outcome; the tests below make a reply show it.
const SHOWN: &[AttemptOutcome] = &[
    AttemptOutcome::Answered,
    AttemptOutcome::NotSent,
    AttemptOutcome::Throttled,
    AttemptOutcome::Misconfigured,
    AttemptOutcome::OutOfCredit,
    AttemptOutcome::Refused,
    AttemptOutcome::OutcomeUnknown,
    AttemptOutcome::BreakerOpen,
    AttemptOutcome::BudgetSpent,
];

#[test]
fn every_outcome_is_shown_by_a_reply() {
    let shown: BTreeSet<_> = SHOWN.iter().map(|outcome| *outcome as i32).collect();
    let all = (1..).take_while(|value| AttemptOutcome::try_from(*value).is_ok());
    assert_eq!(shown, all.collect());
}

fn attempts(reply: &QueryCardInfoResponse) -> Vec<(&str, AttemptOutcome, Charge, &str)> {
    reply
        .attempts
        .iter()
        .map(|it| (&*it.provider, it.outcome(), it.charge(), &*it.error_reason))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_surely_did_not_run_lead_to_the_next_vendor() {
    let server = Server::start("[routes]\ncard_info = [\"sandbox\", \"bin\"]\n");
    let mut client = server.client().await;
    for (card, outcome, reason) in [
        ("6200000400000019", AttemptOutcome::NotSent, "NOT_SENT"),
        ("6200000400000027", AttemptOutcome::Throttled, "THROTTLED"),
        (
            "6200000400000035",
            AttemptOutcome::Misconfigured,
            "MISCONFIGURED",
        ),
        (
            "6200000400000043",
            AttemptOutcome::Misconfigured,
            "CLOCK_SKEWED",
        ),
        (
            "6200000400000050",
            AttemptOutcome::OutOfCredit,
            "OUT_OF_CREDIT",
        ),
    ] {
        let reply = client
            .query_card_info(card_info(card))
            .await
            .unwrap()
            .into_inner();
        let failed = ("sandbox", outcome, Charge::NotCharged, reason);
        let mut expected = vec![
            failed,
            ("bin", AttemptOutcome::Answered, Charge::NotCharged, ""),
        ];
        // the table knows nothing, so what may be sent again is sent once more
        if matches!(reason, "NOT_SENT" | "THROTTLED") {
            expected.push(failed);
        }
        assert_eq!(attempts(&reply), expected);
        assert_eq!(reply.provider, "bin");
        assert!(
            reply
                .attempts
                .iter()
                .all(|attempt| attempt.latency.is_some())
        );
    }
    for (card, reason) in [
        ("6200000400000068", "PROVIDER_REFUSED"),
        ("6200000400000076", "OUTCOME_UNKNOWN"),
        ("6200000400000084", "OUTCOME_UNKNOWN"),
    ] {
        let told = refused(client.query_card_info(card_info(card)).await);
        assert_eq!(told.reason, reason, "nobody else is asked");
    }
}

/// Routes with a vendor behind an address, and nothing waited for.
fn with_vendor(vendor: &HttpVendor, more: &str) -> Server {
    with_vendor_of(vendor, more, "")
}

/// The same with more settings of the vendor.
fn with_vendor_of(vendor: &HttpVendor, more: &str, of_vendor: &str) -> Server {
    let toml = format!(
        "mode = \"development\"\n{more}\n[providers.paid]\nkind = \"ace\"\n\
         endpoint = \"http://{}\"\ntoken = {{ env = \"PAID_TOKEN\" }}\n{of_vendor}\n",
        vendor.address
    );
    Server::start_with(&toml, &[("PAID_TOKEN", "token-of-the-test")])
}

const REFUSED: &str = r#"{"error": {"code": "bad_request", "message": "no"}}"#;
const FOUND: &str = r#"{"result": "0", "description": "Query successful", "account_bank": "某银行", "account_type": 1, "trace_id": "t-1"}"#;
const MATCH: &str = r#"{"result": "0", "description": "Authentication passed", "trace_id": "t-2"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn vendors_that_may_not_be_asked_are_passed_over() {
    let vendor = HttpVendor::start(|received| match received.number {
        0 => json_reply(200, MATCH),
        _ => json_reply(500, "no"),
    });
    let routes = "[routes]\nverify = []\nverify_two = [\"paid\", \"sandbox\"]";
    let asked = async |server: &Server, name: &str| {
        let mut request = verify("6200000100000012");
        request.name = name.to_owned();
        server.client().await.verify_bank_card(request).await
    };
    let passed_over = |reply: tonic::Response<VerifyBankCardResponse>| {
        let reply = reply.into_inner();
        assert_eq!((&*reply.provider, reply.attempts.len()), ("sandbox", 2));
        let first = &reply.attempts[0];
        assert_eq!(
            (&*first.provider, first.charge()),
            ("paid", Charge::NotCharged)
        );
        first.outcome()
    };
    let budget = "daily_budget = { currency = \"CNY\", amount = 0.3 }\n\
                  price = { currency = \"CNY\", two = 0.2 }";
    let server = with_vendor_of(&vendor, routes, budget);
    assert!(asked(&server, "张三").await.is_ok());
    let spent = passed_over(asked(&server, "李四").await.unwrap());
    assert_eq!((spent, vendor.calls()), (AttemptOutcome::BudgetSpent, 1));

    let quick = format!("[breaker]\nmin_calls = 1\n{routes}");
    let server = with_vendor_of(&vendor, &quick, "");
    assert_eq!(
        refused(asked(&server, "张三").await).reason,
        "OUTCOME_UNKNOWN"
    );
    let open = passed_over(asked(&server, "李四").await.unwrap());
    assert_eq!((open, vendor.calls()), (AttemptOutcome::BreakerOpen, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_answer_stays_when_the_next_vendor_refuses() {
    let vendor = HttpVendor::start(|_| json_reply(400, REFUSED));
    let server = with_vendor(&vendor, "[routes]\ncard_info = [\"sandbox\", \"paid\"]");
    let busy = card_info("6200000200000094");
    let reply = server
        .client()
        .await
        .query_card_info(busy)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(reply.result(), CardInfoResult::ServiceBusy);
    let expected = [
        ("sandbox", AttemptOutcome::Answered, Charge::NotCharged, ""),
        (
            "paid",
            AttemptOutcome::Refused,
            Charge::NotCharged,
            "REFUSED",
        ),
    ];
    assert_eq!(attempts(&reply), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_card_information_carries_the_attempt_that_failed() {
    let vendor = HttpVendor::start(|received| match received.number {
        0 => json_reply(200, FOUND),
        _ => json_reply(502, "no gateway"),
    });
    let more = "[cache.ttl_s]\ncard_info = 1\n[routes]\ncard_info = [\"paid\"]";
    let server = with_vendor(&vendor, more);
    let mut client = server.client().await;
    let first = client
        .query_card_info(card_info("6222020000000000000"))
        .await
        .unwrap();
    let first = first.into_inner();
    assert_eq!(
        (first.source(), first.charge()),
        (Source::Provider, Charge::Charged)
    );
    assert_eq!(
        attempts(&first),
        [("paid", AttemptOutcome::Answered, Charge::Charged, "")]
    );
    // a second, and the tenth by which it may be longer
    tokio::time::sleep(std::time::Duration::from_millis(1150)).await;
    let stale = client
        .query_card_info(card_info("6222020000000000000"))
        .await
        .unwrap();
    let stale = stale.into_inner();
    assert_eq!(
        (&*stale.bank_name, stale.result()),
        ("某银行", CardInfoResult::Found)
    );
    assert_eq!(stale.answered_at, first.answered_at);
    assert_eq!(
        (stale.source(), stale.charge()),
        (Source::Cache, Charge::Unknown)
    );
    let failed = (
        "paid",
        AttemptOutcome::OutcomeUnknown,
        Charge::Unknown,
        "OUTCOME_UNKNOWN",
    );
    assert_eq!(attempts(&stale), [failed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn askers_at_once_share_one_paid_call() {
    let vendor = HttpVendor::start(|_| {
        std::thread::sleep(std::time::Duration::from_millis(400));
        json_reply(200, MATCH)
    });
    let server = with_vendor(&vendor, "[routes]\nverify = [\"paid\"]");
    let client = server.client().await;
    let asked = (0..8).map(|_| {
        let mut client = client.clone();
        async move {
            let reply = client.verify_bank_card(verify("6222020000000000000")).await;
            reply.unwrap().into_inner()
        }
    });
    let replies = join_all(asked).await;
    assert_eq!(vendor.calls(), 1);
    for reply in &replies {
        assert_eq!(
            (reply.verdict(), reply.source()),
            (Verdict::Match, Source::Provider)
        );
        assert_eq!(
            (&*reply.provider_code, &*reply.provider_request_id),
            ("0", "t-2")
        );
        let paid = reply.charge() == Charge::Charged;
        assert_eq!(reply.attempts.len(), usize::from(paid));
        assert!(paid || reply.charge() == Charge::NotCharged);
    }
    let charged = replies.iter().filter(|it| it.charge() == Charge::Charged);
    assert_eq!(charged.count(), 1);
    let mut client = client;
    let later = client
        .verify_bank_card(verify("6222020000000000000"))
        .await
        .unwrap();
    let later = later.into_inner();
    assert_eq!(
        (later.source(), later.charge()),
        (Source::Cache, Charge::NotCharged)
    );
    assert_eq!((later.attempts.len(), vendor.calls()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_names_the_vendor_and_its_request() {
    let vendor = HttpVendor::start(|_| {
        json_reply(
            500,
            r#"{"error": {"code": "api_error"}, "trace_id": "t-77"}"#,
        )
    });
    let server = with_vendor(&vendor, "[routes]\nverify = [\"paid\", \"sandbox\"]");
    let mut client = server.client().await;
    for _ in 0..3 {
        let told = refused(client.verify_bank_card(verify("6200000100000012")).await);
        let metadata = vec![("provider", "paid"), ("provider_request_id", "t-77")];
        assert_eq!(
            told.final_answer(),
            (Code::Unknown, "OUTCOME_UNKNOWN", metadata)
        );
        assert_eq!(told.pushback.as_deref(), Some("-1"));
    }
    assert_eq!(vendor.calls(), 1, "held, and never sent again by itself");
}
