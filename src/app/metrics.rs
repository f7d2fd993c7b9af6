//! What `/metrics` shows.

use super::{DATA_VERSION, StartError};
use crate::{
    admin::MetricsSource,
    service::Service,
    telemetry::metrics::{self, Identity, Metrics, Observed},
};

/// The metrics of the process, as the admin port wants them.
pub struct Exposition(&'static Metrics);

impl Exposition {
    /// Begins to count for a service.
    ///
    /// # Errors
    /// When the exporter cannot be made.
    pub fn install(service: &Service) -> Result<Self, StartError> {
        let identity = Identity {
            version: env!("CARGO_PKG_VERSION"),
            bin_data_version: DATA_VERSION,
            providers: service.lanes().map(|lane| lane.name().clone()).collect(),
        };
        let (entries, weight) = (service.clone(), service.clone());
        let observed = Observed {
            cache_entries: Box::new(move || entries.cache().entries()),
            cache_weight_bytes: Box::new(move || weight.cache().weight_bytes()),
        };
        metrics::install(identity, observed)
            .map(Self)
            .map_err(|_| StartError::Metrics)
    }
}

impl MetricsSource for Exposition {
    fn metrics(&self) -> String {
        self.0.text()
    }
}
