use jiff::{SignedDuration, ToSpan};
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::service::clock::shanghai;

const LIMITS: GuardLimits = GuardLimits {
    calls: 10,
    mismatches: Some(2),
    caller_calls: 10,
    caller_mismatches: Some(2),
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Makes calls with these effects, one after the other.
fn after(effects: &[GuardEffect], now: Timestamp) -> Card {
    let mut card = Card::default();
    let unlimited = GuardLimits {
        calls: u16::MAX,
        mismatches: None,
        caller_calls: u16::MAX,
        caller_mismatches: None,
    };
    for effect in effects {
        card.closed_end = 0;
        let taken = card.reserve(0, &unlimited, now).unwrap();
        card.settle(0, taken, *effect, now);
    }
    card
}

#[rstest]
// 10:00 in Shanghai: midnight is the later end
#[case("2026-06-01T02:00:00Z", "2026-06-01T16:00:00Z")]
// 12:00 sharp: both ends are one
#[case("2026-06-01T04:00:00Z", "2026-06-01T16:00:00Z")]
// 12:00:01 and 23:30: twelve hours are the later end
#[case("2026-06-01T04:00:01Z", "2026-06-01T16:00:01Z")]
#[case("2026-06-01T15:30:00Z", "2026-06-02T03:30:00Z")]
// a part of a second is rounded up
#[case("2026-06-01T15:30:00.25Z", "2026-06-02T03:30:01Z")]
// 00:00 in Shanghai: the day that begins
#[case("2026-06-01T16:00:00Z", "2026-06-02T16:00:00Z")]
fn mismatches_and_closings_end_at_the_later_of_twelve_hours_and_midnight(
    #[case] now: Timestamp,
    #[case] end: Timestamp,
) {
    use GuardEffect::{Close, Mismatch};
    let last_second = end - SignedDuration::from_secs(1);
    for (effects, cause) in [
        (&[Mismatch, Mismatch][..], Cause::Mismatches),
        (&[Close][..], Cause::Vendor),
    ] {
        let mut card = after(effects, now);
        let closed = Closed {
            cause,
            opens_at: Some(end),
        };
        assert_eq!(card.reserve(0, &LIMITS, now), Err(closed));
        assert_eq!(card.reserve(0, &LIMITS, last_second), Err(closed));
        assert!(card.reserve(0, &LIMITS, end).is_ok());
    }
}

#[test]
fn calls_end_at_midnight_and_the_last_reason_decides_when_a_card_opens() {
    use GuardEffect::{Call, Mismatch};
    let evening = at("2026-06-01T15:00:00Z");
    let midnight = at("2026-06-01T16:00:00Z");
    let mut card = after(&[Call; 10], evening);
    let closed = card.reserve(0, &LIMITS, evening).unwrap_err();
    assert_eq!(
        (closed.cause, closed.opens_at),
        (Cause::Calls, Some(midnight))
    );
    assert!(card.reserve(0, &LIMITS, midnight).is_ok());

    let mut card = after(&[Mismatch; 10], evening);
    let closed = card.reserve(0, &LIMITS, evening).unwrap_err();
    let half_a_day = at("2026-06-02T03:00:00Z");
    assert_eq!(
        (closed.cause, closed.opens_at),
        (Cause::Calls, Some(half_a_day))
    );
    let closed = card.reserve(0, &LIMITS, midnight).unwrap_err();
    assert_eq!(
        (closed.cause, closed.opens_at),
        (Cause::Mismatches, Some(half_a_day))
    );
}

#[rstest]
#[case(GuardEffect::Match, 1, 0, false)]
#[case(GuardEffect::Mismatch, 1, 2, false)]
#[case(GuardEffect::Call, 1, 1, false)]
#[case(GuardEffect::Nothing, 0, 1, false)]
#[case(GuardEffect::Close, 1, 1, true)]
fn each_effect_counts_what_the_published_table_says(
    #[case] effect: GuardEffect,
    #[case] calls: u32,
    #[case] mismatches: u32,
    #[case] closed: bool,
) {
    let now = at("2026-06-01T02:00:00Z");
    let mut card = after(&[GuardEffect::Mismatch], now);
    let taken = card.reserve(0, &LIMITS, now).unwrap();
    card.settle(0, taken, effect, now);
    let counts = card.counts(now);
    assert_eq!(counts.calls, 1 + calls);
    assert_eq!(counts.mismatches, mismatches);
    assert_eq!(counts.closed_until.is_some(), closed);
    assert_eq!(counts.in_flight, 0);
}

#[test]
fn slots_in_flight_close_a_card_only_for_as_long_as_they_last() {
    let now = at("2026-06-01T02:00:00Z");
    let mut card = Card::default();
    let first = card.reserve(0, &LIMITS, now).unwrap();
    let second = card.reserve(1, &LIMITS, now).unwrap();
    let in_flight = Closed {
        cause: Cause::InFlight,
        opens_at: None,
    };
    assert_eq!(card.reserve(2, &LIMITS, now), Err(in_flight));
    card.settle(0, first, GuardEffect::Nothing, now);
    let third = card.reserve(2, &LIMITS, now).unwrap();
    card.settle(1, second, GuardEffect::Mismatch, now);
    assert_eq!(card.reserve(0, &LIMITS, now), Err(in_flight));
    card.settle(2, third, GuardEffect::Mismatch, now);
    let closed = card.reserve(0, &LIMITS, now).unwrap_err();
    assert_eq!(closed.cause, Cause::Mismatches);
}

#[test]
fn a_slot_that_crosses_midnight_counts_on_the_day_it_ends() {
    let mut card = Card::default();
    let limits = GuardLimits { calls: 1, ..LIMITS };
    let taken = card
        .reserve(0, &limits, at("2026-06-01T15:59:59Z"))
        .unwrap();
    let next_day = at("2026-06-01T16:00:01Z");
    assert_eq!(
        card.reserve(0, &limits, next_day).unwrap_err().cause,
        Cause::InFlight
    );
    card.settle(0, taken, GuardEffect::Call, next_day);
    let closed = card.reserve(0, &limits, next_day).unwrap_err();
    assert_eq!(closed.opens_at, Some(at("2026-06-02T16:00:00Z")));
}

#[test]
fn one_caller_uses_its_share_and_leaves_the_others_theirs() {
    let now = at("2026-06-01T02:00:00Z");
    let limits = GuardLimits {
        caller_calls: 5,
        caller_mismatches: Some(1),
        ..LIMITS
    };
    let mut card = Card::default();
    let taken = card.reserve(0, &limits, now).unwrap();
    assert_eq!(
        card.reserve(0, &limits, now).unwrap_err().cause,
        Cause::InFlight
    );
    card.settle(0, taken, GuardEffect::Mismatch, now);
    assert_eq!(
        card.reserve(0, &limits, now).unwrap_err().cause,
        Cause::CallerMismatches
    );
    let taken = card.reserve(1, &limits, now).unwrap();
    card.settle(1, taken, GuardEffect::Match, now);
    for _ in 0..4 {
        let taken = card.reserve(0, &limits, now).unwrap();
        card.settle(0, taken, GuardEffect::Call, now);
    }
    assert_eq!(
        card.reserve(0, &limits, now).unwrap_err().cause,
        Cause::CallerCalls
    );
    assert!(card.reserve(1, &limits, now).is_ok());
}

#[test]
fn a_clock_that_is_set_back_forgets_nothing_and_closes_no_longer_than_from_now() {
    let wrong = at("2027-06-01T02:00:00Z");
    let right = at("2026-06-01T02:00:00Z");
    let mut card = after(&[GuardEffect::Mismatch, GuardEffect::Mismatch], wrong);
    let closed = card.reserve(0, &LIMITS, right).unwrap_err();
    assert_eq!(closed.opens_at, Some(at("2026-06-01T16:00:00Z")));
}

/// The bank may have seen the mismatch after the match, whatever came back first.
#[test]
fn a_match_says_nothing_of_a_mismatch_that_was_counted_while_it_was_out() {
    let now = at("2026-06-01T02:00:00Z");
    let mut card = Card::default();
    let slow = card.reserve(0, &LIMITS, now).unwrap();
    let quick = card.reserve(1, &LIMITS, now).unwrap();
    card.settle(1, quick, GuardEffect::Mismatch, now);
    card.settle(0, slow, GuardEffect::Match, now);
    assert_eq!(card.counts(now).mismatches, 1);
    let next = card.reserve(0, &LIMITS, now).unwrap();
    card.settle(0, next, GuardEffect::Match, now);
    assert_eq!(card.counts(now).mismatches, 0);
}

/// One step of a random story; the caller is 0 to 2.
#[derive(Debug, Clone)]
enum Step {
    Reserve(u16),
    Settle(usize, GuardEffect),
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let effect = prop_oneof![
        3 => Just(GuardEffect::Mismatch),
        2 => Just(GuardEffect::Call),
        2 => Just(GuardEffect::Match),
        2 => Just(GuardEffect::Nothing),
        1 => Just(GuardEffect::Close),
    ];
    let passing = prop_oneof![0i64..120, 3_000i64..15_000, 40_000i64..90_000];
    let step = prop_oneof![
        5 => (0u16..3).prop_map(Step::Reserve),
        4 => (0usize..4, effect).prop_map(|(which, effect)| Step::Settle(which, effect)),
        2 => passing.prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..80)
}

/// The same promises, kept the slow way: every event is remembered and counted anew, with the
/// calendar instead of arithmetic.
#[derive(Default)]
struct Model {
    settled: Vec<Settled>,
    in_flight: Vec<Taken>,
}

/// A call that is over: when, whose, how, and how many were over when it began.
type Settled = (Timestamp, u16, GuardEffect, usize);
/// A call that is not.
type Taken = (u16, usize, Mark);

impl Model {
    fn midnight(now: Timestamp) -> Timestamp {
        let date = shanghai().to_datetime(now).date();
        let tomorrow = date.checked_add(1.day()).unwrap();
        shanghai()
            .to_timestamp(tomorrow.to_datetime(jiff::civil::Time::midnight()))
            .unwrap()
    }

    fn lock_end(now: Timestamp) -> Timestamp {
        Self::midnight(now).max(now + SignedDuration::from_hours(12))
    }

    fn calls(&self, now: Timestamp, of: impl Fn(u16) -> bool) -> (usize, Timestamp) {
        let today = self.settled.iter().filter(|(at, caller, effect, _)| {
            of(*caller)
                && *effect != GuardEffect::Nothing
                && Self::midnight(*at) == Self::midnight(now)
        });
        (today.count(), Self::midnight(now))
    }

    /// Mismatches in a row, with the callers that caused them.
    fn mismatches(&self, now: Timestamp, of: impl Fn(u16) -> bool) -> (usize, Timestamp) {
        let mut row = Vec::new();
        let mut end = Timestamp::MAX;
        for (place, (at, caller, effect, begun)) in self.settled.iter().enumerate() {
            if *at >= end {
                row.clear();
            }
            let meanwhile = &self.settled[*begun..place];
            match effect {
                GuardEffect::Match if meanwhile.iter().all(|it| it.2 != GuardEffect::Mismatch) => {
                    row.clear();
                }
                GuardEffect::Mismatch => {
                    row.push(*caller);
                    end = Self::lock_end(*at);
                }
                _ => {}
            }
        }
        if now >= end {
            row.clear();
        }
        (row.into_iter().filter(|caller| of(*caller)).count(), end)
    }

    fn expected(
        &self,
        caller: u16,
        limits: &GuardLimits,
        now: Timestamp,
    ) -> Result<(), Option<Timestamp>> {
        let everybody = |_: u16| true;
        let alone = |other: u16| other == caller;
        let pairs = [
            (
                self.calls(now, everybody),
                usize::from(limits.calls),
                self.in_flight.len(),
            ),
            (
                self.calls(now, alone),
                usize::from(limits.caller_calls),
                self.held_by(caller),
            ),
            (
                self.mismatches(now, everybody),
                usize::from(limits.mismatches.unwrap()),
                self.in_flight.len(),
            ),
            (
                self.mismatches(now, alone),
                usize::from(limits.caller_mismatches.unwrap()),
                self.held_by(caller),
            ),
        ];
        let closings = self
            .settled
            .iter()
            .filter(|(_, _, effect, _)| *effect == GuardEffect::Close)
            .map(|(at, ..)| Self::lock_end(*at))
            .filter(|end| *end > now);
        let counted = pairs
            .iter()
            .filter(|((count, _), limit, _)| count >= limit)
            .map(|((_, end), _, _)| *end)
            .chain(closings)
            .max();
        if counted.is_some() {
            return Err(counted);
        }
        let taken = pairs
            .iter()
            .any(|((count, _), limit, in_flight)| count + in_flight >= *limit);
        if taken { Err(None) } else { Ok(()) }
    }

    fn held_by(&self, caller: u16) -> usize {
        self.in_flight
            .iter()
            .filter(|(other, ..)| *other == caller)
            .count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decides_as_the_slow_model_does(
        steps in steps(),
        calls in 1u16..6,
        mismatches in 1u16..4,
        caller_calls in 1u16..6,
        caller_mismatches in 1u16..4,
        start in 1_800_000_000i64..1_800_100_000,
    ) {
        let limits = GuardLimits {
            calls,
            mismatches: Some(mismatches),
            caller_calls: caller_calls.min(calls),
            caller_mismatches: Some(caller_mismatches.min(mismatches)),
        };
        let mut now = Timestamp::from_second(start).unwrap();
        let mut card = Card::default();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Pass(seconds) => now += SignedDuration::from_secs(seconds),
                Step::Reserve(caller) => {
                    let expected = model.expected(caller, &limits, now);
                    let decided = card.reserve(caller, &limits, now);
                    let found = decided.map(|_| ()).map_err(|closed| closed.opens_at);
                    prop_assert_eq!(found, expected);
                    if let Ok(taken) = decided {
                        model.in_flight.push((caller, model.settled.len(), taken));
                    }
                }
                Step::Settle(which, effect) => {
                    if model.in_flight.is_empty() {
                        continue;
                    }
                    let place = which % model.in_flight.len();
                    let (caller, begun, taken) = model.in_flight.remove(place);
                    card.settle(caller, taken, effect, now);
                    model.settled.push((now, caller, effect, begun));
                }
            }
            let (counted, _) = model.mismatches(now, |_| true);
            prop_assert!(counted <= usize::from(mismatches));
            let (counted, _) = model.calls(now, |_| true);
            prop_assert!(counted <= usize::from(calls));
            let counts = card.counts(now);
            prop_assert_eq!(counts.in_flight as usize, model.in_flight.len());
        }
    }
}
