//! An exporter whose failures are counted, and told once.

use std::{
    fmt,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{SpanData, SpanExporter},
};
use tokio::runtime::Handle;

use super::{Signal, count_dropped};

/// An exporter, driven by a thread that is no runtime's.
pub(in crate::telemetry) struct Delivery<E> {
    exporter: E,
    signal: Signal,
    runtime: Handle,
    waiting: Arc<AtomicUsize>,
    failing: AtomicBool,
}

impl<E> Delivery<E> {
    pub(super) fn new(exporter: E, signal: Signal, runtime: Handle) -> Self {
        Self {
            exporter,
            signal,
            runtime,
            waiting: Arc::default(),
            failing: AtomicBool::new(false),
        }
    }

    /// The same with a count of what waits, which goes down by what is taken.
    pub(super) fn taking_from(self, waiting: Arc<AtomicUsize>) -> Self {
        Self { waiting, ..self }
    }

    /// Waits for an export of so many. Its failure is dealt with here.
    async fn deliver(&self, count: usize, export: impl Future<Output = OTelSdkResult>) {
        let runtime = &self.runtime;
        let export = pin!(export);
        let signal = self.signal.as_str();
        match (OnRuntime { runtime, export }).await {
            Ok(()) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(signal, "OTLP: it arrives again");
                }
            }
            // the error's text may hold the address, and in it a password
            Err(_) => {
                count_dropped(self.signal, count);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(signal, "OTLP: nothing arrives; told once, and counted");
                }
            }
        }
    }
}

impl<E> fmt::Debug for Delivery<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delivery({})", self.signal.as_str())
    }
}

impl<E: SpanExporter> SpanExporter for Delivery<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.waiting.fetch_sub(count, Ordering::AcqRel);
        self.deliver(count, self.exporter.export(batch)).await;
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Delivery<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.deliver(1, self.exporter.export(metrics)).await;
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// Polls with a runtime at hand: connections and timers of HTTP clients ask for one.
struct OnRuntime<'a, F> {
    runtime: &'a Handle,
    export: Pin<&'a mut F>,
}

impl<F: Future> Future for OnRuntime<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _entered = self.runtime.enter();
        self.export.as_mut().poll(context)
    }
}
