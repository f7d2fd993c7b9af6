//! What callers have of a card together, and one caller's part of it, over replicas.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cardproof::{
    domain::ResultCode,
    service::{
        Service,
        ask::{Ask, Caller},
        denial::Denial,
    },
};

use crate::{
    house::{Act, Plan, Vendor, ask, replica_as, until},
    server::Redis,
};

fn asks(caller: &str, name: &str) -> Ask {
    let caller = Caller {
        name: Arc::from(caller),
        ..Caller::anonymous()
    };
    Ask {
        caller: Arc::new(caller),
        ..ask(name)
    }
}

/// Until midnight in Asia/Shanghai, eight hours ahead of UTC.
fn to_midnight() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let of_day = (now.as_secs() + 8 * 3600) % 86_400;
    Duration::from_secs(86_400 - of_day)
}

/// When a refused caller is to come again.
async fn refused_for(service: &Service, asked: Ask) -> Duration {
    match service.ask(asked).await.unwrap_err() {
        Denial::Refused(refusal) => {
            assert_eq!(refusal.reason.as_str(), "CARD_ATTEMPTS_EXCEEDED");
            refusal.retry_after.unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_uses_its_share_of_a_card_and_leaves_the_rest() {
    // 3 of 10 calls
    let plan = || Plan {
        caller_share: 0.3,
        ..Plan::default()
    };
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let one = replica_as(&redis, &vendor, plan()).await;
    let two = replica_as(&redis, &vendor, plan()).await;
    one.ask(asks("first", "张三")).await.unwrap();
    two.ask(asks("first", "李四")).await.unwrap();
    one.ask(asks("first", "王五")).await.unwrap();
    for service in [&one, &two] {
        let wait = refused_for(service, asks("first", "赵六")).await;
        // told of the day's end, not of a call under way
        assert!(
            wait.abs_diff(to_midnight()) < Duration::from_secs(5),
            "{wait:?}"
        );
    }
    two.ask(asks("second", "赵六")).await.unwrap();
    assert_eq!(vendor.calls(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_callers_mismatches_leave_the_card_open_for_others() {
    // 1 of 2 mismatches
    let plan = || Plan {
        caller_share: 0.5,
        ..Plan::default()
    };
    let redis = Redis::start();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Mismatch)]);
    let one = replica_as(&redis, &vendor, plan()).await;
    let two = replica_as(&redis, &vendor, plan()).await;
    one.ask(asks("first", "张三")).await.unwrap();
    let wait = refused_for(&two, asks("first", "李四")).await;
    let opens = to_midnight().max(Duration::from_secs(12 * 3600));
    assert!(wait.abs_diff(opens) < Duration::from_secs(5), "{wait:?}");
    two.ask(asks("second", "李四")).await.unwrap();
    // now it is closed for all
    assert!(refused_for(&one, asks("third", "王五")).await > Duration::from_secs(3600));
    assert_eq!(vendor.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_for_others_fill_a_card_too() {
    // the last call, and the last mismatch, with the other limit far away
    for (max_calls, max_mismatches) in [(1, 9), (9, 1)] {
        let plan = || Plan {
            max_calls,
            max_mismatches,
            ..Plan::default()
        };
        let redis = Redis::start();
        let answer = [Act::Answer(ResultCode::CardExpired)];
        let vendor = Vendor::slow(&answer, Duration::from_secs(1));
        let one = replica_as(&redis, &vendor, plan()).await;
        let two = replica_as(&redis, &vendor, plan()).await;
        let asking = one.clone();
        let first = tokio::spawn(async move { asking.ask(asks("first", "张三")).await });
        let soon = Duration::from_secs(5);
        until("the call is sent", soon, async || vendor.calls() == 1).await;
        // connect and call timeout: only a call under way is in the way
        let longest_call = Duration::from_millis(2500);
        assert_eq!(
            refused_for(&two, asks("second", "李四")).await,
            longest_call
        );
        assert_eq!(refused_for(&one, asks("third", "王五")).await, longest_call);
        assert!(!first.is_finished(), "the call is still under way");
        assert_eq!(vendor.calls(), 1);
        first.await.unwrap().unwrap();
        // an expired card is no mismatch, and is a call
        let next = two.ask(asks("second", "李四")).await;
        assert_eq!(next.is_ok(), max_calls > 1);
    }
}
