//! The only place that constructs.

use std::process::ExitCode;

use crate::cli::ConfigSource;

/// Which edition of the embedded data this binary holds.
pub const DATA_VERSION: &str = crate::provider::bin::DATA_VERSION;

/// Serves until told to stop.
#[must_use]
pub fn serve(_source: &ConfigSource) -> ExitCode {
    ExitCode::FAILURE
}

/// Says what is worth a word in a configuration that can be used, or every problem of one that
/// cannot.
///
/// # Errors
/// One line per problem, naming the key.
pub fn check_config(_source: &ConfigSource) -> Result<Vec<String>, Vec<String>> {
    Err(vec!["not wired yet".into()])
}
