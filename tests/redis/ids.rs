//! Request ids over replicas.

use std::time::Duration;

use cardproof::domain::{Charge, ResultCode};
use cardproof::provider::ProviderErrorKind as Kind;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    house::{Act, Plan, Vendor, ask_with, refusal, replica, replica_as},
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
