//! Writes, or checks, the documentation that is made from the program's own tables.
//!
//! `--write` writes it, `--check` (or nothing) fails where a committed file differs.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for developers"
)]

use std::{env, fs, path::Path, process::ExitCode};

use cardproof::{
    config::page::configuration_page, grpc::errors_page::errors_page,
    provider::docs::providers_page, telemetry::metrics::page::metrics_page,
};

/// A generated file, and what makes it.
struct Page {
    file: &'static str,
    make: fn() -> String,
}

const PAGES: &[Page] = &[
    Page {
        file: "docs/CONFIGURATION.md",
        make: configuration_page,
    },
    Page {
        file: "docs/ERRORS.md",
        make: errors_page,
    },
    Page {
        file: "docs/PROVIDERS.md",
        make: providers_page,
    },
    Page {
        file: "docs/METRICS.md",
        make: metrics_page,
    },
];

fn main() -> ExitCode {
    let mode = env::args().nth(1);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut differing = 0;
    for Page { file, make } in PAGES {
        let path = root.join(file);
        let text = make();
        let done = match mode.as_deref() {
            Some("--write") => fs::write(&path, text).is_ok(),
            None | Some("--check") => fs::read_to_string(&path).is_ok_and(|found| found == text),
            Some(_) => {
                eprintln!("usage: cargo run --example generate-docs -- [--check | --write]");
                return ExitCode::from(64);
            }
        };
        println!(
            "{file}: {}",
            if done {
                "ok"
            } else {
                "differs or cannot be written"
            }
        );
        differing += usize::from(!done);
    }
    if differing > 0 {
        eprintln!("write them with: cargo run --example generate-docs -- --write");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
