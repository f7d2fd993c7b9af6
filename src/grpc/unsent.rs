//! Answers that are made and not yet taken: a peer may ask and then let nothing out, by a window
//! of no size. Each such answer holds memory, and no deadline ends it, as the call is over.

use std::{
    borrow::Borrow,
    pin::Pin,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::Status;

use super::reply::Reply;

/// Counts the answers of a connection that its peer has not taken yet. Changed by the connection's
/// own thread alone, so that nothing need be locked.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    waiting: AtomicUsize,
    taken: AtomicU64,
}

impl Unsent {
    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    fn one_more(&self) {
        self.waiting.store(self.waiting() + 1, Ordering::Relaxed);
    }

    fn one_less(&self) {
        let waiting = self.waiting().saturating_sub(1);
        self.waiting.store(waiting, Ordering::Relaxed);
        self.taken.store(self.taken() + 1, Ordering::Relaxed);
    }
}

/// Sees, by looking now and then, whether a peer lets its answers lie.
#[derive(Debug, Default)]
pub(super) struct StallWatch {
    waited: bool,
    taken: u64,
}

impl StallWatch {
    /// True when answers waited at the last look and wait now, and fewer were taken in between
    /// than lie there: whoever reads at all takes a full load of small answers in that time.
    pub(super) fn look(&mut self, unsent: &Unsent) -> bool {
        let (waiting, taken) = (unsent.waiting(), unsent.taken());
        let took = usize::try_from(taken - self.taken).unwrap_or(usize::MAX);
        let stalls = self.waited && took < waiting;
        self.waited = waiting > 0;
        self.taken = taken;
        stalls
    }
}

/// The body of an answer, counted until it is on its way.
pub(super) struct AnswerBody<C: Borrow<Unsent>> {
    body: Reply,
    counted: Option<C>,
}

impl<C: Borrow<Unsent>> AnswerBody<C> {
    /// A body that is counted.
    pub(super) fn counted(body: Reply, by: C) -> Self {
        by.borrow().one_more();
        Self {
            body,
            counted: Some(by),
        }
    }

    /// A body that may take as long as it likes, such as a stream of health.
    pub(super) fn uncounted(body: Reply) -> Self {
        Self {
            body,
            counted: None,
        }
    }
}

impl<C: Borrow<Unsent>> Drop for AnswerBody<C> {
    fn drop(&mut self) {
        if let Some(counted) = &self.counted {
            counted.borrow().one_less();
        }
    }
}

impl<C: Borrow<Unsent> + Unpin> http_body::Body for AnswerBody<C> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn answer(unsent: &Arc<Unsent>) -> AnswerBody<Arc<Unsent>> {
        AnswerBody::counted(Reply::Sent, Arc::clone(unsent))
    }

    #[test]
    fn answers_that_lie_are_seen_at_the_second_look() {
        let unsent = Arc::new(Unsent::default());
        let mut watch = StallWatch::default();
        assert!(!watch.look(&unsent));
        let answers = [answer(&unsent), answer(&unsent)];
        assert!(!watch.look(&unsent), "they may have come just now");
        assert!(watch.look(&unsent));
        // one taken, one made, two lie there
        let [_kept, taken] = answers;
        drop(taken);
        let _another = answer(&unsent);
        assert!(watch.look(&unsent));
    }

    #[test]
    fn a_peer_that_takes_what_it_asked_for_is_left_alone() {
        let unsent = Arc::new(Unsent::default());
        let mut watch = StallWatch::default();
        for _ in 0..10 {
            for _ in 0..5 {
                drop(answer(&unsent));
            }
            let _under_way = answer(&unsent);
            assert!(!watch.look(&unsent));
        }
        assert!(!watch.look(&unsent));
    }

    #[test]
    fn a_body_that_is_not_counted_may_stay() {
        let _stream: AnswerBody<Arc<Unsent>> = AnswerBody::uncounted(Reply::Sent);
        let unsent = Unsent::default();
        let mut watch = StallWatch::default();
        assert!(!watch.look(&unsent) && !watch.look(&unsent));
    }
}
