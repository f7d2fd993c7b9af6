//! The operator's key is exchanged in three steps, and replicas in neighbouring steps agree.

use std::time::Duration;

use cardproof::{
    cache::Digests,
    domain::{ResultCode, Source},
    provider::ProviderErrorKind as Kind,
    service::Service,
};
use uuid::Uuid;

use crate::{
    house::{Act, Plan, Vendor, ask, ask_with, card, refusal, replica_as},
    server::Redis,
};

const OLD: &str = "the old key of the operator";
const NEW: &str = "the new key of the operator";
/// The steps: the key, and the one before it.
const STEPS: [(&str, Option<&str>); 4] =
    [(OLD, None), (OLD, Some(NEW)), (NEW, Some(OLD)), (NEW, None)];

async fn step(redis: &Redis, vendor: &std::sync::Arc<Vendor>, step: usize) -> Service {
    let (key, previous_key) = STEPS[step];
    let plan = Plan {
        key,
        previous_key,
        ..Plan::default()
    };
    replica_as(redis, vendor, plan).await
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_found_in_the_next_step_and_the_one_before() {
    for (writes, reads) in [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)] {
        let redis = Redis::start();
        let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
        let writer = step(&redis, &vendor, writes).await;
        let id = Uuid::new_v4();
        writer.ask(ask_with("张三", id)).await.unwrap();
        let reader = step(&redis, &vendor, reads).await;
        let found = reader.ask(ask("张三")).await.unwrap();
        assert_eq!(found.source, Source::SharedCache, "{writes} to {reads}");
        reader.ask(ask_with("张三", id)).await.unwrap();
        assert_eq!(
            refusal(&reader, ask_with("李四", id)).await,
            "REQUEST_ID_REUSED"
        );
        assert_eq!(vendor.calls(), 1, "{writes} to {reads}");
        let erased = reader.erase(&card()).await;
        assert_eq!(erased.answers, 2, "{writes} to {reads}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_counts_and_holds_are_one_over_neighbouring_steps() {
    for (first, second) in [(0, 1), (1, 2), (2, 3)] {
        let redis = Redis::start();
        let acts = [Act::Answer(ResultCode::Mismatch)];
        let vendor = Vendor::slow(&acts, Duration::from_millis(300));
        let replicas = [
            step(&redis, &vendor, first).await,
            step(&redis, &vendor, second).await,
        ];
        let askers: Vec<_> = (0..20)
            .map(|number| {
                let service = replicas[number % 2].clone();
                tokio::spawn(async move { service.ask(ask("张三")).await })
            })
            .collect();
        for asker in askers {
            asker.await.unwrap().unwrap();
        }
        assert_eq!(vendor.calls(), 1, "{first} and {second}");
        replicas[1].ask(ask("李四")).await.unwrap();
        for replica in &replicas {
            assert_eq!(
                refusal(replica, ask("王五")).await,
                "CARD_ATTEMPTS_EXCEEDED"
            );
        }

        let redis = Redis::start();
        let vendor = Vendor::new(&[Act::Fail(Kind::OutcomeUnknown)]);
        let one = step(&redis, &vendor, first).await;
        let two = step(&redis, &vendor, second).await;
        assert_eq!(refusal(&one, ask("张三")).await, "OUTCOME_UNKNOWN");
        assert_eq!(refusal(&two, ask("张三")).await, "OUTCOME_UNKNOWN");
        assert_eq!(vendor.calls(), 1, "{first} and {second}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_goes_through_all_steps_without_forgetting() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Mismatch)]);
    let service = step(&redis, &vendor, 0).await;
    for (at, (key, previous)) in STEPS.into_iter().enumerate() {
        let digests = |key: &str| Digests::new(key.as_bytes());
        service.change_keys(digests(key), previous.map(digests));
        if at == 1 {
            // written under both keys
            service.ask(ask("张三")).await.unwrap();
            service.ask(ask("李四")).await.unwrap();
        }
        if at >= 1 {
            assert_eq!(
                refusal(&service, ask("王五")).await,
                "CARD_ATTEMPTS_EXCEEDED"
            );
            let found = service.ask(ask("张三")).await.unwrap();
            assert_eq!(found.source, Source::Cache, "step {at}");
        }
    }
    assert_eq!(vendor.calls(), 2);
}

/// Replicas that know one key only count under it alone; whoever reads both brings them together.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_under_the_old_key_alone_counts_when_the_new_one_is_left() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[
        Act::Answer(ResultCode::Mismatch),
        Act::Answer(ResultCode::CardExpired),
        Act::Answer(ResultCode::Mismatch),
    ]);
    let old = step(&redis, &vendor, 0).await;
    old.ask(ask("张三")).await.unwrap();
    let both = step(&redis, &vendor, 2).await;
    both.ask(ask("李四")).await.unwrap();
    let new = step(&redis, &vendor, 3).await;
    let counts = new.guard_show(&card()).await.unwrap().verification.unwrap();
    assert_eq!((counts.calls, counts.mismatches), (2, 1));
    new.ask(ask("王五")).await.unwrap();
    assert_eq!(refusal(&new, ask("赵六")).await, "CARD_ATTEMPTS_EXCEEDED");
    assert_eq!(vendor.calls(), 3);
}
