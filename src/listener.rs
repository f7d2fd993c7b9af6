//! Listening sockets that survive bad times: an accept loop that waits, instead of spinning, when
//! the process has no descriptors left.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

/// Connections that the kernel holds until they are accepted; it cuts this to its own limit.
const BACKLOG: i32 = 4096;
/// The first wait after a failed accept.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// The longest one.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Failures nearer together than this are one episode, and one log line.
const EPISODE_GAP: Duration = Duration::from_secs(10);
/// This many broken connections in a row look like something lasting.
const BROKEN_IN_A_ROW: u32 = 64;

/// Binds a listening socket, ready to be handed to [`Listener::new`].
///
/// # Errors
/// The address is taken, not ours, or not allowed.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // a restart must not wait for connections of the process before
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A listening socket whose `accept` never fails.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    port: &'static str,
    backoff: Backoff,
}

impl Listener {
    /// Takes a bound socket; `port` names it in log lines (`grpc`, `admin`).
    ///
    /// # Errors
    /// The socket cannot be watched by the runtime that this is called on.
    pub fn new(socket: std::net::TcpListener, port: &'static str) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: TcpListener::from_std(socket)?,
            port,
            backoff: Backoff::default(),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next connection. Waits out whatever is in the way. Safe to drop while waiting.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let error = match self.socket.accept().await {
                Ok(accepted) => {
                    self.backoff.succeeded();
                    return accepted;
                }
                Err(error) => error,
            };
            let advice = self
                .backoff
                .failed(is_about_one_peer(&error), Instant::now());
            if advice.new_episode {
                tracing::warn!(
                    port = self.port,
                    %error,
                    "connections cannot be accepted just now, they wait"
                );
            }
            // tokio keeps the socket marked as readable after an error: without a wait this loop
            // would take a whole core
            match advice.wait {
                Some(wait) => sleep(wait).await,
                None => tokio::task::yield_now().await,
            }
        }
    }
}

/// Whether only the connection at the head of the queue broke, so that the next may be fine.
fn is_about_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::TimedOut
    )
}

/// How long to wait after failures.
#[derive(Debug, Default)]
struct Backoff {
    next_wait: Option<Duration>,
    broken_in_a_row: u32,
    last_failure: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
struct Advice {
    wait: Option<Duration>,
    new_episode: bool,
}

impl Backoff {
    fn succeeded(&mut self) {
        self.next_wait = None;
        self.broken_in_a_row = 0;
    }

    fn failed(&mut self, about_one_peer: bool, now: Instant) -> Advice {
        if about_one_peer && self.broken_in_a_row < BROKEN_IN_A_ROW {
            self.broken_in_a_row += 1;
            return Advice {
                wait: None,
                new_episode: false,
            };
        }
        let wait = self.next_wait.unwrap_or(SHORTEST_WAIT);
        self.next_wait = Some((wait * 2).min(LONGEST_WAIT));
        // an episode goes on through single successes: a process at its limit frees one
        // descriptor and uses it up over and over
        let new_episode = self
            .last_failure
            .is_none_or(|last| now.duration_since(last) >= EPISODE_GAP);
        self.last_failure = Some(now);
        Advice {
            wait: Some(wait),
            new_episode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_ten_milliseconds_to_a_second() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let waits: Vec<_> = (0..9)
            .filter_map(|_| backoff.failed(false, now).wait)
            .map(|wait| wait.as_millis())
            .collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        backoff.succeeded();
        assert_eq!(
            backoff.failed(false, now).wait,
            Some(Duration::from_millis(10))
        );
    }

    #[test]
    fn one_log_line_per_episode_even_when_single_connections_get_through() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        let mut lines = 0;
        for step in 0..100 {
            if backoff
                .failed(false, start + Duration::from_millis(step * 50))
                .new_episode
            {
                lines += 1;
            }
            backoff.succeeded();
        }
        assert_eq!(lines, 1);
        let much_later = start + Duration::from_secs(60);
        assert!(backoff.failed(false, much_later).new_episode);
    }

    #[test]
    fn broken_peers_are_passed_over_unless_there_is_no_end_to_them() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        for _ in 0..BROKEN_IN_A_ROW {
            assert_eq!(
                backoff.failed(true, now),
                Advice {
                    wait: None,
                    new_episode: false
                }
            );
        }
        assert!(backoff.failed(true, now).wait.is_some());
    }
}
