//! Plays the three vendors' bank card APIs over HTTP on loopback: Ace Data Cloud, Tencent Cloud
//! FaceID and Alibaba Cloud ID Verification.
//!
//! It checks what it receives as the vendors do (tokens, signatures recomputed from the raw request,
//! time windows, nonces, parameters, encrypted fields), answers from a small world of test people or
//! as scripted, with faults where wanted, and keeps a ledger of every call and of what it would have
//! cost. It shares no code with the service that it tests.
//!
//! ```no_run
//! use cardproof_emulator::{Emulator, Options, Script, Vendor};
//! # async fn example() -> std::io::Result<()> {
//! let emulator = Emulator::start(Options::default()).await?;
//! emulator.script(Script::new(Vendor::Tencent).code("-5").times(1));
//! println!("point the client at {}", emulator.url());
//! assert_eq!(emulator.summary().charged, 0);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")
)]

mod ace;
mod alibaba;
mod answer;
mod body;
pub mod codes;
mod connection;
mod control;
mod exchange;
mod gate;
mod ledger;
mod question;
mod script;
mod script_book;
mod server;
mod signing;
mod state;
mod tencent;
mod vendor;
pub mod world;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub use gate::GateState;
pub use ledger::{Entry, Summary};
pub use question::{
    Question, QuestionDigest, mask_card, mask_name, mask_other_document, mask_resident_id, md5_hex,
};
pub use script::{Fault, Reply, Script};
pub use script_book::{ScriptId, ScriptInForce};
pub use state::{Credentials, KeyPair};
pub use vendor::{Charge, Operation, Vendor};

use server::Serving;
use state::State;
use tencent::encryption::KeyPairs;

/// Public key with which Tencent's AES-256-CBC key is wrapped (RSA, 1024 bits, PEM).
pub const RSA_PUBLIC_KEY_PEM: &str = include_str!("../keys/rsa_public.pem");
/// Public key with which Tencent's SM4-GCM key is wrapped (SM2, PEM).
pub const SM2_PUBLIC_KEY_PEM: &str = include_str!("../keys/sm2_public.pem");

/// How an emulator is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; the default is a free port of 127.0.0.1.
    pub listen: SocketAddr,
    /// The credentials it accepts.
    pub credentials: Credentials,
    /// Certificate chain and private key, PEM files; `None` is plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Streams that one HTTP/2 connection may have open.
    pub max_concurrent_streams: u32,
    /// Entries that the ledger keeps; the oldest go first.
    pub ledger_capacity: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            credentials: Credentials::default(),
            tls: None,
            max_concurrent_streams: 50_000,
            ledger_capacity: 2_000_000,
        }
    }
}

/// A running emulator; it stops, and its connections are cut, when this is dropped.
pub struct Emulator {
    state: Arc<State>,
    address: SocketAddr,
    tls: bool,
    runner: Runner,
}

enum Runner {
    Task(JoinHandle<()>),
    Thread(
        Option<tokio::sync::oneshot::Sender<()>>,
        Option<std::thread::JoinHandle<()>>,
    ),
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Held answers would keep their tasks.
        self.state.gates.clear();
        match &mut self.runner {
            Runner::Task(task) => task.abort(),
            Runner::Thread(stop, thread) => {
                // Either may be gone already, which is as good.
                let _ = stop.take().map(|stop| stop.send(()));
                let _ = thread.take().map(std::thread::JoinHandle::join);
            }
        }
    }
}

impl Emulator {
    /// Starts on the current Tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound, or the certificate or its key cannot be read.
    pub async fn start(options: Options) -> io::Result<Self> {
        let (listener, serving, tls) = prepare(options).await?;
        let (state, address) = (Arc::clone(&serving.state), listener.local_addr()?);
        let runner = Runner::Task(tokio::spawn(server::run(listener, serving)));
        Ok(Self {
            state,
            address,
            tls,
            runner,
        })
    }

    /// Starts on a thread with a runtime of its own, for tests whose runtime is paused, busy or
    /// none. It has as many worker threads as given.
    ///
    /// # Errors
    /// Like [`Emulator::start`], and when no thread can be had.
    pub fn start_on_thread(options: Options, workers: usize) -> io::Result<Self> {
        let (started, start) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        // All of the runtime's life is on that thread: the caller may be on a runtime itself.
        let thread = std::thread::Builder::new()
            .name("emulator".to_owned())
            .spawn(move || {
                let prepared = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(workers.max(1))
                    .thread_name("emulator-worker")
                    .enable_all()
                    .build()
                    .and_then(|runtime| Ok((runtime.block_on(prepare(options))?, runtime)));
                let ((listener, serving, tls), runtime) = match prepared {
                    Ok(prepared) => prepared,
                    Err(error) => {
                        // The receiver waits for exactly this message.
                        let _ = started.send(Err(error));
                        return;
                    }
                };
                let ready = listener
                    .local_addr()
                    .map(|address| (Arc::clone(&serving.state), address, tls));
                let _ = started.send(ready);
                runtime.spawn(server::run(listener, serving));
                // Ends by a message or by the sender's end, both meaning stop.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_timeout(Duration::from_millis(100));
            })?;
        let (state, address, tls) = start.recv().map_err(io::Error::other)??;
        Ok(Self {
            state,
            address,
            tls,
            runner: Runner::Thread(Some(stop), Some(thread)),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT` or `https://...`, without a slash at the end: the endpoint for every
    /// vendor.
    pub fn url(&self) -> String {
        format!(
            "{}://{}",
            if self.tls { "https" } else { "http" },
            self.address
        )
    }

    /// Adds a script.
    pub fn script(&self, script: Script) -> ScriptId {
        self.state.scripts.add(script)
    }

    /// Removes a script; `false` if it is gone already.
    pub fn remove_script(&self, id: ScriptId) -> bool {
        self.state.scripts.remove(id)
    }

    /// Removes all scripts.
    pub fn clear_scripts(&self) {
        self.state.scripts.clear();
    }

    /// The scripts in force and how often each was used.
    pub fn scripts(&self) -> Vec<ScriptInForce> {
        self.state.scripts.list()
    }

    /// Lets everybody pass a gate, now and later.
    pub fn release(&self, gate: &str) {
        self.state.gates.set(gate, true);
    }

    /// Closes a gate again.
    pub fn close_gate(&self, gate: &str) {
        self.state.gates.set(gate, false);
    }

    /// How a gate stands.
    pub fn gate(&self, gate: &str) -> GateState {
        self.state.gates.state(gate)
    }

    /// Waits until at least so many calls wait at a gate; `false` if they did not come in time.
    pub async fn wait_until_waiting(&self, gate: &str, count: usize, timeout: Duration) -> bool {
        tokio::time::timeout(timeout, self.state.gates.wait_for(gate, count))
            .await
            .is_ok()
    }

    /// Every call received since the start or the last reset, oldest first.
    pub fn ledger(&self) -> Vec<Entry> {
        self.state.ledger.after(0)
    }

    /// Counts over the ledger.
    pub fn summary(&self) -> Summary {
        self.state.summary()
    }

    /// How many charged calls a question has had.
    pub fn charges_of(&self, question: &Question) -> u64 {
        self.state.ledger.charges_of(question.digest())
    }

    /// Empties the ledger.
    pub fn reset_ledger(&self) {
        self.state.ledger.reset();
    }

    /// Sets the vendors' clock off by so many milliseconds: `Date` headers and time windows.
    pub fn set_clock_offset_ms(&self, offset: i64) {
        self.state.set_clock_offset_ms(offset);
    }

    /// Limits a vendor's answers from the world to so many per second and operation; the rest are
    /// throttled. `None` lifts the limit.
    pub fn set_limit(&self, vendor: Vendor, requests_per_second: Option<u32>) {
        self.state.limits.set(vendor, requests_per_second);
    }

    /// Replaces the credentials that are accepted.
    pub fn set_credentials(&self, credentials: Credentials) {
        *self.state.credentials.write() = Arc::new(credentials);
    }

    /// Forgets scripts, gates, nonces, limits and the ledger, and sets the clock right. Held calls
    /// are released.
    pub fn reset(&self) {
        self.state.reset();
    }
}

impl State {
    pub(crate) fn summary(&self) -> Summary {
        let connections = self.connections.load(Ordering::Relaxed);
        Summary {
            connections,
            ..self.ledger.summary()
        }
    }
}

async fn prepare(options: Options) -> io::Result<(tokio::net::TcpListener, Serving, bool)> {
    let keys =
        KeyPairs::read().ok_or_else(|| io::Error::other("the built-in keys are unreadable"))?;
    let tls = options
        .tls
        .map(|(certificate, key)| acceptor(&certificate, &key))
        .transpose()?;
    let has_tls = tls.is_some();
    let listener = server::bind(options.listen).await?;
    let state = Arc::new(State::new(
        options.credentials,
        keys,
        options.ledger_capacity,
    ));
    let max_concurrent_streams = options.max_concurrent_streams;
    Ok((
        listener,
        Serving {
            state,
            tls,
            max_concurrent_streams,
        },
        has_tls,
    ))
}

fn acceptor(certificate: &std::path::Path, key: &std::path::Path) -> io::Result<TlsAcceptor> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
