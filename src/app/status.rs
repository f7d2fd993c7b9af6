//! What `/status` shows.

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::reload::{Reloader, Report};
use crate::{
    admin::StatusSource,
    domain::Operation,
    grpc::server::ServerGauges,
    health::HealthSwitch,
    provider::bin::DATA_VERSION,
    service::{Service, breaker::State, lane::Lane},
};

/// Everything that `/status` is made from.
pub struct Status {
    /// The service.
    pub service: Service,
    /// Whether calls are welcome.
    pub health: HealthSwitch,
    /// Connections and calls.
    pub gauges: ServerGauges,
    /// The configuration in force.
    pub reloader: Arc<Reloader>,
    /// When the process came up.
    pub started_at: Timestamp,
    /// The same, on a clock that never jumps.
    pub started: Instant,
}

impl StatusSource for Status {
    fn status(&self) -> Value {
        let cache = self.service.cache();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "bin_data_version": DATA_VERSION,
            "started_at": self.started_at.to_string(),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "ready": self.health.is_ready(),
            "warnings": *self.reloader.warnings(),
            "last_reload": self.reloader.last().as_ref().as_ref().map(reload),
            "connections": {
                "open": self.gauges.connections.inside(),
                "turned_away": self.gauges.connections.turned_away(),
            },
            "calls": {
                "in_flight": self.gauges.in_flight.inside(),
                "turned_away": self.gauges.in_flight.turned_away(),
                "at_vendors": self.service.in_flight(),
            },
            "cache": {
                "entries": cache.entries(),
                "weight_bytes": cache.weight_bytes(),
            },
            "routes": Operation::ALL.iter().map(|operation| {
                let names: Vec<_> = self
                    .service
                    .route(*operation)
                    .iter()
                    .map(|lane| lane.name().as_str().to_owned())
                    .collect();
                (operation.as_str().to_owned(), json!(names))
            }).collect::<Map<_, _>>(),
            "providers": self.service.lanes().map(provider).collect::<Vec<_>>(),
        })
    }
}

/// Keys and rules, never values.
fn reload(report: &Report) -> Value {
    json!({
        "at": report.at.to_string(),
        "trigger": report.trigger.as_str(),
        "outcome": report.outcome.as_str(),
        "changed": report.changed,
        "needs_restart": report.needs_restart,
        "problems": report.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn provider(lane: &Arc<Lane>) -> Value {
    let capabilities = lane.provider().capabilities();
    let operations: Vec<_> = Operation::ALL
        .iter()
        .filter(|operation| capabilities.can(**operation))
        .map(|operation| operation.as_str())
        .collect();
    let breaker = |operation: &Operation| {
        let state = match lane.breaker_state(*operation) {
            State::Closed => "closed",
            State::HalfOpen => "half_open",
            State::Open => "open",
        };
        (operation.as_str().to_owned(), json!(state))
    };
    json!({
        "name": lane.name().as_str(),
        "embedded": lane.is_embedded(),
        "maintenance": lane.in_maintenance(),
        "operations": operations,
        "requests_per_second": lane.requests_per_second(),
        "concurrent": lane.concurrent(),
        "price": price(lane),
        "breaker": Operation::ALL
            .iter()
            .filter(|operation| capabilities.can(**operation))
            .map(breaker)
            .collect::<Map<_, _>>(),
        // kind and time, never a text of the vendor
        "last_error": lane.last_error().map(|error| json!({
            "reason": error.kind.as_str(),
            "at": error.at.to_string(),
        })),
        "skipped": lane.skipped().map(|(outcome, left)| json!({
            "reason": outcome.as_str(),
            "for_seconds": left.as_secs_f64().ceil(),
        })),
    })
}

/// What charged calls cost, by operation, in millionths of the currency.
fn price(lane: &Lane) -> Value {
    let priced = Operation::ALL
        .iter()
        .filter_map(|operation| Some((operation, lane.price(*operation)?)));
    let micros: Map<_, _> = priced
        .clone()
        .map(|(operation, money)| (operation.as_str().to_owned(), json!(money.micros)))
        .collect();
    let currency = priced.map(|(_, money)| money.currency.as_str()).next();
    currency.map_or(
        Value::Null,
        |currency| json!({ "currency": currency, "micros": micros }),
    )
}
