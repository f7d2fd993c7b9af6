//! One function per event: what is logged and what is counted stands together.

use std::time::Duration;

use crate::domain::{Charge, Operation, ProviderName, Source};

/// A call was answered.
pub fn answered(
    method: &'static str,
    operation: Operation,
    provider: &ProviderName,
    result: &'static str,
    source: Source,
    charge: Charge,
    latency: Duration,
) {
    tracing::debug!(
        method,
        operation = operation.as_str(),
        %provider,
        result,
        source = source.as_str(),
        charge = charge.as_str(),
        latency_ms = millis(latency),
        "answered"
    );
}

/// A call got no answer.
pub fn denied(method: &'static str, reason: &'static str, latency: Duration) {
    tracing::info!(method, reason, latency_ms = millis(latency), "no answer");
}

fn millis(latency: Duration) -> u64 {
    u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)
}
