//! The store is lost, frozen, full, emptied, and comes back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cardproof::{
    config::{
        OnLoss,
        providers::{Money, Price},
    },
    domain::{Charge, Operation, ResultCode, Source},
    provider::ProviderErrorKind,
    service::{
        Service,
        ask::{Ask, Caller},
        budget::Budget,
    },
};

use crate::{
    house::{Act, CARD, Plan, Vendor, ask, ask_about, card, refusal, replica_as, until},
    server::Redis,
};

const SOON: Duration = Duration::from_secs(10);

fn plan(on_loss: OnLoss) -> Plan {
    Plan {
        on_loss,
        replicas: 2,
        timeout: Duration::from_millis(200),
        ..Plan::default()
    }
}

async fn comes_back(service: &Service) {
    until("the store is found", SOON, async || {
        service.shared_store_is_up() == Some(true)
    })
    .await;
}

async fn is_lost(service: &Service) {
    until("the loss is noticed", SOON, async || {
        service.shared_store_is_up() == Some(false)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_each_replica_goes_on_within_its_part() {
    let redis = Redis::start();
    let port = redis.port;
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Mismatch)]);
    let one = replica_as(&redis, &vendor, plan(OnLoss::Degrade)).await;
    let two = replica_as(&redis, &vendor, plan(OnLoss::Degrade)).await;
    drop(redis);
    for service in [&one, &two] {
        service.ask(ask("张三")).await.unwrap();
        service.ask(ask("张三")).await.unwrap();
        // 2 mismatches over 2 replicas: one each
        assert_eq!(
            refusal(service, ask("李四")).await,
            "CARD_ATTEMPTS_EXCEEDED"
        );
    }
    assert_eq!(
        vendor.calls(),
        2,
        "one charge for each question and replica"
    );
    // back, and empty: both put back what they counted
    let redis = Redis::start_at(port, &[]);
    comes_back(&one).await;
    comes_back(&two).await;
    let counts = one.guard_show(&card()).await.unwrap().verification.unwrap();
    assert_eq!((counts.calls, counts.mismatches), (2, 2));
    assert_eq!(refusal(&one, ask("李四")).await, "CARD_ATTEMPTS_EXCEEDED");
    // what could not be told was told
    let third = replica_as(&redis, &vendor, plan(OnLoss::Degrade)).await;
    assert_eq!(
        third.ask(ask("张三")).await.unwrap().source,
        Source::SharedCache
    );
}

/// What a caller may spend: four calls in a day, here as in each of two replicas.
fn shop() -> Arc<Caller> {
    let budget = Budget::new(Some(money(4)));
    budget.divide(2);
    Arc::new(Caller {
        name: Arc::from("shop"),
        budget,
        ..Caller::anonymous()
    })
}

fn money(micros: u64) -> Money {
    Money {
        currency: "CNY".to_owned(),
        micros,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_budget_is_whole_with_the_store_and_a_part_without() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let mut services = Vec::new();
    for _ in 0..3 {
        let mut plan = plan(OnLoss::Degrade);
        plan.vendor.price = Some(Price {
            currency: "CNY".to_owned(),
            micros: [(Operation::VerifyTwo, 1)].into(),
        });
        services.push((replica_as(&redis, &vendor, plan).await, shop()));
    }
    let asked = async |at: usize, name: &str| {
        let (service, caller) = &services[at];
        let told = service.ask(Ask {
            caller: Arc::clone(caller),
            ..ask(name)
        });
        told.await.map(drop).map_err(|denial| denial.reason_name())
    };
    // more than a part of it, in one replica
    for name in ["张三", "李四", "王五"] {
        assert_eq!(asked(0, name).await, Ok(()));
    }
    assert_eq!(asked(1, "赵六").await, Ok(()));
    assert_eq!(asked(1, "孙七").await, Err("CALLER_BUDGET_SPENT"));
    drop(redis);
    assert_eq!(asked(0, "孙七").await, Err("CALLER_BUDGET_SPENT"));
    // has spent one
    assert_eq!(asked(1, "孙七").await, Ok(()));
    assert_eq!(asked(1, "周八").await, Err("CALLER_BUDGET_SPENT"));
    // has spent nothing
    assert_eq!(asked(2, "孙七").await, Ok(()));
    assert_eq!(asked(2, "周八").await, Ok(()));
    assert_eq!(asked(2, "吴九").await, Err("CALLER_BUDGET_SPENT"));
    assert_eq!(vendor.calls(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_prefer_refusing() {
    let redis = Redis::start();
    let port = redis.port;
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let service = replica_as(&redis, &vendor, plan(OnLoss::Refuse)).await;
    service.ask(ask("张三")).await.unwrap();
    drop(redis);
    is_lost(&service).await;
    assert_eq!(
        refusal(&service, ask("李四")).await,
        "SHARED_STATE_UNAVAILABLE"
    );
    // what is known costs nothing
    assert_eq!(
        service.ask(ask("张三")).await.unwrap().source,
        Source::Cache
    );
    assert_eq!(vendor.calls(), 1);
    let _redis = Redis::start_at(port, &[]);
    comes_back(&service).await;
    service.ask(ask("李四")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_store_costs_one_timeout_and_then_nothing() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let mut plan = plan(OnLoss::Degrade);
    plan.timeout = Duration::from_secs(2);
    let service = replica_as(&redis, &vendor, plan).await;
    redis.signal("-STOP");
    let took = async |number: u32| {
        let begun = Instant::now();
        let card = format!("62000000000000{number:02}");
        service.ask(ask_about(&card, "张三")).await.unwrap();
        begun.elapsed()
    };
    // the keeper may have paid it already
    let first = took(0).await;
    assert!(first < Duration::from_secs(4), "{first:?}");
    assert_eq!(service.shared_store_is_up(), Some(false));
    for number in 1..20 {
        let later = took(number).await;
        assert!(later < Duration::from_secs(1), "{later:?}");
    }
    assert_eq!(vendor.calls(), 20);
    redis.signal("-CONT");
    comes_back(&service).await;
    // all of them were told
    let keys: Vec<String> = redis.command(&["KEYS", "cardproof:a:*"]);
    assert_eq!(keys.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_store_is_told_what_is_known() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Mismatch)]);
    let one = replica_as(&redis, &vendor, plan(OnLoss::Refuse)).await;
    let two = replica_as(&redis, &vendor, plan(OnLoss::Refuse)).await;
    one.ask(ask("张三")).await.unwrap();
    two.ask(ask("李四")).await.unwrap();
    let _: String = redis.command(&["FLUSHALL"]);
    // nobody trusts it before it is whole again
    let refused = refusal(&one, ask("王五")).await;
    assert_eq!(refused, "SHARED_STATE_UNAVAILABLE");
    comes_back(&one).await;
    comes_back(&two).await;
    assert_eq!(refusal(&one, ask("王五")).await, "CARD_ATTEMPTS_EXCEEDED");
    let counts = one.guard_show(&card()).await.unwrap().verification.unwrap();
    assert_eq!((counts.calls, counts.mismatches), (2, 2));
    assert_eq!(vendor.calls(), 2);
}

/// A call of `one` that lasts longer than an emptied store takes to be trusted again.
async fn under_way(
    redis: &Redis,
    vendor: &Arc<Vendor>,
    one: &Service,
) -> tokio::task::JoinHandle<Result<cardproof::service::ask::Reply, &'static str>> {
    let asking = one.clone();
    let call = tokio::spawn(async move {
        let told = asking.ask(ask("张三")).await;
        told.map_err(|denial| denial.reason_name())
    });
    until("the call is sent", SOON, async || vendor.calls() == 1).await;
    let _: String = redis.command(&["FLUSHALL"]);
    is_lost(one).await;
    comes_back(one).await;
    call
}

fn patient() -> Plan {
    let mut plan = plan(OnLoss::Refuse);
    plan.vendor.timeout = Duration::from_secs(10);
    plan
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_outlives_the_emptying_of_the_store() {
    let redis = Redis::start();
    let answer = [Act::Answer(ResultCode::Mismatch)];
    let vendor = Vendor::slow(&answer, Duration::from_secs(5));
    let one = replica_as(&redis, &vendor, patient()).await;
    let two = replica_as(&redis, &vendor, patient()).await;
    let call = under_way(&redis, &vendor, &one).await;
    comes_back(&two).await;
    // its slot and its seat are there again: it is waited for, and not made a second time
    let counts = two.guard_show(&card()).await.unwrap().verification.unwrap();
    let so_far = (counts.calls, counts.mismatches, counts.in_flight);
    assert_eq!(so_far, (0, 0, 1));
    assert!(!call.is_finished(), "the call is still under way");
    let followed = two.ask(ask("张三")).await.unwrap();
    assert_eq!(followed.charge, Charge::NotCharged);
    assert_eq!(call.await.unwrap().unwrap().charge, Charge::Charged);
    assert_eq!(vendor.calls(), 1);
    let counts = two.guard_show(&card()).await.unwrap().verification.unwrap();
    let in_the_end = (counts.calls, counts.mismatches, counts.in_flight);
    assert_eq!(in_the_end, (1, 1, 0), "counted once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_lands_is_held_though_the_store_was_emptied() {
    let redis = Redis::start();
    let answer = [Act::Fail(ProviderErrorKind::OutcomeUnknown)];
    let vendor = Vendor::slow(&answer, Duration::from_secs(5));
    let one = replica_as(&redis, &vendor, patient()).await;
    let two = replica_as(&redis, &vendor, patient()).await;
    let call = under_way(&redis, &vendor, &one).await;
    comes_back(&two).await;
    assert!(!call.is_finished(), "the call is still under way");
    assert_eq!(refusal(&two, ask("张三")).await, "OUTCOME_UNKNOWN");
    assert_eq!(call.await.unwrap().unwrap_err(), "OUTCOME_UNKNOWN");
    let counts = two.guard_show(&card()).await.unwrap().verification.unwrap();
    assert_eq!((counts.calls, counts.mismatches), (1, 1));
    assert_eq!(vendor.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_back_is_told_of_a_call_that_began_without_it() {
    let redis = Redis::start();
    let answer = [Act::Answer(ResultCode::Mismatch)];
    let vendor = Vendor::slow(&answer, Duration::from_secs(5));
    let mut alone = patient();
    alone.on_loss = OnLoss::Degrade;
    let one = replica_as(&redis, &vendor, alone).await;
    let two = replica_as(&redis, &vendor, patient()).await;
    redis.signal("-STOP");
    is_lost(&one).await;
    let asking = one.clone();
    let call = tokio::spawn(async move { asking.ask(ask("张三")).await.is_ok() });
    until("the call is sent", SOON, async || vendor.calls() == 1).await;
    redis.signal("-CONT");
    comes_back(&one).await;
    comes_back(&two).await;
    let counts = async || {
        let shown = two.guard_show(&card()).await?.verification?;
        Some((shown.calls, shown.mismatches, shown.in_flight))
    };
    until("its slot is known", SOON, async || {
        counts().await == Some((0, 0, 1))
    })
    .await;
    assert!(!call.is_finished(), "the call is still under way");
    assert!(call.await.unwrap());
    assert_eq!(counts().await, Some((1, 1, 0)), "counted once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_lost_on_the_way_stops_whoever_refuses() {
    let redis = Redis::start();
    let first = Act::Fail(ProviderErrorKind::NotSent);
    let acts = [first, Act::Answer(ResultCode::Match)];
    let vendor = Vendor::slow(&acts, Duration::from_secs(1));
    let one = replica_as(&redis, &vendor, patient()).await;
    let asking = one.clone();
    let call = tokio::spawn(async move { refusal(&asking, ask("张三")).await });
    until("the call is sent", SOON, async || vendor.calls() == 1).await;
    redis.signal("-STOP");
    let told = call.await.unwrap();
    redis.signal("-CONT");
    assert_eq!(told, "SHARED_STATE_UNAVAILABLE");
    assert_eq!(vendor.calls(), 1, "nothing is sent again without the store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_is_a_lost_one_until_there_is_room() {
    let redis = Redis::start_with(&["--maxmemory-policy", "noeviction"]);
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let service = replica_as(&redis, &vendor, plan(OnLoss::Degrade)).await;
    let _: String = redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    service.ask(ask("张三")).await.unwrap();
    is_lost(&service).await;
    service
        .ask(ask_about("6200000000000013", "张三"))
        .await
        .unwrap();
    assert_eq!(vendor.calls(), 2);
    let _: String = redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    comes_back(&service).await;
    let third = replica_as(&redis, &vendor, plan(OnLoss::Degrade)).await;
    assert_eq!(
        third.ask(ask_about(CARD, "张三")).await.unwrap().source,
        Source::SharedCache
    );
}
