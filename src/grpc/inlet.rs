//! The reading side of a connection: sees whether the peer has said hello, gives each connection
//! its turn, and hears enough of a peer that only makes work.
//!
//! hyper has a time limit for HTTP/1 headers but none for the hello of HTTP/2 (the client preface
//! with its SETTINGS frame), so a peer that connects and says nothing would be held for ever. And it
//! reads a connection until nothing is left to read: one peer that sends faster than its frames
//! are worked off would keep everybody else on the worker waiting.

use std::{
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Frames, Patience};

/// What a connection reads before the others have their turn: some two thousand of the shortest
/// frames.
const TURN_BYTES: usize = 16 * 1024;

/// What is known about a connection's reading outside of it. Used by one thread at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Hello {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    complete: AtomicBool,
    read_this_turn: AtomicUsize,
}

impl Hello {
    /// Whether the peer has said hello.
    pub(super) fn is_complete(&self) -> bool {
        self.shared.complete.load(Ordering::Relaxed)
    }

    /// Lets the inlet be read for another turn.
    pub(super) fn begin_turn(&self) {
        self.shared.read_this_turn.store(0, Ordering::Relaxed);
    }
}

/// A stream that watches what comes in and is transparent otherwise.
#[derive(Debug)]
pub(super) struct Inlet<T> {
    stream: T,
    frames: Frames,
    patience: Patience,
    hello: Hello,
}

impl<T> Inlet<T> {
    pub(super) fn new(stream: T) -> (Self, Hello) {
        let hello = Hello::default();
        let inlet = Self {
            stream,
            frames: Frames::default(),
            patience: Patience::new(),
            hello: hello.clone(),
        };
        (inlet, hello)
    }

    /// Looks at fresh bytes.
    fn see(&mut self, fresh: &[u8]) -> io::Result<()> {
        let shared = &self.hello.shared;
        shared
            .read_this_turn
            .fetch_add(fresh.len(), Ordering::Relaxed);
        let mut enough = false;
        let patience = &mut self.patience;
        self.frames
            .take(fresh, |head| enough |= !patience.weigh(head));
        if enough {
            return Err(io::Error::other(
                "the peer sends too many frames that carry nothing",
            ));
        }
        if !self.hello.is_complete() && self.frames.first_is_whole() {
            shared.complete.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Inlet<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.hello.shared.read_this_turn.load(Ordering::Relaxed) >= TURN_BYTES {
            // it comes back when everybody else, and the sockets, had their turn
            return pin!(tokio::task::yield_now()).poll(context).map(Ok);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        Poll::Ready(this.see(buffer.filled().get(before..).unwrap_or_default()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Inlet<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, task::Waker};

    use tokio::io::AsyncReadExt;

    use super::*;

    /// What can be read in one turn.
    fn turn<T: AsyncRead + Unpin>(inlet: &mut Inlet<T>, hello: &Hello) -> io::Result<usize> {
        let mut context = Context::from_waker(Waker::noop());
        let read = Cell::new(0);
        let all = pin!(async {
            let mut part = vec![0; 1000];
            loop {
                match inlet.read(&mut part).await {
                    Ok(0) => return Ok(read.get()),
                    Ok(more) => read.set(read.get() + more),
                    Err(error) => return Err(error),
                }
            }
        });
        hello.begin_turn();
        match all.poll(&mut context) {
            Poll::Ready(ended) => ended,
            Poll::Pending => Ok(read.get()),
        }
    }

    #[tokio::test]
    async fn a_turn_ends_after_its_bytes_and_the_next_goes_on() -> io::Result<()> {
        // one long frame
        let bytes = vec![1; 3 * TURN_BYTES];
        let (mut inlet, hello) = Inlet::new(bytes.as_slice());
        let mut left = bytes.len();
        for _ in 0..3 {
            let read = turn(&mut inlet, &hello)?;
            assert!(
                (TURN_BYTES..TURN_BYTES + 1000).contains(&read) || read == left,
                "{read}"
            );
            left -= read;
        }
        assert_eq!(left, 0);
        Ok(())
    }

    #[tokio::test]
    async fn a_peer_that_only_makes_work_is_an_error() {
        const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        for (pings, is_well) in [(900, true), (1100, false)] {
            let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
            bytes.extend(PING.repeat(pings));
            let (mut inlet, hello) = Inlet::new(bytes.as_slice());
            let first = turn(&mut inlet, &hello);
            let second = turn(&mut inlet, &hello);
            assert!(first.is_ok() && hello.is_complete());
            assert_eq!(second.is_ok(), is_well);
        }
    }
}
