//! What `/status` and the page show: about the process, its vendors, and what needs attention.

mod attention;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    metrics::Exposition,
    reload::{Reloader, Report},
};
use crate::{
    admin::StatusSource,
    domain::Operation,
    grpc::{server::ServerGauges, tls::Tls},
    health::HealthSwitch,
    provider::bin::DATA_VERSION,
    service::{Service, breaker::State, lane::Lane, tally::Snapshot},
    telemetry::metrics::table,
};

/// Everything that the status is made from.
pub struct Status {
    /// The service.
    pub service: Service,
    /// Whether calls are welcome.
    pub health: HealthSwitch,
    /// Connections and calls.
    pub gauges: ServerGauges,
    /// The configuration in force.
    pub reloader: Arc<Reloader>,
    /// The certificates, if there are any.
    pub tls: Option<Arc<Tls>>,
    /// What was counted.
    pub metrics: Arc<Exposition>,
    /// Bytes that answers may take.
    pub cache_capacity_bytes: u64,
    /// When the process came up.
    pub started_at: Timestamp,
    /// The same, on a clock that never jumps.
    pub started: Instant,
}

impl StatusSource for Status {
    fn status(&self) -> Value {
        let now = self.service.clock().now();
        let mut status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "bin_data_version": DATA_VERSION,
            "now": seconds(now),
            "started_at": seconds(self.started_at),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "phase": self.health.state().as_str(),
            "ready": self.health.is_ready(),
            "warnings": *self.reloader.warnings(),
            "last_reload": self.reloader.last().as_ref().as_ref().map(reload),
            "certificates": self.certificates(),
            "connections": {
                "open": self.gauges.connections.inside(),
                "turned_away": self.gauges.connections.turned_away(),
            },
            "calls": {
                "in_flight": self.gauges.in_flight.inside(),
                "turned_away": self.gauges.in_flight.turned_away(),
                "at_vendors": self.service.in_flight(),
            },
            "cache": self.cache(),
            "guard": self.guard(),
            "ledger": {
                "errors": self.service.safeguards().ledger.errors(),
                "unwritten": self.service.safeguards().ledger.unwritten(),
            },
            "redis": self.service.shared_store_is_up().map(|up| json!({ "up": up })),
            "routes": by_operation(|operation| {
                let lanes = self.service.route(operation).iter();
                Some(lanes.map(|lane| lane.name().as_str()).collect::<Vec<_>>().into())
            }),
            "providers": self.service.lanes().map(|lane| provider(lane, now)).collect::<Vec<_>>(),
        });
        status["attention"] = attention::what_needs_it(&status).into();
        status
    }
}

impl Status {
    fn certificates(&self) -> Vec<Value> {
        let expiries = self.tls.as_ref().map(|tls| tls.expiries());
        let keys = ["cert_file", "client_ca_file"];
        keys.into_iter()
            .zip(expiries.into_iter().flatten())
            .map(|(key, expiry)| json!({ "file": key, "not_after": seconds(expiry.not_after) }))
            .collect()
    }

    /// The ratio counts looks into any tier that found a usable answer against all questions.
    fn cache(&self) -> Value {
        let cache = self.service.cache();
        let lookups = self.metrics.counted(&table::CACHE_LOOKUPS);
        let of = |tier: Option<&str>, outcome: &str| -> u64 {
            let matching = lookups.iter().filter(|(labels, _)| {
                let is = |label: &str| labels.get(label).map(String::as_str);
                is("outcome") == Some(outcome) && (tier.is_none() || is("tier") == tier)
            });
            matching.map(|(_, count)| count).sum()
        };
        // whoever finds nothing here looks further
        let asked = of(Some("local"), "hit") + of(Some("local"), "miss");
        let hits = of(None, "hit");
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        // of a rounded ratio nobody takes the digits for a card number
        let ratio = (asked > 0).then(|| (hits as f64 / asked as f64 * 10_000.0).round() / 10_000.0);
        json!({
            "entries": cache.entries(),
            "weight_bytes": cache.weight_bytes(),
            "capacity_bytes": self.cache_capacity_bytes,
            "hits": hits,
            "misses": asked.saturating_sub(hits),
            "stale": of(None, "stale"),
            "hit_ratio": ratio,
        })
    }

    fn guard(&self) -> Value {
        let guard = &self.service.safeguards().guard;
        let refusals = self.metrics.counted(&table::GUARD_REFUSALS).into_iter();
        let refusals = refusals.filter_map(|(mut labels, count)| {
            let reason = labels.remove("reason")?;
            Some((reason, json!(count)))
        });
        let suspects = guard.suspects().into_iter().filter(|it| it.suspected);
        json!({
            "cards": guard.len(),
            "refusals": refusals.collect::<Map<_, _>>(),
            "suspects": suspects
                .map(|it| json!({ "caller": &*it.caller, "cards": it.cards }))
                .collect::<Vec<_>>(),
        })
    }
}

/// Whole seconds: nobody reads the rest.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
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

fn by_operation(value: impl Fn(Operation) -> Option<Value>) -> Value {
    let values = Operation::ALL
        .iter()
        .filter_map(|operation| Some((operation.as_str().to_owned(), value(*operation)?)));
    Value::Object(values.collect())
}

fn provider(lane: &Arc<Lane>, now: Timestamp) -> Value {
    let capabilities = lane.provider().capabilities();
    let able = |operation: Operation| capabilities.can(operation).then_some(operation);
    let operations = Operation::ALL.iter().filter_map(|it| able(*it));
    json!({
        "name": lane.name().as_str(),
        "embedded": lane.is_embedded(),
        "maintenance": lane.in_maintenance(),
        "operations": operations.map(Operation::as_str).collect::<Vec<_>>(),
        "requests_per_second": lane.requests_per_second(),
        "concurrent": lane.concurrent(),
        "price": price(lane),
        "budget": budget(lane, now),
        "breaker": by_operation(|operation| {
            able(operation).map(|operation| breaker(lane.breaker_state(operation)).into())
        }),
        "today": by_operation(|operation| {
            able(operation).map(|operation| today(&lane.tally(operation, now)))
        }),
        // kind and time, never a text of the vendor
        "last_error": lane.last_error().map(|error| json!({
            "reason": error.kind.as_str(),
            "at": seconds(error.at),
        })),
        "skipped": lane.skipped().map(|(outcome, left)| json!({
            "reason": outcome.as_str(),
            "for_seconds": left.as_secs_f64().ceil(),
        })),
    })
}

const fn breaker(state: State) -> &'static str {
    match state {
        State::Closed => "closed",
        State::HalfOpen => "half_open",
        State::Open => "open",
    }
}

/// Since midnight in Asia/Shanghai, on this replica; latencies are those of the latest calls.
fn today(tally: &Snapshot) -> Value {
    let millis = |latency: Option<std::time::Duration>| {
        latency.map(|latency| (latency.as_secs_f64() * 10_000.0).round() / 10.0)
    };
    json!({
        "calls": tally.today.calls,
        "answered": tally.today.answered,
        "charged": tally.today.charged,
        "unknown": tally.today.unknown,
        "cost_micros": tally.today.cost_micros,
        "median_ms": millis(tally.median),
        "slowest_ms": millis(tally.slowest),
        "last_error": tally.last_error.map(|(reason, at)| json!({
            "reason": reason,
            "at": seconds(at),
        })),
    })
}

/// What may be spent today, and what of it is.
fn budget(lane: &Lane, now: Timestamp) -> Value {
    let budget = lane.budget();
    budget.limit().map_or(Value::Null, |limit| {
        json!({
            "currency": limit.currency,
            "limit_micros": limit.micros,
            "spent_micros": budget.spent_micros(now),
        })
    })
}

/// What charged calls cost, by operation, in millionths of the currency.
fn price(lane: &Lane) -> Value {
    let priced: BTreeMap<_, _> = Operation::ALL
        .iter()
        .filter_map(|operation| Some((operation.as_str(), lane.price(*operation)?)))
        .collect();
    let currency = priced.values().map(|money| money.currency.as_str()).next();
    let micros: BTreeMap<_, _> = priced
        .iter()
        .map(|(key, money)| (key, money.micros))
        .collect();
    currency.map_or(
        Value::Null,
        |currency| json!({ "currency": currency, "micros": micros }),
    )
}
