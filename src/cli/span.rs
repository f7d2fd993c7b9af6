//! Spans of time as people type and read them: `90`, `15s`, `500ms`, `2h`.

use std::time::Duration;

/// Seconds in each unit that a person may type, without milliseconds.
const UNITS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// Reads a whole number with a unit; without one it is seconds.
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected a number with one of the units ms, s, m, h, d";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| EXPECTED)?;
    match unit {
        "" => Some(Duration::from_secs(number)),
        "ms" => Some(Duration::from_millis(number)),
        _ => UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .and_then(|(_, seconds)| number.checked_mul(*seconds))
            .map(Duration::from_secs),
    }
    .ok_or(EXPECTED)
}

/// As `parse`, for times that somebody waits.
pub(super) fn parse_timeout(text: &str) -> Result<Duration, &'static str> {
    match parse(text)? {
        span if span.is_zero() => Err("must be longer than nothing"),
        // a longer one does not fit into the eight digits of a gRPC deadline in milliseconds
        span if span > Duration::from_secs(86_400) => Err("must be at most one day"),
        span => Ok(span),
    }
}

/// How long something took: `< 0.1 ms`, `0.3 ms`, `42 ms`, `1.5 s`.
pub(super) fn took(span: Duration) -> String {
    let ms = span.as_secs_f64() * 1_000.0;
    if ms < 0.1 {
        "< 0.1 ms".into()
    } else if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 1_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1_000.0)
    }
}

/// How long ago something was, roughly.
pub(super) fn ago(seconds: i64) -> String {
    let (number, unit) = match seconds {
        // clocks of two machines differ
        ..2 => return "just now".into(),
        2..120 => (seconds, "seconds"),
        120..7_200 => (seconds / 60, "minutes"),
        7_200..172_800 => (seconds / 3_600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{number} {unit} ago")
}

/// How long to wait, rounded up so that nobody comes too early.
pub(super) fn wait(span: Duration) -> String {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_type() {
        for (text, ms) in [
            ("90", 90_000),
            ("15s", 15_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        let refused = ["", "s", "-1s", "1.5s", "1 s", "1w", "18446744073709551615d"];
        for text in refused {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse_timeout("0").is_err() && parse_timeout("25h").is_err());
    }

    #[test]
    fn says_how_long() {
        assert_eq!(took(Duration::from_micros(7)), "< 0.1 ms");
        assert_eq!(took(Duration::from_micros(312)), "0.3 ms");
        assert_eq!(took(Duration::from_millis(42)), "42 ms");
        assert_eq!(took(Duration::from_millis(1_540)), "1.5 s");
        assert_eq!(ago(-3), "just now");
        assert_eq!(ago(45), "45 seconds ago");
        assert_eq!(ago(185), "3 minutes ago");
        assert_eq!(ago(7_300), "2 hours ago");
        assert_eq!(ago(259_200), "3 days ago");
        assert_eq!(wait(Duration::from_millis(2_100)), "3 s");
        assert_eq!(wait(Duration::from_secs(43_200)), "12 h");
    }
}
