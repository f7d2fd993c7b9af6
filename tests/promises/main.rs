//! The promises about money and cards, proven on real binaries: replicas of the program, callers
//! over gRPC, and vendors played by the emulator, whose ledger is the judge of what was paid for.
//!
//! They stand behind the feature `outside-tests` and are run by `make test` (suite `promises`). By
//! hand, with an optimised program in place of the one that cargo builds beside the tests:
//!
//! ```text
//! CARDPROOF_BIN=target/release/cardproof cargo test --features outside-tests --test promises
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what it expects, and how much it did"
)]

mod crowd;
mod days;
mod faults;
mod giving_up;
mod house;
mod losing_redis;
mod matrix;
mod overload;
mod proxy;
mod redis;
mod replica;
mod rotation;
mod schedules;
mod shares;
mod sharing;
mod takeover;
mod tools;
