//! The store that replicas share, over a real Redis: its scripts against the rules in Rust, and
//! services that meet in it.
//!
//! They stand behind the feature `outside-tests` and are run by `make test` (suite `redis`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what it expects, and how much it did"
)]

mod access;
mod answers;
mod by_hand;
mod calls;
mod canary;
mod connections;
mod counts;
mod house;
mod ids;
mod keys;
mod loss;
mod server;
mod shares;
