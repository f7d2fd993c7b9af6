//! Takes connections from the listening socket and hands them to the workers.

use std::time::Duration;

use tokio::{net::TcpStream, time::Instant};

use super::{
    limits::Gate,
    workers::{Accepted, Workers},
};
use crate::listener::Listener;

/// The shortest time between two log lines about connections that were turned away.
const QUIET: Duration = Duration::from_secs(60);

/// Owns the listening socket; dropping it ends listening.
pub(super) struct Acceptor {
    listener: Listener,
    connections: Gate,
    workers: Workers,
    last_warning: Option<Instant>,
}

impl Acceptor {
    pub(super) fn new(listener: Listener, connections: Gate, workers: Workers) -> Self {
        Self {
            listener,
            connections,
            workers,
            last_warning: None,
        }
    }

    /// Accepts until it is dropped.
    pub(super) async fn run(&mut self) -> std::convert::Infallible {
        loop {
            let (stream, _peer) = self.listener.accept().await;
            self.admit(stream);
        }
    }

    /// Stops listening; the workers keep what they have.
    pub(super) fn stop(self) -> Workers {
        self.workers
    }

    fn admit(&mut self, stream: TcpStream) {
        let Some(permit) = self.connections.enter() else {
            self.warn_of_crowd();
            // dropped, and so closed at once: a client finds another replica faster that way
            return;
        };
        // without one the peer is gone already
        if let Some(stream) = made_ready(stream) {
            self.workers.hand_out(Accepted { stream, permit });
        }
    }

    fn warn_of_crowd(&mut self) {
        let now = Instant::now();
        let quiet = self
            .last_warning
            .is_some_and(|last| now.duration_since(last) < QUIET);
        if !quiet {
            self.last_warning = Some(now);
            tracing::warn!(
                max_connections = self.connections.most(),
                turned_away = self.connections.turned_away(),
                "too many connections, new ones are closed at once"
            );
        }
    }
}

/// Takes a connection off this runtime, set up for small messages: Nagle's algorithm would make
/// answers wait for acknowledgements.
fn made_ready(stream: TcpStream) -> Option<std::net::TcpStream> {
    stream.set_nodelay(true).ok()?;
    stream.into_std().ok()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test]
    async fn answers_do_not_wait_for_acknowledgements() -> io::Result<()> {
        let socket = crate::listener::bind(([127, 0, 0, 1], 0).into())?;
        let mut listener = Listener::new(socket, "grpc")?;
        let address = listener.local_addr()?;
        let (_client, (accepted, _)) = tokio::join!(TcpStream::connect(address), listener.accept());
        assert!(!accepted.nodelay()?, "nothing to see if it is the default");
        let ready = made_ready(accepted).ok_or(io::ErrorKind::NotConnected)?;
        assert!(ready.nodelay()?);
        Ok(())
    }
}
