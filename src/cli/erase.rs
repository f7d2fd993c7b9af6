//! `cardproof erase`

use std::process::ExitCode;

use serde_json::Value;

use super::{ConfigSource, operator};

/// Prints what was forgotten.
pub(super) fn run(arguments: &operator::Arguments, source: &ConfigSource) -> ExitCode {
    operator::about_a_card(arguments, source, "erase", |done: &Value| {
        let number = |key: &str| done[key].as_u64().unwrap_or_default();
        format!(
            "forgotten: {} answers, {} request ids\n",
            number("answers"),
            number("request_ids")
        )
    })
}
