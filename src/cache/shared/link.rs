//! The connection to the store, and the breaker in front of it.
//!
//! One failure opens the breaker: whoever met it has paid one timeout, and from then on nobody
//! pays anything until the keeper has found the store back and trusts it.

use std::{
    error::Error,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use redis::{
    Client, Cmd, ErrorKind, IntoConnectionInfo, RedisError, Script, TlsCertificates, Value,
    aio::MultiplexedConnection,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{
    Lost,
    connections::{CONNECT_TIMEOUT, Connections},
    forms::Offset,
    scripts::{Arguments, Said, Scripts, Told},
};
use crate::telemetry::events;

/// From this lateness of a timer on, it was this process that stood still.
const LATE: Duration = Duration::from_millis(5);
/// How often a wait begins anew because this process stood still.
const PATIENCE: usize = 5;
/// Where the address stands in the configuration.
pub(super) const ADDRESS_KEY: &str = "cache.redis.url";
/// A store that is up says a script's word; one of another epoch says this.
const OTHER_EPOCH: &str = "epoch";

/// Where the store is. The address holds a password: it is never shown.
#[derive(Clone)]
pub struct Address {
    /// `redis://` or `rediss://`, with user and password.
    pub url: crate::config::secret::Secret,
    /// Certificate authorities to trust instead of the system's, PEM.
    pub authorities: Option<Vec<u8>>,
}

/// The address cannot be used. Says nothing of what is in it.
#[derive(Debug, thiserror::Error)]
#[error("is no address of a store that can be used")]
pub struct BadAddress;

/// Why a call came to nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// No answer in time.
    Timeout,
    /// The server or the network says no.
    Failed(RedisError),
    /// It is not the store that it was.
    OtherEpoch,
    /// Nothing that a script of ours says.
    Nonsense,
    /// The breaker is open.
    Down,
}

impl Fault {
    /// What happened, in words of our own: an error's text may quote what was sent.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Timeout => "no answer in time",
            Self::Failed(error) if distrusts(error) => "its certificate is not to be trusted",
            Self::Failed(error) if error.is_io_error() => "the connection failed",
            Self::Failed(error) if error.kind() == ErrorKind::AuthenticationFailed => {
                "it does not accept the credentials"
            }
            Self::Failed(error) => match error.code() {
                Some("OOM") => "it is full",
                Some("READONLY") => "it takes no writes",
                Some("MISCONF") => "it cannot save what it is given",
                Some("LOADING") => "it is loading",
                Some("NOAUTH" | "WRONGPASS") => "it does not accept the credentials",
                Some("NOPERM") => "it does not permit what is needed",
                _ => "it refused a command",
            },
            Self::OtherEpoch => "it was emptied or came back with older data",
            Self::Nonsense => "it answered what it should not",
            Self::Down => "it is lost",
        }
    }

    /// The setting that the operator should look at.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Failed(error) if distrusts(error) => "cache.redis.ca_file",
            _ => ADDRESS_KEY,
        }
    }
}

/// Whether the connection failed because the server's certificate is from nobody who is trusted, or
/// for another name, or over.
fn distrusts(error: &RedisError) -> bool {
    // the cause stands in a box of the client's, and the cause of that in one of the system's
    let cause = error.source();
    let cause = cause.and_then(|it| it.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let cause = cause.and_then(|it| it.downcast_ref::<io::Error>()?.get_ref());
    let cause = cause.and_then(|it| it.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
}

/// The connections, the breaker, the scripts.
pub(super) struct Link {
    client: ArcSwapOption<Client>,
    connections: ArcSwapOption<Connections>,
    timeout: Duration,
    pub(super) scripts: Scripts,
    up: AtomicBool,
    /// The epoch that scripts are to find, while the store is trusted.
    epoch: ArcSwapOption<String>,
    epoch_key: String,
    offset_ms: Offset,
    /// Wakes the keeper.
    pub(super) lost: Notify,
}

fn client(address: &Address) -> Result<Client, BadAddress> {
    let info = address.url.expose().into_connection_info();
    let info = info.map_err(|_| BadAddress)?;
    match &address.authorities {
        Some(pem) => {
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert: Some(pem.clone()),
            };
            Client::build_with_tls(info, certificates).map_err(|_| BadAddress)
        }
        None => Client::open(info).map_err(|_| BadAddress),
    }
}

impl Link {
    pub(super) fn new(
        address: &Address,
        timeout: Duration,
        epoch_key: String,
        offset_ms: Offset,
    ) -> Result<Self, BadAddress> {
        Ok(Self {
            client: ArcSwapOption::from_pointee(client(address)?),
            connections: ArcSwapOption::empty(),
            timeout,
            scripts: Scripts::new(),
            up: AtomicBool::new(false),
            epoch: ArcSwapOption::empty(),
            epoch_key,
            offset_ms,
            lost: Notify::new(),
        })
    }

    /// Goes to another address from the next connection on, which is made at once.
    pub(super) fn move_to(&self, address: &Address) -> Result<(), BadAddress> {
        self.client.store(Some(Arc::new(client(address)?)));
        self.trip("it has another address", ADDRESS_KEY);
        Ok(())
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Closes the breaker: the store is there, and this is its epoch.
    pub(super) fn close(&self, epoch: String) {
        self.epoch.store(Some(Arc::new(epoch)));
        self.up.store(true, Ordering::Release);
        events::shared_store_up(true);
    }

    /// Opens the breaker.
    pub(super) fn trip(&self, reason: &'static str, key: &'static str) {
        if self.up.swap(false, Ordering::AcqRel) {
            // what is still on its way is given up with the connections
            self.connections.store(None);
            events::shared_store_up(false);
            events::shared_store_lost(reason, key);
            self.lost.notify_one();
        }
    }

    /// Connects anew, with all scripts known to the server. Nobody waits for it but the keeper.
    pub(super) async fn connect(&self) -> Result<(), Fault> {
        let client = self.client.load_full().ok_or(Fault::Down)?;
        let connecting = async {
            let connections = Arc::new(Connections::open(client).await?);
            let mut connection = connections.here();
            for script in self.scripts.all() {
                let _hash = script.load_async(&mut connection).await?;
            }
            Ok(connections)
        };
        let connections = tokio::time::timeout(2 * CONNECT_TIMEOUT, connecting).await;
        let connections = connections
            .map_err(|_| Fault::Timeout)?
            .map_err(Fault::Failed)?;
        self.connections.store(Some(connections));
        Ok(())
    }

    /// Runs a command if the breaker is closed.
    pub(super) async fn command(&self, command: &Cmd) -> Result<Value, Lost> {
        if !self.is_up() {
            return Err(Lost);
        }
        let reply = async {
            let mut connection = self.connection()?;
            let asked = command.query_async(&mut connection);
            self.in_time(asked).await
        };
        reply.await.map_err(|fault| self.give_up(&fault))
    }

    /// Runs a script if the breaker is closed.
    pub(super) async fn run(&self, script: &Script, arguments: &Arguments) -> Result<Said, Lost> {
        if !self.is_up() {
            return Err(Lost);
        }
        let epoch = self.epoch.load_full();
        let said = self.run_anyway(script, arguments, epoch.as_deref().map(String::as_str));
        said.await.map_err(|fault| self.give_up(&fault))
    }

    /// Runs a script whatever the breaker says: for the keeper.
    pub(super) async fn run_anyway(
        &self,
        script: &Script,
        arguments: &Arguments,
        epoch: Option<&str>,
    ) -> Result<Said, Fault> {
        let mut connection = self.connection()?;
        let told = Told {
            epoch_key: &self.epoch_key,
            offset_ms: (self.offset_ms)(),
            epoch,
            arguments: &arguments.json,
        };
        // a map of names and values has no way to fail
        let json = serde_json::to_vec(&told).unwrap_or_default();
        let mut call = script.arg(json);
        for value in &arguments.values {
            call.arg(&value[..]);
        }
        let reply: Value = self.in_time(call.invoke_async(&mut connection)).await?;
        let said = Said::read(reply).ok_or(Fault::Nonsense)?;
        if said.word == OTHER_EPOCH {
            return Err(Fault::OtherEpoch);
        }
        Ok(said)
    }

    /// Asks the server for one of its settings; `None` where it may not be asked.
    pub(super) async fn setting(&self, name: &str) -> Option<String> {
        let mut connection = self.connection().ok()?;
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg(name);
        let (_, value): (String, String) = self
            .in_time(command.query_async(&mut connection))
            .await
            .ok()?;
        Some(value)
    }

    fn connection(&self) -> Result<MultiplexedConnection, Fault> {
        let connections = self.connections.load();
        Ok(connections.as_ref().ok_or(Fault::Down)?.here())
    }

    fn give_up(&self, fault: &Fault) -> Lost {
        self.trip(fault.reason(), fault.key());
        Lost
    }

    /// Waits for an answer as long as the store may take. Time in which this process did not run
    /// (it was starved, or stopped) is not the store's: then the wait begins anew.
    async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, Fault> {
        let mut asked = pin!(asked);
        for _ in 0..PATIENCE {
            let due = Instant::now() + self.timeout;
            match timeout_at(due, &mut asked).await {
                Ok(answered) => return answered.map_err(Fault::Failed),
                Err(_) if due.elapsed() > LATE => {}
                Err(_) => return Err(Fault::Timeout),
            }
        }
        Err(Fault::Timeout)
    }
}
