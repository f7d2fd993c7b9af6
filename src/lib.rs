//! cardproof verifies bank cards in front of pluggable vendors.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "a test says what it expects"
    )
)]

pub mod admin;
pub mod app;
pub mod cache;
pub mod cli;
pub mod config;
pub mod domain;
pub mod dumps;
pub mod grpc;
pub mod health;
pub mod listener;
pub mod proto;
pub mod provider;
pub mod runtime;
pub mod service;
pub mod signals;
pub mod telemetry;
