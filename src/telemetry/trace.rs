//! Traces: which calls are followed, and the spans that tell about them.
//!
//! A span is made only when its trace is recorded. That is decided before anything else, from the
//! parent's flag or by a coin, so a call that is not recorded pays for a look at one header.
//!
//! The span at work travels with the task: [`Span::within`] makes it the current one while a future
//! is polled, and everything that is told meanwhile ([`super::events`]) finds it there. A call that
//! is not recorded still carries the context it came with, for its log lines and for providers
//! that speak gRPC.
//!
//! Attributes are words of this program, names from the configuration and numbers. Whatever
//! looks personal all the same is blotted out before it leaves ([`super::redaction`]).

mod context;
pub(super) mod sampler;
mod span;

use std::{cell::RefCell, pin::Pin, sync::Arc, task::Poll};

use pin_project_lite::pin_project;

use self::span::Recording;
pub use self::{context::Context, span::Span};

/// Names of attributes, from OpenTelemetry's semantic conventions where those have one.
pub mod keys {
    /// `rpc.response.status_code`, which a later edition of the conventions calls otherwise.
    pub const RPC_STATUS_CODE: &str = "rpc.response.status_code";
    /// The protocol of a remote call.
    pub const RPC_SYSTEM: &str = "rpc.system.name";
    /// Service and method.
    pub const RPC_METHOD: &str = "rpc.method";
    /// The verb.
    pub const HTTP_METHOD: &str = "http.request.method";
    /// The status.
    pub const HTTP_STATUS: &str = "http.response.status_code";
    /// The path without its values.
    pub const URL_TEMPLATE: &str = "url.template";
    /// The peer's host.
    pub const SERVER_ADDRESS: &str = "server.address";
    /// The peer's port.
    pub const SERVER_PORT: &str = "server.port";
    /// What kind of failure it was.
    pub const ERROR: &str = "error.type";
    /// What was asked.
    pub const OPERATION: &str = "cardproof.operation";
    /// A provider from the configuration.
    pub const PROVIDER: &str = "cardproof.provider";
    /// What the answer says.
    pub const RESULT: &str = "cardproof.result";
    /// Where the answer came from.
    pub const SOURCE: &str = "cardproof.source";
    /// What it cost.
    pub const CHARGE: &str = "cardproof.charge";
    /// What came of an attempt.
    pub const OUTCOME: &str = "cardproof.outcome";
    /// Which attempt it is, from 1.
    pub const ATTEMPT: &str = "cardproof.attempt";
    /// Who has a shared call made: `leader` or `follower`.
    pub const ROLE: &str = "cardproof.flight.role";
    /// Why something did not happen.
    pub const REASON: &str = "cardproof.reason";
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Current>>> = const { RefCell::new(None) };
}

/// Where in a trace the work at hand stands. Shared: a call that waits stands there in several
/// places.
struct Current {
    context: Context,
    /// `None`: the trace is not recorded.
    recording: Option<Recording>,
}

/// The context of the work at hand.
#[must_use]
pub fn current() -> Option<Context> {
    CURRENT.with_borrow(|current| current.as_ref().map(|it| it.context.clone()))
}

/// Does something with the current span, if it is recorded.
pub(super) fn note(note: impl FnOnce(&Recording)) {
    CURRENT.with_borrow(|current| {
        if let Some(recording) = current.as_ref().and_then(|it| it.recording.as_ref()) {
            note(recording);
        }
    });
}

/// Ids of the work at hand, for its log lines: the trace, and the span if it is recorded.
pub(super) fn ids() -> Option<(String, Option<String>)> {
    CURRENT.with_borrow(|current| {
        let current = current.as_ref()?;
        let span = current
            .recording
            .as_ref()
            .map(|_| current.context.span_id());
        Some((current.context.trace_id(), span))
    })
}

pin_project! {
    /// A future during whose polls a span is the current one.
    ///
    /// It owns the future itself: an `async fn` that takes one by value has room for it twice, as
    /// its argument and as what it waits for.
    pub struct Within<F> {
        current: Option<Arc<Current>>,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _restored = this.current.clone().map(enter);
        this.future.poll(context)
    }
}

pin_project! {
    /// A future that a span is about.
    pub struct Around<F> {
        #[pin]
        within: Within<F>,
        _span: Span,
    }
}

impl<F: Future> Future for Around<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<F::Output> {
        self.project().within.poll(context)
    }
}

/// Makes a span the current one, until what is returned is dropped: also by a panic, which is
/// caught further out while the thread goes on.
fn enter(current: Arc<Current>) -> Restored {
    Restored(Some(CURRENT.replace(Some(current))))
}

struct Restored(Option<Option<Arc<Current>>>);

impl Drop for Restored {
    fn drop(&mut self) {
        if let Some(outer) = self.0.take() {
            CURRENT.set(outer);
        }
    }
}

#[cfg(test)]
mod tests;
