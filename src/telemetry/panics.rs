//! A panic is logged by its place alone: its message may quote what was being worked on.

use std::{
    io::Write,
    panic::{self, PanicHookInfo},
};

/// Replaces the standard panic message, which prints the payload. Call it before anything else.
pub fn log_place_only() {
    panic::set_hook(Box::new(report));
}

fn report(info: &PanicHookInfo<'_>) {
    let (file, line) = info
        .location()
        .map_or(("?", 0), |location| (location.file(), location.line()));
    if tracing::dispatcher::has_been_set() {
        tracing::error!(target: "cardproof::panic", file, line, "defect: a panic");
    } else {
        // no log yet; a closed standard error is no reason to fail again
        let _ = writeln!(std::io::stderr(), "defect: a panic at {file}:{line}");
    }
}
