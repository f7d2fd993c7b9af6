//! What is counted, and how it is shown.
//!
//! The instruments live behind [`super::events`]: whoever has something to tell calls one function
//! there, which logs and counts. They exist once in the process, from [`install`] on; before it,
//! and in programs that never call it, counting does nothing.
//!
//! Every label has a closed set of values, known when the instruments are made: methods, gRPC
//! codes, operations, results, outcomes and charges from the program's own vocabulary, providers
//! from the configuration. A value outside its set is not counted anywhere else instead: it is
//! dropped, so that nothing a caller or vendor sends can make a series. On the way of a call
//! nothing is allocated and no label is looked up by its text.
//!
//! To add a metric:
//! 1. `table.rs`: a `Row` in [`table::ALL`].
//! 2. Here: a field of `Instruments`, made in `Instruments::new` by one of `Maker`'s functions with
//!    the values of its labels in the row's order. Call `all_at_zero()` on it where the
//!    combinations are few and zero means something.
//! 3. Here: a method of `Instruments` that finds the indices and adds, records or sets. A value
//!    that is known elsewhere and only read when somebody looks is a field of [`Observed`] instead.
//! 4. `events.rs`: call that method in the function of the event, through `with`.
//! 5. `cargo run --example generate-docs -- --write`, and a line in the table of
//!    `tests/it/metrics.rs`, written by hand.

mod costs;
mod family;
mod labels;
mod observed;
pub mod page;
pub mod table;

use std::{collections::BTreeMap, fmt, sync::OnceLock, time::Duration};

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, MeterProvider};
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::{Registry, TextEncoder};

pub use self::observed::{BudgetScope, Observed, Read};
use self::{
    costs::Costs,
    family::{Family, Values, words},
    labels::{Labels, status_index},
    table::Row,
};
use super::{
    events::{
        CacheOutcome, CertificateFile, FlightScope, GUARD_REFUSALS, ReloadOutcome, RpcMethod, Tier,
    },
    otlp::{self, Otlp},
};
use crate::domain::{
    Attempt, AttemptOutcome, Charge, Finding, Operation, ProviderName, ResultCode,
};

/// Upper bounds of the histograms' buckets. A cached answer takes microseconds, a vendor's up to
/// seconds, and no call longer than the usual `server.max_deadline_ms`.
pub const BOUNDS_SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

static INSTALLED: OnceLock<Metrics> = OnceLock::new();

/// What the process is made of, as far as metrics tell it.
pub struct Identity {
    /// The program's version.
    pub version: &'static str,
    /// The edition of the embedded BIN table.
    pub bin_data_version: &'static str,
    /// All providers that may be asked.
    pub providers: Vec<ProviderName>,
    /// What each of them may be asked for.
    pub operations: Vec<(ProviderName, Operation)>,
    /// The currency of each provider that has a price.
    pub currencies: Vec<(ProviderName, String)>,
}

/// The metrics of the process.
pub struct Metrics {
    instruments: Instruments,
    registry: Registry,
    /// Keeps the instruments connected.
    provider: SdkMeterProvider,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// The metrics could not be set up; a test rules that out.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot be set up")]
pub struct InstallError;

/// Begins to count, and to send over OTLP where that is given. Once in a process: a second call
/// changes nothing and returns the first's.
///
/// # Errors
/// When the exporter cannot be made.
pub fn install(
    identity: Identity,
    observed: Observed,
    otlp: Option<Otlp>,
) -> Result<&'static Metrics, InstallError> {
    if let Some(metrics) = INSTALLED.get() {
        return Ok(metrics);
    }
    let metrics = Metrics::new(identity, observed, otlp)?;
    Ok(INSTALLED.get_or_init(|| metrics))
}

/// Does something with the instruments, if there are any.
pub(super) fn with(count: impl FnOnce(&Instruments)) {
    if let Some(metrics) = INSTALLED.get() {
        count(&metrics.instruments);
    }
}

impl Metrics {
    fn new(
        identity: Identity,
        observed: Observed,
        otlp: Option<Otlp>,
    ) -> Result<Self, InstallError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            // series carry the labels of the contract and no others
            .scope_info_enabled(false)
            .without_target_info()
            .build()
            .map_err(|_| InstallError)?;
        let labels = Labels::new(&identity.providers);
        let limits = labels.limits();
        let mut builder = SdkMeterProvider::builder().with_reader(exporter);
        if let Some(mut otlp) = otlp {
            builder = builder.with_resource(otlp.resource());
            if let Some(reader) = otlp.metrics_reader() {
                builder = builder.with_reader(reader);
            }
        }
        let provider = builder
            .with_view(move |instrument: &Instrument| {
                let (_, limit) = limits.iter().find(|(name, _)| *name == instrument.name())?;
                Stream::builder()
                    .with_cardinality_limit(*limit)
                    .build()
                    .ok()
            })
            .build();
        let maker = Maker(provider.meter("cardproof"));
        observed.register(&maker.0);
        Ok(Self {
            instruments: Instruments::new(&maker, labels, identity),
            registry,
            provider,
        })
    }

    /// What a counter of the table stands at: its labels by Prometheus's names, and the count.
    #[must_use]
    pub fn counted(&self, row: &Row) -> Vec<(BTreeMap<String, String>, u64)> {
        let name = row.prometheus_name();
        let families = self.registry.gather();
        let series = families.iter().filter(|family| family.name() == name);
        series
            .flat_map(|family| family.get_metric())
            .map(|series| {
                let labels = series.get_label().iter();
                let labels = labels.map(|it| (it.name().to_owned(), it.value().to_owned()));
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a counter of whole things"
                )]
                let count = series.get_counter().get_value() as u64;
                (labels.collect(), count)
            })
            .collect()
    }

    /// All metrics in the Prometheus text format, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }

    /// Sends what is left of traces and metrics, for at most a while. Blocks, and must not be
    /// called from a runtime's thread.
    pub fn send_the_rest(&self, patience: Duration) {
        otlp::shutdown(&self.provider, patience);
    }
}

/// Makes instruments from rows of the table.
struct Maker(Meter);

impl Maker {
    fn counter<const N: usize>(&self, row: &Row, values: [Values; N]) -> Family<Counter<u64>, N> {
        let instrument = self.0.u64_counter(row.name);
        let instrument = instrument
            .with_unit(row.unit)
            .with_description(row.meaning)
            .build();
        Family::new(row, instrument, values)
    }

    fn gauge<const N: usize>(&self, row: &Row, values: [Values; N]) -> Family<Gauge<i64>, N> {
        let instrument = self.0.i64_gauge(row.name);
        let instrument = instrument
            .with_unit(row.unit)
            .with_description(row.meaning)
            .build();
        Family::new(row, instrument, values)
    }

    fn histogram<const N: usize>(
        &self,
        row: &Row,
        values: [Values; N],
    ) -> Family<Histogram<f64>, N> {
        let instrument = self.0.f64_histogram(row.name);
        let instrument = instrument
            .with_unit(row.unit)
            .with_description(row.meaning)
            .with_boundaries(BOUNDS_SECONDS.to_vec())
            .build();
        Family::new(row, instrument, values)
    }
}

/// Everything that is counted.
pub(super) struct Instruments {
    providers: Vec<ProviderName>,
    calls: Family<Histogram<f64>, 2>,
    vendor_calls: Family<Histogram<f64>, 3>,
    results: Family<Counter<u64>, 3>,
    attempts: Family<Counter<u64>, 4>,
    outcome_unknown: Family<Counter<u64>, 1>,
    nonce_reused: Family<Counter<u64>, 1>,
    code_conflicts: Family<Counter<u64>, 2>,
    misconfigured: Family<Gauge<i64>, 1>,
    clock_skew: Family<Gauge<i64>, 1>,
    cache_lookups: Family<Counter<u64>, 2>,
    followers: Family<Counter<u64>, 1>,
    guard_refusals: Family<Counter<u64>, 1>,
    costs: Costs,
    reloads: Family<Counter<u64>, 1>,
    certificate_expiry: Family<Gauge<i64>, 1>,
    redis_up: Family<Gauge<i64>, 0>,
    redis_may_forget: Family<Gauge<i64>, 0>,
    redis_degraded: Family<Counter<u64>, 0>,
}

impl Instruments {
    fn new(maker: &Maker, labels: Labels, identity: Identity) -> Self {
        let build = [
            words([identity.version]),
            words([identity.bin_data_version]),
        ];
        if let Some(build) = maker.gauge(&table::BUILD, build).at([0, 0]) {
            build.record(1);
        }
        let scopes = [words(FlightScope::ALL.iter().map(|it| it.as_str()))];
        let reloads = [words(ReloadOutcome::ALL.iter().map(|it| it.as_str()))];
        let files = [words(CertificateFile::ALL.iter().map(|it| it.as_str()))];
        let per_provider = |row: &Row| maker.counter(row, labels.provider()).all_at_zero();
        let instruments = Self {
            providers: identity.providers,
            calls: maker.histogram(&table::CALLS, labels.calls()),
            vendor_calls: maker.histogram(&table::VENDOR_CALLS, labels.vendor_calls()),
            results: maker.counter(&table::RESULTS, labels.results()),
            attempts: maker.counter(&table::ATTEMPTS, labels.attempts()),
            outcome_unknown: per_provider(&table::OUTCOME_UNKNOWN),
            nonce_reused: per_provider(&table::NONCE_REUSED),
            code_conflicts: maker
                .counter(&table::CODE_CONFLICTS, labels.provider_and_operation())
                .all_at_zero(),
            misconfigured: maker
                .gauge(&table::MISCONFIGURED, labels.provider())
                .all_at_zero(),
            clock_skew: maker.gauge(&table::CLOCK_SKEW, labels.provider()),
            cache_lookups: maker
                .counter(&table::CACHE_LOOKUPS, labels.lookups())
                .all_at_zero(),
            followers: maker.counter(&table::FOLLOWERS, scopes).all_at_zero(),
            guard_refusals: maker
                .counter(&table::GUARD_REFUSALS, [words(GUARD_REFUSALS)])
                .all_at_zero(),
            costs: Costs::new(&maker.0, identity.currencies),
            reloads: maker.counter(&table::RELOADS, reloads).all_at_zero(),
            certificate_expiry: maker.gauge(&table::CERTIFICATE_EXPIRY, files),
            redis_up: maker.gauge(&table::REDIS_UP, []),
            redis_may_forget: maker.gauge(&table::REDIS_MAY_FORGET, []),
            redis_degraded: maker.counter(&table::REDIS_DEGRADED, []).all_at_zero(),
        };
        for (provider, operation) in &identity.operations {
            instruments.expect_attempts(provider, *operation);
        }
        instruments
    }

    /// Exposes with zero whatever can become of a call. Most combinations of the labels cannot,
    /// so not all of them stand there, as they do for smaller families.
    fn expect_attempts(&self, provider: &ProviderName, operation: Operation) {
        let Some(provider) = self.provider(provider) else {
            return;
        };
        for outcome in AttemptOutcome::ALL {
            for charge in charges_of(*outcome) {
                let at = [
                    provider,
                    operation as usize,
                    *outcome as usize,
                    *charge as usize,
                ];
                let _tied = self.attempts.at(at);
            }
        }
    }

    /// The index of a provider: they are few, so looking at each is the quickest.
    fn provider(&self, name: &ProviderName) -> Option<usize> {
        self.providers.iter().position(|known| known == name)
    }

    pub(super) fn call(&self, method: RpcMethod, code: usize, latency: Duration) {
        if let Some(series) = self.calls.at([method as usize, code]) {
            series.record(latency.as_secs_f64());
        }
    }

    pub(super) fn vendor_call(
        &self,
        provider: &ProviderName,
        operation: Option<Operation>,
        status: Option<u16>,
        latency: Duration,
    ) {
        let operation = operation.map_or(Operation::ALL.len(), |it| it as usize);
        if let Some(provider) = self.provider(provider)
            && let Some(series) = self
                .vendor_calls
                .at([provider, operation, status_index(status)])
        {
            series.record(latency.as_secs_f64());
        }
    }

    pub(super) fn clock_skew(&self, provider: &ProviderName, seconds: i64) {
        if let Some(provider) = self.provider(provider)
            && let Some(series) = self.clock_skew.at([provider])
        {
            series.record(seconds);
        }
    }

    pub(super) fn result(&self, operation: Operation, provider: &ProviderName, finding: &Finding) {
        let result = match finding {
            Finding::Verification { result, .. } => *result as usize,
            Finding::CardInfo { result, .. } => ResultCode::ALL.len() + *result as usize,
        };
        if let Some(provider) = self.provider(provider)
            && let Some(series) = self.results.at([operation as usize, provider, result])
        {
            series.add(1);
        }
    }

    pub(super) fn attempt(&self, operation: Operation, attempt: &Attempt) {
        let Some(provider) = self.provider(&attempt.provider) else {
            return;
        };
        let at = [
            provider,
            operation as usize,
            attempt.outcome as usize,
            attempt.charge as usize,
        ];
        if let Some(series) = self.attempts.at(at) {
            series.add(1);
        }
        if attempt.outcome == AttemptOutcome::OutcomeUnknown
            && let Some(series) = self.outcome_unknown.at([provider])
        {
            series.add(1);
        }
        if let Some(misconfigured) = says_misconfigured(attempt.outcome)
            && let Some(series) = self.misconfigured.at([provider])
        {
            series.record(i64::from(misconfigured));
        }
    }

    pub(super) fn nonce_reused(&self, provider: &ProviderName) {
        if let Some(provider) = self.provider(provider)
            && let Some(series) = self.nonce_reused.at([provider])
        {
            series.add(1);
        }
    }

    pub(super) fn code_conflict(&self, provider: &ProviderName, operation: Operation) {
        if let Some(provider) = self.provider(provider)
            && let Some(series) = self.code_conflicts.at([provider, operation as usize])
        {
            series.add(1);
        }
    }

    pub(super) fn cache_lookup(&self, tier: Tier, outcome: CacheOutcome) {
        if let Some(series) = self.cache_lookups.at([tier as usize, outcome as usize]) {
            series.add(1);
        }
    }

    pub(super) fn guard_refused(&self, reason: &str) {
        let known = GUARD_REFUSALS.iter().position(|known| *known == reason);
        if let Some(series) = known.and_then(|reason| self.guard_refusals.at([reason])) {
            series.add(1);
        }
    }

    pub(super) fn redis_up(&self, up: bool) {
        if let Some(series) = self.redis_up.at([]) {
            series.record(i64::from(up));
        }
    }

    pub(super) fn redis_may_forget(&self, may: bool) {
        if let Some(series) = self.redis_may_forget.at([]) {
            series.record(i64::from(may));
        }
    }

    pub(super) fn degraded(&self) {
        if let Some(series) = self.redis_degraded.at([]) {
            series.add(1);
        }
    }

    pub(super) fn spent(&self, provider: &ProviderName, currency: &str, micros: u64) {
        self.costs.add(provider, currency, micros);
    }

    pub(super) fn config_reload(&self, outcome: ReloadOutcome) {
        if let Some(series) = self.reloads.at([outcome as usize]) {
            series.add(1);
        }
    }

    pub(super) fn certificate_expiry(&self, file: CertificateFile, unix_seconds: i64) {
        if let Some(series) = self.certificate_expiry.at([file as usize]) {
            series.record(unix_seconds);
        }
    }

    pub(super) fn follower(&self, scope: FlightScope) {
        if let Some(series) = self.followers.at([scope as usize]) {
            series.add(1);
        }
    }
}

/// What a call that ended so may have cost. None where no call was made: that is not counted.
const fn charges_of(outcome: AttemptOutcome) -> &'static [Charge] {
    match outcome {
        AttemptOutcome::Answered => Charge::ALL,
        AttemptOutcome::OutcomeUnknown => &[Charge::Unknown],
        AttemptOutcome::NotSent
        | AttemptOutcome::Throttled
        | AttemptOutcome::Misconfigured
        | AttemptOutcome::OutOfCredit
        | AttemptOutcome::Refused => &[Charge::NotCharged],
        AttemptOutcome::BreakerOpen | AttemptOutcome::BudgetSpent => &[],
    }
}

/// Whether a vendor accepts what it knows us by; `None` where the outcome does not tell.
const fn says_misconfigured(outcome: AttemptOutcome) -> Option<bool> {
    match outcome {
        AttemptOutcome::Misconfigured | AttemptOutcome::OutOfCredit => Some(true),
        AttemptOutcome::Answered | AttemptOutcome::Refused => Some(false),
        AttemptOutcome::NotSent
        | AttemptOutcome::Throttled
        | AttemptOutcome::BreakerOpen
        | AttemptOutcome::BudgetSpent
        | AttemptOutcome::OutcomeUnknown => None,
    }
}

#[cfg(test)]
mod tests;
