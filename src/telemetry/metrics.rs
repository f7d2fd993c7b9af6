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
//! 2. `instruments.rs`: a field of `Instruments`, made in `Instruments::new` by one of `Maker`'s
//!    functions with the values of its labels in the row's order. Call `all_at_zero()` on it where
//!    the combinations are few and zero means something.
//! 3. There, too: a method of `Instruments` that finds the indices and adds, records or sets. A
//!    value that is known elsewhere and only read when somebody looks is a field of [`Observed`]
//!    instead.
//! 4. `events.rs`: call that method in the function of the event, through `with`.
//! 5. `cargo run --example generate-docs -- --write`, and a line in the table of
//!    `tests/it/metrics.rs`, written by hand.

mod costs;
mod family;
mod instruments;
mod labels;
mod observed;
pub mod page;
pub mod table;

use std::{collections::BTreeMap, fmt, sync::OnceLock, time::Duration};

use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::{Registry, TextEncoder};

pub use self::observed::{BudgetScope, Observed, Read};
use self::{
    instruments::{Instruments, Maker},
    labels::Labels,
    table::Row,
};
use super::otlp::{self, Otlp};
use crate::domain::{Operation, ProviderName};

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

#[cfg(test)]
mod tests;
