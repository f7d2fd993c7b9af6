//! The only place that constructs: settings become wired parts, bound sockets, a server that runs
//! and, at the end, drains.

mod admin_token;
mod controls;
mod descriptors;
mod memory;
mod metrics;
mod probe;
mod protection;
mod providers;
mod reload;
mod status;
mod watch;

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::Stream;
use jiff::Timestamp;
use tokio::{
    runtime::{Handle, Runtime},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::{
    admin_token::AdminToken,
    controls::Operator,
    metrics::Exposition,
    reload::{Parts as Reloadable, Reloader},
    status::Status,
};
pub use self::{
    probe::{Probed, probe},
    providers::Env,
    reload::{Origin, ProcessEnv},
};
pub use crate::provider::bin::DATA_VERSION;
use crate::{
    admin::{self, Admin},
    config::{Config, LoadedConfig, Problem, Problems},
    domain::{Operation, ProviderName},
    grpc::{
        api::{self, Api},
        health::HealthService,
        hot::Hot,
        routes,
        server::{Outcome, Server, ServerLimits},
    },
    health::HealthSwitch,
    listener,
    provider::setup::SetupError,
    runtime,
    service::{
        Parts, Service, attempt::Safeguards, clock::Clock, guard::Guard, lane::Lane,
        ledger::Ledger, limiter::Limiter, routing::Policy,
    },
    signals::{StopSignal, hangups, stop_signals},
    telemetry::otlp,
};

/// A collector that is slow does not keep the process from ending for longer.
const LAST_TELEMETRY: Duration = Duration::from_secs(2);
/// How long a start waits for the shared store; afterwards it goes on without.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
/// What is left to tidy up gets this long.
const LAST_MOMENTS: Duration = Duration::from_millis(500);

/// Why the service did not start. Names a key or a socket, never a value.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings cannot be used after all.
    #[error("the configuration cannot be used")]
    Settings(Vec<Problem>),
    /// A socket cannot be had.
    #[error("{key}: cannot listen on {address}: {source}")]
    Listen {
        /// The key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The operating system gave no thread or descriptor.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// The embedded contract cannot be read; a test rules that out.
    #[error("the embedded contract cannot be read")]
    Contract,
    /// The metrics cannot be set up; a test rules that out.
    #[error("the metrics cannot be set up")]
    Metrics,
}

impl StartError {
    fn setup(name: &ProviderName, error: &SetupError) -> Self {
        let problems = error.problems().into_iter();
        let keyed =
            problems.map(|(key, text)| Problem::new(format!("providers.{name}.{key}"), text));
        Self::Settings(keyed.collect())
    }

    /// What is wrong with the configuration.
    ///
    /// # Errors
    /// The error itself, when something else is to blame.
    pub fn problems(self) -> Result<Problems, Self> {
        match self {
            Self::Settings(problems) => Ok(Problems::new(problems)),
            other => Err(other),
        }
    }
}

/// The two bound sockets, so that a start can fail before anything else is built, and a test can
/// choose its ports.
pub struct Sockets {
    /// For gRPC.
    pub grpc: std::net::TcpListener,
    /// For the admin port.
    pub admin: std::net::TcpListener,
}

impl Sockets {
    /// Binds what the configuration says.
    ///
    /// # Errors
    /// When an address is taken, not ours, or not allowed.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        let bind = |key, address| {
            listener::bind(address).map_err(|source| StartError::Listen {
                key,
                address,
                source,
            })
        };
        Ok(Self {
            grpc: bind("server.listen", config.server.listen)?,
            admin: bind("server.admin_listen", config.server.admin_listen)?,
        })
    }
}

/// Serves until a signal comes, and drains; returns the exit code.
///
/// # Errors
/// When the service cannot start.
pub fn serve(loaded: LoadedConfig, origin: Origin) -> Result<u8, StartError> {
    let started = std::time::Instant::now();
    let max_connections = descriptors::connections(loaded.config.server.max_connections);
    let sockets = Sockets::bind(&loaded.config)?;
    let outside = runtime::outside()?;
    let _entered = outside.enter();
    let signals = stop_signals()?;
    let limits = ServerLimits {
        max_connections,
        ..ServerLimits::from(&loaded.config.server)
    };
    let worker = runtime::worker()?;
    let vendors = match limits.workers {
        // on one core a thread of their own would only take turns with the worker
        1 => None,
        _ => Some(runtime::vendors()?),
    };
    let outcome = run(
        loaded,
        limits,
        origin,
        sockets,
        signals,
        (&outside, vendors.as_ref(), worker),
        started,
    )?;
    if let Some(vendors) = vendors {
        vendors.shutdown_timeout(LAST_MOMENTS);
    }
    outside.shutdown_timeout(LAST_MOMENTS);
    Ok(outcome.exit_code())
}

fn run(
    loaded: LoadedConfig,
    limits: ServerLimits,
    origin: Origin,
    sockets: Sockets,
    signals: impl Stream<Item = StopSignal> + Unpin,
    (outside, vendors, worker): (&Runtime, Option<&Runtime>, Runtime),
    started: std::time::Instant,
) -> Result<Outcome, StartError> {
    let config = &loaded.config;
    let vendors = vendors.unwrap_or(&worker).handle();
    let service = service(config, &origin.env, vendors)?;
    let (grpc, admin) = (sockets.grpc.local_addr()?, sockets.admin.local_addr()?);
    let callers = protection::callers(config);
    let otlp = otlp::start(&origin.env, outside.handle());
    let metrics = Arc::new(Exposition::install(&service, &callers, otlp)?);
    outside.block_on(service.find_shared_store(STORE_PATIENCE));
    let health = HealthSwitch::new();
    let hot = Hot::new(
        Api::new(service.clone(), config.luhn),
        config.server.max_message_bytes,
        Arc::clone(&callers),
    );
    let tls = protection::tls(config)?;
    let rest =
        routes::rest(health.clone(), config.server.reflection).map_err(|_| StartError::Contract)?;
    let server = Server::new(
        sockets.grpc,
        hot,
        rest,
        api::answers(),
        limits,
        health.clone(),
    )
    .with_first_worker(worker)
    .protected_by(protection::handshake(tls.as_ref()));
    announce(config, grpc, admin, started);
    let cache_capacity_bytes = config.cache.capacity_bytes;
    let admin_token = Arc::new(AdminToken::of(config, &origin.env)?);
    let controls = Operator {
        service: service.clone(),
        token: Arc::clone(&admin_token),
        levels: origin.levels.clone(),
    };
    let reloadable = Reloadable {
        service: service.clone(),
        callers,
        tls: tls.clone(),
        admin_token,
    };
    let reloader = Arc::new(Reloader::new(origin, loaded, reloadable));
    let status = Status {
        service: service.clone(),
        health: health.clone(),
        gauges: server.gauges(),
        reloader: Arc::clone(&reloader),
        tls: tls.clone(),
        metrics: Arc::clone(&metrics),
        cache_capacity_bytes,
        started_at: Timestamp::now(),
        started,
    };
    let admin_pages = Admin {
        status: Arc::new(status),
        metrics: Some(metrics.clone()),
        health: health.clone(),
        grpc_health: HealthService::router(health),
        controls: Some(Arc::new(controls)),
    };
    let stop = CancellationToken::new();
    let pages = admin::serve(sockets.admin, admin_pages.router(), stop.clone());
    let pages = outside.spawn(pages);
    outside.spawn(watch::vendor_secrets(service.clone(), stop.clone()));
    outside.spawn(watch::configuration(reloader, hangups()?, stop.clone()));
    if let Some(tls) = tls {
        outside.spawn(protection::refresh(tls, stop.clone()));
    }
    let leaders = |until: Instant| async move {
        let _ = service.wait_for_leaders(until).await;
        let left = until.saturating_duration_since(Instant::now());
        if !service.safeguards().ledger.flush(left).await {
            tracing::warn!("stopped before every line of the ledger was written");
        }
    };
    let outcome = outside.block_on(server.run(signals, leaders))?;
    stop.cancel();
    // its own grace ends it; what remains goes with the runtime
    let _ = outside.block_on(pages);
    if outcome == Outcome::Drained {
        metrics.send_the_rest(LAST_TELEMETRY);
    }
    Ok(outcome)
}

/// Wires the service from its settings.
///
/// # Errors
/// When a setting cannot be used.
pub fn service(config: &Config, env: Env<'_>, vendors: &Handle) -> Result<Service, StartError> {
    let lanes = providers::lanes(config, env)?;
    let clock = Clock::System;
    let guard = Guard::new(config.guard.clone(), clock.clone());
    // replicas that cannot see each other keep to their part of every limit
    guard.divide(config.server.replicas);
    Ok(Service::new(Parts {
        digests: memory::digests(config, env)?,
        previous_digests: memory::previous_digests(config, env)?,
        shared: memory::shared_store(config, env)?,
        routes: routes_of(config, &lanes),
        lanes,
        policy: Policy {
            failover_on_unsupported: config.routes.failover_on_unsupported,
            min_attempt: config.server.min_attempt,
            max_queue: config.server.max_queue,
            retries: Limiter::exact(Some(config.routes.retries_per_second)),
        },
        safeguards: Safeguards {
            guard,
            ledger: ledger(config)?,
        },
        idempotency: config.idempotency.clone(),
        cache: config.cache.clone(),
        outside: vendors.clone(),
        clock,
    }))
}

fn ledger(config: &Config) -> Result<Ledger, StartError> {
    let Some(path) = &config.telemetry.ledger_file else {
        return Ok(Ledger::in_log());
    };
    Ledger::in_file(path).map_err(|error| {
        let detail = format!("cannot be written: {}", error.kind());
        StartError::Settings(vec![Problem::new("telemetry.ledger_file", detail)])
    })
}

fn routes_of(
    config: &Config,
    lanes: &BTreeMap<ProviderName, Arc<Lane>>,
) -> BTreeMap<Operation, Vec<ProviderName>> {
    let mut routes = config.routes.by_operation.clone();
    for route in routes.values_mut() {
        route.retain(|name| lanes.contains_key(name));
    }
    routes
}

/// The addresses are those of the sockets: with port 0 the system has chosen.
fn announce(config: &Config, grpc: SocketAddr, admin: SocketAddr, started: std::time::Instant) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let route = |operation: Operation| {
        let names = config.routes.by_operation.get(&operation);
        let names = names.map(|names| names.iter().map(ProviderName::as_str).collect::<Vec<_>>());
        names.unwrap_or_default().join(",")
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        %grpc,
        %admin,
        verify_two = route(Operation::VerifyTwo),
        verify_three = route(Operation::VerifyThree),
        verify_four = route(Operation::VerifyFour),
        card_info = route(Operation::CardInfo),
        start_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "serving"
    );
}
