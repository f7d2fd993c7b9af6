//! Who makes a call, and what the others are told.

use std::time::Duration;

use cardproof::{
    cache::shared::{Boarded, Settle, Staked},
    domain::{Charge, GuardEffect, ResultCode, Source},
    provider::ProviderErrorKind as Kind,
    service::ask::CacheMode,
};
use uuid::Uuid;

use crate::{
    by_hand::ByHand,
    house::{Act, Plan, Vendor, ask, ask_about, refusal, replica, replica_as},
    server::Redis,
};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_one_call_and_its_answer() {
    let redis = Redis::start();
    let answer = [Act::Answer(ResultCode::Match)];
    let vendor = Vendor::slow(&answer, Duration::from_millis(500));
    let replicas = [
        replica(&redis, &vendor).await,
        replica(&redis, &vendor).await,
        replica(&redis, &vendor).await,
    ];
    let askers: Vec<_> = (0..300)
        .map(|number| {
            let service = replicas[number % 3].clone();
            tokio::spawn(async move { service.ask(ask("张三")).await })
        })
        .collect();
    let mut charged = 0;
    for asker in askers {
        let reply = asker.await.unwrap().unwrap();
        charged += usize::from(reply.charge == Charge::Charged);
    }
    assert_eq!((vendor.calls(), charged), (1, 1));
    let late = replica(&redis, &vendor).await;
    let first = late.ask(ask("张三")).await.unwrap();
    let second = late.ask(ask("张三")).await.unwrap();
    let sources = (first.source, second.source, vendor.calls());
    assert_eq!(sources, (Source::SharedCache, Source::Cache, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_without_an_answer_is_told_to_those_who_wait() {
    let redis = Redis::start();
    let act = [Act::Fail(Kind::Refused)];
    let vendor = Vendor::slow(&act, Duration::from_millis(500));
    let (one, two) = (
        replica(&redis, &vendor).await,
        replica(&redis, &vendor).await,
    );
    let first = tokio::spawn(async move { refusal(&one, ask("张三")).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(refusal(&two, ask("张三")).await, "PROVIDER_REFUSED");
    assert_eq!(first.await.unwrap(), "PROVIDER_REFUSED");
    assert_eq!(vendor.calls(), 1, "the follower was told and asked nobody");
    // whoever comes later was not waiting, and asks
    assert_eq!(refusal(&two, ask("张三")).await, "PROVIDER_REFUSED");
    assert_eq!(vendor.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_holds_the_question_everywhere() {
    let redis = Redis::start();
    let acts = [
        Act::Fail(Kind::OutcomeUnknown),
        Act::Answer(ResultCode::Match),
    ];
    let vendor = Vendor::new(&acts);
    let (one, two) = (
        replica(&redis, &vendor).await,
        replica(&redis, &vendor).await,
    );
    assert_eq!(refusal(&one, ask("张三")).await, "OUTCOME_UNKNOWN");
    assert_eq!(refusal(&two, ask("张三")).await, "OUTCOME_UNKNOWN");
    let mut bypass = ask("张三");
    bypass.mode = CacheMode::Bypass;
    assert_eq!(refusal(&two, bypass.clone()).await, "OUTCOME_UNKNOWN");
    assert_eq!(vendor.calls(), 1);
    bypass.request_id = Some(Uuid::new_v4());
    two.ask(bypass).await.unwrap();
    assert_eq!(vendor.calls(), 2, "a fresh id asks anew");
    // the answer has ended the hold
    let third = replica(&redis, &vendor).await;
    assert_eq!(
        third.ask(ask("张三")).await.unwrap().source,
        Source::SharedCache
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_ends() {
    let redis = Redis::start();
    let acts = [
        Act::Fail(Kind::OutcomeUnknown),
        Act::Answer(ResultCode::Match),
    ];
    let vendor = Vendor::new(&acts);
    let (one, two) = (
        replica(&redis, &vendor).await,
        replica(&redis, &vendor).await,
    );
    assert_eq!(refusal(&one, ask("张三")).await, "OUTCOME_UNKNOWN");
    tokio::time::sleep(Duration::from_millis(3200)).await;
    two.ask(ask("张三")).await.unwrap();
    assert_eq!(vendor.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_before_it_sends_is_replaced() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let dead = ByHand::new(&redis).await;
    let service = replica(&redis, &vendor).await;
    let seat = dead.seat("张三", Duration::from_millis(400)).await;
    service.ask(ask("张三")).await.unwrap();
    assert_eq!(vendor.calls(), 1);
    // it was not dead but stopped, and wakes: its place is gone
    assert_eq!(dead.send(&seat, LONG, LONG).await, Staked::SeatLost);
    assert_eq!(dead.store.stay(&seat, LONG).await, Ok(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_after_it_sends_is_not_replaced() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let dead = ByHand::new(&redis).await;
    let service = replica(&redis, &vendor).await;
    let seat = dead.seat("张三", LONG).await;
    let (lasts, hold) = (Duration::from_millis(600), Duration::from_millis(1500));
    assert!(matches!(
        dead.send(&seat, lasts, hold).await,
        Staked::Taken { .. }
    ));
    let begun = std::time::Instant::now();
    assert_eq!(refusal(&service, ask("张三")).await, "OUTCOME_UNKNOWN");
    assert!(
        begun.elapsed() >= Duration::from_millis(500),
        "it was waited for"
    );
    assert_eq!(vendor.calls(), 0);
    // its slot stands for a call and a mismatch once it has ended: 600 ms and the grace
    tokio::time::sleep(Duration::from_secs(3)).await;
    let counts = service.guard_show(&crate::house::card()).await.unwrap();
    let counts = counts.verification.unwrap();
    assert_eq!(
        (counts.calls, counts.mismatches, counts.in_flight),
        (1, 1, 0)
    );
    service.ask(ask("张三")).await.unwrap();
    assert_eq!(vendor.calls(), 1, "the hold has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_has_lapsed_is_counted_once() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let late = ByHand::new(&redis).await;
    let service = replica(&redis, &vendor).await;
    let seat = late.seat("张三", LONG).await;
    let stake = late.stake(&seat, Duration::from_millis(200), LONG);
    let staked = late.store.stake(&stake).await.unwrap();
    assert!(matches!(staked, Staked::Taken { .. }));
    let counts = async || {
        let shown = service.guard_show(&crate::house::card()).await.unwrap();
        let counts = shown.verification.unwrap();
        (counts.calls, counts.mismatches, counts.in_flight)
    };
    assert_eq!(counts().await, (0, 0, 1));
    // 200 ms and the grace of two seconds
    tokio::time::sleep(Duration::from_millis(2600)).await;
    assert_eq!(counts().await, (1, 1, 0));
    // its owner comes back after all
    let settle = Settle {
        slot: stake.slot,
        was_staked: true,
        after_seed: 0,
        effect: GuardEffect::Mismatch,
        day: -1,
        refunds: Vec::new(),
        spent: Vec::new(),
    };
    late.store.settle(&seat, settle, LONG).await;
    assert_eq!(counts().await, (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_given_once() {
    let redis = Redis::start();
    let (one, two) = (ByHand::new(&redis).await, ByHand::new(&redis).await);
    let seat = one.seat("张三", LONG).await;
    let other = two.board_as("张三", LONG);
    let under_way = Ok(Boarded::UnderWay(seat.owner));
    assert_eq!(two.store.board(&other).await, under_way);
    assert!(matches!(
        one.send(&seat, LONG, LONG).await,
        Staked::Taken { .. }
    ));
    assert_eq!(two.store.board(&other).await, under_way);
    // what was sent is not sent again under the same seat
    assert_eq!(one.send(&seat, LONG, LONG).await, Staked::SeatLost);
    // another question is nobody's business
    let _seat = two.seat("李四", LONG).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_names_on_one_card_are_as_many_as_it_can_bear() {
    let redis = Redis::start();
    let answer = [Act::Answer(ResultCode::Mismatch)];
    let vendor = Vendor::slow(&answer, Duration::from_millis(100));
    let mut askers = Vec::new();
    for _ in 0..3 {
        let service = replica(&redis, &vendor).await;
        for number in 0..20 {
            let service = service.clone();
            let name = format!("张{}", char::from_u32(0x4e00 + number).unwrap());
            askers.push(tokio::spawn(async move { service.ask(ask(&name)).await }));
        }
    }
    for asker in askers {
        let _answered = asker.await.unwrap();
    }
    assert_eq!(vendor.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendors_limit_holds_for_all_replicas() {
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let plan = || {
        let mut plan = Plan::default();
        plan.vendor.requests_per_second = Some(5);
        plan
    };
    let (one, two) = (
        replica_as(&redis, &vendor, plan()).await,
        replica_as(&redis, &vendor, plan()).await,
    );
    let mut busy = 0;
    for number in 0..10 {
        let service = if number % 2 == 0 { &one } else { &two };
        let asked = ask_about(&format!("62000000000000{number:02}"), "张三");
        match service.ask(asked).await {
            Ok(_) => {}
            Err(denial) => {
                assert_eq!(denial.reason_name(), "OVERLOADED");
                busy += 1;
            }
        }
        // asked one after another, each waits up to 200 ms for a place
        if vendor.calls() == 5 && busy == 2 {
            break;
        }
    }
    assert_eq!((vendor.calls(), busy), (5, 2));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    one.ask(ask_about("6200000000000099", "张三"))
        .await
        .unwrap();
}
