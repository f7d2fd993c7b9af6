//! cardproof verifies bank cards in front of pluggable vendors.

pub mod config;
pub mod domain;
pub mod proto;
pub mod provider;
pub mod telemetry;
