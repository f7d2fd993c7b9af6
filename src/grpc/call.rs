//! One call from its beginning to its answer, and what the calls of a connection share.

use std::{
    borrow::Borrow,
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::future::CatchUnwind;
use http::Response;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use super::{
    call_watch::CallWatch,
    deadline::Deadline,
    limits::Gate,
    path_switch::Answers,
    reply::Reply,
    unsent::{AnswerBody, Unsent},
};
use crate::domain::Reason;

/// What the calls of one connection share.
#[derive(Debug)]
pub(super) struct CallsOfConnection {
    pub(super) answers: Answers,
    pub(super) max_deadline: Duration,
    pub(super) in_flight: Gate,
    /// Changed by the connection's own thread alone.
    open: AtomicUsize,
    unsent: Unsent,
}

impl CallsOfConnection {
    pub(super) fn new(answers: Answers, max_deadline: Duration, in_flight: Gate) -> Self {
        Self {
            answers,
            max_deadline,
            in_flight,
            open: AtomicUsize::new(0),
            unsent: Unsent::default(),
        }
    }

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

/// A handler's future, of which a panic ends nothing but this call.
pub(super) type Fenced<F> = CatchUnwind<AssertUnwindSafe<F>>;

pin_project! {
    /// A call from its beginning to its answer.
    ///
    /// Written out and not a block: a block has room for a part of it twice, as what it was given
    /// and as what it waits for, and every call is moved a few times on its way.
    pub(super) struct Call<F> {
        #[pin]
        stage: Stage<F>,
        // made when there is something to wait for: most calls are answered from memory
        timer: Option<Pin<Box<Sleep>>>,
        // `None` for what is no gRPC
        watch: Option<CallWatch>,
        counted: Counted,
    }
}

pin_project! {
    #[project = Where]
    pub(super) enum Stage<F> {
        // the hot service has it, until then
        Begun {
            #[pin]
            handler: Fenced<F>,
            deadline: Deadline,
        },
        // it is answered
        Answered { response: Option<Response<Reply>> },
        // somebody else has it; boxed, so that the usual call does not carry its size about
        Elsewhere { handler: Pin<Box<dyn Future<Output = Response<Reply>> + Send>> },
    }
}

impl<F> Stage<F> {
    pub(super) fn answered(response: Response<Reply>) -> Self {
        Self::Answered {
            response: Some(response),
        }
    }

    pub(super) fn elsewhere(
        handler: impl Future<Output = Response<Reply>> + Send + 'static,
    ) -> Self {
        Self::Elsewhere {
            handler: Box::pin(handler),
        }
    }
}

impl<F> Call<F> {
    pub(super) fn new(counted: Counted, watch: Option<CallWatch>, stage: Stage<F>) -> Self {
        Self {
            stage,
            timer: None,
            watch,
            counted,
        }
    }
}

impl<F: Future<Output = Response<Reply>>> Future for Call<F> {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answers = this.counted.shared.answers;
        let response = match this.stage.project() {
            Where::Begun { handler, deadline } => {
                let answer = match this.watch {
                    Some(watch) => watch.span().during(|| handler.poll(context)),
                    None => handler.poll(context),
                };
                match answer {
                    Poll::Ready(Ok(response)) => response,
                    // the panic hook has logged the place
                    Poll::Ready(Err(_)) => Reply::library((answers.refused)(Reason::Internal)),
                    Poll::Pending => {
                        let timer = this
                            .timer
                            .get_or_insert_with(|| Box::pin(sleep_until(deadline.0)));
                        ready!(timer.as_mut().poll(context));
                        Reply::library((answers.deadline_exceeded)("handler"))
                    }
                }
            }
            // nobody asks for an answer twice
            Where::Answered { response } => match response.take() {
                Some(response) => response,
                None => return Poll::Pending,
            },
            Where::Elsewhere { handler } => ready!(handler.as_mut().poll(context)),
        };
        if let Some(watch) = this.watch.take() {
            watch.end(&response);
        }
        Poll::Ready(Ok(this.counted.answer(response)))
    }
}

/// What is counted of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A call of the hot service, with a place among those under way.
    Hot,
    /// Such a call for which there was no place.
    Turned,
    /// A call of somebody else, whose answer may take its time: a stream of health stays.
    Other,
    /// No call at all.
    NoGrpc,
}

/// Counts a call as long as it lives.
pub(super) struct Counted {
    shared: Arc<CallsOfConnection>,
    kind: Kind,
}

impl Counted {
    /// A call of the hot service, with a place among those under way if there is one.
    pub(super) fn hot(shared: Arc<CallsOfConnection>) -> Self {
        let kind = if shared.in_flight.admit() {
            Kind::Hot
        } else {
            Kind::Turned
        };
        Self::of(shared, kind)
    }

    /// A call of somebody else.
    pub(super) fn other(shared: Arc<CallsOfConnection>) -> Self {
        Self::of(shared, Kind::Other)
    }

    /// A request that is no call.
    pub(super) fn no_grpc(shared: Arc<CallsOfConnection>) -> Self {
        Self {
            shared,
            kind: Kind::NoGrpc,
        }
    }

    fn of(shared: Arc<CallsOfConnection>, kind: Kind) -> Self {
        // one thread alone writes it, so it need not be locked
        shared.open.store(shared.open() + 1, Ordering::Relaxed);
        Self { shared, kind }
    }

    /// Whether there was a place for it.
    pub(super) fn has_place(&self) -> bool {
        self.kind == Kind::Hot
    }

    fn answer(&self, response: Response<Reply>) -> Response<Answer> {
        response.map(|body| match self.kind {
            Kind::Other => Answer::uncounted(body),
            Kind::Hot | Kind::Turned | Kind::NoGrpc => {
                Answer::counted(body, Arc::clone(&self.shared))
            }
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.kind == Kind::Hot {
            self.shared.in_flight.leave();
        }
        if self.kind != Kind::NoGrpc {
            let open = &self.shared.open;
            open.store(self.shared.open().saturating_sub(1), Ordering::Relaxed);
        }
    }
}
