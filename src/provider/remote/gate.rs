//! Whether a request left, settled between two threads.
//!
//! A gRPC client queues requests while it connects, and what it says about a failure does not tell
//! whether anything was written. So each request's message passes a gate: the connection opens it
//! when it takes the message, and the caller shuts it when it gives up. Whoever comes first wins. A
//! shut gate lets nothing through, so a call that was given up at a shut gate surely was not made:
//! a server runs nothing before it has the message.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Status, body::Body, transport::Channel};
use tower::Service;

const WAITING: u8 = 0;
const OPENED: u8 = 1;
const SHUT: u8 = 2;

/// The gate of one call.
#[derive(Default)]
pub(super) struct Gate(AtomicU8);

impl Gate {
    /// Lets the message through, unless the call was given up before.
    fn open(&self) -> bool {
        self.settle(OPENED) == OPENED
    }

    /// Gives the call up. Whether that was before the message left.
    pub(super) fn shut(&self) -> bool {
        self.settle(SHUT) == SHUT
    }

    /// Moves on from waiting, and tells what the gate is then.
    fn settle(&self, to: u8) -> u8 {
        let settled = self
            .0
            .compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire);
        match settled {
            Ok(_) => to,
            Err(earlier) => earlier,
        }
    }
}

/// A channel whose requests pass a gate.
#[derive(Clone)]
pub(super) struct GatedChannel {
    pub(super) channel: Channel,
    pub(super) gate: Arc<Gate>,
}

impl Service<http::Request<Body>> for GatedChannel {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = <Channel as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let gate = Arc::clone(&self.gate);
        self.channel
            .call(request.map(|message| Body::new(GatedBody { message, gate })))
    }
}

struct GatedBody {
    message: Body,
    gate: Arc<Gate>,
}

impl HttpBody for GatedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.gate.open() {
            Pin::new(&mut self.message).poll_frame(context)
        } else {
            Poll::Ready(Some(Err(Status::cancelled("given up"))))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.message.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_first_wins() {
        let gate = Gate::default();
        assert!(gate.open() && gate.open());
        assert!(!gate.shut());
        let gate = Gate::default();
        assert!(gate.shut() && gate.shut());
        assert!(!gate.open());
    }
}
