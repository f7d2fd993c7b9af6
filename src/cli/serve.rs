//! `cardproof serve`

use std::process::ExitCode;

use super::ConfigSource;
use crate::app;

pub(super) fn run(source: &ConfigSource) -> ExitCode {
    app::serve(source)
}
