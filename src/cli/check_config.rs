//! `cardproof check-config`

use std::process::ExitCode;

use super::{ConfigSource, EXIT_BAD_CONFIGURATION, output};
use crate::app;

pub(super) fn run(source: &ConfigSource) -> ExitCode {
    match app::check_config(source) {
        Ok(warnings) => {
            for warning in warnings {
                output::warn(&warning);
            }
            output::result(b"configuration is valid\n");
            ExitCode::SUCCESS
        }
        Err(problems) => {
            for problem in problems {
                output::message(&problem);
            }
            ExitCode::from(EXIT_BAD_CONFIGURATION)
        }
    }
}
