//! `cardproof check-config`

use std::process::ExitCode;

use super::{ConfigSource, load, output, serve::refuse};

pub(super) fn run(source: &ConfigSource) -> ExitCode {
    match load(source) {
        Ok(loaded) => {
            for warning in &loaded.config.warnings {
                output::warn(warning);
            }
            output::result(b"configuration is valid\n");
            ExitCode::SUCCESS
        }
        Err(problems) => refuse(problems.as_slice()),
    }
}
