//! OTLP: spans and metrics on their way to a collector, as the `OTEL_*` variables say.
//!
//! Nothing here ever waits for the collector but threads that do nothing else: a span that is ready
//! goes into a bounded queue, and one that finds it full is dropped. What does not arrive is counted
//! (`cardproof_otel_dropped_total`) and told once in the log, until it arrives again.

mod delivery;
mod settings;
mod transport;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanId, TraceId},
};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanProcessor},
};
use tokio::runtime::Handle;

use self::{
    delivery::Delivery,
    settings::Settings,
    transport::{Obstacle, Way},
};
use super::trace::{Context, sampler::Sampler};
use crate::domain::reason::vocabulary;

/// Looks up a variable of the environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What reads the metrics and pushes them.
pub(super) type MetricsReader = PeriodicReader<Delivery<MetricExporter>>;

vocabulary! {
    /// What can be sent.
    Signal {
        /// Spans.
        Traces = "traces",
        /// Metrics.
        Metrics = "metrics",
    }
}

static TRACER: OnceLock<Tracer> = OnceLock::new();
/// Whether callers' trace context is passed over: `OTEL_PROPAGATORS` without it.
static SILENT: AtomicBool = AtomicBool::new(false);
static DROPPED: [AtomicU64; Signal::ALL.len()] = [const { AtomicU64::new(0) }; Signal::ALL.len()];

struct Tracer {
    sampler: Sampler,
    processor: BatchSpanProcessor,
    /// Spans that are ready and not yet on their way.
    waiting: Arc<AtomicUsize>,
    room: usize,
}

/// What is sent, and what is left to connect.
pub struct Otlp {
    resource: Resource,
    metrics: Option<MetricsReader>,
}

/// How much of a signal did not arrive: spans, or exports of all metrics.
pub(super) fn dropped(signal: Signal) -> u64 {
    DROPPED
        .get(signal as usize)
        .map_or(0, |count| count.load(Ordering::Relaxed))
}

fn count_dropped(signal: Signal, count: usize) {
    if let Some(dropped) = DROPPED.get(signal as usize) {
        dropped.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// Begins to send what the variables say. Connections live on the given runtime, which must not be
/// one that a caller waits for.
///
/// A variable that cannot be used is told in the log and does not keep the service from starting:
/// telemetry is there to help.
#[must_use]
pub fn start(env: Env<'_>, runtime: &Handle) -> Otlp {
    let settings = Settings::of(env);
    for complaint in &settings.complaints {
        tracing::warn!("{complaint}");
    }
    let resource = resource(env);
    SILENT.store(!settings.propagates, Ordering::Relaxed);
    // the exporters ask for a runtime while they are built
    let _entered = runtime.enter();
    if let Some(way) = &settings.traces {
        start_traces(&settings, way, &resource, runtime);
    }
    let metrics = settings.metrics.as_ref().and_then(|way| {
        let exporter = transport::metrics(way);
        let exporter = exporter.map_err(|obstacle| cannot_be_set_up(Signal::Metrics, &obstacle));
        let delivery = Delivery::new(exporter.ok()?, Signal::Metrics, runtime.clone());
        Some(PeriodicReader::builder(delivery).build())
    });
    tracing::debug!(
        traces = TRACER.get().is_some(),
        metrics = metrics.is_some(),
        "what is sent over OTLP"
    );
    Otlp { resource, metrics }
}

fn start_traces(settings: &Settings, way: &Way, resource: &Resource, runtime: &Handle) {
    let mut exporter = match transport::spans(way) {
        Ok(exporter) => exporter,
        Err(obstacle) => return cannot_be_set_up(Signal::Traces, &obstacle),
    };
    opentelemetry_sdk::trace::SpanExporter::set_resource(&mut exporter, resource);
    let waiting = Arc::new(AtomicUsize::new(0));
    let delivery =
        Delivery::new(exporter, Signal::Traces, runtime.clone()).taking_from(Arc::clone(&waiting));
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(settings.queue)
        .build();
    let processor = BatchSpanProcessor::builder(delivery)
        .with_batch_config(config)
        .build();
    // a second start in one process changes nothing
    let _ = TRACER.set(Tracer {
        sampler: settings.sampler,
        processor,
        waiting,
        room: settings.queue,
    });
}

fn cannot_be_set_up(signal: Signal, obstacle: &Obstacle) {
    tracing::error!(
        signal = signal.as_str(),
        "OTLP cannot be set up: {obstacle}"
    );
}

/// Whether the trace context of callers is taken up and handed on.
pub(super) fn propagates() -> bool {
    !SILENT.load(Ordering::Relaxed)
}

/// Who sends: what the variables say over what this program knows of itself.
fn resource(env: Env<'_>) -> Resource {
    let builder = Resource::builder_empty()
        .with_service_name("cardproof")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
        ])
        .with_detectors(&[
            Box::new(opentelemetry_sdk::resource::TelemetryResourceDetector),
            Box::new(opentelemetry_sdk::resource::EnvResourceDetector::new()),
        ]);
    match env("OTEL_SERVICE_NAME").filter(|name| !name.is_empty()) {
        Some(name) => builder.with_service_name(name).build(),
        None => builder.build(),
    }
}

impl Otlp {
    /// Who sends.
    pub(super) fn resource(&self) -> Resource {
        self.resource.clone()
    }

    /// What is to read the metrics; once.
    pub(super) fn metrics_reader(&mut self) -> Option<MetricsReader> {
        self.metrics.take()
    }
}

/// Sends what is left, for at most a while, and ends. Must not be called from a runtime's thread.
pub(super) fn shutdown(metrics: &SdkMeterProvider, patience: Duration) {
    // neither has anything to tell about a collector that is not there
    thread::scope(|scope| {
        if let Some(tracer) = TRACER.get() {
            scope.spawn(move || tracer.processor.shutdown_with_timeout(patience));
        }
        scope.spawn(move || metrics.shutdown_with_timeout(patience));
    });
}

/// The place of a new span for a call with this parent; `None` where its trace is not recorded.
pub(super) fn recorded(parent: Option<&Context>) -> Option<Context> {
    let tracer = TRACER.get()?;
    if parent.is_none() && tracer.sampler.needs_a_parent() {
        return None;
    }
    let trace_id = parent.map_or_else(new_trace_id, |parent| parent.trace_id);
    let records = tracer.sampler.records(parent, trace_id);
    records.then(|| Context {
        trace_id,
        span_id: new_span_id(),
        sampled: true,
        state: parent.and_then(|parent| parent.state.clone()),
    })
}

/// The place of a new span below another.
pub(super) fn child_of(parent: &Context) -> Context {
    Context {
        span_id: new_span_id(),
        ..parent.clone()
    }
}

fn new_trace_id() -> TraceId {
    // no id at all has but zeros
    TraceId::from(rand::random::<u128>().max(1))
}

fn new_span_id() -> SpanId {
    SpanId::from(with_a_letter(rand::random()))
}

/// Sees to it that an id has a letter among its hexadecimal digits: in a log line it cannot be
/// taken for a card number then.
const fn with_a_letter(id: u64) -> u64 {
    let mut rest = id;
    while rest != 0 {
        if rest & 0xf > 9 {
            return id;
        }
        rest >>= 4;
    }
    id | 0xa000_0000_0000_0000
}

/// Hands a span that has ended on to be sent.
pub(super) fn export(span: SpanData) {
    let Some(tracer) = TRACER.get() else { return };
    let waiting = tracer.waiting.fetch_add(1, Ordering::AcqRel);
    if waiting >= tracer.room {
        // the processor's own queue is as long, so it never drops anything uncounted
        tracer.waiting.fetch_sub(1, Ordering::AcqRel);
        count_dropped(Signal::Traces, 1);
        return;
    }
    tracer.processor.on_end(span);
}

/// What made the spans.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("cardproof")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

#[cfg(test)]
mod tests;
