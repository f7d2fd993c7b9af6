//! The few reply headers that matter.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// A vendor that wants a longer pause than this is asked again after it all the same.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
    text(headers, &CONTENT_TYPE).map(str::to_owned)
}

/// RFC 9110, 10.2.3: a number of seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let raw = text(headers, &RETRY_AFTER)?.trim();
    let pause = match raw.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let seconds = date(raw)?.as_second() - Timestamp::now().as_second();
            Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        }
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// How far the sender's clock is ahead of ours.
pub(super) fn clock_skew_seconds(headers: &HeaderMap) -> Option<i64> {
    let theirs = date(text(headers, &DATE)?)?;
    Some(theirs.as_second() - Timestamp::now().as_second())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn date(raw: &str) -> Option<Timestamp> {
    rfc2822::parse(raw).ok().map(|date| date.timestamp())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    fn http_date(seconds_from_now: i64) -> String {
        let then = Timestamp::now().as_second() + seconds_from_now;
        let then = Timestamp::from_second(then).unwrap();
        then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    #[test]
    fn pauses() {
        let pause = |raw: &str| retry_after(&headers(RETRY_AFTER, raw));
        assert_eq!(pause("3"), Some(Duration::from_secs(3)));
        assert_eq!(pause("99999999"), Some(LONGEST_PAUSE));
        assert_eq!(pause("-1"), None);
        assert_eq!(pause("soon"), None);
        assert_eq!(pause(&http_date(-10)), Some(Duration::ZERO));
        let later = pause(&http_date(60)).unwrap();
        assert!((58..=60).contains(&later.as_secs()), "{later:?}");
    }

    #[test]
    fn skew() {
        let skew = |raw: &str| clock_skew_seconds(&headers(DATE, raw));
        for seconds in [0, 1000, -1000] {
            let measured = skew(&http_date(seconds)).unwrap();
            assert!((measured - seconds).abs() <= 2, "{measured}");
        }
        assert_eq!(skew("yesterday"), None);
    }
}
