use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use rstest::rstest;

use super::*;
use crate::cache::Digests;

const TIMEOUT: Duration = Duration::from_secs(8);

fn settings(max_calls: u32, max_mismatches: u32, caller_share: f64) -> GuardSettings {
    GuardSettings {
        max_calls,
        max_mismatches,
        caller_share,
    }
}

/// A guard on a clock that stands at 10:00 in Shanghai.
fn guard(max_calls: u32, max_mismatches: u32, caller_share: f64) -> Guard {
    let clock = Clock::starting_at("2026-06-01T02:00:00Z".parse().unwrap());
    Guard::new(settings(max_calls, max_mismatches, caller_share), clock)
}

fn card(number: usize) -> CardTag {
    Digests::new(b"key").guard_card(&number.to_string())
}

fn verify(guard: &Guard, number: usize, caller: &str) -> Result<Reservation, Refused> {
    guard.reserve(card(number), caller, Family::Verification, TIMEOUT)
}

fn refusal(result: Result<Reservation, Refused>) -> (Cause, Duration) {
    match result {
        Err(Refused::Closed { cause, retry_after }) => (cause, retry_after),
        Err(Refused::Full) => panic!("the store is full"),
        Ok(_) => panic!("a slot was free"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_reservation_counts_as_an_unknown_outcome() {
    let guard = guard(10, 2, 1.0);
    drop(verify(&guard, 1, "a").unwrap());
    verify(&guard, 1, "a").unwrap().unknown();
    let counts = guard.show(card(1)).unwrap().verification.unwrap();
    assert_eq!(
        (counts.calls, counts.mismatches, counts.in_flight),
        (2, 2, 0)
    );
    assert_eq!(refusal(verify(&guard, 1, "a")).0, Cause::Mismatches);
    assert!(guard.suspects().is_empty(), "nobody said mismatch");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_ended_counts_as_an_unknown_outcome() {
    let guard = guard(10, 2, 1.0);
    let reservation = verify(&guard, 1, "a").unwrap();
    let task = tokio::spawn(async move {
        let _held = reservation;
        std::future::pending::<()>().await;
    });
    tokio::task::yield_now().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(
        guard
            .show(card(1))
            .unwrap()
            .verification
            .unwrap()
            .mismatches,
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_released_reservation_leaves_no_trace() {
    let guard = guard(10, 2, 1.0);
    for _ in 0..100 {
        verify(&guard, 1, "a").unwrap().release();
        verify(&guard, 1, "a").unwrap().settle(GuardEffect::Nothing);
    }
    assert_eq!(guard.show(card(1)), None);
    assert!(guard.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_when_to_come_again() {
    let guard = guard(10, 2, 1.0);
    let first = verify(&guard, 1, "a").unwrap();
    let second = verify(&guard, 1, "b").unwrap();
    assert_eq!(refusal(verify(&guard, 1, "a")), (Cause::InFlight, TIMEOUT));
    first.settle(GuardEffect::Mismatch);
    second.settle(GuardEffect::Mismatch);
    let fourteen_hours = Duration::from_secs(14 * 3600);
    assert_eq!(
        refusal(verify(&guard, 1, "a")),
        (Cause::Mismatches, fourteen_hours)
    );
    tokio::time::advance(fourteen_hours - Duration::from_millis(1)).await;
    assert_eq!(
        refusal(verify(&guard, 1, "a")),
        (Cause::Mismatches, Duration::from_millis(1))
    );
    tokio::time::advance(Duration::from_millis(1)).await;
    verify(&guard, 1, "a").unwrap().release();
    assert!(guard.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_families_have_counts_of_their_own() {
    let guard = guard(3, 2, 1.0);
    let inquire = |number| guard.reserve(card(number), "a", Family::CardInformation, TIMEOUT);
    for _ in 0..2 {
        verify(&guard, 1, "a")
            .unwrap()
            .settle(GuardEffect::Mismatch);
    }
    for _ in 0..3 {
        // no mismatch is counted here, not even of an unknown outcome
        inquire(1).unwrap().unknown();
    }
    assert_eq!(refusal(inquire(1)).0, Cause::Calls);
    let state = guard.show(card(1)).unwrap();
    assert_eq!(state.card_information.unwrap().mismatches, 0);
    assert_eq!(state.verification.unwrap().calls, 2);

    inquire(2).unwrap().settle(GuardEffect::Close);
    assert_eq!(refusal(inquire(2)).0, Cause::Vendor);
    verify(&guard, 2, "a").unwrap().settle(GuardEffect::Close);
    verify(&guard, 3, "a").unwrap().settle(GuardEffect::Close);
    assert_eq!(refusal(verify(&guard, 3, "a")).0, Cause::Vendor);
    inquire(3).unwrap().release();
}

#[tokio::test(start_paused = true)]
async fn a_reset_opens_a_card_and_keeps_what_is_still_out() {
    let guard = guard(10, 2, 1.0);
    assert!(!guard.reset(card(1)));
    let out = verify(&guard, 1, "a").unwrap();
    verify(&guard, 1, "a").unwrap().settle(GuardEffect::Close);
    assert!(guard.reset(card(1)));
    let counts = guard.show(card(1)).unwrap().verification.unwrap();
    assert_eq!((counts.calls, counts.in_flight), (0, 1));
    assert_eq!(counts.closed_until, None);
    let other = verify(&guard, 1, "a").unwrap();
    assert_eq!(refusal(verify(&guard, 1, "a")).0, Cause::InFlight);
    out.settle(GuardEffect::Mismatch);
    other.release();
    assert_eq!(
        guard
            .show(card(1))
            .unwrap()
            .verification
            .unwrap()
            .mismatches,
        1
    );
}

#[rstest]
#[case(10, 2, 1, 10, 2)]
#[case(10, 2, 3, 3, 1)]
#[case(10, 2, 100, 1, 1)]
#[tokio::test(start_paused = true)]
async fn limits_are_divided_by_the_replicas(
    #[case] max_calls: u32,
    #[case] max_mismatches: u32,
    #[case] replicas: u32,
    #[case] calls: usize,
    #[case] mismatches: usize,
) {
    let guard = guard(max_calls, max_mismatches, 1.0);
    guard.divide(replicas);
    for _ in 0..calls {
        verify(&guard, 1, "a").unwrap().settle(GuardEffect::Call);
    }
    assert_eq!(refusal(verify(&guard, 1, "a")).0, Cause::Calls);
    let held: Vec<_> = (0..mismatches)
        .map(|_| verify(&guard, 2, "a").unwrap())
        .collect();
    assert_eq!(refusal(verify(&guard, 2, "a")).0, Cause::InFlight);
    drop(held);
}

#[rstest]
#[case(10, 1.0, 10)]
#[case(10, 0.5, 5)]
#[case(10, 0.39, 3)]
#[case(100, 0.29, 29)]
#[case(2, 0.4, 1)]
#[case(10, 0.0, 1)]
#[case(0, 1.0, 0)]
fn shares_are_rounded_down_and_at_least_one(
    #[case] limit: u16,
    #[case] share: f64,
    #[case] expected: u16,
) {
    assert_eq!(share_of(limit, share), expected);
}

#[tokio::test(start_paused = true)]
async fn a_full_store_lets_go_of_calls_first_and_of_mismatches_never() {
    let clock = Clock::starting_at("2026-06-01T02:00:00Z".parse().unwrap());
    let guard = Guard::with_capacity(settings(10, 2, 1.0), clock, 4);
    verify(&guard, 1, "a")
        .unwrap()
        .settle(GuardEffect::Mismatch);
    verify(&guard, 2, "a").unwrap().settle(GuardEffect::Close);
    let out = verify(&guard, 3, "a").unwrap();
    verify(&guard, 4, "a").unwrap().settle(GuardEffect::Call);
    verify(&guard, 4, "a").unwrap().settle(GuardEffect::Call);
    assert_eq!(guard.len(), 4);

    // the one with nothing but calls goes
    let newcomer = verify(&guard, 5, "a").unwrap();
    assert_eq!(guard.len(), 4);
    assert_eq!(guard.show(card(4)), None);

    // now each of the four has to stay
    assert_eq!(verify(&guard, 6, "a").err(), Some(Refused::Full));
    assert_eq!(verify(&guard, 7, "a").err(), Some(Refused::Full));
    // known cards go on as before
    verify(&guard, 1, "a").unwrap().release();

    // a call that ends makes room at once
    newcomer.settle(GuardEffect::Match);
    verify(&guard, 6, "a")
        .unwrap()
        .settle(GuardEffect::Mismatch);
    out.settle(GuardEffect::Mismatch);
    assert_eq!(verify(&guard, 7, "a").err(), Some(Refused::Full));
    for number in [1, 2, 3, 6] {
        assert!(guard.show(card(number)).is_some(), "{number}");
    }

    // and so does the end of what was counted
    tokio::time::advance(Duration::from_secs(14 * 3600)).await;
    verify(&guard, 7, "a").unwrap().release();
    assert!(guard.is_empty());
}

#[tokio::test(start_paused = true)]
async fn among_calls_the_fewest_go_first_and_the_bound_holds() {
    let clock = Clock::starting_at("2026-06-01T02:00:00Z".parse().unwrap());
    let guard = Guard::with_capacity(settings(10, 2, 1.0), clock, 500);
    for number in 0..500 {
        for _ in 0..=usize::from(number >= 100) {
            verify(&guard, number, "a")
                .unwrap()
                .settle(GuardEffect::Call);
        }
    }
    for number in 500..600 {
        verify(&guard, number, "a")
            .unwrap()
            .settle(GuardEffect::Mismatch);
        assert!(guard.len() <= 500);
    }
    let kept = (100..600).filter(|number| guard.show(card(*number)).is_some());
    assert!(kept.count() >= 500 - 500 / store::ROOM_PART);
    assert!((500..600).all(|number| guard.show(card(number)).is_some()));
}

#[tokio::test(start_paused = true)]
async fn mismatches_over_many_cards_make_a_suspect() {
    let guard = guard(10, 2, 1.0);
    for number in 0..SUSPECT_CARDS {
        verify(&guard, number, "tester")
            .unwrap()
            .settle(GuardEffect::Mismatch);
    }
    verify(&guard, 50, "shop")
        .unwrap()
        .settle(GuardEffect::Mismatch);
    verify(&guard, 51, "shop")
        .unwrap()
        .settle(GuardEffect::Match);
    let suspect = |caller: &str, cards, suspected| Suspect {
        caller: Arc::from(caller),
        cards,
        suspected,
    };
    let expected = [
        suspect("tester", SUSPECT_CARDS, true),
        suspect("shop", 1, false),
    ];
    assert_eq!(guard.suspects(), expected);
    tokio::time::advance(SUSPECT_WINDOW).await;
    assert!(guard.suspects().is_empty());
}

/// Many threads at one card, each call ending as `effect` says; returns how many were made and the
/// most that were out at once.
fn storm(guard: &Guard, effect: impl Fn(usize) -> GuardEffect + Sync) -> (usize, usize) {
    let made = AtomicUsize::new(0);
    let out = AtomicUsize::new(0);
    let most = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (made, out, most, effect) = (&made, &out, &most, &effect);
            scope.spawn(move || {
                let caller = format!("caller{thread}");
                for _ in 0..2000 {
                    let Ok(reservation) = verify(guard, 1, &caller) else {
                        std::thread::yield_now();
                        continue;
                    };
                    let now_out = out.fetch_add(1, SeqCst) + 1;
                    most.fetch_max(now_out, SeqCst);
                    let number = made.fetch_add(1, SeqCst);
                    std::thread::yield_now();
                    out.fetch_sub(1, SeqCst);
                    reservation.settle(effect(number));
                }
            });
        }
    });
    (made.into_inner(), most.into_inner())
}

#[tokio::test(start_paused = true)]
async fn racing_mismatches_never_exceed_the_limit() {
    for max_mismatches in 1..=3 {
        let guard = guard(1000, max_mismatches, 1.0);
        let (made, most) = storm(&guard, |_| GuardEffect::Mismatch);
        assert_eq!(made, max_mismatches as usize);
        assert!(most <= max_mismatches as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn racing_calls_never_exceed_the_limit_nor_the_slots() {
    for round in 0..5 {
        let guard = guard(300, 2, 1.0);
        let (made, most) = storm(&guard, |number| {
            if number % 3 == round % 3 {
                GuardEffect::Call
            } else {
                GuardEffect::Match
            }
        });
        assert_eq!(made, 300);
        assert!(most <= 2, "{most} out at once");
        let counts = guard.show(card(1)).unwrap().verification.unwrap();
        assert_eq!((counts.calls, counts.in_flight), (300, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn racing_callers_keep_to_their_shares() {
    let guard = guard(80, 8, 0.125);
    let (made, _) = storm(&guard, |_| GuardEffect::Mismatch);
    assert_eq!(made, 8, "one for each of the eight callers");
}

#[test]
fn every_refusal_has_a_place_among_the_metrics() {
    let closed = Cause::ALL.iter().map(|cause| Refused::Closed {
        cause: *cause,
        retry_after: Duration::ZERO,
    });
    let words: Vec<_> = closed
        .chain([Refused::Full])
        .map(|refused| refused.as_str())
        .collect();
    assert_eq!(words, crate::telemetry::events::GUARD_REFUSALS);
}

#[test]
fn a_million_records_are_worth_their_memory() {
    // hashbrown keeps at least 7 of 16 places filled, with one byte more for each
    assert!(size_of::<(store::Key, card::Card)>() <= 56);
}
