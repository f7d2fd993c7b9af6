//! Everything that can be tested with Rust alone, through the crate's public face.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

mod answers;
mod architecture;
mod cli;
mod money;
mod net;
mod promises;
mod readme;
mod support;
mod vendors;
