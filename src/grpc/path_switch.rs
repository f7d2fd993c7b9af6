//! What happens to every call before its handler: the hot service's calls go to it directly,
//! everything else to the router; in front of both stand the limit of calls at once, the deadline
//! and the fence that keeps a panic to its one call.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{body::Body, service::Routes};
use tower::Service;

use super::{
    arrived::Arrived,
    call::{Call, CallsOfConnection, Counted, Stage},
    call_watch::CallWatch,
    deadline::Deadline,
    explain::explained_nowhere,
    limits::Gate,
    reply::Reply,
};
use crate::{domain::Reason, telemetry::events::RpcMethod, telemetry::trace::Span};

/// The paths that bypass the router.
pub const HOT_PREFIX: &str = "/bankcard.v1.BankCardService/";

/// The header that says how messages are compressed.
pub(super) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The stage of a deadline that had passed before the call was given to a handler.
pub const ARRIVAL: &str = "arrival";

/// What is said to requests that are no gRPC.
const SPOKEN_HERE: &str = "this port speaks gRPC: content-type application/grpc\n";
/// How much of such a request is read, and for how long.
const MOST_UNREAD_BYTES: usize = 64 * 1024;
const PATIENCE_WITH_OTHERS: Duration = Duration::from_secs(1);

/// What answers the calls under [`HOT_PREFIX`], each of them, also with errors.
pub trait HotService: Clone + Send + Sync + 'static {
    /// A call on its way to its answer.
    type Answering: Future<Output = Response<Reply>> + Send + 'static;

    /// Begins to answer a call.
    fn answer(self: Arc<Self>, request: Request<Incoming>, arrived: Arrived) -> Self::Answering;
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
    hot: Arc<S>,
    rest: Routes,
    shared: Arc<CallsOfConnection>,
}

impl<S: HotService> Calls<S> {
    pub(super) fn new(
        hot: S,
        rest: Routes,
        answers: Answers,
        max_deadline: Duration,
        in_flight: Gate,
    ) -> Self {
        Self {
            hot: Arc::new(hot),
            rest,
            shared: Arc::new(CallsOfConnection::new(answers, max_deadline, in_flight)),
        }
    }

    /// The same services for another connection.
    pub(super) fn for_connection(&self) -> Self {
        let shared = &self.shared;
        Self::new(
            S::clone(&self.hot),
            self.rest.clone(),
            shared.answers,
            shared.max_deadline,
            shared.in_flight.clone(),
        )
    }

    /// What is known about the calls of this connection, also while it is served.
    pub(super) fn of_connection(&self) -> Arc<CallsOfConnection> {
        Arc::clone(&self.shared)
    }

    /// Answers one call.
    pub(super) fn call(&self, request: Request<Incoming>) -> Call<S::Answering> {
        let shared = Arc::clone(&self.shared);
        if !is_grpc(request.headers()) {
            let refusal = Stage::elsewhere(not_grpc(request.into_body()));
            return Call::new(Counted::no_grpc(shared), None, refusal);
        }
        let at = Instant::now();
        let path = request.uri().path();
        let method = RpcMethod::of_path(path);
        let deadline = Deadline::of(request.headers(), at, shared.max_deadline);
        let arrived = Arrived {
            at,
            waited: false,
            deadline,
            caller: None,
        };
        if path.starts_with(HOT_PREFIX) {
            let watch = CallWatch::begin(method, Span::server(method, request.headers()), at);
            let (answers, hot) = (shared.answers, Arc::clone(&self.hot));
            let counted = Counted::hot(shared);
            let stage = if counted.has_place() {
                let handler = || hot.answer(request, arrived);
                watch
                    .span()
                    .during(|| begun(answers, at, deadline, handler))
            } else {
                Stage::answered(Reply::library((answers.refused)(Reason::Overloaded)))
            };
            Call::new(counted, Some(watch), stage)
        } else {
            // health and reflection are asked every few seconds and tell no story; nor do they take
            // a place: a busy process must not be restarted because its own probes are turned away
            let watch = CallWatch::begin(method, Span::none(), at);
            let routed = routed(self.rest.clone(), request, arrived, shared.answers);
            Call::new(
                Counted::other(shared),
                Some(watch),
                Stage::elsewhere(routed),
            )
        }
    }
}

/// Gives a call to the hot service, or answers it at once.
fn begun<F>(
    answers: Answers,
    at: Instant,
    deadline: Deadline,
    handler: impl FnOnce() -> F,
) -> Stage<F>
where
    F: Future<Output = Response<Reply>>,
{
    if deadline.has_passed(at) {
        return Stage::answered(Reply::library((answers.deadline_exceeded)(ARRIVAL)));
    }
    match catch_unwind(AssertUnwindSafe(handler)) {
        Ok(handler) => Stage::Begun {
            handler: AssertUnwindSafe(handler).catch_unwind(),
            deadline,
        },
        // the panic hook has logged the place
        Err(_) => Stage::answered(Reply::library((answers.refused)(Reason::Internal))),
    }
}

/// What the router makes of a call.
async fn routed(
    mut rest: Routes,
    mut request: Request<Incoming>,
    arrived: Arrived,
    answers: Answers,
) -> Response<Reply> {
    let Arrived { at, deadline, .. } = arrived;
    if deadline.has_passed(at) {
        return Reply::library((answers.deadline_exceeded)(ARRIVAL));
    }
    request.extensions_mut().insert(arrived);
    hide_unknown_encoding(request.headers_mut());
    // the router is always ready
    let handler = async { rest.call(request.map(Body::new)).await };
    let fenced = AssertUnwindSafe(handler).catch_unwind();
    Reply::library(match timeout_at(deadline.0, fenced).await {
        Ok(Ok(Ok(response))) => explained_nowhere(response),
        Ok(Ok(Err(never))) => match never {},
        // the panic hook has logged the place
        Ok(Err(_)) => (answers.refused)(Reason::Internal),
        Err(_) => (answers.deadline_exceeded)("handler"),
    })
}

/// The gRPC protocol asks for this before anything else is looked at.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// tonic refuses an encoding that it does not know and quotes it; no text of ours quotes a caller.
pub(super) fn hide_unknown_encoding(headers: &mut HeaderMap) {
    const WELL_KNOWN: [&str; 5] = ["identity", "gzip", "deflate", "zstd", "snappy"];
    if let Some(value) = headers.get_mut(GRPC_ENCODING)
        && !WELL_KNOWN.iter().any(|known| value == known)
    {
        *value = HeaderValue::from_static("unknown");
    }
}

/// Says what is spoken here to somebody who speaks something else.
///
/// What they sent is read before, as far as it is short and comes soon: whoever is answered in the
/// middle of a request may take that for a broken connection.
async fn not_grpc(body: Incoming) -> Response<Reply> {
    let read = async {
        let mut body = Limited::new(body, MOST_UNREAD_BYTES);
        while let Some(Ok(_)) = body.frame().await {}
    };
    // what has not come by then is not waited for
    let _ = timeout(PATIENCE_WITH_OTHERS, read).await;
    let mut response = Response::new(Body::new(Full::from(SPOKEN_HERE)));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Reply::library(response)
}
