//! The socket under hyper, with the handles that faults need: to cut it, to reset it, and to slip a
//! GOAWAY frame into what is written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// How a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// An orderly end of the stream (the kernel still resets it if unread bytes are left).
    Close,
    /// A TCP reset.
    Reset,
}

/// The shared side of one connection.
pub(crate) struct Connection {
    number: u64,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    ended: Notify,
    reset: AtomicBool,
    /// Raw bytes to write next, after which the connection ends.
    last_words: Mutex<Option<Vec<u8>>>,
    has_last_words: AtomicBool,
    reader: AtomicWaker,
}

/// Ends a connection from within a body.
#[derive(Clone)]
pub(crate) struct Ender(Arc<Shared>);

impl Ender {
    pub(crate) fn end(&self, ending: Ending) {
        if ending == Ending::Reset {
            self.0.reset.store(true, Ordering::Release);
        }
        self.0.ended.notify_one();
    }
}

impl Connection {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            shared: Arc::default(),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn ender(&self) -> Ender {
        Ender(Arc::clone(&self.shared))
    }

    pub(crate) fn end(&self, ending: Ending) {
        self.ender().end(ending);
    }

    /// Returns when somebody has ended the connection.
    pub(crate) async fn ended(&self) {
        self.shared.ended.notified().await;
    }

    /// Writes an HTTP/2 GOAWAY frame without error, then ends the connection.
    pub(crate) fn go_away(&self, last_stream: u32) {
        // RFC 9113, 6.8: 9 bytes of frame header (length 8, type 7, no flags, stream 0), then the
        // last stream and the error code, 4 bytes each.
        let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0];
        frame.extend_from_slice(&last_stream.to_be_bytes());
        frame.extend_from_slice(&0_u32.to_be_bytes());
        *self.shared.last_words.lock() = Some(frame);
        self.shared.has_last_words.store(true, Ordering::Release);
        self.shared.reader.wake();
    }

    /// The socket itself; the lowest layer, under TLS.
    pub(crate) fn wire(&self, stream: TcpStream) -> Wire {
        Wire {
            stream,
            shared: Arc::clone(&self.shared),
        }
    }

    /// The layer right under hyper, above TLS.
    pub(crate) fn tap<S>(&self, inner: S) -> Tap<S> {
        Tap {
            inner,
            shared: Arc::clone(&self.shared),
            speaking: None,
        }
    }
}

/// The socket; sends a reset when it is dropped, if it was asked to.
pub(crate) struct Wire {
    stream: TcpStream,
    shared: Arc<Shared>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.shared.reset.load(Ordering::Acquire) {
            // A linger time of zero makes the close a reset; if it fails, it is a plain close.
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Hyper's input and output, into which last words can be slipped.
pub(crate) struct Tap<S> {
    inner: S,
    shared: Arc<Shared>,
    /// Last words that are being written, and how far they have got.
    speaking: Option<(Vec<u8>, usize)>,
}

impl<S: AsyncWrite + Unpin> Tap<S> {
    /// Writes the last words, if there are any. Between two reads hyper has no half-written frame
    /// unless the peer reads too slowly, so they stand between two frames.
    fn speak(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.speaking.is_none() {
            let Some(words) = self.shared.last_words.lock().take() else {
                return Poll::Pending;
            };
            self.speaking = Some((words, 0));
        }
        if let Some((words, written)) = &mut self.speaking {
            while *written < words.len() {
                match Pin::new(&mut self.inner).poll_write(cx, &words[*written..]) {
                    Poll::Ready(Ok(count)) if count > 0 => *written += count,
                    Poll::Ready(Ok(_)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    other => return other.map_ok(|_| ()),
                }
            }
        }
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        if flushed.is_ready() {
            self.shared.ended.notify_one();
        }
        flushed
    }

    fn has_last_words(&self) -> bool {
        self.shared.has_last_words.load(Ordering::Acquire)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.shared.reader.register(cx.waker());
        if self.has_last_words() {
            if let Poll::Ready(Err(error)) = self.speak(cx) {
                return Poll::Ready(Err(error));
            }
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.has_last_words() {
            // Nothing is said after the last words.
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.has_last_words() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
