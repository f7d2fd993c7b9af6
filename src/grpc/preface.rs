//! Sees whether a peer has said hello: the HTTP/2 client preface with its SETTINGS frame.
//!
//! hyper has a time limit for HTTP/1 headers but none for this, so a peer that connects and says
//! nothing would be held for ever.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The length of the fixed text that every HTTP/2 client sends first.
const PREFACE_BYTES: usize = 24;
/// The length of a frame's head, of which the first three bytes are the length of the rest.
const FRAME_HEAD_BYTES: usize = 9;

/// Whether the hello is complete.
#[derive(Debug, Clone, Default)]
pub(super) struct Hello {
    complete: Arc<AtomicBool>,
}

impl Hello {
    pub(super) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }
}

/// A stream that watches the first bytes that come in and is transparent otherwise.
#[derive(Debug)]
pub(super) struct Greeting<T> {
    stream: T,
    progress: Progress,
    hello: Hello,
}

impl<T> Greeting<T> {
    pub(super) fn new(stream: T) -> (Self, Hello) {
        let hello = Hello::default();
        let greeting = Self {
            stream,
            progress: Progress::default(),
            hello: hello.clone(),
        };
        (greeting, hello)
    }
}

/// How far the hello has come. What the bytes say is hyper's business; only their number and the
/// length of the first frame matter here.
#[derive(Debug, Default)]
struct Progress {
    seen: usize,
    frame_bytes: usize,
}

impl Progress {
    /// Takes the next bytes; true as soon as the first frame is whole.
    fn take(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            if (PREFACE_BYTES..PREFACE_BYTES + 3).contains(&self.seen) {
                self.frame_bytes = self.frame_bytes << 8 | usize::from(*byte);
            }
            self.seen += 1;
            if self.seen >= PREFACE_BYTES + FRAME_HEAD_BYTES + self.frame_bytes {
                return true;
            }
        }
        false
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Greeting<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if !this.hello.is_complete() {
            let fresh = buffer.filled().get(before..).unwrap_or_default();
            if this.progress.take(fresh) {
                this.hello.complete.store(true, Ordering::Relaxed);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Greeting<T> {
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
    use proptest::prelude::*;

    use super::*;

    fn hello(settings: usize) -> Vec<u8> {
        let payload = 6 * settings;
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend([0, (payload / 256) as u8, (payload % 256) as u8]);
        bytes.extend([4, 0, 0, 0, 0, 0]);
        bytes.extend(std::iter::repeat_n(7, payload));
        bytes
    }

    proptest! {
        #[test]
        fn complete_with_the_last_byte_of_settings_however_it_is_cut(
            settings in 0_usize..50, piece in 1_usize..64
        ) {
            let bytes = hello(settings);
            let (last, rest) = bytes.split_last().ok_or(TestCaseError::fail("never empty"))?;
            let mut progress = Progress::default();
            for part in rest.chunks(piece) {
                prop_assert!(!progress.take(part));
            }
            prop_assert!(progress.take(&[*last]));
        }
    }
}
