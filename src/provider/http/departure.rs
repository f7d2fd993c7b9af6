//! Whether a request left.
//!
//! A connection that has a request to write asks the body first whether there is anything in it,
//! and only then writes the head. So a body that was never asked was never written, and a body that
//! was asked may be on the wire. When a request is given up, the connection may just be about to
//! take it from its queue; it is over only when the body is dropped, so that is waited for.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// A connection drops a given-up request when it is next polled; longer than this it may hang.
const SETTLE: Duration = Duration::from_secs(1);

/// Whether a request left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Not a byte of it.
    SurelyNot,
    /// Perhaps all of it.
    Perhaps,
}

/// Watches a request's body.
pub(super) struct Departure {
    asked_for: oneshot::Receiver<()>,
    left: Option<Left>,
}

/// A request's body that tells when it is asked for; overwritten when it is dropped.
pub(super) struct WatchedBody {
    data: Option<Zeroizing<Vec<u8>>>,
    /// Taken when it is asked for.
    asked_for: Mutex<Option<oneshot::Sender<()>>>,
}

/// Makes a body and its watcher.
pub(super) fn watched(data: Vec<u8>) -> (WatchedBody, Departure) {
    let (sender, receiver) = oneshot::channel();
    let body = WatchedBody {
        data: Some(Zeroizing::new(data)).filter(|data| !data.is_empty()),
        asked_for: Mutex::new(Some(sender)),
    };
    let departure = Departure {
        asked_for: receiver,
        left: None,
    };
    (body, departure)
}

impl Departure {
    /// Waits until the request leaves or never can.
    pub(super) async fn decided(&mut self) -> Left {
        if let Some(left) = self.left {
            return left;
        }
        let left = match (&mut self.asked_for).await {
            Ok(()) => Left::Perhaps,
            Err(_gone_unasked) => Left::SurelyNot,
        };
        *self.left.insert(left)
    }

    /// Whether a request that was given up had left.
    pub(super) async fn settle(mut self) -> Left {
        let decided = tokio::time::timeout(SETTLE, self.decided()).await;
        decided.unwrap_or(Left::Perhaps)
    }
}

impl WatchedBody {
    fn note(&self) {
        if let Some(asked_for) = self.asked_for.lock().take() {
            // nobody listens any more: nobody needs to know
            let _ = asked_for.send(());
        }
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.note();
        let data = self.data.take().map(Bytes::from_owner);
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.note();
        self.data.is_none()
    }

    // also asked while no connection exists, so it tells nothing
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_nobody_asked_for_did_not_leave() {
        let (body, departure) = watched(b"data".to_vec());
        assert_eq!(body.size_hint().exact(), Some(4));
        drop(body);
        assert_eq!(departure.settle().await, Left::SurelyNot);
    }

    #[tokio::test]
    async fn asking_is_leaving_even_for_an_empty_body() {
        let (body, departure) = watched(Vec::new());
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(departure.settle().await, Left::Perhaps);
    }

    #[tokio::test]
    async fn a_body_that_is_still_held_may_leave() {
        let (body, departure) = watched(b"data".to_vec());
        assert_eq!(departure.settle().await, Left::Perhaps);
        drop(body);
    }
}
