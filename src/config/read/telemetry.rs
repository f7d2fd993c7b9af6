//! `[telemetry]`.

use crate::config::{
    LogFormat, LogLevel, LogRequests, TelemetrySettings,
    reader::{Section, form},
};

pub(super) fn read(mut section: Section<'_>) -> TelemetrySettings {
    const FORMATS: &[(&str, LogFormat)] = &[
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
    ];
    const REQUESTS: &[(&str, LogRequests)] = &[
        ("none", LogRequests::None),
        ("problems", LogRequests::Problems),
        ("all", LogRequests::All),
    ];
    let problems = LogRequests::Problems;
    let settings = TelemetrySettings {
        log_level: section.or("log_level", form::choice(LogLevel::NAMES), LogLevel::Info),
        log_format: section.or("log_format", form::choice(FORMATS), LogFormat::Auto),
        log_requests: section.or("log_requests", form::choice(REQUESTS), problems),
        ledger_file: section.optional("ledger_file", form::path),
    };
    section.finish();
    settings
}
