//! What a fresh connection goes through before HTTP/2 begins.

use std::io;

use tokio::net::TcpStream;

/// How a connection is protected. Runs on the worker, so that no connection can hold up the
/// acceptor, and within the connection's time limit for saying hello.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub enum Handshake {
    /// Not at all: loopback, or a mesh that encrypts.
    #[default]
    Plaintext,
}

impl Handshake {
    /// Brings a connection to the point where HTTP/2 can begin.
    ///
    /// # Errors
    /// The peer went away or cannot be spoken with.
    #[expect(
        clippy::unused_async,
        reason = "the caller treats every handshake as something to wait for"
    )]
    pub async fn run(&self, stream: TcpStream) -> io::Result<TcpStream> {
        match self {
            Self::Plaintext => Ok(stream),
        }
    }
}
