//! What the operator sees.

pub mod events;
pub mod filter;
pub mod format;
pub mod init;
pub mod metrics;
pub mod otlp;
pub mod panics;
pub mod redaction;
pub mod trace;

pub use init::{Guard, LevelHandle, init};
