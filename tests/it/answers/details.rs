//! What an error says beside its reason.

use std::time::{Duration, Instant};

use cardproof::proto::bankcard::v1::{
    CacheMode, CachePolicy, Charge, ResultCode, Source, VerifyBankCardRequest,
};
use http::Request;
use prost::Message;
use rstest::rstest;
use tonic::Code;

use super::{MATCHING, NEVER_ANSWERED, Refused, SLOW, refused, verify};
use crate::{
    net::fixture::{Raw, grpc_frame},
    support::server::Server,
};

const VERIFY_PATH: &str = "/bankcard.v1.BankCardService/VerifyBankCard";

fn pairs(violations: &[(String, String)]) -> Vec<(&str, &str)> {
    violations
        .iter()
        .map(|(field, reason)| (&**field, &**reason))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_violations_come_at_once_in_field_order() {
    let server = Server::start("");
    let mut client = server.client().await;
    let mut request = VerifyBankCardRequest {
        bank_card: "1234".to_owned(),
        name: "张3".to_owned(),
        id_number: "110105194912310021".to_owned(),
        phone: "12".to_owned(),
        identity_type: 0,
        cache: Some(CachePolicy {
            mode: 17,
            max_age: Some(prost_types::Duration {
                seconds: -1,
                nanos: 0,
            }),
        }),
        provider: "nobody".to_owned(),
        request_id: "0815".to_owned(),
        consent_reference: "contains 1234".to_owned(),
    };
    let told = refused(client.verify_bank_card(request.clone()).await);
    let after_the_person = [
        ("cache.mode", "CACHE_POLICY_INVALID"),
        ("cache.max_age", "CACHE_POLICY_INVALID"),
        ("provider", "PROVIDER_UNKNOWN"),
        ("request_id", "REQUEST_ID_INVALID"),
        ("consent_reference", "CONSENT_REFERENCE_INVALID"),
    ];
    let mut expected = vec![
        ("bank_card", "CARD_NUMBER_INVALID"),
        ("name", "NAME_INVALID"),
        ("id_number", "ID_NUMBER_INVALID"),
        ("phone", "PHONE_INVALID"),
    ];
    expected.extend(after_the_person);
    assert_eq!(pairs(&told.violations), expected);
    assert_eq!(
        told.final_answer(),
        (Code::InvalidArgument, "CARD_NUMBER_INVALID", vec![])
    );

    // the first in field order names the whole
    request.bank_card = MATCHING.to_owned();
    request.name.clear();
    request.id_number.clear();
    request.identity_type = 77;
    request.consent_reference = "\u{7f}".to_owned();
    let told = refused(client.verify_bank_card(request).await);
    let mut expected = vec![
        ("name", "FACTORS_INVALID"),
        ("id_number", "FACTORS_INVALID"),
        ("phone", "PHONE_INVALID"),
        ("identity_type", "IDENTITY_TYPE_INVALID"),
    ];
    expected.extend(after_the_person);
    assert_eq!(pairs(&told.violations), expected);
    assert_eq!(told.reason, "FACTORS_INVALID");
}

#[rstest]
#[case::misconfigured("6200000400000035", "PROVIDER_MISCONFIGURED", "MISCONFIGURED")]
#[case::clock("6200000400000043", "PROVIDER_MISCONFIGURED", "CLOCK_SKEWED")]
#[case::credit("6200000400000050", "PROVIDER_MISCONFIGURED", "OUT_OF_CREDIT")]
#[case::refused("6200000400000068", "PROVIDER_REFUSED", "REFUSED")]
#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_cannot_mend_says_which_provider_and_why(
    #[case] card: &str,
    #[case] reason: &str,
    #[case] of_provider: &str,
) {
    let server = Server::start("");
    let told = refused(server.client().await.verify_bank_card(verify(card)).await);
    let expected = (
        Code::FailedPrecondition,
        reason,
        vec![("sandbox", of_provider)],
    );
    assert_eq!(told.final_answer(), expected);
}

#[rstest]
#[case::not_sent("6200000400000019", "NOT_SENT", "")]
#[case::throttled("6200000400000027", "THROTTLED", "")]
#[case::maintenance(
    MATCHING,
    "MAINTENANCE",
    "[providers.sandbox]\nkind = \"sandbox\"\nmaintenance = true\n"
)]
#[tokio::test(flavor = "multi_thread")]
async fn providers_that_are_out_of_reach_say_why_and_when(
    #[case] card: &str,
    #[case] of_provider: &str,
    #[case] toml: &str,
) {
    let server = Server::start(toml);
    let told = refused(server.client().await.verify_bank_card(verify(card)).await);
    assert_eq!(
        (told.code, &*told.reason),
        (Code::Unavailable, "PROVIDERS_UNAVAILABLE")
    );
    assert_eq!(told.metadata(), [("sandbox", of_provider)]);
    assert_eq!(told.retry_after, Some(Duration::from_secs(1)));
}

const VENDOR_FAILED: &str = "vendor call brought no answer";

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_held_and_asked_anew_only_on_purpose() {
    let mut server = Server::start("[cache]\noutcome_unknown_hold_s = 2\n");
    let mut client = server.client().await;
    let begun = Instant::now();
    let told = refused(client.verify_bank_card(verify(NEVER_ANSWERED)).await);
    let expected = (
        Code::Unknown,
        "OUTCOME_UNKNOWN",
        vec![("provider", "sandbox")],
    );
    assert_eq!(told.final_answer(), expected);
    assert_eq!(told.pushback.as_deref(), Some("-1"));
    let calls = |count: usize| {
        move |server: &Server| (server.count_logged(VENDOR_FAILED) == count).then_some(())
    };
    server.wait_for("one call of the vendor", calls(1));
    // the same question, and a bypass without an id of its own, are held
    let mut bypass = verify(NEVER_ANSWERED);
    bypass.cache = Some(CachePolicy {
        mode: CacheMode::Bypass.into(),
        max_age: None,
    });
    for held in [verify(NEVER_ANSWERED), bypass.clone()] {
        let told = refused(client.verify_bank_card(held).await);
        assert_eq!(told.final_answer(), expected);
        assert_eq!(told.pushback.as_deref(), Some("-1"));
    }
    bypass.request_id = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff".to_owned();
    assert_eq!(
        refused(client.verify_bank_card(bypass).await).reason,
        "OUTCOME_UNKNOWN"
    );
    server.wait_for("a second call on purpose", calls(2));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "the machine is too slow to tell"
    );
    // the second call has begun a hold of its own
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let told = refused(client.verify_bank_card(verify(NEVER_ANSWERED)).await);
    assert_eq!(told.final_answer(), expected);
    server.wait_for("a third call after the hold", calls(3));
    // and nothing but these three ever went out
    assert_eq!(server.count_logged(VENDOR_FAILED), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_seen_before_is_an_unknown_outcome() {
    let server = Server::start("");
    let outcome = server
        .client()
        .await
        .verify_bank_card(verify("6200000400000084"))
        .await;
    let expected = (
        Code::Unknown,
        "OUTCOME_UNKNOWN",
        vec![("provider", "sandbox")],
    );
    assert_eq!(refused(outcome).final_answer(), expected);
}

/// Asks until the answer is in the cache, and returns it.
async fn cached(
    server: &Server,
    within: Duration,
) -> cardproof::proto::bankcard::v1::VerifyBankCardResponse {
    let mut client = server.client().await;
    let mut request = verify(SLOW);
    request.cache = Some(CachePolicy {
        mode: CacheMode::OnlyIfCached.into(),
        max_age: None,
    });
    let begun = Instant::now();
    loop {
        match client.verify_bank_card(request.clone()).await {
            Ok(reply) => return reply.into_inner(),
            Err(status) => assert_eq!(Refused::from(&status).reason, "NOT_CACHED"),
        }
        assert!(begun.elapsed() < within, "the late answer was lost");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_that_comes_after_the_deadline_is_kept() {
    let server = Server::start("");
    // raw, because a client library would stop waiting by itself and never read the status
    let raw = Raw::connect(server.grpc).await;
    let request = Request::post(format!("http://test{VERIFY_PATH}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "1S")
        .body(())
        .unwrap();
    let begun = Instant::now();
    let answer = raw
        .send(request, Some(grpc_frame(&verify(SLOW).encode_to_vec())))
        .await
        .unwrap();
    let took = begun.elapsed();
    assert!(
        (Duration::from_secs(1)..Duration::from_millis(2500)).contains(&took),
        "{took:?}"
    );
    let told = Refused::from(&answer.status());
    let expected = (
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        vec![("stage", "waiting")],
    );
    assert_eq!(told.final_answer(), expected);
    assert_eq!(told.pushback, None);
    let late = cached(&server, Duration::from_secs(8)).await;
    assert_eq!(
        (late.result(), late.source()),
        (ResultCode::Match, Source::Cache)
    );
    assert_eq!(
        (late.charge(), late.attempts.len()),
        (Charge::NotCharged, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_longest_deadline_holds_for_everybody() {
    let server = Server::start("[server]\nmax_deadline_ms = 500\nmin_attempt_ms = 100\n");
    let begun = Instant::now();
    let told = refused(server.client().await.verify_bank_card(verify(SLOW)).await);
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(told.metadata(), [("stage", "waiting")]);
    // too little left to ask anybody: nothing is sent
    let server = Server::start("[server]\nmax_deadline_ms = 100\nmin_attempt_ms = 100\n");
    let told = refused(
        server
            .client()
            .await
            .verify_bank_card(verify(MATCHING))
            .await,
    );
    let expected = (
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        vec![("stage", "routing")],
    );
    assert_eq!(told.final_answer(), expected);
}
