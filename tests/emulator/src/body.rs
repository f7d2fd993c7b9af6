//! The bodies of replies: whole, in drips, or torn off.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::connection::{Ender, Ending};

/// How long the first part of a torn body has to reach the peer before the reset.
const TEAR_AFTER: Duration = Duration::from_millis(50);

/// The body of a reply.
pub(crate) struct ReplyBody {
    rest: Bytes,
    manner: Manner,
}

enum Manner {
    Whole,
    Drip {
        interval: Duration,
        pause: Pin<Box<Sleep>>,
    },
    Torn {
        deliver: usize,
        pause: Option<Pin<Box<Sleep>>>,
        ender: Ender,
    },
}

impl ReplyBody {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self {
            rest: bytes,
            manner: Manner::Whole,
        }
    }

    /// One byte after each interval.
    pub(crate) fn drip(bytes: Bytes, interval: Duration) -> Self {
        let pause = Box::pin(tokio::time::sleep(interval));
        Self {
            rest: bytes,
            manner: Manner::Drip { interval, pause },
        }
    }

    /// So many bytes, then the connection is reset.
    pub(crate) fn torn(bytes: Bytes, deliver: usize, ender: Ender) -> Self {
        let deliver = deliver.min(bytes.len().saturating_sub(1));
        Self {
            rest: bytes,
            manner: Manner::Torn {
                deliver,
                pause: None,
                ender,
            },
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let part = match &mut this.manner {
            Manner::Whole => std::mem::take(&mut this.rest),
            Manner::Drip { interval, pause } => {
                ready!(pause.as_mut().poll(cx));
                pause
                    .as_mut()
                    .reset(tokio::time::Instant::now() + *interval);
                this.rest.split_to(1)
            }
            Manner::Torn {
                deliver,
                pause,
                ender,
            } => match pause {
                None => {
                    let mut sleep = Box::pin(tokio::time::sleep(TEAR_AFTER));
                    // Polled once so that its end wakes this task.
                    let _ = sleep.as_mut().poll(cx);
                    *pause = Some(sleep);
                    if *deliver == 0 {
                        return Poll::Pending;
                    }
                    this.rest.split_to(*deliver)
                }
                Some(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    ender.end(Ending::Reset);
                    return Poll::Pending;
                }
            },
        };
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
