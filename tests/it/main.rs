//! Everything that can be tested with Rust alone, through the crate's public face.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what it expects, and how much it did"
)]

mod answers;
mod architecture;
mod callers;
mod canary;
mod cli;
mod logged_calls;
mod metrics;
mod money;
mod net;
mod operator;
mod promises;
mod readme;
mod reload;
mod service_process;
mod simulation;
mod support;
mod tls;
mod vendors;
