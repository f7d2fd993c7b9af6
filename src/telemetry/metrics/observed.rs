//! What is known elsewhere, and only read when somebody looks.

use opentelemetry::{KeyValue, metrics::Meter};

use super::table::{self, Row};
use crate::{
    domain::{Operation, ProviderName, reason::vocabulary},
    telemetry::{
        otlp::{self, Signal},
        redaction,
    },
};

vocabulary! {
    /// Whose money a budget limits.
    BudgetScope {
        /// What is spent at a provider.
        Provider = "provider",
        /// What a caller spends.
        Caller = "caller",
    }
}

/// Reads something at the moment that it is asked.
pub type Read<T> = Box<dyn Fn() -> T + Send + Sync>;

/// What is read when somebody looks. By default there is nothing to see.
pub struct Observed {
    /// Answers in the cache of this process.
    pub cache_entries: Read<u64>,
    /// Bytes that they take.
    pub cache_weight_bytes: Read<u64>,
    /// Every breaker, and its state: 0 closed, 1 half-open, 2 open.
    pub breakers: Read<Vec<(ProviderName, Operation, u64)>>,
    /// Every budget that has a limit, whose it is, and the part of it that is spent.
    pub budgets: Read<Vec<(BudgetScope, String, f64)>>,
    /// Callers, and whether they look like somebody that tries out stolen cards.
    pub suspects: Read<Vec<(String, bool)>>,
    /// Lines of the ledger that could not be written when they should have been.
    pub ledger_errors: Read<u64>,
}

impl Default for Observed {
    fn default() -> Self {
        Self {
            cache_entries: Box::new(|| 0),
            cache_weight_bytes: Box::new(|| 0),
            breakers: Box::new(Vec::new),
            budgets: Box::new(Vec::new),
            suspects: Box::new(Vec::new),
            ledger_errors: Box::new(|| 0),
        }
    }
}

impl Observed {
    /// Has everything read whenever the meter is.
    pub(super) fn register(self, meter: &Meter) {
        let plain = |value: u64| vec![(Vec::new(), value)];
        let Self {
            cache_entries,
            cache_weight_bytes,
            breakers,
            budgets,
            suspects,
            ledger_errors,
        } = self;
        gauge(meter, &table::CACHE_ENTRIES, move || plain(cache_entries()));
        gauge(meter, &table::CACHE_WEIGHT, move || {
            plain(cache_weight_bytes())
        });
        gauge(meter, &table::BREAKER, move || {
            let each = breakers().into_iter().map(|(provider, operation, state)| {
                let provider = provider.as_str().to_owned();
                (vec![provider, operation.as_str().to_owned()], state)
            });
            each.collect()
        });
        gauge(meter, &table::SUSPECTS, move || {
            let each = suspects().into_iter();
            each.map(|(caller, suspected)| (vec![caller], u64::from(suspected)))
                .collect()
        });
        let _ = meter
            .f64_observable_gauge(table::BUDGET_SPENT.name)
            .with_description(table::BUDGET_SPENT.meaning)
            .with_callback(move |observer| {
                for (scope, name, ratio) in budgets() {
                    let labels = labelled(&table::BUDGET_SPENT, [scope.as_str().to_owned(), name]);
                    observer.observe(ratio, &labels);
                }
            })
            .build();
        counter(meter, &table::LEDGER_ERRORS, move || plain(ledger_errors()));
        counter(meter, &table::REDACTION_HITS, move || {
            plain(redaction::hits())
        });
        counter(meter, &table::OTEL_DROPPED, || {
            let signals = Signal::ALL.iter().copied();
            let each = signals.map(|it| (vec![it.as_str().to_owned()], otlp::dropped(it)));
            each.collect()
        });
    }
}

type Series = Vec<(Vec<String>, u64)>;

fn gauge(meter: &Meter, row: &'static Row, read: impl Fn() -> Series + Send + Sync + 'static) {
    // the meter keeps the callback; the instrument itself is nothing
    let _ = meter
        .u64_observable_gauge(row.name)
        .with_unit(row.unit)
        .with_description(row.meaning)
        .with_callback(move |observer| {
            for (values, value) in read() {
                observer.observe(value, &labelled(row, values));
            }
        })
        .build();
}

fn counter(meter: &Meter, row: &'static Row, read: impl Fn() -> Series + Send + Sync + 'static) {
    let _ = meter
        .u64_observable_counter(row.name)
        .with_unit(row.unit)
        .with_description(row.meaning)
        .with_callback(move |observer| {
            for (values, value) in read() {
                observer.observe(value, &labelled(row, values));
            }
        })
        .build();
}

/// Labels come in the row's order.
fn labelled(row: &Row, values: impl IntoIterator<Item = String>) -> Vec<KeyValue> {
    let names = row.labels.iter().map(|(name, _)| *name);
    names
        .zip(values)
        .map(|(name, value)| KeyValue::new(name, value))
        .collect()
}
