//! The gRPC server: from bound socket to the last answered call.

use std::{io, iter, time::Duration};

use futures_util::{Stream, StreamExt};
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::{
    acceptor::Acceptor,
    connection::{ConnectionHost, ConnectionLimits},
    handshake::Handshake,
    limits::Gate,
    path_switch::{Answers, Calls, HotService},
    workers::{WorkerLoads, Workers},
};
use crate::{
    config::ServerSettings,
    health::HealthSwitch,
    listener::Listener,
    runtime::{self, worker_count},
    signals::StopSignal,
};

/// What the operator decided about the server, and what nobody needs to decide.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Worker threads.
    pub workers: usize,
    /// The longest that a call may take.
    pub max_deadline: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// Calls of the hot service at once.
    pub max_in_flight: usize,
    /// How long to go on serving after the signal to stop.
    pub drain_delay: Duration,
    /// How long calls under way may take after that.
    pub shutdown_timeout: Duration,
    /// Limits of each connection.
    pub connection: ConnectionLimits,
}

impl From<&ServerSettings> for ServerLimits {
    fn from(settings: &ServerSettings) -> Self {
        // what fits into a stream's window is read ahead; a message has to fit
        let window = settings
            .max_message_bytes
            .saturating_mul(2)
            .clamp(64 * 1024, 16 * 1024 * 1024);
        let window = u32::try_from(window).unwrap_or(u32::MAX / 2);
        let connection = ConnectionLimits {
            max_concurrent_streams: settings.max_concurrent_streams,
            max_age: settings.max_connection_age,
            // a call that began just before has its whole deadline
            age_grace: settings.max_deadline + Duration::from_secs(5),
            stream_window_bytes: window,
            connection_window_bytes: window.max(1024 * 1024),
            ..ConnectionLimits::default()
        };
        Self {
            workers: worker_count(settings.workers),
            max_deadline: settings.max_deadline,
            max_connections: settings.max_connections,
            max_in_flight: settings.max_in_flight,
            drain_delay: settings.drain_delay,
            shutdown_timeout: settings.shutdown_timeout,
            connection,
        }
    }
}

/// How the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was asked to stop and took its time; whatever had not ended by then was cut.
    Drained,
    /// A second signal came before it was done.
    Interrupted(StopSignal),
}

impl Outcome {
    /// The exit code of the process: 0, or 128 and the number of the second signal.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::Interrupted(signal) => signal.exit_code(),
        }
    }
}

/// What the server is doing, for `/status` and metrics.
#[derive(Debug, Clone)]
pub struct ServerGauges {
    /// Connections: open, and turned away since the start.
    pub connections: Gate,
    /// Calls of the hot service: under way, and turned away since the start.
    pub in_flight: Gate,
}

/// A gRPC server that is ready to run.
#[derive(Debug)]
pub struct Server<S> {
    listener: std::net::TcpListener,
    calls: Calls<S>,
    limits: ServerLimits,
    health: HealthSwitch,
    handshake: Handshake,
    gauges: ServerGauges,
    first_worker: Option<Runtime>,
}

impl<S: HotService> Server<S> {
    /// A server for `hot` (every path under [`super::path_switch::HOT_PREFIX`]) and `rest`.
    ///
    /// `listener` is bound already, so that a test can choose its port and a start can fail
    /// before anything else is built.
    #[must_use]
    pub fn new(
        listener: std::net::TcpListener,
        hot: S,
        rest: Routes,
        answers: Answers,
        limits: ServerLimits,
        health: HealthSwitch,
    ) -> Self {
        let gauges = ServerGauges {
            connections: Gate::new(limits.max_connections),
            in_flight: Gate::new(limits.max_in_flight),
        };
        let calls = Calls::new(
            hot,
            // finished now, not again for every connection
            rest.prepare(),
            answers,
            limits.max_deadline,
            gauges.in_flight.clone(),
        );
        Self {
            listener,
            calls,
            limits,
            health,
            handshake: Handshake::default(),
            gauges,
            first_worker: None,
        }
    }

    /// The same with a runtime for the first worker, known to others before it runs. Without it,
    /// one is made, as for all further workers.
    #[must_use]
    pub fn with_first_worker(self, runtime: Runtime) -> Self {
        Self {
            first_worker: Some(runtime),
            ..self
        }
    }

    /// The same with connections that are protected like this, and not in plaintext.
    #[must_use]
    pub fn protected_by(self, handshake: Handshake) -> Self {
        Self { handshake, ..self }
    }

    /// What it is doing, also while it runs.
    #[must_use]
    pub fn gauges(&self) -> ServerGauges {
        self.gauges.clone()
    }

    /// Starts the workers. After this the server can only run.
    ///
    /// # Errors
    /// The operating system gave no thread or descriptor.
    pub fn start(self) -> io::Result<Running> {
        let drain = CancellationToken::new();
        let host = ConnectionHost {
            calls: self.calls,
            limits: self.limits.connection.clone(),
            handshake: self.handshake,
            drain: drain.clone(),
        };
        let further = iter::repeat_with(runtime::worker);
        let runtimes = self.first_worker.map(Ok).into_iter().chain(further);
        let runtimes: io::Result<_> = runtimes.take(self.limits.workers.max(1)).collect();
        let workers = Workers::start(runtimes?, &host)?;
        let loads = workers.loads();
        let listener = Listener::new(self.listener, "grpc")?;
        Ok(Running {
            acceptor: Acceptor::new(listener, self.gauges.connections, workers),
            loads,
            limits: self.limits,
            health: self.health,
            drain,
        })
    }

    /// Starts, serves, and drains when a signal comes. Must be called on the outside runtime.
    ///
    /// `leaders` is waited for last, up to the moment it is given: vendor calls under way, whose
    /// callers may be gone already. The second signal ends everything at once; an end of
    /// `signals` means that none will ever come.
    ///
    /// # Errors
    /// The operating system gave no thread or descriptor.
    pub async fn run<L, F>(
        self,
        signals: impl Stream<Item = StopSignal> + Unpin,
        leaders: L,
    ) -> io::Result<Outcome>
    where
        L: FnOnce(Instant) -> F,
        F: Future<Output = ()>,
    {
        Ok(self.start()?.run(signals, leaders).await)
    }
}

/// A server whose workers are up.
pub struct Running {
    acceptor: Acceptor,
    loads: WorkerLoads,
    limits: ServerLimits,
    health: HealthSwitch,
    drain: CancellationToken,
}

impl Running {
    /// Open connections of each worker, for `/status`.
    #[must_use]
    pub fn loads(&self) -> WorkerLoads {
        self.loads.clone()
    }

    /// See [`Server::run`].
    pub async fn run<L, F>(
        mut self,
        mut signals: impl Stream<Item = StopSignal> + Unpin,
        leaders: L,
    ) -> Outcome
    where
        L: FnOnce(Instant) -> F,
        F: Future<Output = ()>,
    {
        self.health.serving();
        let first = tokio::select! {
            never = self.acceptor.run() => match never {},
            signal = next(&mut signals) => signal,
        };
        tokio::select! {
            () = self.wind_up(first, leaders) => Outcome::Drained,
            second = next(&mut signals) => {
                tracing::warn!(signal = second.as_str(), "second signal, stopping at once");
                Outcome::Interrupted(second)
            }
        }
    }

    async fn wind_up<L, F>(mut self, signal: StopSignal, leaders: L)
    where
        L: FnOnce(Instant) -> F,
        F: Future<Output = ()>,
    {
        self.health.draining();
        tracing::info!(
            signal = signal.as_str(),
            drain_delay_ms = millis(self.limits.drain_delay),
            "draining: not ready any more, still serving"
        );
        tokio::select! {
            never = self.acceptor.run() => match never {},
            () = sleep(self.limits.drain_delay) => {}
        }
        self.health.stopping();
        let workers = self.acceptor.stop();
        self.drain.cancel();
        let until = Instant::now() + self.limits.shutdown_timeout;
        tracing::info!(
            shutdown_timeout_ms = millis(self.limits.shutdown_timeout),
            "no new connections, finishing calls under way"
        );
        let in_time = timeout_at(until, async {
            let _vendors_are_asked = workers.finish().await;
            leaders(until).await;
        })
        .await
        .is_ok();
        if in_time {
            tracing::info!("stopped");
        } else {
            tracing::warn!("stopped before every call was finished");
        }
    }
}

/// The next signal; waits for ever when there will be none.
async fn next(signals: &mut (impl Stream<Item = StopSignal> + Unpin)) -> StopSignal {
    match signals.next().await {
        Some(signal) => signal,
        None => std::future::pending().await,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
