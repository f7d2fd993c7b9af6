//! Sets the log up.

use std::io::{self, IsTerminal};

use tracing::{Subscriber, dispatcher::SetGlobalDefaultError};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{self, MakeWriter, format},
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
};

use super::{
    filter::{self, Raised},
    format::{JsonLine, UtcMillis, WithIds},
    panics,
    redaction::Redacting,
};
use crate::config::{LogFormat, LogLevel, LogRequests, TelemetrySettings};

type Reload = reload::Handle<Targets, Registry>;

/// Keeps the log going, and changes how much it says.
#[derive(Debug)]
pub struct Guard {
    levels: LevelHandle,
}

impl Guard {
    /// For those who may change the level.
    #[must_use]
    pub fn levels(&self) -> LevelHandle {
        self.levels.clone()
    }
}

/// Changes the level while the process runs; `RUST_LOG` goes on to count.
#[derive(Debug, Clone)]
pub struct LevelHandle {
    reload: Reload,
    raised: Raised,
}

impl LevelHandle {
    /// Sets the configured level anew.
    pub fn set(&self, level: LogLevel) {
        // it fails only when the subscriber is gone, and then there is nothing to change
        let _ = self.reload.reload(filter::targets(level, &self.raised));
    }
}

/// Logs to standard output from now on, and makes panics print their place alone.
///
/// An unreadable `RUST_LOG` is ignored with a warning, because it may be meant for another
/// program.
///
/// # Errors
/// There is a log already.
pub fn init(
    settings: &TelemetrySettings,
    rust_log: Option<&str>,
) -> Result<Guard, SetGlobalDefaultError> {
    panics::log_place_only();
    let (problems, answers) = match settings.log_requests {
        LogRequests::None => (false, false),
        LogRequests::Problems => (true, false),
        LogRequests::All => (true, true),
    };
    super::events::choose_logged_calls(problems, answers);
    let is_terminal = io::stdout().is_terminal();
    let parsed = rust_log.unwrap_or_default().parse::<Raised>();
    let complaint = parsed.as_ref().err().copied();
    let colour = is_terminal && std::env::var_os("NO_COLOR").is_none();
    let look = Look {
        json: is_json(settings.log_format, is_terminal),
        colour,
    };
    let (subscriber, levels) = subscriber(
        settings.log_level,
        parsed.unwrap_or_default(),
        look,
        io::stdout,
    );
    tracing::subscriber::set_global_default(subscriber)?;
    if let Some(complaint) = complaint {
        tracing::warn!("{complaint}, ignored");
    }
    Ok(Guard { levels })
}

fn is_json(format: LogFormat, is_terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

#[derive(Debug, Clone, Copy)]
struct Look {
    json: bool,
    colour: bool,
}

fn subscriber<W>(
    level: LogLevel,
    raised: Raised,
    look: Look,
    writer: W,
) -> (impl Subscriber + for<'a> LookupSpan<'a>, LevelHandle)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, reload) = reload::Layer::new(filter::targets(level, &raised));
    let lines = fmt::layer()
        .with_writer(Redacting(writer))
        .with_ansi(look.colour && !look.json)
        // a full disk or a closed pipe must not panic through the standard error
        .log_internal_errors(false);
    let lines = if look.json {
        lines.event_format(JsonLine).boxed()
    } else {
        let people = format::format().with_timer(UtcMillis);
        let people = people.with_ansi(look.colour);
        lines.event_format(WithIds(people)).boxed()
    };
    let subscriber = Registry::default().with(filter).with(lines);
    (subscriber, LevelHandle { reload, raised })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::sync::Arc;

    use parking_lot::Mutex;
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn lines(&self) -> Vec<String> {
            String::from_utf8(self.0.lock().clone())
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect()
        }
    }

    fn logged(json: bool, colour: bool, events: impl FnOnce(&LevelHandle)) -> Vec<String> {
        let page = Page::default();
        let writer = page.clone();
        let (subscriber, levels) = subscriber(
            LogLevel::Info,
            Raised::default(),
            Look { json, colour },
            move || writer.clone(),
        );
        tracing::subscriber::with_default(subscriber, || events(&levels));
        page.lines()
    }

    #[test]
    fn a_json_line_is_flat_and_ordered() {
        let lines = logged(true, false, |_| {
            tracing::warn!(
                target: "cardproof::grpc",
                port = "grpc", count = 3_u64, below = -1_i64, ratio = 0.5, open = true, time = "mine",
                shown = ?Some(1), "a \"quoted\"\nmessage"
            );
        });
        assert_eq!(lines.len(), 1);
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        let time = line["time"].as_str().unwrap();
        let written: jiff::Timestamp = time.parse().unwrap();
        assert!(time.ends_with('Z') && time.len() == "2026-01-01T00:00:00.000Z".len());
        assert!(jiff::Timestamp::now().duration_since(written).as_secs() < 60);
        assert_eq!(line["level"], "warn");
        assert_eq!(line["target"], "cardproof::grpc");
        assert_eq!(line["message"], "a \"quoted\"\nmessage");
        assert_eq!(line["port"], "grpc");
        assert_eq!(line["count"], 3);
        assert_eq!(line["below"], -1);
        assert_eq!(line["ratio"], 0.5);
        assert_eq!(line["open"], true);
        assert_eq!(line["time_"], "mine");
        assert_eq!(line["shown"], "Some(1)");
        let order: Vec<_> = [
            "\"time\"",
            "\"level\"",
            "\"target\"",
            "\"message\"",
            "\"port\"",
        ]
        .map(|key| lines[0].find(key).unwrap())
        .to_vec();
        assert!(order.is_sorted());
    }

    #[rstest]
    fn lines_tell_which_trace_they_belong_to(#[values(true, false)] json: bool) {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        let mut headers = http::HeaderMap::new();
        headers.insert("traceparent", parent.parse().unwrap());
        let span = crate::telemetry::trace::Span::server(None, &headers);
        let lines = logged(json, false, |_| {
            let within = span.within(async { tracing::info!(target: "cardproof", "inside") });
            futures_util::FutureExt::now_or_never(within).unwrap();
            tracing::info!(target: "cardproof", "outside");
        });
        let ids = if json {
            format!(",\"trace_id\":\"{trace}\"}}")
        } else {
            format!(" trace_id={trace}")
        };
        assert!(lines[0].ends_with(&ids), "{}", lines[0]);
        // the span is somebody else's
        assert!(!lines[0].contains("00f067aa0ba902b7"));
        assert!(!lines[1].contains("trace_id"));
    }

    #[rstest]
    fn what_looks_like_a_card_does_not_get_out(#[values(true, false)] json: bool) {
        let lines = logged(json, false, |_| {
            tracing::error!(target: "cardproof", given = "4111111111111111", "oh");
            tracing::info!(target: "ledger", "{{\"x\":\"4111 1111 1111 1111\"}}");
        });
        assert_eq!(lines.len(), 2);
        for line in lines {
            assert!(!line.contains("1111") && line.contains("****"), "{line}");
        }
    }

    #[test]
    fn a_text_line_reads_from_left_to_right() {
        let lines = logged(false, false, |_| {
            tracing::info!(target: "cardproof::grpc", port = 5, "listening");
        });
        let (time, rest) = lines[0].split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok());
        assert_eq!(rest.trim_start(), "INFO cardproof::grpc: listening port=5");
    }

    #[test]
    fn text_has_colour_only_when_asked() {
        let escape = '\u{1b}';
        let shout = |_: &LevelHandle| tracing::error!(target: "cardproof", "no");
        assert!(logged(false, true, shout)[0].contains(escape));
        assert!(!logged(false, false, shout)[0].contains(escape));
        assert!(!logged(true, true, shout)[0].contains(escape));
    }

    #[test]
    fn the_level_follows_the_handle() {
        let lines = logged(true, false, |levels| {
            tracing::debug!(target: "cardproof", "unheard");
            levels.set(LogLevel::Debug);
            tracing::debug!(target: "cardproof", "heard");
            tracing::debug!(target: "h2", "never heard");
            levels.set(LogLevel::Error);
            tracing::info!(target: "cardproof", "unheard again");
        });
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("\"heard\""));
    }

    #[rstest]
    #[case(LogFormat::Auto, true, false)]
    #[case(LogFormat::Auto, false, true)]
    #[case(LogFormat::Text, false, false)]
    #[case(LogFormat::Json, true, true)]
    fn people_get_text_and_machines_json(
        #[case] format: LogFormat,
        #[case] is_terminal: bool,
        #[case] json: bool,
    ) {
        assert_eq!(is_json(format, is_terminal), json);
    }
}
