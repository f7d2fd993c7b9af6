//! What never happens, over vendors that do what the test says.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use cardproof::{
    config::BreakerSettings,
    domain::{AttemptOutcome, CardInfoResult, Charge, ProviderName, ResultCode, Source},
    provider::{Capabilities, ProviderErrorKind as Kind},
    service::{
        ask::{CacheMode, Caller},
        denial::Denial,
        ledger::Ledger,
    },
};
use rstest::rstest;
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::{
    Act, Scripted, ask, breaker_settings, inquiry, service, service_made, vendor_settings,
    verification,
};

fn reason(denial: &Denial) -> &'static str {
    denial.reason_name()
}

#[tokio::test(start_paused = true)]
async fn the_same_question_is_paid_for_once() {
    let vendor = Scripted::new("one", &[Act::Answer(ResultCode::Match)]);
    let service = service(&[Arc::clone(&vendor)]);
    let first = service.ask(ask(verification("张三"))).await.unwrap();
    assert_eq!(
        (first.source, first.charge),
        (Source::Provider, Charge::Charged)
    );
    assert_eq!(first.attempts.len(), 1);
    let second = service.ask(ask(verification("张三"))).await.unwrap();
    assert_eq!(
        (second.source, second.charge),
        (Source::Cache, Charge::NotCharged)
    );
    assert!(second.attempts.is_empty());
    assert_eq!(vendor.calls(), 1);
    service.ask(ask(verification("李四"))).await.unwrap();
    assert_eq!(vendor.calls(), 2, "another question is another question");
}

#[tokio::test(start_paused = true)]
async fn identical_questions_at_once_share_one_call() {
    let vendor = Scripted::new("one", &[Act::Answer(ResultCode::Mismatch)]);
    vendor.close();
    let service = service(&[Arc::clone(&vendor)]);
    let askers: Vec<_> = (0..100)
        .map(|_| {
            tokio::spawn({
                let service = service.clone();
                async move { service.ask(ask(verification("张三"))).await }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(service.in_flight(), 1);
    vendor.open();
    let mut charged = 0;
    for asker in askers {
        let reply = asker.await.unwrap().unwrap();
        charged += usize::from(reply.charge == Charge::Charged);
        assert_eq!(
            reply.attempts.is_empty(),
            reply.charge == Charge::NotCharged
        );
    }
    assert_eq!((vendor.calls(), charged), (1, 1));
    assert_eq!(service.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn callers_that_give_up_do_not_end_a_call_that_was_sent() {
    let vendor = Scripted::new("one", &[Act::Answer(ResultCode::Match)]);
    vendor.close();
    let service = service(&[Arc::clone(&vendor)]);
    let mut impatient = ask(verification("张三"));
    impatient.deadline = Instant::now() + Duration::from_millis(500);
    let denial = service.ask(impatient).await.unwrap_err();
    assert_eq!(reason(&denial), "DEADLINE_EXCEEDED");
    let hanging = tokio::spawn({
        let service = service.clone();
        async move { service.ask(ask(verification("张三"))).await }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    hanging.abort();
    vendor.open();
    assert!(
        service
            .wait_for_leaders(Instant::now() + Duration::from_secs(5))
            .await
    );
    let reply = service.ask(ask(verification("张三"))).await.unwrap();
    assert_eq!(reply.source, Source::Cache);
    assert_eq!(vendor.calls(), 1);
}

#[rstest]
#[case(ResultCode::Match)]
#[case(ResultCode::Mismatch)]
#[case(ResultCode::CardExpired)]
#[case(ResultCode::NameInvalid)]
#[case(ResultCode::BankRefused)]
#[case(ResultCode::UnknownProviderCode)]
#[case(ResultCode::AttemptsExceeded)]
#[tokio::test(start_paused = true)]
async fn an_answer_is_never_second_guessed(#[case] result: ResultCode) {
    let first = Scripted::new("one", &[Act::Answer(result)]);
    let second = Scripted::new("two", &[Act::Answer(ResultCode::Match)]);
    let service = service(&[first, Arc::clone(&second)]);
    let reply = service.ask(ask(verification("张三"))).await.unwrap();
    assert_eq!(reply.provider.as_str(), "one");
    assert_eq!(second.calls(), 0);
}

#[rstest]
#[case(Act::Answer(ResultCode::ServiceBusy))]
#[case(Act::Answer(ResultCode::IssuerUnsupported))]
#[case(Act::Answer(ResultCode::CardUnsupported))]
#[case(Act::Fail(Kind::NotSent))]
#[case(Act::Fail(Kind::Throttled))]
#[case(Act::Fail(Kind::Misconfigured))]
#[case(Act::Fail(Kind::ClockSkewed))]
#[case(Act::Fail(Kind::OutOfCredit))]
#[tokio::test(start_paused = true)]
async fn what_surely_did_not_run_goes_to_the_next(#[case] act: Act) {
    let first = Scripted::new("one", &[act]);
    let second = Scripted::new("two", &[Act::Answer(ResultCode::Match)]);
    let service = service(&[Arc::clone(&first), Arc::clone(&second)]);
    let reply = service.ask(ask(verification("张三"))).await.unwrap();
    assert_eq!(reply.provider.as_str(), "two");
    assert_eq!(reply.attempts.len(), 2);
    assert_eq!((first.calls(), second.calls()), (1, 1));
}

#[rstest]
#[case(Act::Fail(Kind::OutcomeUnknown))]
#[case(Act::Fail(Kind::NonceReused))]
#[case(Act::Panic)]
#[tokio::test(start_paused = true)]
async fn what_may_have_run_is_never_sent_again(#[case] act: Act) {
    let first = Scripted::new("one", &[act, Act::Answer(ResultCode::Match)]);
    let second = Scripted::new("two", &[Act::Answer(ResultCode::Match)]);
    let service = service(&[Arc::clone(&first), Arc::clone(&second)]);
    for _ in 0..3 {
        let denial = service.ask(ask(verification("张三"))).await.unwrap_err();
        assert_eq!(reason(&denial), "OUTCOME_UNKNOWN");
    }
    let mut bypass = ask(verification("张三"));
    bypass.mode = CacheMode::Bypass;
    let denial = service.ask(bypass.clone()).await.unwrap_err();
    assert_eq!(
        reason(&denial),
        "OUTCOME_UNKNOWN",
        "a bypass without a fresh id is held too"
    );
    assert_eq!((first.calls(), second.calls()), (1, 0));
    bypass.request_id = Some(Uuid::new_v4());
    assert!(service.ask(bypass).await.is_ok());
    assert_eq!((first.calls(), second.calls()), (2, 0));
    assert!(
        service.ask(ask(verification("张三"))).await.is_ok(),
        "the hold is over"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hold_ends_by_itself() {
    let script = [
        Act::Fail(Kind::OutcomeUnknown),
        Act::Answer(ResultCode::Match),
    ];
    let vendor = Scripted::new("one", &script);
    let service = service(&[Arc::clone(&vendor)]);
    assert!(service.ask(ask(verification("张三"))).await.is_err());
    tokio::time::sleep(Duration::from_secs(119)).await;
    assert!(service.ask(ask(verification("张三"))).await.is_err());
    assert_eq!(vendor.calls(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(service.ask(ask(verification("张三"))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_beats_an_earlier_busy_answer() {
    let first = Scripted::new("one", &[Act::Answer(ResultCode::ServiceBusy)]);
    let second = Scripted::new("two", &[Act::Fail(Kind::OutcomeUnknown)]);
    let service = service(&[first, second]);
    let denial = service.ask(ask(verification("张三"))).await.unwrap_err();
    assert_eq!(reason(&denial), "OUTCOME_UNKNOWN");
}

#[tokio::test(start_paused = true)]
async fn an_earlier_busy_answer_beats_having_none() {
    let first = Scripted::new("one", &[Act::Answer(ResultCode::ServiceBusy)]);
    let second = Scripted::new("two", &[Act::Fail(Kind::NotSent)]);
    let service = service(&[Arc::clone(&first), second]);
    let reply = service.ask(ask(verification("张三"))).await.unwrap();
    assert_eq!(reply.provider.as_str(), "one");
    assert_eq!(
        reply.attempts.len(),
        3,
        "what was not sent is sent once more"
    );
    service.ask(ask(verification("张三"))).await.unwrap();
    assert_eq!(first.calls(), 2, "a busy answer is never kept");
}

#[rstest]
#[case(&[Kind::NotSent, Kind::Throttled], "PROVIDERS_UNAVAILABLE")]
#[case(&[Kind::Misconfigured, Kind::OutOfCredit], "PROVIDER_MISCONFIGURED")]
#[case(&[Kind::Misconfigured, Kind::NotSent], "PROVIDERS_UNAVAILABLE")]
#[case(&[Kind::NotSent, Kind::Refused], "PROVIDER_REFUSED")]
#[tokio::test(start_paused = true)]
async fn the_reason_when_nobody_answered(#[case] kinds: &[Kind], #[case] expected: &str) {
    let vendors: Vec<_> = kinds
        .iter()
        .enumerate()
        .map(|(at, kind)| Scripted::new(&format!("v{at}"), &[Act::Fail(*kind)]))
        .collect();
    let denial = service(&vendors)
        .ask(ask(verification("张三")))
        .await
        .unwrap_err();
    assert_eq!(reason(&denial), expected);
}

#[tokio::test(start_paused = true)]
async fn a_misconfigured_vendor_is_passed_over_for_a_while() {
    let first = Scripted::new("one", &[Act::Fail(Kind::Misconfigured)]);
    let second = Scripted::new("two", &[Act::Answer(ResultCode::Match)]);
    let service = service(&[Arc::clone(&first), second]);
    service.ask(ask(verification("张三"))).await.unwrap();
    let reply = service.ask(ask(verification("李四"))).await.unwrap();
    assert_eq!(first.calls(), 1);
    assert_eq!(reply.attempts[0].outcome, AttemptOutcome::Misconfigured);
    tokio::time::sleep(Duration::from_secs(61)).await;
    service.ask(ask(verification("王五"))).await.unwrap();
    assert_eq!(first.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_without_the_time_for_it() {
    let vendor = Scripted::new("one", &[Act::Answer(ResultCode::Match)]);
    let service = service(&[Arc::clone(&vendor)]);
    let mut late = ask(verification("张三"));
    late.deadline = Instant::now() + Duration::from_millis(299);
    let denial = service.ask(late).await.unwrap_err();
    assert_eq!(reason(&denial), "DEADLINE_EXCEEDED");
    assert_eq!(vendor.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn pinned_questions_keep_to_themselves() {
    let first = Scripted::new("one", &[Act::Answer(ResultCode::Match)]);
    let second = Scripted::new("two", &[Act::Answer(ResultCode::Mismatch)]);
    let service = service(&[Arc::clone(&first), Arc::clone(&second)]);
    service.ask(ask(verification("张三"))).await.unwrap();
    let mut pinned = ask(verification("张三"));
    pinned.pinned = ProviderName::new("two");
    let reply = service.ask(pinned).await.unwrap();
    assert_eq!(
        (reply.provider.as_str(), reply.source),
        ("two", Source::Provider)
    );
    let mut unknown = ask(verification("张三"));
    unknown.pinned = ProviderName::new("three");
    let denial = service.ask(unknown).await.unwrap_err();
    assert_eq!(reason(&denial), "PROVIDER_UNKNOWN");
}

#[tokio::test(start_paused = true)]
async fn answers_of_a_forbidden_provider_are_a_miss() {
    let first = Scripted::new("one", &[Act::Answer(ResultCode::Match)]);
    let second = Scripted::new("two", &[Act::Answer(ResultCode::Match)]);
    let service = service(&[Arc::clone(&first), Arc::clone(&second)]);
    service.ask(ask(verification("张三"))).await.unwrap();
    let mut restricted = ask(verification("张三"));
    restricted.caller = Arc::new(Caller {
        providers: Some(BTreeSet::from([ProviderName::new("two").unwrap()])),
        ..Caller::anonymous()
    });
    let reply = service.ask(restricted).await.unwrap();
    assert_eq!(reply.provider.as_str(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_may_not_have_the_answer_asks_its_own_vendor() {
    let first = Scripted::new("one", &[Act::Answer(ResultCode::Match)]);
    let second = Scripted::new("two", &[Act::Answer(ResultCode::Match)]);
    first.close();
    let service = service(&[Arc::clone(&first), Arc::clone(&second)]);
    let leader = tokio::spawn({
        let service = service.clone();
        async move { service.ask(ask(verification("张三"))).await }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut restricted = ask(verification("张三"));
    restricted.caller = Arc::new(Caller {
        providers: Some(BTreeSet::from([ProviderName::new("two").unwrap()])),
        ..Caller::anonymous()
    });
    let follower = tokio::spawn({
        let service = service.clone();
        async move { service.ask(restricted).await }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(service.in_flight(), 1);
    first.open();
    assert_eq!(leader.await.unwrap().unwrap().provider.as_str(), "one");
    assert_eq!(follower.await.unwrap().unwrap().provider.as_str(), "two");
}

#[tokio::test(start_paused = true)]
async fn only_if_cached_never_asks() {
    let vendor = Scripted::new("one", &[Act::Answer(ResultCode::Match)]);
    let service = service(&[Arc::clone(&vendor)]);
    let mut cached_only = ask(verification("张三"));
    cached_only.mode = CacheMode::OnlyIfCached;
    let denial = service.ask(cached_only.clone()).await.unwrap_err();
    assert_eq!(reason(&denial), "NOT_CACHED");
    assert_eq!(vendor.calls(), 0);
    service.ask(ask(verification("张三"))).await.unwrap();
    assert_eq!(
        service.ask(cached_only).await.unwrap().source,
        Source::Cache
    );
}

#[tokio::test(start_paused = true)]
async fn prefixes_never_go_to_a_vendor_that_wants_full_numbers() {
    let vendor = Scripted::new("one", &[Act::Info(CardInfoResult::Found)]);
    let service = service(&[Arc::clone(&vendor)]);
    let denial = service.ask(ask(inquiry("622202"))).await.unwrap_err();
    assert_eq!(reason(&denial), "NO_PROVIDER");
    assert_eq!(vendor.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_able_means_no_provider() {
    let vendor = Scripted::new("one", &[Act::Answer(ResultCode::Match)]);
    vendor.set_capabilities(Capabilities::none());
    let denial = service(&[vendor])
        .ask(ask(verification("张三")))
        .await
        .unwrap_err();
    assert_eq!(reason(&denial), "NO_PROVIDER");
}

#[tokio::test(start_paused = true)]
async fn stale_card_information_serves_when_every_vendor_fails() {
    let script = [Act::Info(CardInfoResult::Found), Act::Fail(Kind::NotSent)];
    let vendor = Scripted::new("one", &script);
    let service = service(&[Arc::clone(&vendor)]);
    let card = "6200000000000005";
    service.ask(ask(inquiry(card))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(8 * 86_400)).await;
    let stale = service.ask(ask(inquiry(card))).await.unwrap();
    assert_eq!(stale.source, Source::Cache);
    assert_eq!(stale.attempts[0].outcome, AttemptOutcome::NotSent);
    assert_eq!(
        vendor.calls(),
        3,
        "one of them again, because it surely was not sent"
    );
}

/// Callers that look for a hold just before it is set, and for a call under way just after that has
/// ended, must not send the request again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hold_has_no_gap_before_it() {
    const QUESTIONS: usize = 3000;
    let vendor = Scripted::new("one", &[Act::Fail(Kind::OutcomeUnknown)]);
    let never_opens = BreakerSettings {
        enabled: false,
        ..breaker_settings()
    };
    let service = service_made(
        &[Arc::clone(&vendor)],
        &vendor_settings(),
        &never_opens,
        Ledger::in_log(),
    );
    for question in 0..QUESTIONS {
        let card = format!("62000000{question:08}");
        let askers: Vec<_> = (0..8)
            .map(|_| {
                let (service, card) = (service.clone(), card.clone());
                tokio::spawn(async move { service.ask(ask(inquiry(&card))).await })
            })
            .collect();
        for asker in askers {
            let denial = asker.await.unwrap().unwrap_err();
            let reason = denial.reason_name();
            assert_eq!(reason, "OUTCOME_UNKNOWN");
        }
    }
    let asked = vendor.calls_per_card();
    let again = asked.values().filter(|calls| **calls > 1).count();
    assert_eq!(
        (asked.len(), again),
        (QUESTIONS, 0),
        "questions asked, and asked again"
    );
}
