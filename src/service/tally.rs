//! What came of the calls of one operation of one provider: today, and lately.
//!
//! For the operator who looks at one process. The numbers that last, and those of all replicas,
//! are metrics and the ledger.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;
use parking_lot::Mutex;

use super::day::day_number;
use crate::domain::{Attempt, AttemptOutcome, Charge};

/// The calls whose latencies are remembered.
const LATELY: usize = 128;

/// Counts the calls of one operation of one provider.
#[derive(Default)]
pub struct Tally {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    day: i64,
    today: Today,
    last_error: Option<(&'static str, Timestamp)>,
    /// Of the latest calls, the oldest first.
    latencies: VecDeque<Duration>,
}

/// What a day (Asia/Shanghai) has come to so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Today {
    /// Calls that were begun.
    pub calls: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Those that the vendor charged.
    pub charged: u64,
    /// Those that it may have charged.
    pub unknown: u64,
    /// What those two cost, in millionths of the price's currency.
    pub cost_micros: u64,
}

/// How it looks now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Since midnight.
    pub today: Today,
    /// What the last call without an answer came to, and when.
    pub last_error: Option<(&'static str, Timestamp)>,
    /// Half of the latest calls took no longer.
    pub median: Option<Duration>,
    /// The slowest of them.
    pub slowest: Option<Duration>,
}

impl Tally {
    /// Counts a call that is over. `price_micros` is what it costs if it is charged.
    pub fn note(&self, attempt: &Attempt, price_micros: u64, now: Timestamp) {
        let mut inner = self.inner.lock();
        inner.turn_to(now);
        let today = &mut inner.today;
        today.calls += 1;
        let (charged, unknown) = match attempt.charge {
            Charge::Charged => (1, 0),
            Charge::Unknown => (0, 1),
            Charge::NotCharged => (0, 0),
        };
        today.charged += charged;
        today.unknown += unknown;
        let paid = (charged + unknown) * price_micros;
        today.cost_micros = today.cost_micros.saturating_add(paid);
        if attempt.outcome == AttemptOutcome::Answered {
            today.answered += 1;
        } else {
            inner.last_error = Some((attempt.error_reason, now));
        }
        if inner.latencies.len() == LATELY {
            inner.latencies.pop_front();
        }
        inner.latencies.push_back(attempt.latency);
    }

    /// How it looks at a time.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Snapshot {
        let mut inner = self.inner.lock();
        inner.turn_to(now);
        let mut latencies: Vec<Duration> = inner.latencies.iter().copied().collect();
        latencies.sort_unstable();
        Snapshot {
            today: inner.today,
            last_error: inner.last_error,
            median: latencies
                .get(latencies.len().saturating_sub(1) / 2)
                .copied(),
            slowest: latencies.last().copied(),
        }
    }
}

impl Inner {
    fn turn_to(&mut self, now: Timestamp) {
        let day = day_number(now);
        if day != self.day {
            self.day = day;
            self.today = Today::default();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use crate::domain::ProviderName;

    fn attempt(outcome: AttemptOutcome, charge: Charge, millis: u64) -> Attempt {
        let answered = outcome == AttemptOutcome::Answered;
        Attempt {
            provider: ProviderName::new("some").unwrap(),
            outcome,
            charge,
            latency: Duration::from_millis(millis),
            error_reason: if answered { "" } else { outcome.as_str() },
        }
    }

    #[test]
    fn a_day_is_added_up_and_a_new_one_begins_with_nothing_but_the_last_error() {
        let tally = Tally::default();
        let evening: Timestamp = "2026-06-01T15:59:59Z".parse().unwrap();
        for (outcome, charge, millis) in [
            (AttemptOutcome::Answered, Charge::Charged, 30),
            (AttemptOutcome::Answered, Charge::NotCharged, 10),
            (AttemptOutcome::OutcomeUnknown, Charge::Unknown, 900),
            (AttemptOutcome::NotSent, Charge::NotCharged, 20),
        ] {
            tally.note(&attempt(outcome, charge, millis), 350_000, evening);
        }
        let expected = Snapshot {
            today: Today {
                calls: 4,
                answered: 2,
                charged: 1,
                unknown: 1,
                cost_micros: 700_000,
            },
            last_error: Some(("NOT_SENT", evening)),
            median: Some(Duration::from_millis(20)),
            slowest: Some(Duration::from_millis(900)),
        };
        assert_eq!(tally.at(evening), expected);
        // midnight in Asia/Shanghai
        let midnight: Timestamp = "2026-06-01T16:00:00Z".parse().unwrap();
        let expected = Snapshot {
            today: Today::default(),
            ..expected
        };
        assert_eq!(tally.at(midnight), expected);
    }

    #[test]
    fn only_the_latest_latencies_count() {
        let tally = Tally::default();
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(tally.at(now).median, None);
        for millis in (0..10).map(|_| 5_000).chain((0..LATELY).map(|_| 7_u64)) {
            tally.note(
                &attempt(AttemptOutcome::Answered, Charge::Charged, millis),
                0,
                now,
            );
        }
        assert_eq!(tally.at(now).slowest, Some(Duration::from_millis(7)));
    }
}
