//! What `/metrics` shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{DATA_VERSION, StartError};
use crate::{
    admin::MetricsSource,
    domain::{Operation, ProviderName},
    grpc::auth::Callers,
    service::{Service, ask::Caller, lane::Lane},
    telemetry::{
        metrics::{self, BudgetScope, Identity, Metrics, Observed, table::Row},
        otlp::Otlp,
    },
};

/// The metrics of the process, as the admin port wants them.
pub struct Exposition(&'static Metrics);

impl Exposition {
    /// Begins to count for a service and those who may call it.
    ///
    /// # Errors
    /// When the exporter cannot be made.
    pub fn install(
        service: &Service,
        callers: &Arc<Callers>,
        otlp: Otlp,
    ) -> Result<Self, StartError> {
        let identity = Identity {
            version: env!("CARGO_PKG_VERSION"),
            bin_data_version: DATA_VERSION,
            providers: service.lanes().map(|lane| lane.name().clone()).collect(),
            operations: operations(service),
            currencies: currencies(service),
        };
        metrics::install(identity, observed(service, callers), Some(otlp))
            .map(Self)
            .map_err(|_| StartError::Metrics)
    }

    /// See [`Metrics::send_the_rest`].
    pub fn send_the_rest(&self, patience: Duration) {
        self.0.send_the_rest(patience);
    }

    /// What a counter stands at, series by series.
    pub fn counted(&self, row: &Row) -> Vec<(BTreeMap<String, String>, u64)> {
        self.0.counted(row)
    }
}

impl MetricsSource for Exposition {
    fn metrics(&self) -> String {
        self.0.text()
    }
}

/// The currency of each provider that has a price.
fn currencies(service: &Service) -> Vec<(ProviderName, String)> {
    let priced = service.lanes().filter_map(|lane| {
        let mut prices = Operation::ALL.iter().filter_map(|it| lane.price(*it));
        Some((lane.name().clone(), prices.next()?.currency.clone()))
    });
    priced.collect()
}

fn observed(service: &Service, callers: &Arc<Callers>) -> Observed {
    let read = |service: &Service| service.clone();
    let (entries, weight, breakers) = (read(service), read(service), read(service));
    let (budgets, suspects, ledger) = (read(service), read(service), read(service));
    let (spenders, known) = (Arc::clone(callers), Arc::clone(callers));
    Observed {
        cache_entries: Box::new(move || entries.cache().entries()),
        cache_weight_bytes: Box::new(move || weight.cache().weight_bytes()),
        breakers: Box::new(move || breaker_states(&breakers)),
        budgets: Box::new(move || spent_ratios(&budgets, &spenders)),
        suspects: Box::new(move || suspicions(&suspects, &known)),
        ledger_errors: Box::new(move || ledger.safeguards().ledger.errors()),
    }
}

fn breaker_states(service: &Service) -> Vec<(ProviderName, Operation, u64)> {
    let with_breaker = service.lanes().filter(|lane| !lane.is_embedded());
    with_breaker
        .flat_map(|lane| {
            able(lane).map(|operation| {
                let state = lane.breaker_state(operation).as_metric();
                (lane.name().clone(), operation, state)
            })
        })
        .collect()
}

/// What each provider can be asked for.
fn operations(service: &Service) -> Vec<(ProviderName, Operation)> {
    let each = service.lanes().flat_map(|lane| {
        let name = lane.name();
        able(lane).map(|operation| (name.clone(), operation))
    });
    each.collect()
}

fn able(lane: &Lane) -> impl Iterator<Item = Operation> {
    let capabilities = lane.provider().capabilities();
    let all = Operation::ALL.iter().copied();
    all.filter(move |operation| capabilities.can(*operation))
}

fn spent_ratios(service: &Service, callers: &Callers) -> Vec<(BudgetScope, String, f64)> {
    let now = service.clock().now();
    let of_providers = service.lanes().filter_map(|lane| {
        let ratio = lane.budget().spent_ratio(now)?;
        let name = lane.name().as_str().to_owned();
        Some((BudgetScope::Provider, name, ratio))
    });
    let of_callers = callers.callers();
    let of_callers = of_callers.iter().filter_map(|caller| {
        let ratio = caller.budget.spent_ratio(now)?;
        Some((BudgetScope::Caller, caller.name.to_string(), ratio))
    });
    of_providers.chain(of_callers).collect()
}

/// Everybody who may call, and who had mismatches lately though that may not be so any more.
fn suspicions(service: &Service, callers: &Callers) -> Vec<(String, bool)> {
    let lately = service.safeguards().guard.suspects();
    let of_lately = lately
        .iter()
        .map(|it| (it.caller.to_string(), it.suspected));
    let named: BTreeSet<&str> = lately.iter().map(|it| &*it.caller).collect();
    let mut others: Vec<_> = callers
        .callers()
        .iter()
        .map(|it| it.name.to_string())
        .collect();
    if others.is_empty() {
        others.push(Caller::anonymous().name.to_string());
    }
    others.retain(|name| !named.contains(&**name));
    let others = others.into_iter().map(|name| (name, false));
    of_lately.chain(others).collect()
}
