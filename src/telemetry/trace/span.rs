//! One span, from its beginning to its export.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::HeaderMap;
use opentelemetry::{
    KeyValue, Value,
    trace::{Event, Link, SpanId, SpanKind, Status},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use parking_lot::Mutex;

use super::{Around, CURRENT, Context, Current, Within, keys};
use crate::telemetry::{events::RpcMethod, otlp, redaction};

/// Events and links beyond these are dropped; the service makes no more than a few.
const MOST_EVENTS: usize = 64;
const MOST_LINKS: usize = 8;
/// Codes that tell of a failure of the server.
const SERVER_FAULTS: [&str; 6] = [
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
];

/// What a span tells so far.
#[derive(Clone)]
pub(in crate::telemetry) struct Recording(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    attributes: Vec<KeyValue>,
    events: Vec<Event>,
    links: Vec<Link>,
    failed: bool,
}

impl Recording {
    /// Tells one thing; what was told before under the same key is replaced.
    pub(in crate::telemetry) fn set(&self, key: &'static str, value: impl Into<Value>) {
        let value = value.into();
        let mut told = self.0.lock();
        match told.attributes.iter_mut().find(|it| it.key.as_str() == key) {
            Some(known) => known.value = value,
            None => told.attributes.push(KeyValue::new(key, value)),
        }
    }

    /// Tells what went wrong, which need not be a failure of this service. The first word stands.
    pub(in crate::telemetry) fn blame(&self, kind: impl Into<Value>) {
        let mut told = self.0.lock();
        if !told
            .attributes
            .iter()
            .any(|it| it.key.as_str() == keys::ERROR)
        {
            told.attributes.push(KeyValue::new(keys::ERROR, kind));
        }
    }

    /// Tells that it failed, and how.
    pub(in crate::telemetry) fn fail(&self, kind: impl Into<Value>) {
        self.blame(kind);
        self.0.lock().failed = true;
    }

    /// Tells that something happened.
    pub(in crate::telemetry) fn event(
        &self,
        name: &'static str,
        told_of_it: impl IntoIterator<Item = (&'static str, String)>,
    ) {
        let told_of_it = told_of_it.into_iter();
        let attributes = told_of_it
            .map(|(key, value)| KeyValue::new(key, value))
            .collect();
        let mut told = self.0.lock();
        if told.events.len() < MOST_EVENTS {
            let event = Event::new(name, SystemTime::now(), attributes, 0);
            told.events.push(event);
        }
    }
}

/// A span, or nothing where the trace is not recorded. It ends when it is dropped.
#[must_use = "a span ends when it is dropped"]
pub struct Span {
    current: Option<Arc<Current>>,
    /// Boxed: most calls are not recorded, and each has room for a few spans.
    made: Option<Box<Made>>,
}

/// What is known of a recorded span from its beginning on.
struct Made {
    name: Cow<'static, str>,
    kind: SpanKind,
    parent: SpanId,
    parent_is_remote: bool,
    started: SystemTime,
    begun: Instant,
}

impl Span {
    /// No span at all.
    pub const fn none() -> Self {
        Self {
            current: None,
            made: None,
        }
    }

    /// The span of a call that arrived with these headers.
    pub fn server(method: Option<RpcMethod>, headers: &HeaderMap) -> Self {
        let parent = otlp::propagates().then(|| Context::of(headers)).flatten();
        let Some(context) = otlp::recorded(parent.as_ref()) else {
            return Self {
                current: parent.map(|context| {
                    Arc::new(Current {
                        context,
                        recording: None,
                    })
                }),
                made: None,
            };
        };
        let name = method.unwrap_or(RpcMethod::Other).as_str();
        let parent = parent.map(|parent| parent.span_id);
        let span = Self::begin(name.into(), SpanKind::Server, context, parent, true);
        span.set(keys::RPC_SYSTEM, "grpc");
        span.set(keys::RPC_METHOD, name);
        span
    }

    /// A part of the work at hand.
    pub fn part(name: &'static str) -> Self {
        Self::below_current(|| name.into(), SpanKind::Internal)
    }

    /// A call to a vendor over HTTP.
    pub fn http_client(url_template: &'static str, host: &str, port: u16) -> Self {
        // the conventions' own form: the verb, then the path without its values
        let name = || format!("POST {url_template}").into();
        let span = Self::below_current(name, SpanKind::Client);
        span.set(keys::HTTP_METHOD, "POST");
        span.set(keys::URL_TEMPLATE, url_template);
        span.peer(host, port);
        span
    }

    /// A call to a provider over gRPC.
    pub fn grpc_client(method: &'static str, host: &str, port: u16) -> Self {
        let span = Self::below_current(|| method.into(), SpanKind::Client);
        span.set(keys::RPC_SYSTEM, "grpc");
        span.set(keys::RPC_METHOD, method);
        span.peer(host, port);
        span
    }

    fn peer(&self, host: &str, port: u16) {
        if self.is_recorded() {
            self.set(keys::SERVER_ADDRESS, host.to_owned());
            self.set(keys::SERVER_PORT, i64::from(port));
        }
    }

    fn below_current(name: impl FnOnce() -> Cow<'static, str>, kind: SpanKind) -> Self {
        let current = CURRENT.with_borrow(Clone::clone);
        match &current {
            Some(above) if above.recording.is_some() => {
                let own = otlp::child_of(&above.context);
                Self::begin(name(), kind, own, Some(above.context.span_id), false)
            }
            _ => Self {
                current,
                made: None,
            },
        }
    }

    fn begin(
        name: Cow<'static, str>,
        kind: SpanKind,
        context: Context,
        parent: Option<SpanId>,
        parent_is_remote: bool,
    ) -> Self {
        Self {
            current: Some(Arc::new(Current {
                context,
                recording: Some(Recording(Arc::default())),
            })),
            made: Some(Box::new(Made {
                name,
                kind,
                parent_is_remote: parent.is_some() && parent_is_remote,
                parent: parent.unwrap_or(SpanId::INVALID),
                started: SystemTime::now(),
                begun: Instant::now(),
            })),
        }
    }

    /// Whether anything that is told is kept.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.made.is_some()
    }

    /// Its place in its trace; where it is not recorded, the place that it stands for.
    #[must_use]
    pub fn context(&self) -> Option<Context> {
        self.current.as_ref().map(|it| it.context.clone())
    }

    /// The same, where others are to be told of it.
    #[must_use]
    pub fn handed_on(&self) -> Option<Context> {
        self.context().filter(|_| otlp::propagates())
    }

    /// Tells one thing.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(recording) = self.recording() {
            recording.set(key, value);
        }
    }

    /// Tells that it failed, and how.
    pub fn fail(&self, kind: impl Into<Value>) {
        if let Some(recording) = self.recording() {
            recording.fail(kind);
        }
    }

    /// Tells the status of an HTTP reply.
    pub fn http_status(&self, status: u16) {
        if self.is_recorded() {
            self.set(keys::HTTP_STATUS, i64::from(status));
            if status >= 400 {
                self.fail(status.to_string());
            }
        }
    }

    /// Tells how a call of this service ended. As the conventions have it, only what a caller
    /// cannot be blamed for is a failure.
    pub fn rpc_ended(&self, code: &'static str) {
        self.set(keys::RPC_STATUS_CODE, code);
        if SERVER_FAULTS.contains(&code) {
            self.fail(code);
        }
    }

    /// Points to a span that this one waited for.
    pub fn link(&self, other: &Context) {
        if let Some(recording) = self.recording() {
            let mut told = recording.0.lock();
            if told.links.len() < MOST_LINKS {
                told.links
                    .push(Link::new(other.exported(false), Vec::new(), 0));
            }
        }
    }

    /// Does something with this span as the current one.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let _restored = self.current.clone().map(super::enter);
        work()
    }

    /// Runs a future with this span as the current one.
    pub fn within<F: Future>(&self, future: F) -> Within<F> {
        let current = self.current.clone();
        Within { current, future }
    }

    /// The same for a future that has the span to itself: it ends with it.
    pub fn around<F: Future>(self, future: F) -> Around<F> {
        let within = self.within(future);
        Around {
            within,
            _span: self,
        }
    }

    fn recording(&self) -> Option<&Recording> {
        self.current.as_ref()?.recording.as_ref()
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(made) = self.made.take() else { return };
        let current = self.current.take();
        let Some((context, recording)) = current
            .as_ref()
            .and_then(|it| Some((&it.context, it.recording.as_ref()?)))
        else {
            return;
        };
        otlp::export(made.ended(context, recording));
    }
}

impl Made {
    fn ended(self, context: &Context, recording: &Recording) -> SpanData {
        let mut told = std::mem::take(&mut *recording.0.lock());
        told.attributes.iter_mut().for_each(clean);
        for event in &mut told.events {
            event.attributes.iter_mut().for_each(clean);
        }
        let mut events = SpanEvents::default();
        events.events = told.events;
        let mut links = SpanLinks::default();
        links.links = told.links;
        SpanData {
            span_context: context.exported(false),
            parent_span_id: self.parent,
            parent_span_is_remote: self.parent_is_remote,
            span_kind: self.kind,
            name: self.name,
            start_time: self.started,
            end_time: self.started + self.begun.elapsed(),
            attributes: told.attributes,
            dropped_attributes_count: 0,
            events,
            links,
            status: match told.failed {
                // the attribute says what; a description would only repeat it
                true => Status::error(""),
                false => Status::Unset,
            },
            instrumentation_scope: otlp::scope(),
        }
    }
}

fn clean(attribute: &mut KeyValue) {
    if let Value::String(text) = &attribute.value
        && let Cow::Owned(cleaned) = redaction::clean_str(text.as_str())
    {
        attribute.value = Value::from(cleaned);
    }
}
