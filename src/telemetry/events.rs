//! One function per event: what is logged and what is counted stands together.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    metrics,
    trace::{self, keys},
};
use crate::domain::{
    Attempt, AttemptOutcome, Charge, Finding, Operation, ProviderName, Source, reason::vocabulary,
};

vocabulary! {
    /// The methods of the gRPC port whose calls are counted.
    RpcMethod {
        /// Verification.
        VerifyBankCard = "bankcard.v1.BankCardService/VerifyBankCard",
        /// Card information.
        QueryCardInfo = "bankcard.v1.BankCardService/QueryCardInfo",
        /// Health, asked once.
        HealthCheck = "grpc.health.v1.Health/Check",
        /// Any path that is no method; what it says is the caller's and goes nowhere.
        Other = "_OTHER",
    }
}

impl RpcMethod {
    /// The method of a path; `None` for streams, which have no latency worth a name.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let name = path.strip_prefix('/').unwrap_or_default();
        match name {
            "grpc.health.v1.Health/Watch"
            | "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
            | "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => None,
            _ => Some(
                Self::ALL
                    .iter()
                    .copied()
                    .find(|method| method.as_str() == name)
                    .unwrap_or(Self::Other),
            ),
        }
    }
}

/// The gRPC codes by number.
pub const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

vocabulary! {
    /// Where answers are kept.
    Tier {
        /// In the memory of this process.
        Local = "local",
        /// In the store that all replicas share.
        Shared = "shared",
    }
}

vocabulary! {
    /// What a look into the cache came to.
    CacheOutcome {
        /// A usable answer.
        Hit = "hit",
        /// No usable answer.
        Miss = "miss",
        /// An old answer, given because every vendor failed.
        Stale = "stale",
    }
}

impl CacheOutcome {
    /// A hit or a miss.
    #[must_use]
    pub const fn of(found: bool) -> Self {
        if found { Self::Hit } else { Self::Miss }
    }
}

vocabulary! {
    /// How far away the call is that is shared.
    FlightScope {
        /// In this process.
        Local = "local",
        /// In another replica.
        Shared = "shared",
    }
}

/// Why the guard refuses a call, in its own words.
pub const GUARD_REFUSALS: [&str; 7] = [
    "vendor",
    "calls",
    "mismatches",
    "caller_calls",
    "caller_mismatches",
    "in_flight",
    "full",
];

vocabulary! {
    /// What came of reading the configuration again.
    ReloadOutcome {
        /// All of it is in use.
        Applied = "applied",
        /// What changed and can change while the service runs is in use; the rest needs a restart.
        NeedsRestart = "needs_restart",
        /// Nothing was new.
        Unchanged = "unchanged",
        /// It cannot be used; nothing has changed.
        Refused = "refused",
    }
}

vocabulary! {
    /// The files whose certificates can end.
    CertificateFile {
        /// The server's own.
        Own = "cert_file",
        /// The authorities of clients.
        ClientAuthorities = "client_ca_file",
    }
}

/// A call of the gRPC port is over; `code` is the number of a gRPC code.
pub fn call_ended(method: RpcMethod, code: usize, latency: Duration) {
    metrics::with(|count| count.call(method, code, latency));
}

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
    metrics::with(|count| {
        count.vendor_call(call.provider, call.operation, call.status, call.latency);
        if let Some(seconds) = call.clock_skew_seconds {
            count.clock_skew(call.provider, seconds);
        }
    });
}

/// A vendor's code and the vendor's own text for it contradict each other.
pub fn provider_code_conflict(provider: &ProviderName, operation: Operation) {
    tracing::debug!(
        provider = provider.as_str(),
        operation = operation.as_str(),
        "result code and description disagree"
    );
    metrics::with(|count| count.code_conflict(provider, operation));
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

/// A call to a provider was made and is over. Why it failed, if it did, is logged where the error
/// is weighed.
pub fn attempt_ended(operation: Operation, attempt: &Attempt) {
    trace::note(|span| {
        span.set(keys::OUTCOME, attempt.outcome.as_str());
        span.set(keys::CHARGE, attempt.charge.as_str());
        if attempt.outcome != AttemptOutcome::Answered {
            span.fail(attempt.error_reason);
        }
    });
    metrics::with(|count| count.attempt(operation, attempt));
}

/// A provider was not asked, and why.
pub fn passed_over(provider: &ProviderName, reason: &'static str) {
    trace::note(|span| {
        let told = [
            (keys::PROVIDER, provider.as_str().to_owned()),
            (keys::REASON, reason.to_owned()),
        ];
        span.event("provider passed over", told);
    });
}

/// A question was asked on behalf of everybody who waits for it; `outcome` is what the answer says,
/// or why there is none.
pub fn flight_ended(outcome: &'static str) {
    trace::note(|span| span.set(keys::RESULT, outcome));
}

/// A vendor has seen the very same signed request before.
pub fn nonce_reused(provider: &ProviderName) {
    tracing::error!(
        provider = provider.as_str(),
        "the vendor has seen this signed request before: something sends requests twice"
    );
    metrics::with(|count| count.nonce_reused(provider));
}

/// A question was looked for in the cache.
pub fn cache_lookup(tier: Tier, outcome: CacheOutcome) {
    metrics::with(|count| count.cache_lookup(tier, outcome));
}

/// A call waits for the same question's call under way.
pub fn flight_followed(scope: FlightScope) {
    metrics::with(|count| count.follower(scope));
}

/// The guard let no call be made for a card; `reason` is one of [`GUARD_REFUSALS`].
pub fn guard_refused(reason: &'static str) {
    metrics::with(|count| count.guard_refused(reason));
}

/// A call has cost its price, or may have.
pub fn spent(provider: &ProviderName, currency: &str, micros: u64) {
    metrics::with(|count| count.spent(provider, currency, micros));
}

/// Whether the shared store is there and trusted.
pub fn shared_store_up(up: bool) {
    metrics::with(|count| count.redis_up(up));
}

/// The shared store is lost. Told once, until it is found.
pub fn shared_store_lost(reason: &'static str, key: &'static str) {
    tracing::error!(reason, key, "the shared store is lost");
}

/// The shared store was looked for and is not there. Told once for each reason, until it is found.
pub fn shared_store_missing(reason: &'static str, key: &'static str) {
    tracing::warn!(reason, key, "the shared store is not there");
}

/// The shared store is there again, and whole.
pub fn shared_store_found() {
    tracing::info!("the shared store is there");
}

/// The shared store was emptied or has come back with older data.
pub fn shared_store_emptied() {
    tracing::error!(
        "the shared store was emptied or has come back with older data; what this process knows \
         is put back"
    );
}

/// What a full store does.
pub fn shared_store_policy(policy: &str, keeps_everything: bool) {
    metrics::with(|count| count.redis_may_forget(!keeps_everything));
    if !keeps_everything {
        tracing::error!(
            policy,
            "the shared store forgets what it was given when it is full: its maxmemory-policy must \
             be noeviction"
        );
    }
}

/// A question was dealt with without the shared store that there should be.
pub fn degraded() {
    metrics::with(|count| count.degraded());
}

/// How long a call takes. The clock is read only when somebody wants to know: most answers come
/// from memory, at once.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// When it began.
    pub begun: Instant,
    /// Whether its message came with its head and its answer was in memory: it cannot have been
    /// slow.
    pub at_once: bool,
}

/// From this latency on an answered call is worth a line.
const SLOW: Duration = Duration::from_secs(1);
/// Whether calls without an answer, and slow ones, are logged.
static LOG_PROBLEMS: AtomicBool = AtomicBool::new(true);
/// Whether every answered call is logged.
static LOG_ANSWERS: AtomicBool = AtomicBool::new(false);

/// Chooses which calls are logged from now on: those without an answer and slow ones, and all that
/// are answered.
pub fn choose_logged_calls(problems: bool, answers: bool) {
    LOG_PROBLEMS.store(problems, Relaxed);
    LOG_ANSWERS.store(answers, Relaxed);
}

/// A call was answered.
pub fn answered(
    method: &'static str,
    operation: Operation,
    provider: &ProviderName,
    finding: &Finding,
    source: Source,
    charge: Charge,
    took: Took,
) {
    let is_wanted = LOG_ANSWERS.load(Relaxed);
    let may_be_slow = !took.at_once && LOG_PROBLEMS.load(Relaxed);
    if (is_wanted || may_be_slow)
        && let latency = took.begun.elapsed()
        && (is_wanted || latency >= SLOW)
    {
        tracing::info!(
            method,
            operation = operation.as_str(),
            provider = provider.as_str(),
            result = finding.result_name(),
            source = source.as_str(),
            charge = charge.as_str(),
            latency_ms = millis(latency),
            "answered"
        );
    }
    trace::note(|span| {
        span.set(keys::OPERATION, operation.as_str());
        span.set(keys::PROVIDER, provider.as_str().to_owned());
        span.set(keys::RESULT, finding.result_name());
        span.set(keys::SOURCE, source.as_str());
        span.set(keys::CHARGE, charge.as_str());
    });
    metrics::with(|count| count.result(operation, provider, finding));
}

/// A call got no answer.
pub fn denied(method: &'static str, reason: &'static str, latency: Duration) {
    if LOG_PROBLEMS.load(Relaxed) {
        tracing::info!(method, reason, latency_ms = millis(latency), "no answer");
    }
    trace::note(|span| span.blame(reason));
}

/// A connection ended before anything could be asked over it. Anybody can make that happen as often
/// as they like, so it is not for everyday logs.
pub fn handshake_failed(error: &std::io::Error) {
    tracing::debug!(%error, "handshake failed");
}

/// New certificates are in use.
pub fn certificates_replaced(good_until: Option<jiff::Timestamp>) {
    tracing::info!(
        good_until = good_until.map(tracing::field::display),
        "new TLS certificates are in use for new connections"
    );
}

/// New certificates cannot be used. `error` names a key and a rule.
pub fn certificates_refused(error: &dyn std::fmt::Display) {
    tracing::error!(%error, "new TLS certificates cannot be used, the old ones stay");
}

/// Certificates in use that have ended: clients will refuse them.
pub fn certificates_expired(key: &'static str, not_after: jiff::Timestamp) {
    tracing::error!(key, %not_after, "TLS certificates have expired");
}

/// Somebody on this machine wanted to change something and did not show the operator's token.
pub fn admin_call_refused() {
    tracing::warn!("a call of the admin port was refused: not the operator's token");
}

/// Until when the certificates in use are good.
pub fn certificates_in_use(file: CertificateFile, not_after: jiff::Timestamp) {
    metrics::with(|count| count.certificate_expiry(file, not_after.as_second()));
}

/// The configuration was looked at again. `problems` name keys and rules, never values.
pub fn configuration_reloaded<'a>(
    outcome: ReloadOutcome,
    changed: &[String],
    needs_restart: &[String],
    problems: impl Iterator<Item = &'a dyn std::fmt::Display>,
) {
    for problem in problems {
        tracing::error!("configuration: {problem}");
    }
    let (changed, restart) = (changed.join(","), needs_restart.join(","));
    match outcome {
        ReloadOutcome::Applied => tracing::info!(changed, "new configuration in use"),
        ReloadOutcome::Unchanged => tracing::info!("the configuration has not changed"),
        ReloadOutcome::NeedsRestart => tracing::warn!(
            changed,
            needs_restart = restart,
            "new configuration in use, except for what needs a restart"
        ),
        ReloadOutcome::Refused => {
            tracing::error!("the new configuration cannot be used, the old one stays");
        }
    }
    metrics::with(|count| count.config_reload(outcome));
}

fn millis(latency: Duration) -> u64 {
    u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)
}
