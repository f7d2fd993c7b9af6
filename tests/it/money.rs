//! Cards are not locked and money is not spent twice: the pieces that stand before every attempt,
//! wired together.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use cardproof::{
    config::providers::{Money, Price, VendorSettings},
    domain::{AttemptOutcome, Operation, ResultCode, Source},
    provider::ProviderErrorKind as Kind,
    service::{
        ask::{CacheMode, Caller},
        budget::Budget,
        ledger::{Ledger, summary::summarize},
    },
};
use uuid::Uuid;

use crate::support::{
    Act, Scripted, ask, service, service_with, service_writing, vendor_settings, verification,
};

fn priced(budget: u64) -> VendorSettings {
    VendorSettings {
        price: Some(Price {
            currency: "CNY".to_owned(),
            micros: BTreeMap::from([(Operation::VerifyTwo, 400_000)]),
        }),
        daily_budget: Some(money(budget)),
        ..vendor_settings()
    }
}

fn money(micros: u64) -> Money {
    Money {
        currency: "CNY".to_owned(),
        micros,
    }
}

/// A ledger that cannot be written stops the call before it is sent, and costs nothing.
#[tokio::test]
async fn without_a_ledger_nothing_is_sent() {
    let full = Path::new("/dev/full");
    assert!(
        full.exists(),
        "this test needs /dev/full, which every Linux has"
    );
    let vendor = Scripted::new("one", &[Act::Answer(ResultCode::Match)]);
    let ledger = Ledger::in_file(full).unwrap();
    let service = service_writing(&[Arc::clone(&vendor)], &priced(800_000), ledger);
    for _ in 0..3 {
        let denial = service.ask(ask(verification("张三"))).await.unwrap_err();
        assert_eq!(denial.reason_name(), "LEDGER_UNAVAILABLE");
    }
    assert_eq!(vendor.calls(), 0);
    let lane = service.lanes().next().unwrap();
    assert_eq!(lane.budget().spent_micros(jiff::Timestamp::now()), 0);
}

#[tokio::test]
async fn every_call_stands_in_the_ledger_twice_and_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let script = [
        Act::Answer(ResultCode::Match),
        Act::Answer(ResultCode::NameInvalid),
        Act::Fail(Kind::OutcomeUnknown),
    ];
    let vendor = Scripted::new("one", &script);
    let ledger = Ledger::in_file(&path).unwrap();
    let service = service_writing(&[vendor], &priced(80_000_000), ledger);
    for name in ["张三", "李四", "王五"] {
        let _ = service.ask(ask(verification(name))).await;
    }
    assert!(
        service
            .safeguards()
            .ledger
            .flush(Duration::from_secs(5))
            .await
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 6);
    for secret in ["6200000000000005", "张三", "李四", "王五"] {
        assert!(!text.contains(secret));
    }
    let summary = summarize([text.as_bytes()]).unwrap();
    let sums = summary.totals[0].sums;
    assert_eq!((sums.calls, sums.charged, sums.unknown), (3, 2, 1));
    assert_eq!(
        (sums.cost_micros, sums.unknown_cost_micros),
        (800_000, 400_000)
    );
}

#[tokio::test(start_paused = true)]
async fn a_card_is_closed_after_two_mismatches_and_opens_by_itself() {
    let vendor = Scripted::new("one", &[Act::Answer(ResultCode::Mismatch)]);
    let service = service(&[Arc::clone(&vendor)]);
    service.ask(ask(verification("张三"))).await.unwrap();
    service.ask(ask(verification("李四"))).await.unwrap();
    let denial = service.ask(ask(verification("王五"))).await.unwrap_err();
    assert_eq!(denial.reason_name(), "CARD_ATTEMPTS_EXCEEDED");
    assert_eq!(vendor.calls(), 2);
    let cached = service.ask(ask(verification("张三"))).await.unwrap();
    assert_eq!(
        cached.source,
        Source::Cache,
        "what is known passes a closed card"
    );
    tokio::time::sleep(Duration::from_secs(36 * 3600)).await;
    service.ask(ask(verification("王五"))).await.unwrap();
    assert_eq!(vendor.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn racing_names_on_one_card_are_as_many_as_the_card_can_bear() {
    let vendor = Scripted::new("one", &[Act::Answer(ResultCode::Mismatch)]);
    vendor.close();
    let service = service(&[Arc::clone(&vendor)]);
    let names: Vec<String> = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏"
        .chars()
        .map(|name| format!("{name}三"))
        .collect();
    let askers: Vec<_> = names
        .into_iter()
        .map(|name| {
            let service = service.clone();
            tokio::spawn(async move { service.ask(ask(verification(&name))).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    vendor.open();
    let mut refused = 0;
    for asker in askers {
        if let Err(denial) = asker.await.unwrap() {
            assert_eq!(denial.reason_name(), "CARD_ATTEMPTS_EXCEEDED");
            refused += 1;
        }
    }
    assert_eq!((vendor.calls(), refused), (2, 28));
}

#[tokio::test(start_paused = true)]
async fn what_surely_did_not_run_costs_the_card_nothing() {
    let first = Scripted::new("one", &[Act::Fail(Kind::NotSent)]);
    let second = Scripted::new("two", &[Act::Answer(ResultCode::NameInvalid)]);
    let service = service(&[first, Arc::clone(&second)]);
    for name in ["张三", "李四", "王五", "赵六", "孙七", "周八"] {
        service.ask(ask(verification(name))).await.unwrap();
    }
    assert_eq!(second.calls(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_counts_as_a_mismatch() {
    let script = [
        Act::Fail(Kind::OutcomeUnknown),
        Act::Fail(Kind::OutcomeUnknown),
    ];
    let vendor = Scripted::new("one", &script);
    let service = service(&[Arc::clone(&vendor)]);
    for name in ["张三", "李四"] {
        let denial = service.ask(ask(verification(name))).await.unwrap_err();
        assert_eq!(denial.reason_name(), "OUTCOME_UNKNOWN");
    }
    let denial = service.ask(ask(verification("王五"))).await.unwrap_err();
    assert_eq!(denial.reason_name(), "CARD_ATTEMPTS_EXCEEDED");
    assert_eq!(vendor.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_vendor_without_budget_is_passed_over() {
    let first = Scripted::new("one", &[Act::Answer(ResultCode::CardExpired)]);
    let service = service_with(&[Arc::clone(&first)], &priced(800_000));
    for name in ["张三", "李四"] {
        service.ask(ask(verification(name))).await.unwrap();
    }
    let denial = service.ask(ask(verification("王五"))).await.unwrap_err();
    assert_eq!(denial.reason_name(), "PROVIDER_BUDGET_SPENT");
    assert_eq!(first.calls(), 2);
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    service.ask(ask(verification("王五"))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_spends_no_more_than_its_own_budget() {
    let vendor = Scripted::new("one", &[Act::Answer(ResultCode::CardExpired)]);
    let service = service_with(&[Arc::clone(&vendor)], &priced(100_000_000));
    let caller = Arc::new(Caller {
        budget: Budget::new(Some(money(400_000))),
        ..Caller::anonymous()
    });
    let by_caller = |name: &str| {
        let mut ask = ask(verification(name));
        ask.caller = Arc::clone(&caller);
        ask
    };
    service.ask(by_caller("张三")).await.unwrap();
    let denial = service.ask(by_caller("李四")).await.unwrap_err();
    assert_eq!(denial.reason_name(), "CALLER_BUDGET_SPENT");
    service.ask(ask(verification("王五"))).await.unwrap();
    assert_eq!(vendor.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failing_vendor_is_left_alone_and_tried_once_while_nobody_else_is_there() {
    let mut script = vec![Act::Fail(Kind::NotSent); 60];
    script.push(Act::Answer(ResultCode::Match));
    let vendor = Scripted::new("one", &script);
    let service = service(&[Arc::clone(&vendor)]);
    for _ in 0..30 {
        let _ = service.ask(ask(verification("张三"))).await;
    }
    let before = vendor.calls();
    let denial = service.ask(ask(verification("张三"))).await.unwrap_err();
    assert_eq!(denial.reason_name(), "PROVIDERS_UNAVAILABLE");
    for _ in 0..10 {
        let _ = service.ask(ask(verification("张三"))).await;
    }
    assert!(
        vendor.calls() <= before + 1,
        "{} calls after {before}",
        vendor.calls()
    );
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_goes_to_the_next_vendor() {
    let first = Scripted::new("one", &[Act::Fail(Kind::NotSent)]);
    let second = Scripted::new("two", &[Act::Answer(ResultCode::NameInvalid)]);
    let service = service(&[Arc::clone(&first), second]);
    let names: Vec<String> = ('\u{4e00}'..'\u{4e30}').map(|c| format!("{c}三")).collect();
    let mut last = None;
    for name in &names {
        last = Some(service.ask(ask(verification(name))).await.unwrap());
    }
    assert_eq!(
        first.calls(),
        20,
        "the breaker opens at the twentieth failure"
    );
    let attempts = last.unwrap().attempts;
    assert_eq!(attempts[0].outcome, AttemptOutcome::BreakerOpen);
}

#[tokio::test(start_paused = true)]
async fn a_request_id_is_paid_for_once_and_stands_for_one_question() {
    let vendor = Scripted::new("one", &[Act::Answer(ResultCode::Match)]);
    let service = service(&[Arc::clone(&vendor)]);
    let id = Some(Uuid::from_u128(7));
    let mut first = ask(verification("张三"));
    first.request_id = id;
    first.mode = CacheMode::Bypass;
    service.ask(first.clone()).await.unwrap();
    let again = service.ask(first).await.unwrap();
    assert!(again.attempts.is_empty());
    assert_eq!(vendor.calls(), 1, "not even a bypass pays again");
    let mut other = ask(verification("李四"));
    other.request_id = id;
    let denial = service.ask(other).await.unwrap_err();
    assert_eq!(denial.reason_name(), "REQUEST_ID_REUSED");
}

#[tokio::test(start_paused = true)]
async fn request_ids_of_callers_that_gave_up_are_answered_later() {
    let vendor = Scripted::new("one", &[Act::Answer(ResultCode::Match)]);
    vendor.close();
    let service = service(&[Arc::clone(&vendor)]);
    let mut asks: Vec<_> = (1..=5)
        .map(|id| {
            let mut ask = ask(verification("张三"));
            ask.request_id = Some(Uuid::from_u128(id));
            ask.mode = CacheMode::Bypass;
            ask
        })
        .collect();
    for ask in &asks {
        let (service, ask) = (service.clone(), ask.clone());
        let asker = tokio::spawn(async move { service.ask(ask).await });
        tokio::time::sleep(Duration::from_millis(1)).await;
        asker.abort();
    }
    vendor.open();
    tokio::time::sleep(Duration::from_millis(10)).await;
    for ask in asks.drain(..) {
        service.ask(ask).await.unwrap();
    }
    assert_eq!(vendor.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_id_whose_vendor_was_busy_runs_anew() {
    let script = [
        Act::Answer(ResultCode::ServiceBusy),
        Act::Answer(ResultCode::Match),
    ];
    let vendor = Scripted::new("one", &script);
    let service = service(&[Arc::clone(&vendor)]);
    let mut ask = ask(verification("张三"));
    ask.request_id = Some(Uuid::from_u128(9));
    service.ask(ask.clone()).await.unwrap();
    service.ask(ask).await.unwrap();
    assert_eq!(vendor.calls(), 2);
}
