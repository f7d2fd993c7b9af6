//! What is kept in the store, and what can be read from it.

use std::{collections::BTreeSet, time::Duration};

use cardproof::{
    domain::{ResultCode, Source},
    provider::Provider,
    service::ask::CacheMode,
};
use uuid::Uuid;

use crate::{
    house::{Act, CARD, Plan, Vendor, ask, ask_with, card, refusal, replica, replica_of, until},
    server::Redis,
};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_read_or_change_what_is_kept() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Mismatch)]);
    let service = replica(&redis, &vendor).await;
    service
        .ask(ask_with("张三丰", Uuid::new_v4()))
        .await
        .unwrap();
    let contents = redis.contents();
    for told in [
        CARD,
        "张三丰",
        "MISMATCH",
        "vendor",
        "request-of-the-vendor",
    ] {
        assert!(!contents.contains(told), "{told} in {contents}");
    }
    assert!(contents.contains("cardproof:a:"), "{contents}");

    let keys: Vec<String> = redis.command(&["KEYS", "cardproof:a:*"]);
    let fields: Vec<String> = redis.command(&["HKEYS", &keys[0]]);
    let fresh = replica(&redis, &vendor).await;
    let mut cached = ask("张三丰");
    cached.mode = CacheMode::OnlyIfCached;
    assert_eq!(
        fresh.ask(cached.clone()).await.unwrap().source,
        Source::SharedCache
    );
    // one byte of it: the value that is there is none, and another vendor call is due
    let _: i64 = redis.command(&["EVAL", FLIP, "1", &keys[0], &fields[0]]);
    let fresh = replica(&redis, &vendor).await;
    assert_eq!(refusal(&fresh, cached).await, "NOT_CACHED");
    fresh.ask(ask("张三丰")).await.unwrap();
    assert_eq!(vendor.calls(), 2);
}

const FLIP: &str = "local v = redis.call('HGET', KEYS[1], ARGV[1]) \
     return redis.call('HSET', KEYS[1], ARGV[1], string.sub(v, 1, 30) .. \
     string.char((string.byte(v, 31) + 1) % 256) .. string.sub(v, 32))";

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_the_service_itself_never_enter_the_store() {
    let redis = Redis::start();
    let table = Vendor::embedded(&[Act::Answer(ResultCode::Match)]);
    let service = replica(&redis, &table).await;
    let id = Uuid::new_v4();
    service.ask(ask_with("张三", id)).await.unwrap();
    service.ask(ask_with("张三", id)).await.unwrap();
    service.ask(ask_with("张三", Uuid::new_v4())).await.unwrap();
    assert_eq!(table.calls(), 1);
    let mut keys: Vec<String> = redis.command(&["KEYS", "*"]);
    keys.sort();
    assert_eq!(keys, ["cardproof:beats", "cardproof:epoch"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_the_service_itself_stay_out_of_the_store_beside_a_vendor() {
    let redis = Redis::start();
    let table = Vendor::embedded(&[Act::Answer(ResultCode::Match)]);
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    // the vendor could be asked, so the question is the business of all replicas
    let house = [table.clone(), vendor.clone()];
    let one = replica_of(&redis, &house, Plan::default()).await;
    let id = Uuid::new_v4();
    for id in [id, id, Uuid::new_v4()] {
        one.ask(ask_with("张三", id)).await.unwrap();
    }
    one.ask(ask("张三")).await.unwrap();
    assert_eq!((table.calls(), vendor.calls()), (1, 0));
    // ends are told behind the reply
    tokio::time::sleep(Duration::from_millis(300)).await;
    let kinds = || {
        let keys: Vec<String> = redis.command(&["KEYS", "*"]);
        let kinds = keys
            .iter()
            .map(|key| key.split(':').take(2).collect::<Vec<_>>().join(":"));
        kinds.collect::<BTreeSet<_>>()
    };
    // neither an answer (a), nor one under a request id (r), nor a call that others could follow (f)
    let ours = [
        "cardproof:beats",
        "cardproof:epoch",
        "cardproof:i",
        "cardproof:z",
    ];
    assert_eq!(kinds(), ours.map(str::to_owned).into());
    let ids: Vec<String> = redis.command(&["KEYS", "cardproof:i:*"]);
    for id in &ids {
        assert_eq!(redis.command::<String>(&["HGET", id, "s"]), "z", "{id}");
        assert!(!redis.command::<bool>(&["HEXISTS", id, "p"]), "{id}");
    }
    let two = replica_of(&redis, &house, Plan::default()).await;
    let mut cached = ask("张三");
    cached.mode = CacheMode::OnlyIfCached;
    assert_eq!(refusal(&two, cached).await, "NOT_CACHED");
    two.ask(ask_with("张三", id)).await.unwrap();
    assert_eq!((table.calls(), vendor.calls()), (2, 0));
    // what the vendor says on the same way is for all
    let mut pinned = ask_with("李四", Uuid::new_v4());
    pinned.pinned = Some(vendor.name().clone());
    one.ask(pinned).await.unwrap();
    let kinds = kinds();
    assert!(
        kinds.contains("cardproof:a") && kinds.contains("cardproof:r"),
        "{kinds:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_reaches_every_replica_within_a_second() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let (one, two) = (
        replica(&redis, &vendor).await,
        replica(&redis, &vendor).await,
    );
    let id = Uuid::new_v4();
    one.ask(ask_with("张三", id)).await.unwrap();
    two.ask(ask_with("张三", id)).await.unwrap();
    two.ask(ask("张三")).await.unwrap();
    assert_eq!(vendor.calls(), 1);
    let erased = one.erase(&card()).await;
    assert!(erased.everywhere && erased.answers >= 1, "{erased:?}");
    let cached = |service: &cardproof::service::Service| {
        let service = service.clone();
        async move {
            let mut cached = ask("张三");
            cached.mode = CacheMode::OnlyIfCached;
            service.ask(cached).await.is_ok()
        }
    };
    assert!(!cached(&one).await);
    until(
        "the other replica forgets",
        Duration::from_secs(1),
        async || !cached(&two).await,
    )
    .await;
    // the id is known, and its answer is gone: it runs anew
    two.ask(ask_with("张三", id)).await.unwrap();
    assert_eq!(vendor.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_does_not_bring_back_what_is_erased() {
    let redis = Redis::start();
    let vendor = Vendor::slow(
        &[Act::Answer(ResultCode::Match)],
        Duration::from_millis(500),
    );
    let service = replica(&redis, &vendor).await;
    let asking = tokio::spawn({
        let service = service.clone();
        async move { service.ask(ask("张三")).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    service.erase(&card()).await;
    asking.await.unwrap().unwrap();
    let mut cached = ask("张三");
    cached.mode = CacheMode::OnlyIfCached;
    assert_eq!(refusal(&service, cached).await, "NOT_CACHED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_and_resets_the_counts_of_all_replicas() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Mismatch)]);
    let (one, two) = (
        replica(&redis, &vendor).await,
        replica(&redis, &vendor).await,
    );
    one.ask(ask("张三")).await.unwrap();
    two.ask(ask("李四")).await.unwrap();
    assert_eq!(refusal(&one, ask("王五")).await, "CARD_ATTEMPTS_EXCEEDED");
    let counts = two.guard_show(&card()).await.unwrap().verification.unwrap();
    assert_eq!((counts.calls, counts.mismatches), (2, 2));
    assert!(counts.mismatches_until.is_some() && counts.closed_until.is_none());
    assert_eq!(two.guard_reset(&card()).await, Ok(true));
    assert!(one.guard_show(&card()).await.is_none());
    assert_eq!(two.guard_reset(&card()).await, Ok(false));
    one.ask(ask("王五")).await.unwrap();
    assert_eq!(vendor.calls(), 3);
}
