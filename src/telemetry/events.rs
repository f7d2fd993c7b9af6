//! One function per event: what is logged and what is counted stands together.

use std::time::Duration;

use crate::domain::{Charge, Operation, ProviderName, Source};

/// One HTTP call to a vendor, once it is over.
#[derive(Debug, Clone, Copy)]
pub struct VendorCall<'a> {
    /// Who was asked.
    pub provider: &'a ProviderName,
    /// What was asked; `None` for the free probe of endpoint and credentials.
    pub operation: Option<Operation>,
    /// The path without its values.
    pub url_template: &'static str,
    /// The vendor's host.
    pub server_address: &'a str,
    /// The HTTP status; `None` where no usable reply came.
    pub status: Option<u16>,
    /// From the first try to connect to the end of the reply.
    pub latency: Duration,
    /// How far the vendor's clock is ahead of ours, where its reply showed it.
    pub clock_skew_seconds: Option<i64>,
}

/// An HTTP call to a vendor is over.
pub fn vendor_call(call: &VendorCall<'_>) {
    tracing::debug!(
        provider = call.provider.as_str(),
        operation = call.operation.map(Operation::as_str),
        url.template = call.url_template,
        server.address = call.server_address,
        http.response.status_code = call.status,
        latency_ms = millis(call.latency),
        clock_skew_seconds = call.clock_skew_seconds,
        "vendor call ended"
    );
}

/// A vendor's code and the vendor's own text for it contradict each other.
pub fn provider_code_conflict(provider: &ProviderName, operation: Operation) {
    tracing::debug!(
        provider = provider.as_str(),
        operation = operation.as_str(),
        "result code and description disagree"
    );
}

/// The first such contradiction of a known code: worth a look at the provider's `code_table`.
pub fn provider_code_conflict_first_seen(
    provider: &ProviderName,
    operation: Operation,
    known_code: &'static str,
) {
    tracing::warn!(
        provider = provider.as_str(),
        operation = operation.as_str(),
        code = known_code,
        "result code and description disagree; told once for each known code"
    );
}

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
        provider = provider.as_str(),
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
