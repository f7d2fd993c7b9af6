//! What happens to every call before its handler: the hot service's calls go to it directly,
//! everything else to the router; in front of both stand the limit of calls at once, the deadline
//! and the fence that keeps a panic to its one call.

use std::{
    convert::Infallible,
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use tonic::{body::Body, service::Routes};
use tower::{Service, ServiceExt};

use super::{call_watch::CallWatch, deadline::Deadline, limits::Permit};
use crate::{domain::Reason, grpc::limits::Gate, telemetry::events::RpcMethod};

/// The paths that bypass the router.
pub const HOT_PREFIX: &str = "/bankcard.v1.BankCardService/";

/// The stage of a deadline that had passed before the call was given to a handler.
pub const ARRIVAL: &str = "arrival";

/// A service that answers every call, also with errors.
pub trait GrpcService:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> GrpcService for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// The answers that are given without asking a handler.
#[derive(Debug, Clone, Copy)]
pub struct Answers {
    /// A refusal for a reason: OVERLOADED, or INTERNAL for a panic.
    pub refused: fn(Reason) -> Response<Body>,
    /// The deadline passed; at `arrival` nothing was started, at `handler` it was dropped.
    pub deadline_exceeded: fn(stage: &'static str) -> Response<Body>,
}

/// The calls of one connection.
///
/// What is counted or copied for every call is owned by the connection, so that cores do not
/// fight over it; the limit of calls at once is the one thing that all share.
#[derive(Debug, Clone)]
pub(super) struct Calls<S> {
    hot: S,
    rest: Routes,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    answers: Answers,
    max_deadline: Duration,
    in_flight: Gate,
    open: AtomicUsize,
}

impl<S: GrpcService> Calls<S> {
    pub(super) fn new(
        hot: S,
        rest: Routes,
        answers: Answers,
        max_deadline: Duration,
        in_flight: Gate,
    ) -> Self {
        Self {
            hot,
            rest,
            shared: Arc::new(Shared {
                answers,
                max_deadline,
                in_flight,
                open: AtomicUsize::new(0),
            }),
        }
    }

    /// The same services for another connection.
    pub(super) fn for_connection(&self) -> Self {
        let shared = &self.shared;
        Self::new(
            self.hot.clone(),
            self.rest.clone(),
            shared.answers,
            shared.max_deadline,
            shared.in_flight.clone(),
        )
    }

    /// Tells how many calls of this connection have no answer yet.
    pub(super) fn open_calls(&self) -> impl Fn() -> usize + use<S> {
        let shared = Arc::clone(&self.shared);
        move || shared.open.load(Ordering::Relaxed)
    }

    /// Answers one call.
    pub(super) fn call(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send + use<S> {
        let shared = Arc::clone(&self.shared);
        let method = RpcMethod::of_path(request.uri().path());
        let handler = if request.uri().path().starts_with(HOT_PREFIX) {
            Handler::Hot(self.hot.clone())
        } else {
            Handler::Rest(self.rest.clone())
        };
        async move {
            if !is_grpc(request.headers()) {
                return Ok(unsupported_media_type());
            }
            let _open = OpenCall::count(&shared);
            let watch = CallWatch::begin(method);
            let response = match handler {
                Handler::Hot(hot) => match shared.in_flight.enter() {
                    Some(permit) => answer(&shared, Some(permit), hot, request).await,
                    None => (shared.answers.refused)(Reason::Overloaded),
                },
                // health and reflection are not counted: a busy process must not be restarted
                // because its own probes are turned away
                Handler::Rest(rest) => answer(&shared, None, rest, request).await,
            };
            watch.end(&response);
            Ok(response)
        }
    }
}

enum Handler<S> {
    Hot(S),
    Rest(Routes),
}

/// Counts a call of the connection as long as it lives.
struct OpenCall<'a>(&'a AtomicUsize);

impl<'a> OpenCall<'a> {
    fn count(shared: &'a Shared) -> Self {
        shared.open.fetch_add(1, Ordering::Relaxed);
        Self(&shared.open)
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn answer<H>(
    shared: &Shared,
    _permit: Option<Permit<'_>>,
    handler: H,
    request: Request<Incoming>,
) -> Response<Body>
where
    H: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let answers = shared.answers;
    let now = Instant::now();
    let deadline = Deadline::of(request.headers(), now, shared.max_deadline);
    if deadline.has_passed(now) {
        return (answers.deadline_exceeded)(ARRIVAL);
    }
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(deadline);
    hide_unknown_encoding(request.headers_mut());
    let mut call = pin!(AssertUnwindSafe(handler.oneshot(request)).catch_unwind());
    // most calls are answered from memory at the first poll and need no timer
    let first = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
    let outcome = match first {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => match timeout_at(deadline.0, call).await {
            Ok(outcome) => outcome,
            Err(_) => return (answers.deadline_exceeded)("handler"),
        },
    };
    match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        // the panic hook has logged the place
        Err(_) => (answers.refused)(Reason::Internal),
    }
}

/// The gRPC protocol asks for this before anything else is looked at.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// tonic refuses an encoding that it does not know and quotes it; no text of ours quotes a caller.
fn hide_unknown_encoding(headers: &mut HeaderMap) {
    const ENCODING: &str = "grpc-encoding";
    const WELL_KNOWN: [&str; 5] = ["identity", "gzip", "deflate", "zstd", "snappy"];
    if let Some(value) = headers.get_mut(ENCODING)
        && !WELL_KNOWN.iter().any(|known| value == known)
    {
        *value = HeaderValue::from_static("unknown");
    }
}

fn unsupported_media_type() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}
