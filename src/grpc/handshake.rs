//! What a fresh connection goes through before HTTP/2 begins.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::tls::{PeerNames, Tls};

/// How a connection is protected. Runs on the worker, so that no connection can hold up the
/// acceptor, and within the connection's time limit for saying hello.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Handshake {
    /// Not at all: loopback, or a mesh that encrypts.
    #[default]
    Plaintext,
    /// By TLS, with the certificates that are in use when the connection comes.
    Tls(Arc<Tls>),
}

impl Handshake {
    /// Brings a connection to the point where HTTP/2 can begin.
    ///
    /// # Errors
    /// The peer went away or cannot be spoken with.
    pub(super) async fn run(&self, stream: TcpStream) -> io::Result<Secured> {
        match self {
            Self::Plaintext => Ok(Secured {
                stream: Transport::Plain(stream),
                peer: None,
            }),
            Self::Tls(tls) => {
                let stream = TlsAcceptor::from(tls.current()).accept(stream).await?;
                let chain = stream.get_ref().1.peer_certificates();
                let peer = chain.and_then(<[_]>::first).map(PeerNames::of);
                Ok(Secured {
                    // a TLS session takes 1 kB in place; plaintext connections need not
                    stream: Transport::Tls(Box::new(stream)),
                    peer,
                })
            }
        }
    }
}

/// A connection that is ready for HTTP/2.
pub(super) struct Secured {
    pub(super) stream: Transport,
    /// Who its verified certificate says the peer is; `None` without one.
    pub(super) peer: Option<PeerNames>,
}

/// The bytes of a connection, protected or not.
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Does the same with either kind of stream.
macro_rules! either {
    ($transport:expr, $method:ident $(, $argument:expr)*) => {
        match $transport.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, poll_read, context, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write, context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_flush, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write_vectored, context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
