//! Which events are logged.
//!
//! Our own targets follow the configured level and may be raised by `RUST_LOG`. Every other
//! crate's target stays at info at most, whatever `RUST_LOG` says: HTTP libraries print headers and
//! bodies at debug and trace, and with them card numbers.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use crate::config::LogLevel;

/// The target of everything this crate logs.
const OWN: &str = "cardproof";
/// The target of ledger lines, which are records rather than messages.
const LEDGER: &str = "ledger";
/// The most that other crates may say.
const OTHERS_AT_MOST: LevelFilter = LevelFilter::INFO;
/// What they say without `RUST_LOG`.
const OTHERS_USUALLY: LevelFilter = LevelFilter::WARN;

/// `RUST_LOG`, understood.
#[derive(Debug, Clone, Default)]
pub struct Raised {
    default: Option<LevelFilter>,
    targets: Vec<(String, LevelFilter)>,
}

/// `RUST_LOG` cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("RUST_LOG is not a list of levels and target=level pairs")]
pub struct BadRustLog;

impl FromStr for Raised {
    type Err = BadRustLog;

    fn from_str(text: &str) -> Result<Self, BadRustLog> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let targets = Targets::from_str(text).map_err(|_| BadRustLog)?;
        Ok(Self {
            default: targets.default_level(),
            targets: targets
                .iter()
                .map(|(target, level)| (target.to_owned(), level))
                .collect(),
        })
    }
}

/// The filter of a configured level and `RUST_LOG`.
#[must_use]
pub fn targets(level: LogLevel, raised: &Raised) -> Targets {
    let own = level_filter(level).max(raised.default.unwrap_or(LevelFilter::OFF));
    let others = raised
        .default
        .unwrap_or(OTHERS_USUALLY.min(level_filter(level)))
        .min(OTHERS_AT_MOST);
    let mut filter = Targets::new().with_default(others);
    let mut of_crate = own;
    let mut of_ledger = own.max(LevelFilter::INFO);
    for (target, wanted) in &raised.targets {
        match target.as_str() {
            OWN => of_crate = of_crate.max(*wanted),
            LEDGER => of_ledger = of_ledger.max(*wanted),
            _ => {}
        }
    }
    filter = filter.with_target(OWN, of_crate);
    filter = filter.with_target(LEDGER, of_ledger);
    for (target, wanted) in &raised.targets {
        if target == OWN || target == LEDGER {
            continue;
        }
        let level = if target.starts_with("cardproof::") {
            (*wanted).max(of_crate)
        } else {
            (*wanted).min(OTHERS_AT_MOST)
        };
        filter = filter.with_target(target.clone(), level);
    }
    filter
}

fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use proptest::prelude::*;
    use rstest::rstest;
    use tracing::Level;

    use super::*;

    fn filter(level: LogLevel, rust_log: &str) -> Targets {
        targets(level, &rust_log.parse().unwrap())
    }

    #[rstest]
    #[case::configured("", "cardproof::grpc", Level::INFO, true)]
    #[case::not_more("", "cardproof::grpc", Level::DEBUG, false)]
    #[case::raised("cardproof=debug", "cardproof::grpc", Level::DEBUG, true)]
    #[case::raised_by_default("trace", "cardproof::grpc", Level::TRACE, true)]
    #[case::raised_in_part("cardproof::grpc=trace", "cardproof::grpc::server", Level::TRACE, true)]
    #[case::raised_only_there("cardproof::grpc=trace", "cardproof::admin", Level::DEBUG, false)]
    #[case::never_lowered("cardproof=error", "cardproof", Level::INFO, true)]
    #[case::never_lowered_in_part("cardproof::grpc=off", "cardproof::grpc", Level::INFO, true)]
    #[case::others_are_quiet("", "h2", Level::INFO, false)]
    #[case::others_may_speak("h2=info", "h2::codec", Level::INFO, true)]
    #[case::others_are_capped("h2=trace", "h2", Level::DEBUG, false)]
    #[case::others_are_capped_by_default("trace", "reqwest::connect", Level::DEBUG, false)]
    #[case::a_shorter_name("c=trace", "curl", Level::DEBUG, false)]
    #[case::ledger("", "ledger", Level::INFO, true)]
    fn who_may_say_what(
        #[case] rust_log: &str,
        #[case] target: &str,
        #[case] level: Level,
        #[case] expected: bool,
    ) {
        assert_eq!(
            filter(LogLevel::Info, rust_log).would_enable(target, &level),
            expected
        );
    }

    #[test]
    fn the_ledger_is_written_at_every_level() {
        assert!(filter(LogLevel::Error, "").would_enable("ledger", &Level::INFO));
        assert!(filter(LogLevel::Error, "ledger=off").would_enable("ledger", &Level::INFO));
        assert!(!filter(LogLevel::Error, "").would_enable("cardproof", &Level::INFO));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Raised::from_str("cardproof=loud").unwrap_err(), BadRustLog);
    }

    proptest! {
        #[test]
        fn no_rust_log_makes_other_crates_print_bodies(
            pairs in proptest::collection::vec(
                ("(h2|hyper|reqwest|rustls|tonic|h|)(::[a-z]{1,5}){0,2}", "(trace|debug|info|off)"), 0..6
            ),
            alone in "(trace|debug|info|)",
        ) {
            let mut rust_log: Vec<_> = pairs
                .iter()
                .filter(|(target, _)| !target.is_empty())
                .map(|(target, level)| format!("{target}={level}"))
                .collect();
            if !alone.is_empty() {
                rust_log.push(alone);
            }
            let filter = filter(LogLevel::Trace, &rust_log.join(","));
            for target in ["h2", "h2::codec", "hyper::proto", "reqwest::connect", "rustls", "tonic"] {
                prop_assert!(!filter.would_enable(target, &Level::DEBUG));
                prop_assert!(!filter.would_enable(target, &Level::TRACE));
            }
            prop_assert!(filter.would_enable("cardproof::grpc", &Level::TRACE));
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,40}") {
            let _ = Raised::from_str(&text);
        }
    }
}
