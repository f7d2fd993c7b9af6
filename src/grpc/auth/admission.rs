//! Stands in front of the service and lets in who may call.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, header::AUTHORIZATION};
use tonic::body::Body;
use tower::Service;

use super::{Callers, Method};
use crate::{
    domain::Reason,
    grpc::{arrived::Arrived, explain::explained, limits::OwnedPermit, status, tls::PeerNames},
    service::denial::Denial,
    telemetry::events,
};

/// What a call is called in the log whose method does not exist.
const NO_SUCH_METHOD: &str = "unknown";

/// A service that only those reach who may call it. Where everybody may, it does nothing;
/// elsewhere it notes in the request's [`Arrived`] who calls.
#[derive(Debug, Clone)]
pub struct Admission<S> {
    inner: S,
    callers: Arc<Callers>,
}

impl<S> Admission<S> {
    /// Stands in front of a service.
    #[must_use]
    pub fn new(inner: S, callers: Arc<Callers>) -> Self {
        Self { inner, callers }
    }

    fn admit<B>(&self, request: &mut Request<B>) -> Result<Option<OwnedPermit>, Denial> {
        if self.callers.are_everybody() {
            return Ok(None);
        }
        let peer = request.extensions().get::<PeerNames>();
        let client = self
            .callers
            .identify(request.headers(), peer)
            .map_err(Denial::because)?;
        let Some(client) = client else {
            return Ok(None);
        };
        let place = client.admit(Method::of(request.uri().path()))?;
        let caller = Arc::clone(&client.caller);
        // nobody further in has any business with it
        request.headers_mut().remove(AUTHORIZATION);
        let Some(arrived) = request.extensions_mut().get_mut::<Arrived>() else {
            // it would be taken for everybody's; the path switch has noted it for every call
            return Err(Denial::because(Reason::Internal));
        };
        arrived.caller = Some(caller);
        Ok(place)
    }
}

impl<S, B> Service<Request<B>> for Admission<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Unpin>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.admit(&mut request) {
            Ok(place) => Answering::Inside {
                answer: self.inner.call(request),
                _place: place,
            },
            Err(denial) => {
                let method = Method::of(request.uri().path());
                let method = method.map_or(NO_SUCH_METHOD, Method::as_str);
                events::denied(method, denial.reason_name(), Duration::ZERO);
                Answering::Refused(Some(Box::new(denial)))
            }
        }
    }
}

/// An answer on its way.
pub enum Answering<F> {
    /// From the service.
    Inside {
        /// The service's own.
        answer: F,
        /// The caller's place, given back when the call is over.
        _place: Option<OwnedPermit>,
    },
    /// From the door; taken when it is polled.
    Refused(Option<Box<Denial>>),
}

impl<F> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Inside { answer, .. } => Pin::new(answer)
                .poll(context)
                .map(|answer| answer.map(explained)),
            Self::Refused(denial) => match denial.take() {
                Some(denial) => Poll::Ready(Ok(status::status(&denial).into_http())),
                // it was answered already, and nobody asks twice
                None => Poll::Pending,
            },
        }
    }
}
