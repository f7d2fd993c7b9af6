//! The emulator over real connections.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod client;
mod control;
mod faults;
mod vendors;
