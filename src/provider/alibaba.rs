//! Alibaba Cloud ID Verification: `BankMetaVerifyIntl`, and the mainland's `BankMetaVerify`.
//!
//! Both are RPC calls with every parameter in the query of the URL, so a URL of this vendor is
//! personal data from end to end: it is built once, signed, handed to the HTTP client and
//! overwritten.

mod client;
pub mod codes;
mod config;
pub mod sign;
mod wire;

pub use client::{Alibaba, read_reply};
