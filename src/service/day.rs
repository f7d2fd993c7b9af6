//! Days as mainland China counts them: budgets and guard begin anew at midnight in Asia/Shanghai,
//! wherever the host stands.
//!
//! Plain arithmetic on seconds since 1970, so that a script on another server can do the same:
//! `day = (seconds + 28800) div 86400`, and the next midnight is `(day + 1) * 86400 - 28800`.

use jiff::Timestamp;

/// Seconds that Asia/Shanghai is ahead of UTC.
const AHEAD_SECONDS: i64 = 8 * 3600;
/// Seconds of a day.
const DAY_SECONDS: i64 = 24 * 3600;

/// The number of a day in Asia/Shanghai, counted from 1970-01-01.
#[must_use]
pub fn day_number(at: Timestamp) -> i64 {
    day_of_second(floor_second(at))
}

/// The midnight in Asia/Shanghai that ends the day of an instant: always later than the instant.
#[must_use]
pub fn next_midnight(at: Timestamp) -> Timestamp {
    Timestamp::from_second(midnight_after(floor_second(at))).unwrap_or(Timestamp::MAX)
}

/// The same in whole seconds since 1970.
#[must_use]
pub fn midnight_after(second: i64) -> i64 {
    (day_of_second(second) + 1) * DAY_SECONDS - AHEAD_SECONDS
}

/// The date of a day number, as `2026-05-31`.
#[must_use]
pub fn date_of(day: i64) -> String {
    Timestamp::from_second(day.saturating_mul(DAY_SECONDS)).map_or_else(
        |_| String::from("unknown"),
        |at| at.strftime("%Y-%m-%d").to_string(),
    )
}

fn day_of_second(second: i64) -> i64 {
    (second + AHEAD_SECONDS).div_euclid(DAY_SECONDS)
}

/// `Timestamp::as_second` rounds towards 1970.
fn floor_second(at: Timestamp) -> i64 {
    if at.subsec_nanosecond() < 0 {
        at.as_second() - 1
    } else {
        at.as_second()
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::service::clock::shanghai;

    #[rstest]
    #[case("2026-05-31T15:59:59.999Z", "2026-05-31T16:00:00Z", "2026-05-31")]
    #[case("2026-05-31T16:00:00Z", "2026-06-01T16:00:00Z", "2026-06-01")]
    #[case("2027-01-01T00:00:00Z", "2027-01-01T16:00:00Z", "2027-01-01")]
    #[case("1969-12-31T15:59:59.5Z", "1969-12-31T16:00:00Z", "1969-12-31")]
    fn midnights(#[case] at: Timestamp, #[case] midnight: Timestamp, #[case] date: &str) {
        assert_eq!(next_midnight(at), midnight);
        assert_eq!(date_of(day_number(at)), date);
    }

    proptest! {
        #[test]
        fn agrees_with_the_calendar(second in 0i64..4_000_000_000, nanosecond in 0i32..1_000_000_000) {
            let at = Timestamp::new(second, nanosecond).unwrap();
            let date = shanghai().to_datetime(at).date();
            let tomorrow = date.checked_add(1.day()).unwrap().to_datetime(jiff::civil::Time::midnight());
            prop_assert_eq!(next_midnight(at), shanghai().to_timestamp(tomorrow).unwrap());
            prop_assert_eq!(date_of(day_number(at)), date.to_string());
        }
    }
}
