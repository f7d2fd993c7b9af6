//! The time of day, from one place, so that tests can make it pass.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tokio::time::Instant;

/// Where the time of day comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The host's clock.
    System,
    /// A clock that stood at a time when the runtime's clock stood at an instant, and runs with
    /// it; under a paused runtime it stands until the test moves it.
    Follows {
        /// The time of day at `base`.
        start: Timestamp,
        /// An instant of the runtime's clock.
        base: Instant,
    },
}

impl Clock {
    /// A clock that shows `start` now and runs with the runtime's clock.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self::Follows {
            start,
            base: Instant::now(),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Follows { start, base } => {
                start.checked_add(base.elapsed()).unwrap_or(Timestamp::MAX)
            }
        }
    }
}

/// The date in mainland China at a time.
#[must_use]
pub fn date_at(time: Timestamp) -> Date {
    shanghai().to_datetime(time).date()
}

/// Asia/Shanghai: eight hours ahead of UTC, without summer time since 1992. Fixed here, so that no
/// zone database of the host has a say in when a card opens again.
#[must_use]
pub fn shanghai() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_begins_at_sixteen_hours_utc() {
        let at = |text: &str| date_at(text.parse().unwrap());
        assert_eq!(at("2026-05-31T15:59:59Z"), jiff::civil::date(2026, 5, 31));
        assert_eq!(at("2026-05-31T16:00:00Z"), jiff::civil::date(2026, 6, 1));
    }
}
