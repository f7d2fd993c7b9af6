//! Request ids over replicas.

use std::{sync::Arc, time::Duration};

use cardproof::{
    cache::shared::{Begin, Begun, RequestId, Staked, token},
    domain::{Charge, ResultCode},
    provider::ProviderErrorKind as Kind,
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    by_hand::ByHand,
    house::{
        Act, CARD, Plan, Vendor, ask, ask_with, question_about, refusal, replica, replica_as, until,
    },
    server::Redis,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_id_stands_for_one_question_in_every_replica() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let (one, two) = (
        replica(&redis, &vendor).await,
        replica(&redis, &vendor).await,
    );
    let id = Uuid::new_v4();
    let first = one.ask(ask_with("张三", id)).await.unwrap();
    assert_eq!(first.charge, Charge::Charged);
    assert_eq!(
        refusal(&two, ask_with("李四", id)).await,
        "REQUEST_ID_REUSED"
    );
    let again = two.ask(ask_with("张三", id)).await.unwrap();
    assert_eq!((again.charge, vendor.calls()), (Charge::NotCharged, 1));
    assert_eq!(again.answer.finding, first.answer.finding);
    // the wrong question has left no trace where it was asked
    assert_eq!(
        refusal(&two, ask_with("李四", id)).await,
        "REQUEST_ID_REUSED"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_runs_elsewhere_is_waited_for() {
    let redis = Redis::start();
    let vendor = Vendor::slow(
        &[Act::Answer(ResultCode::Match)],
        Duration::from_millis(600),
    );
    let (one, two) = (
        replica(&redis, &vendor).await,
        replica(&redis, &vendor).await,
    );
    let id = Uuid::new_v4();
    let first = tokio::spawn(async move { one.ask(ask_with("张三", id)).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut impatient = ask_with("张三", id);
    impatient.deadline = Instant::now() + Duration::from_millis(100);
    assert_eq!(refusal(&two, impatient).await, "DEADLINE_EXCEEDED");
    let again = two.ask(ask_with("张三", id)).await.unwrap();
    assert_eq!((again.charge, vendor.calls()), (Charge::NotCharged, 1));
    first.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_surely_did_not_run_runs_anew_and_an_unknown_outcome_stays() {
    let redis = Redis::start();
    let acts = [
        Act::Fail(Kind::Refused),
        Act::Fail(Kind::OutcomeUnknown),
        Act::Answer(ResultCode::Match),
    ];
    let vendor = Vendor::new(&acts);
    let (one, two) = (
        replica(&redis, &vendor).await,
        replica(&redis, &vendor).await,
    );
    let id = Uuid::new_v4();
    assert_eq!(
        refusal(&one, ask_with("张三", id)).await,
        "PROVIDER_REFUSED"
    );
    assert_eq!(
        refusal(&two, ask_with("李四", id)).await,
        "REQUEST_ID_REUSED"
    );
    assert_eq!(refusal(&two, ask_with("张三", id)).await, "OUTCOME_UNKNOWN");
    // beyond the hold of the question
    tokio::time::sleep(Duration::from_millis(3300)).await;
    assert_eq!(refusal(&one, ask_with("张三", id)).await, "OUTCOME_UNKNOWN");
    assert_eq!(vendor.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_ids_are_counted_over_all_replicas() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let plan = || Plan {
        most_ids: 4,
        ..Plan::default()
    };
    let (one, two) = (
        replica_as(&redis, &vendor, plan()).await,
        replica_as(&redis, &vendor, plan()).await,
    );
    let known = Uuid::new_v4();
    one.ask(ask_with("张三", known)).await.unwrap();
    for _ in 0..3 {
        two.ask(ask_with("张三", Uuid::new_v4())).await.unwrap();
    }
    // ends are told behind the reply
    tokio::time::sleep(Duration::from_millis(300)).await;
    let new = || ask_with("张三", Uuid::new_v4());
    assert_eq!(refusal(&one, new()).await, "REQUEST_IDS_EXHAUSTED");
    assert_eq!(refusal(&two, new()).await, "REQUEST_IDS_EXHAUSTED");
    two.ask(ask_with("张三", known)).await.unwrap();
    assert_eq!(vendor.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_a_shared_call_with_an_unknown_outcome_stay_unknown_everywhere() {
    let redis = Redis::start();
    let acts = [
        Act::Fail(Kind::OutcomeUnknown),
        Act::Answer(ResultCode::Match),
    ];
    let vendor = Vendor::slow(&acts, Duration::from_millis(500));
    let (one, two) = (
        replica(&redis, &vendor).await,
        replica(&redis, &vendor).await,
    );
    let (leading, following) = (Uuid::new_v4(), Uuid::new_v4());
    let leader = one.clone();
    let leader = tokio::spawn(async move { refusal(&leader, ask_with("张三", leading)).await });
    let soon = Duration::from_secs(5);
    until("the call is sent", soon, async || vendor.calls() == 1).await;
    let followed = refusal(&two, ask_with("张三", following)).await;
    assert_eq!(
        (leader.await.unwrap(), followed),
        ("OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN")
    );
    // beyond the hold of the question, which anybody else may ask by now
    tokio::time::sleep(Duration::from_millis(3300)).await;
    // a replica that has no memory of its own of either
    let third = replica(&redis, &vendor).await;
    for id in [leading, following] {
        for service in [&one, &two, &third] {
            assert_eq!(
                refusal(service, ask_with("张三", id)).await,
                "OUTCOME_UNKNOWN"
            );
        }
    }
    assert_eq!(vendor.calls(), 1);
    third.ask(ask("张三")).await.unwrap();
    assert_eq!(vendor.calls(), 2);
    // not even an answer that there is by now is what came of that request
    let fourth = replica(&redis, &vendor).await;
    assert_eq!(
        refusal(&fourth, ask_with("张三", leading)).await,
        "OUTCOME_UNKNOWN"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_was_sent_by_a_replica_that_died_is_unknown_and_one_that_was_not_runs() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let dead = ByHand::new(&redis).await;
    let service = replica(&redis, &vendor).await;
    let lasts = Duration::from_millis(400);
    let (sent, waiting) = (Uuid::new_v4(), Uuid::new_v4());
    let ids = [sent, waiting].map(|id| begin_by_hand(&dead, id, lasts));
    for begin in &ids {
        assert_eq!(dead.store.begin(begin).await, Ok(Begun::New));
    }
    let seat = dead.seat("张三", lasts).await;
    let mut stake = dead.stake(&seat, lasts, lasts);
    stake.ids = vec![ids[0].id.clone()];
    let staked = dead.store.stake(&stake).await.unwrap();
    assert!(matches!(staked, Staked::Taken { .. }));
    // both leases and the hold of the question have ended
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(
        refusal(&service, ask_with("张三", sent)).await,
        "OUTCOME_UNKNOWN"
    );
    assert_eq!(vendor.calls(), 0);
    service.ask(ask_with("张三", waiting)).await.unwrap();
    assert_eq!(vendor.calls(), 1);
}

fn begin_by_hand(replica: &ByHand, id: Uuid, lease: Duration) -> Begin {
    let question = question_about(CARD, "张三");
    Begin {
        keys: Arc::clone(&replica.keys),
        id: RequestId {
            caller: Arc::from("anonymous"),
            id,
            owner: token(),
        },
        content: replica.keys.each(|key| key.content(&question)),
        card: replica.keys.each(|key| key.cache_card(CARD)),
        lease,
        window: Duration::from_secs(3600),
        most: 100,
    }
}
