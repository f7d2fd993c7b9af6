//! What the second asker gets.

use cardproof::proto::bankcard::v1::{
    CacheMode, CachePolicy, Charge, Source, Verdict, VerifyBankCardRequest, VerifyBankCardResponse,
    bank_card_service_client::BankCardServiceClient,
};
use tonic::transport::Channel;

use super::{MATCHING, refused, verify};
use crate::support::server::Server;

async fn ask(
    client: &mut BankCardServiceClient<Channel>,
    request: VerifyBankCardRequest,
) -> VerifyBankCardResponse {
    client.verify_bank_card(request).await.unwrap().into_inner()
}

fn with_cache(mode: CacheMode, max_age: Option<i64>) -> VerifyBankCardRequest {
    let max_age = max_age.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
    VerifyBankCardRequest {
        cache: Some(CachePolicy {
            mode: mode.into(),
            max_age,
        }),
        ..verify(MATCHING)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_answer_comes_from_the_cache_and_costs_nothing() {
    let server = Server::start("");
    let mut client = server.client().await;
    let missing = client
        .verify_bank_card(with_cache(CacheMode::OnlyIfCached, None))
        .await;
    assert_eq!(refused(missing).reason, "NOT_CACHED");
    let first = ask(&mut client, verify(MATCHING)).await;
    assert_eq!(
        (first.source(), first.attempts.len()),
        (Source::Embedded, 1)
    );
    let as_people_write_it = VerifyBankCardRequest {
        bank_card: "６２００ 0001-0000 0012".to_owned(),
        name: " 张三 ".to_owned(),
        consent_reference: "another".to_owned(),
        ..VerifyBankCardRequest::default()
    };
    let from_memory = [
        verify(MATCHING),
        as_people_write_it,
        with_cache(CacheMode::OnlyIfCached, None),
        with_cache(CacheMode::Unspecified, Some(3600)),
    ];
    for request in from_memory {
        let again = ask(&mut client, request).await;
        let same = VerifyBankCardResponse {
            source: Source::Cache.into(),
            charge: Charge::NotCharged.into(),
            attempts: Vec::new(),
            ..first.clone()
        };
        assert!(
            again == same,
            "all but where it came from, the time of the answer as well"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_a_fresh_answer_gets_one() {
    let server = Server::start("");
    let mut client = server.client().await;
    let first = ask(&mut client, verify(MATCHING)).await;
    for request in [
        with_cache(CacheMode::Bypass, None),
        with_cache(CacheMode::Unspecified, Some(0)),
    ] {
        let fresh = ask(&mut client, request).await;
        assert_eq!(
            (fresh.source(), fresh.attempts.len()),
            (Source::Embedded, 1)
        );
        assert_ne!(fresh.answered_at, first.answered_at);
        // and it is what the next one gets
        let next = ask(&mut client, verify(MATCHING)).await;
        assert_eq!(
            (next.source(), next.answered_at),
            (Source::Cache, fresh.answered_at)
        );
    }
    let too_old = client
        .verify_bank_card(with_cache(CacheMode::OnlyIfCached, Some(0)))
        .await;
    assert_eq!(refused(too_old).reason, "NOT_CACHED");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_questions_have_other_answers() {
    let server = Server::start("");
    let mut client = server.client().await;
    ask(&mut client, verify(MATCHING)).await;
    let mut others = [verify(MATCHING), verify(MATCHING), verify(MATCHING)];
    others[0].name = "李四".to_owned();
    others[1].id_number = "11010519491231002X".to_owned();
    others[2].provider = "sandbox".to_owned();
    for other in others {
        assert_eq!(ask(&mut client, other).await.source(), Source::Embedded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_kept_is_not() {
    // busy, and asked too often: not for a moment; a match when the operator wants none kept
    let server = Server::start("[cache.ttl_s]\nmatch = 0\n");
    let mut client = server.client().await;
    for card in ["6200000100000285", "6200000100000293", MATCHING] {
        for _ in 0..2 {
            let reply = ask(&mut client, verify(card)).await;
            assert_eq!(reply.source(), Source::Embedded, "{card}");
        }
    }
    // whatever else it is, it is kept
    let mismatch = "6200000100000020";
    ask(&mut client, verify(mismatch)).await;
    let again = ask(&mut client, verify(mismatch)).await;
    assert_eq!(
        (again.source(), again.verdict()),
        (Source::Cache, Verdict::Mismatch)
    );
}
