//! Money is summed as whole millionths, and becomes a fraction only when somebody looks.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use opentelemetry::{KeyValue, metrics::Meter};

use super::table::{self, Row};
use crate::domain::ProviderName;

const ROW: &Row = &table::COST;
const MICROS: f64 = 1_000_000.0;

/// What each provider has cost.
pub(super) struct Costs(Arc<[Cost]>);

struct Cost {
    provider: ProviderName,
    currency: String,
    micros: AtomicU64,
}

impl Costs {
    /// Nothing yet, for every provider that has a price.
    pub(super) fn new(meter: &Meter, currencies: Vec<(ProviderName, String)>) -> Self {
        let costs: Arc<[Cost]> = currencies
            .into_iter()
            .map(|(provider, currency)| Cost {
                provider,
                currency,
                micros: AtomicU64::new(0),
            })
            .collect();
        let read = Arc::clone(&costs);
        let _ = meter
            .f64_observable_counter(ROW.name)
            .with_description(ROW.meaning)
            .with_callback(move |observer| {
                for cost in read.iter() {
                    let labels = [
                        KeyValue::new("currency", cost.currency.clone()),
                        KeyValue::new("provider", cost.provider.as_str().to_owned()),
                    ];
                    observer.observe(cost.units(), &labels);
                }
            })
            .build();
        Self(costs)
    }

    /// Adds the price of one call.
    pub(super) fn add(&self, provider: &ProviderName, currency: &str, micros: u64) {
        let known = |cost: &&Cost| cost.provider == *provider && cost.currency == currency;
        if let Some(cost) = self.0.iter().find(known) {
            cost.micros.fetch_add(micros, Ordering::Relaxed);
        }
    }
}

impl Cost {
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact up to nine thousand millions of a currency"
    )]
    fn units(&self) -> f64 {
        self.micros.load(Ordering::Relaxed) as f64 / MICROS
    }
}
