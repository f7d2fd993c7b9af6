//! The instruments, and what each event does to them.

use std::time::Duration;

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

use super::{
    super::events::{
        CacheOutcome, CertificateFile, FlightScope, GUARD_REFUSALS, ReloadOutcome, RpcMethod, Tier,
    },
    BOUNDS_SECONDS, Identity,
    costs::Costs,
    family::{Family, Values, words},
    labels::{Labels, status_index},
    table::{self, Row},
};
use crate::domain::{
    Attempt, AttemptOutcome, Charge, Finding, Operation, ProviderName, ResultCode,
};

/// Makes instruments from rows of the table.
pub(super) struct Maker(pub(super) Meter);

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
pub struct Instruments {
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
    pub(super) fn new(maker: &Maker, labels: Labels, identity: Identity) -> Self {
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

    pub fn call(&self, method: RpcMethod, code: usize, latency: Duration) {
        if let Some(series) = self.calls.at([method as usize, code]) {
            series.record(latency.as_secs_f64());
        }
    }

    pub fn vendor_call(
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

    pub fn clock_skew(&self, provider: &ProviderName, seconds: i64) {
        if let Some(provider) = self.provider(provider)
            && let Some(series) = self.clock_skew.at([provider])
        {
            series.record(seconds);
        }
    }

    pub fn result(&self, operation: Operation, provider: &ProviderName, finding: &Finding) {
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

    pub fn attempt(&self, operation: Operation, attempt: &Attempt) {
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

    pub fn nonce_reused(&self, provider: &ProviderName) {
        if let Some(provider) = self.provider(provider)
            && let Some(series) = self.nonce_reused.at([provider])
        {
            series.add(1);
        }
    }

    pub fn code_conflict(&self, provider: &ProviderName, operation: Operation) {
        if let Some(provider) = self.provider(provider)
            && let Some(series) = self.code_conflicts.at([provider, operation as usize])
        {
            series.add(1);
        }
    }

    pub fn cache_lookup(&self, tier: Tier, outcome: CacheOutcome) {
        if let Some(series) = self.cache_lookups.at([tier as usize, outcome as usize]) {
            series.add(1);
        }
    }

    pub fn guard_refused(&self, reason: &str) {
        let known = GUARD_REFUSALS.iter().position(|known| *known == reason);
        if let Some(series) = known.and_then(|reason| self.guard_refusals.at([reason])) {
            series.add(1);
        }
    }

    pub fn redis_up(&self, up: bool) {
        if let Some(series) = self.redis_up.at([]) {
            series.record(i64::from(up));
        }
    }

    pub fn redis_may_forget(&self, may: bool) {
        if let Some(series) = self.redis_may_forget.at([]) {
            series.record(i64::from(may));
        }
    }

    pub fn degraded(&self) {
        if let Some(series) = self.redis_degraded.at([]) {
            series.add(1);
        }
    }

    pub fn spent(&self, provider: &ProviderName, currency: &str, micros: u64) {
        self.costs.add(provider, currency, micros);
    }

    pub fn config_reload(&self, outcome: ReloadOutcome) {
        if let Some(series) = self.reloads.at([outcome as usize]) {
            series.add(1);
        }
    }

    pub fn certificate_expiry(&self, file: CertificateFile, unix_seconds: i64) {
        if let Some(series) = self.certificate_expiry.at([file as usize]) {
            series.record(unix_seconds);
        }
    }

    pub fn follower(&self, scope: FlightScope) {
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
