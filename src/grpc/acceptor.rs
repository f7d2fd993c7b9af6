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
        let Some(permit) = self.connections.enter_owned() else {
            self.warn_of_crowd();
            // dropped, and so closed at once: a client finds another replica faster that way
            return;
        };
        // Nagle's algorithm makes answers wait for acknowledgements; an error means that the
        // peer is gone already
        if stream.set_nodelay(true).is_ok()
            && let Ok(stream) = stream.into_std()
        {
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
