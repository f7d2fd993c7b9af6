//! How a log line looks to a machine: one JSON object, flat, in a fixed order.
//!
//! The stock formatter calls the time `timestamp` and nests the fields; ledger lines and log
//! pipelines want `time` and a flat object.

use std::fmt::{self, Write};

use serde_json::Value;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer, time::FormatTime},
    registry::LookupSpan,
};

use super::trace;

/// Names that a line has by itself; a field that is called so gets an underscore.
const OWN_KEYS: [&str; 6] = ["time", "level", "target", "message", "trace_id", "span_id"];

/// RFC 3339, UTC, to the millisecond.
#[derive(Debug, Clone, Copy, Default)]
pub struct UtcMillis;

impl FormatTime for UtcMillis {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.3}", jiff::Timestamp::now())
    }
}

/// One JSON object a line: `time`, `level`, `target`, `message`, then the fields, then the ids of
/// the trace that it belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        writer.write_str("{\"time\":\"")?;
        UtcMillis.format_time(&mut writer)?;
        write!(
            writer,
            "\",\"level\":\"{}\",\"target\":",
            level_name(*metadata.level())
        )?;
        write_string(&mut writer, metadata.target())?;
        if let Some(message) = &fields.message {
            writer.write_str(",\"message\":")?;
            write_string(&mut writer, message)?;
        }
        writer.write_str(&fields.others)?;
        if let Some((trace_id, span_id)) = trace::ids() {
            write!(writer, ",\"trace_id\":\"{trace_id}\"")?;
            if let Some(span_id) = span_id {
                write!(writer, ",\"span_id\":\"{span_id}\"")?;
            }
        }
        writer.write_str("}\n")
    }
}

/// A line for people, with the ids of its trace at the end.
#[derive(Debug, Clone, Copy, Default)]
pub struct WithIds<F>(pub F);

impl<S, N, F> FormatEvent<S, N> for WithIds<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some((trace_id, span_id)) = trace::ids() else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        write!(writer, "{} trace_id={trace_id}", line.trim_end())?;
        if let Some(span_id) = span_id {
            write!(writer, " span_id={span_id}")?;
        }
        writer.write_char('\n')
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

#[derive(Default)]
struct Fields {
    message: Option<String>,
    /// `,"name":value` as often as needed.
    others: String,
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        let reserved = if OWN_KEYS.contains(&name) { "_" } else { "" };
        // writing into a string cannot fail
        let _ = write!(
            self.others,
            ",{}:{}",
            Value::from(format!("{name}{reserved}")),
            value.into()
        );
    }

    fn put_text(&mut self, field: &Field, text: String) {
        if field.name() == "message" {
            self.message = Some(text);
        } else {
            self.put(field, text);
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put_text(field, value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

fn write_string(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    // in one piece: a line of the ledger has a hundred characters to escape
    let quoted = serde_json::to_string(text).map_err(|_| fmt::Error)?;
    writer.write_str(&quoted)
}
