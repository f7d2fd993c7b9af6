//! What happens to every call before its handler: the hot service's calls go to it directly,
//! everything else to the router; in front of both stand the limit of calls at once, the deadline
//! and the fence that keeps a panic to its one call.

use std::{
    borrow::Borrow,
    convert::Infallible,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::{FutureExt, future::CatchUnwind};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{body::Body, service::Routes};
use tower::Service;

use super::{
    arrived::Arrived,
    call_watch::CallWatch,
    deadline::Deadline,
    explain::explained_nowhere,
    unsent::{AnswerBody, Unsent},
};
use crate::{
    domain::Reason, grpc::limits::Gate, telemetry::events::RpcMethod, telemetry::trace::Span,
};

/// The paths that bypass the router.
pub const HOT_PREFIX: &str = "/bankcard.v1.BankCardService/";

/// The stage of a deadline that had passed before the call was given to a handler.
pub const ARRIVAL: &str = "arrival";

/// What is said to requests that are no gRPC.
const SPOKEN_HERE: &str = "this port speaks gRPC: content-type application/grpc\n";
/// How much of such a request is read, and for how long.
const MOST_UNREAD_BYTES: usize = 64 * 1024;
const PATIENCE_WITH_OTHERS: Duration = Duration::from_secs(1);

/// A service that answers every call, also with errors.
pub trait GrpcService:
    Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> GrpcService for S where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
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
    shared: Arc<CallsOfConnection>,
}

/// What the calls of one connection share.
#[derive(Debug)]
pub(super) struct CallsOfConnection {
    answers: Answers,
    max_deadline: Duration,
    in_flight: Gate,
    open: AtomicUsize,
    unsent: Unsent,
}

impl CallsOfConnection {
    /// Calls that have no answer yet.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Answers that the peer has not taken yet.
    pub(super) fn unsent(&self) -> &Unsent {
        &self.unsent
    }
}

impl Borrow<Unsent> for Arc<CallsOfConnection> {
    fn borrow(&self) -> &Unsent {
        &self.unsent
    }
}

/// The body of every answer.
pub(super) type Answer = AnswerBody<Arc<CallsOfConnection>>;

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
            shared: Arc::new(CallsOfConnection {
                answers,
                max_deadline,
                in_flight,
                open: AtomicUsize::new(0),
                unsent: Unsent::default(),
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

    /// What is known about the calls of this connection, also while it is served.
    pub(super) fn of_connection(&self) -> Arc<CallsOfConnection> {
        Arc::clone(&self.shared)
    }

    /// Answers one call.
    pub(super) fn call(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>> + Send + use<S> {
        let shared = Arc::clone(&self.shared);
        let method = RpcMethod::of_path(request.uri().path());
        let handler = if request.uri().path().starts_with(HOT_PREFIX) {
            Handler::Hot(self.hot.clone())
        } else {
            Handler::Rest(self.rest.clone())
        };
        async move {
            if !is_grpc(request.headers()) {
                // boxed, so that the usual call does not carry its size about
                let refusal = Box::pin(not_grpc(request.into_body())).await;
                return Ok(refusal.map(|body| Answer::counted(body, shared)));
            }
            let open = OpenCall::count(&shared);
            // health and reflection are asked every few seconds and tell no story
            let span = match handler {
                Handler::Hot(_) => Span::server(method, request.headers()),
                Handler::Rest(_) => Span::none(),
            };
            let watch = CallWatch::begin(method, span);
            let is_hot = matches!(handler, Handler::Hot(_));
            let response = match handler {
                Handler::Hot(hot) => match shared.in_flight.enter() {
                    Some(_permit) => {
                        let begun = watch.span().during(|| begin(&shared, hot, request));
                        match begun {
                            Ok(begun) => watch.span().within(begun.response(&shared)).await,
                            Err(response) => response,
                        }
                    }
                    None => (shared.answers.refused)(Reason::Overloaded),
                },
                // health and reflection are not counted: a busy process must not be restarted
                // because its own probes are turned away
                Handler::Rest(rest) => {
                    // boxed as above
                    let answering = begin(&shared, rest, request.map(Body::new));
                    explained_nowhere(match answering {
                        Ok(begun) => Box::pin(begun.response(&shared)).await,
                        Err(response) => response,
                    })
                }
            };
            watch.end(&response);
            drop(open);
            Ok(response.map(|body| {
                if is_hot {
                    Answer::counted(body, shared)
                } else {
                    // a stream of health may stay
                    Answer::uncounted(body)
                }
            }))
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
    fn count(shared: &'a CallsOfConnection) -> Self {
        shared.open.fetch_add(1, Ordering::Relaxed);
        Self(&shared.open)
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call that its handler has.
struct Begun<F> {
    deadline: Deadline,
    call: CatchUnwind<AssertUnwindSafe<F>>,
}

/// Gives a call to its handler, or answers it at once. Not part of the call's future, which has a
/// place for everything that is in it.
fn begin<H, B>(
    shared: &CallsOfConnection,
    mut handler: H,
    mut request: Request<B>,
) -> Result<Begun<H::Future>, Response<Body>>
where
    H: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    let answers = shared.answers;
    let now = Instant::now();
    let deadline = Deadline::of(request.headers(), now, shared.max_deadline);
    if deadline.has_passed(now) {
        return Err((answers.deadline_exceeded)(ARRIVAL));
    }
    request.extensions_mut().insert(Arrived {
        deadline,
        caller: None,
    });
    hide_unknown_encoding(request.headers_mut());
    // services that are generated, and the router, are always ready
    let call = catch_unwind(AssertUnwindSafe(|| handler.call(request)));
    // the panic hook has logged the place
    let call = call.map_err(|_| (answers.refused)(Reason::Internal))?;
    Ok(Begun {
        deadline,
        call: AssertUnwindSafe(call).catch_unwind(),
    })
}

impl<F> Begun<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    async fn response(self, shared: &CallsOfConnection) -> Response<Body> {
        let answers = shared.answers;
        let mut call = pin!(self.call);
        // most calls are answered from memory at the first poll and need no timer
        let first = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
        let outcome = match first {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => match timeout_at(self.deadline.0, call).await {
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

/// Says what is spoken here to somebody who speaks something else.
///
/// What they sent is read before, as far as it is short and comes soon: whoever is answered in the
/// middle of a request may take that for a broken connection.
async fn not_grpc(body: Incoming) -> Response<Body> {
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
    response
}
