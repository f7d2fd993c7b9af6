//! cardproof verifies bank cards in front of pluggable vendors.

pub mod cache;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod proto;
pub mod provider;
pub mod service;
pub mod telemetry;
