//! `cardproof serve`

use std::process::ExitCode;

use super::{ConfigSource, EXIT_BAD_CONFIGURATION, EXIT_ERROR, load, output};
use crate::{
    app,
    config::{self, secret::process_env},
    telemetry,
};

pub(super) fn run(source: &ConfigSource) -> ExitCode {
    let loaded = match load(source) {
        Ok(loaded) => loaded,
        Err(problems) => return refuse(problems.as_slice()),
    };
    let rust_log = process_env("RUST_LOG");
    let log = match telemetry::init(&loaded.config.telemetry, rust_log.as_deref()) {
        Ok(guard) => guard,
        Err(error) => {
            output::message(&format!("cannot log: {error}"));
            return ExitCode::from(EXIT_ERROR);
        }
    };
    let file = source.file.clone();
    let origin = app::Origin {
        read: Box::new(move || config::ConfigSource::from_process(file.as_deref())),
        env: process_env,
        levels: log.levels(),
    };
    match app::serve(loaded, origin).map_err(app::StartError::problems) {
        Ok(code) => ExitCode::from(code),
        Err(Ok(problems)) => refuse(problems.as_slice()),
        Err(Err(error)) => {
            output::message(&error.to_string());
            ExitCode::from(EXIT_ERROR)
        }
    }
}

/// One line per problem.
pub(super) fn refuse(problems: &[impl ToString]) -> ExitCode {
    for problem in problems {
        output::message(&problem.to_string());
    }
    ExitCode::from(EXIT_BAD_CONFIGURATION)
}
