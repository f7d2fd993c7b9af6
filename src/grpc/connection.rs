//! The life of one connection: hello, calls, a polite end.

use std::{future::poll_fn, pin::pin, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http2::Builder, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rand::RngExt;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    at_once::AtOnce,
    call::CallsOfConnection,
    handshake::Handshake,
    inlet::{Hello, Inlet},
    path_switch::{Calls, HotService},
    unsent::StallWatch,
};
use crate::telemetry::events;

/// What one connection may do and how long it may live.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// From the accepted socket to the peer's SETTINGS frame.
    pub hello_timeout: Duration,
    /// After this much silence the peer is asked whether it is still there.
    pub keep_alive_interval: Duration,
    /// How long it may take to say so.
    pub keep_alive_timeout: Duration,
    /// Calls at once.
    pub max_concurrent_streams: u32,
    /// All headers of a request together, as HTTP/2 counts them.
    pub max_header_list_bytes: u32,
    /// Bytes of one request that may be on their way unread.
    pub stream_window_bytes: u32,
    /// The same for all requests of the connection.
    pub connection_window_bytes: u32,
    /// How often to look whether the peer takes its answers; the second look in a row that finds
    /// them lying there ends the connection.
    pub answers_look: Duration,
    /// After this, a tenth more or less, the peer is asked to go and come again.
    pub max_age: Duration,
    /// How long calls may take after that.
    pub age_grace: Duration,
    /// How long a connection without calls may take to close when asked to.
    pub idle_grace: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            hello_timeout: Duration::from_secs(10),
            keep_alive_interval: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(20),
            max_concurrent_streams: 256,
            max_header_list_bytes: 16 * 1024,
            // twice the longest message by default
            stream_window_bytes: 128 * 1024,
            connection_window_bytes: 1024 * 1024,
            answers_look: Duration::from_secs(10),
            max_age: Duration::from_secs(20 * 60),
            age_grace: Duration::from_secs(15),
            idle_grace: Duration::from_secs(2),
        }
    }
}

impl ConnectionLimits {
    fn http2(&self, calls: AtOnce) -> Builder<AtOnce> {
        let mut builder = Builder::new(calls);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.max_concurrent_streams)
            // a gateway may hang up on all its calls at once; who does it on and on is cut by the inlet
            .max_pending_accept_reset_streams(Some(self.max_concurrent_streams as usize))
            .max_header_list_size(self.max_header_list_bytes)
            .initial_stream_window_size(self.stream_window_bytes)
            .initial_connection_window_size(self.connection_window_bytes)
            .keep_alive_interval(self.keep_alive_interval)
            .keep_alive_timeout(self.keep_alive_timeout)
            // no gRPC client reads it
            .auto_date_header(false);
        builder
    }

    /// The age of one connection, so that those which came together do not go together.
    fn jittered_age(&self) -> Duration {
        self.max_age.mul_f64(rand::rng().random_range(0.9..=1.1))
    }
}

/// What all connections of a worker have in common.
#[derive(Debug, Clone)]
pub(super) struct ConnectionHost<S> {
    pub(super) calls: Calls<S>,
    pub(super) limits: ConnectionLimits,
    pub(super) handshake: Handshake,
    /// Cancelled when every peer shall go.
    pub(super) drain: CancellationToken,
}

impl<S: HotService> ConnectionHost<S> {
    /// The same for one connection.
    pub(super) fn for_connection(&self) -> Self {
        Self {
            calls: self.calls.for_connection(),
            limits: self.limits.clone(),
            handshake: self.handshake.clone(),
            drain: self.drain.clone(),
        }
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self, stream: TcpStream) {
        let opened = Instant::now();
        let limits = self.limits;
        let drain = self.drain;
        let handshake = timeout(limits.hello_timeout, self.handshake.run(stream));
        let secured = match drain.run_until_cancelled(handshake).await {
            Some(Ok(Ok(secured))) => secured,
            Some(Ok(Err(error))) => return events::handshake_failed(&error),
            Some(Err(_)) | None => return,
        };
        let calls = self.calls;
        let (stream, hello) = Inlet::new(secured.stream);
        let of_connection = calls.of_connection();
        let peer = secured.peer;
        let service = service_fn(move |mut request: Request<Incoming>| {
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            calls.call(request)
        });
        let first_steps = AtOnce::default();
        let mut connection = pin!(
            limits
                .http2(first_steps.clone())
                .serve_connection(TokioIo::new(stream), service)
        );
        let served = poll_fn(|context| first_steps.turn(&hello, connection.as_mut(), context));
        let end = until_the_end_is_near(served, &limits, &hello, &of_connection, &drain, opened);
        let latest = match end.await {
            End::Closed => return,
            End::Aged => Some(Instant::now() + limits.age_grace),
            // the server ends what is left when its own time is over
            End::Drained => None,
        };
        connection.as_mut().graceful_shutdown();
        let served = poll_fn(|context| first_steps.turn(&hello, connection.as_mut(), context));
        wind_down(served, &of_connection, limits.idle_grace, latest).await;
    }
}

async fn until_the_end_is_near(
    served: impl Future,
    limits: &ConnectionLimits,
    hello: &Hello,
    calls: &CallsOfConnection,
    drain: &CancellationToken,
    opened: Instant,
) -> End {
    let leaves_at = opened + limits.jittered_age();
    let first_look = leaves_at.min(opened + limits.hello_timeout);
    let mut served = pin!(served);
    let mut timer = pin!(sleep_until(first_look));
    let mut drained = pin!(drain.cancelled());
    let mut stalls = StallWatch::default();
    loop {
        tokio::select! {
            biased;
            _ = served.as_mut() => return End::Closed,
            () = drained.as_mut() => {
                return if hello.is_complete() { End::Drained } else { End::Closed };
            }
            () = timer.as_mut() => {
                if !hello.is_complete() || stalls.look(calls.unsent()) {
                    return End::Closed;
                }
                if timer.deadline() >= leaves_at {
                    return End::Aged;
                }
                timer.as_mut().reset(leaves_at.min(Instant::now() + limits.answers_look));
            }
        }
    }
}

/// Waits for the calls under way, but not for peers that merely stay, nor for streams that
/// never end by themselves.
async fn wind_down(
    served: impl Future,
    calls: &CallsOfConnection,
    idle_grace: Duration,
    latest: Option<Instant>,
) {
    let pause = idle_grace / 2;
    let mut served = pin!(served);
    let mut was_idle = false;
    loop {
        let look = Instant::now() + pause;
        tokio::select! {
            biased;
            _ = served.as_mut() => return,
            () = sleep_until(latest.map_or(look, |latest| latest.min(look))) => {
                let is_idle = calls.open() == 0;
                let is_over = latest.is_some_and(|latest| latest <= Instant::now());
                if is_over || (is_idle && was_idle) {
                    return;
                }
                was_idle = is_idle;
            }
        }
    }
}

/// Why a connection is about to end.
enum End {
    /// It has ended, or there is nobody to be polite to.
    Closed,
    /// It is old.
    Aged,
    /// The process is about to stop.
    Drained,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_age_do_not_leave_together() {
        let limits = ConnectionLimits {
            max_age: Duration::from_secs(1000),
            ..ConnectionLimits::default()
        };
        let ages: Vec<_> = (0..1000)
            .map(|_| limits.jittered_age().as_secs_f64())
            .collect();
        assert!(ages.iter().all(|age| (900.0..=1100.0).contains(age)));
        let youngest = ages.iter().copied().fold(f64::MAX, f64::min);
        let oldest = ages.iter().copied().fold(f64::MIN, f64::max);
        assert!(youngest < 920.0 && oldest > 1080.0);
    }
}
