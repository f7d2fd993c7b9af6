//! Ace Data Cloud: bank card checks by 2, 3 and 4 factors, and basic card information.
//!
//! The vendor publishes one table of result codes for all factor counts. It is word for word the
//! 2-factor table of another vendor whose codes shift with each factor, so it may be wrong for 3
//! and 4 factors; [`codes`] reads code and description together, so that a wrong table never turns
//! into a wrong decision.

mod client;
pub mod codes;
mod config;
mod sign;
mod wire;

pub use client::{Ace, Said, read_reply};
