//! The caller's deadline, read from `grpc-timeout`.
//!
//! tonic's own layer for this answers CANCELLED and lets the deadline grow without bound, so it is
//! not used. Here the caller's wish is cut to the operator's `max_deadline`, which also holds for
//! callers without one, and the moment is handed to the handler as [`Deadline`]. The handler ends
//! in time by itself and knows best where the time went; the layer is the fence behind it.
//!
//! A timeout that is no gRPC timeout is treated as absent: the call is bounded by `max_deadline`
//! all the same, and the public contract has no word for such a defect of a client library.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::time::Instant;

/// The header that carries the caller's patience.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The most digits that the gRPC protocol allows.
const MOST_DIGITS: usize = 8;

/// When the answer must be out; in the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// The deadline of a call that arrived at `now` and may take `longest` at most.
    #[must_use]
    pub fn of(headers: &HeaderMap, now: Instant, longest: Duration) -> Self {
        let patience = headers
            .get(GRPC_TIMEOUT)
            .and_then(|value| parse_timeout(value.as_bytes()))
            .map_or(longest, |asked| asked.min(longest));
        Self(now + patience)
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn has_passed(self, now: Instant) -> bool {
        self.0 <= now
    }
}

/// Reads 1 to 8 digits and one of `H`, `M`, `S`, `m`, `u`, `n` (hours to nanoseconds); anything
/// else is `None`.
#[must_use]
pub fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > MOST_DIGITS {
        return None;
    }
    let mut amount = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        amount = amount * 10 + u64::from(digit - b'0');
    }
    // eight digits of hours are far below the largest duration
    match unit {
        b'H' => Some(Duration::from_secs(amount * 3600)),
        b'M' => Some(Duration::from_secs(amount * 60)),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use http::HeaderValue;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1H", Some(Duration::from_secs(3600)))]
    #[case("2M", Some(Duration::from_secs(120)))]
    #[case("03S", Some(Duration::from_secs(3)))]
    #[case("250m", Some(Duration::from_millis(250)))]
    #[case("99999999u", Some(Duration::from_micros(99_999_999)))]
    #[case("0n", Some(Duration::ZERO))]
    #[case("99999999H", Some(Duration::from_secs(99_999_999 * 3600)))]
    #[case("", None)]
    #[case("S", None)]
    #[case("1", None)]
    #[case("123456789m", None)]
    #[case("+1S", None)]
    #[case("-1S", None)]
    #[case("1.5S", None)]
    #[case(" 1S", None)]
    #[case("1 S", None)]
    #[case("1s", None)]
    #[case("1h", None)]
    #[case("1ms", None)]
    #[case("\u{0661}S", None)]
    fn timeouts(#[case] text: &str, #[case] expected: Option<Duration>) {
        assert_eq!(parse_timeout(text.as_bytes()), expected);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _ = parse_timeout(&bytes);
        }

        #[test]
        fn reads_what_the_grammar_allows(amount in 0_u64..100_000_000, unit in 0_usize..6) {
            const NANOS: [u128; 6] = [3_600_000_000_000, 60_000_000_000, 1_000_000_000, 1_000_000, 1_000, 1];
            let text = format!("{amount}{}", char::from(b"HMSmun"[unit]));
            let read = parse_timeout(text.as_bytes()).unwrap();
            prop_assert_eq!(read.as_nanos(), u128::from(amount) * NANOS[unit]);
        }

        #[test]
        fn accepts_nothing_else(text in "[ -~]{0,10}") {
            let grammatical = {
                let mut chars = text.chars();
                let unit = chars.next_back();
                let digits = chars.as_str();
                unit.is_some_and(|unit| "HMSmun".contains(unit))
                    && (1..=8).contains(&digits.len())
                    && digits.chars().all(|digit| digit.is_ascii_digit())
            };
            prop_assert_eq!(parse_timeout(text.as_bytes()).is_some(), grammatical);
        }
    }

    #[rstest]
    #[case(None, 10_000)]
    #[case(Some("250m"), 250)]
    #[case(Some("1H"), 10_000)]
    #[case(Some("0S"), 0)]
    #[case(Some("soon"), 10_000)]
    fn the_deadline_is_the_nearer_of_two(#[case] header: Option<&str>, #[case] expected_ms: u64) {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(GRPC_TIMEOUT, HeaderValue::from_str(header).unwrap());
        }
        let now = Instant::now();
        let deadline = Deadline::of(&headers, now, Duration::from_secs(10));
        assert_eq!(deadline.0 - now, Duration::from_millis(expected_ms));
        assert_eq!(deadline.has_passed(now), expected_ms == 0);
    }
}
