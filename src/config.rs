//! What the operator decides: one TOML file over the embedded, commented default, with
//! `CARDPROOF__SECTION__KEY` variables over both.
//!
//! Reading goes through three stages: tables merged key by key, every key read and checked with
//! all problems collected, and the plain types below, which the rest of the house receives.

mod check;
pub mod page;
mod print;
pub mod problem;
pub mod providers;
mod read;
mod reader;
pub mod reload;
pub mod secret;
mod source;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use providers::{Money, ProviderSettings};
use secret::SecretRef;

pub use self::{
    problem::{Problem, Problems},
    read::LoadedConfig,
    source::{ConfigSource, DEFAULT},
};
use crate::domain::{Operation, ProviderName};

/// Everything that the operator decided, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether this is meant for real questions.
    pub mode: Option<Mode>,
    /// `[server]`
    pub server: ServerSettings,
    /// `[auth]`
    pub auth: AuthMode,
    /// `[clients.*]`, by name.
    pub clients: BTreeMap<String, ClientSettings>,
    /// `[input] luhn`
    pub luhn: LuhnPolicy,
    /// `[routes]`
    pub routes: Routes,
    /// `[providers.*]`, in the order of their names.
    pub providers: Vec<ProviderSettings>,
    /// `[breaker]`
    pub breaker: BreakerSettings,
    /// `[cache]`
    pub cache: CacheSettings,
    /// `[guard]`
    pub guard: GuardSettings,
    /// `[idempotency]`
    pub idempotency: IdempotencySettings,
    /// `[admin] token`
    pub admin_token: Option<SecretRef>,
    /// `[telemetry]`
    pub telemetry: TelemetrySettings,
    /// What is allowed and yet worth a word to the operator: shown at start and in `/status`.
    pub warnings: Vec<String>,
}

/// `mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The sandbox may be routed beside real vendors.
    Development,
    /// The sandbox may not be routed at all.
    Production,
}

/// `[server]`
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Where `/metrics`, `/status` and the like are served.
    pub admin_listen: SocketAddr,
    /// Whether server reflection is offered.
    pub reflection: bool,
    /// Threads that serve calls; `None`: one per available core.
    pub workers: Option<usize>,
    /// How many replicas share a vendor account.
    pub replicas: u32,
    /// The longest that a call may take; also for callers that set no deadline.
    pub max_deadline: Duration,
    /// Less remaining than this: no new vendor attempt.
    pub min_attempt: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// Calls at once on one connection.
    pub max_concurrent_streams: u32,
    /// Calls at once in all.
    pub max_in_flight: usize,
    /// The longest wait for a free slot of a limiter.
    pub max_queue: Duration,
    /// The longest request message.
    pub max_message_bytes: usize,
    /// After this (with jitter) a connection is asked to go and come again.
    pub max_connection_age: Duration,
    /// How long to go on serving after the signal to stop.
    pub drain_delay: Duration,
    /// How long calls under way may take after that.
    pub shutdown_timeout: Duration,
    /// Allows unprotected listeners that are not loopback.
    pub insecure: bool,
    /// `[server.tls]`
    pub tls: Option<TlsSettings>,
}

/// `[server.tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificate chain (PEM).
    pub cert_file: PathBuf,
    /// Private key (PEM).
    pub key_file: PathBuf,
    /// Certificate authorities whose client certificates are accepted (PEM).
    pub client_ca_file: Option<PathBuf>,
    /// Whether TLS 1.2 is refused.
    pub tls13_only: bool,
}

/// `[auth] mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Everybody is one caller.
    None,
    /// Bearer tokens.
    Token,
    /// Client certificates.
    Mtls,
}

/// `[clients.NAME]`
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// SHA-256 digests of its tokens.
    pub token_sha256: Vec<[u8; 32]>,
    /// Subject alternative names of its certificates.
    pub san: Vec<String>,
    /// Whether it may call VerifyBankCard.
    pub may_verify: bool,
    /// Whether it may call QueryCardInfo.
    pub may_query_card_info: bool,
    /// The providers whose answers it may have; `None`: all.
    pub providers: Option<Vec<ProviderName>>,
    /// Whether it may bypass the cache.
    pub allow_bypass: bool,
    /// Calls per second; `None`: unlimited.
    pub requests_per_second: Option<u32>,
    /// Calls at once; `None`: unlimited.
    pub concurrent: Option<u32>,
    /// The most that it may spend in a day (Asia/Shanghai).
    pub daily_budget: Option<Money>,
}

/// `[input] luhn`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LuhnPolicy {
    /// Not looked at.
    Off,
    /// Shown in the reply only.
    Warn,
    /// Numbers that fail it are refused.
    Enforce,
}

/// `[routes]`
#[derive(Debug, Clone)]
pub struct Routes {
    /// The providers to ask, in order, by operation.
    pub by_operation: BTreeMap<Operation, Vec<ProviderName>>,
    /// Whether an answer that a vendor cannot serve issuer or card may be sought elsewhere.
    pub failover_on_unsupported: bool,
    /// Budget for sending again what surely was not sent.
    pub retries_per_second: u32,
}

/// `[breaker]`
#[derive(Debug, Clone)]
pub struct BreakerSettings {
    /// Whether there is one at all.
    pub enabled: bool,
    /// How far back calls count.
    pub window: Duration,
    /// Fewer calls than this say nothing.
    pub min_calls: u32,
    /// This part of them failing opens it.
    pub failure_ratio: f64,
    /// How long it stays open.
    pub open: Duration,
}

/// `[cache]`
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// Bytes that answers may take, the cache's own overhead included.
    pub capacity_bytes: u64,
    /// Who shares answers and calls under way.
    pub share: Share,
    /// The key of all keyed digests; absent: random for this process.
    pub key: Option<SecretRef>,
    /// The key before that.
    pub previous_key: Option<SecretRef>,
    /// How long a question is held after an unknown outcome.
    pub outcome_unknown_hold: Duration,
    /// How long answers are kept.
    pub ttl: TtlSettings,
    /// `[cache.redis]`
    pub redis: Option<RedisSettings>,
}

/// `[cache] share`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Each caller sees its own answers only.
    Caller,
    /// All callers share.
    All,
}

/// `[cache.ttl_s]`
#[derive(Debug, Clone)]
pub struct TtlSettings {
    /// Of a match.
    pub matched: Duration,
    /// Of a mismatch.
    pub mismatch: Duration,
    /// Of a problem of the card.
    pub card_problem: Duration,
    /// Of refused input.
    pub input_rejected: Duration,
    /// Of an inconclusive answer.
    pub inconclusive: Duration,
    /// Of card information.
    pub card_info: Duration,
    /// How long card information may be served when every vendor fails.
    pub card_info_stale: Duration,
}

/// `[cache.redis]`
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// Where it is, with user and password.
    pub url: SecretRef,
    /// Certificate authorities to trust (PEM).
    pub ca_file: Option<PathBuf>,
    /// The longest that a request may wait for it.
    pub timeout: Duration,
    /// What happens when it is lost.
    pub on_loss: OnLoss,
    /// What its keys begin with.
    pub prefix: String,
}

/// `[cache.redis] on_loss`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLoss {
    /// Go on with what each process knows, limits divided by `server.replicas`.
    Degrade,
    /// Ask no vendor.
    Refuse,
}

/// `[guard]`
#[derive(Debug, Clone)]
pub struct GuardSettings {
    /// Vendor calls for one card in a day (Asia/Shanghai).
    pub max_calls: u32,
    /// Consecutive mismatches for one card.
    pub max_mismatches: u32,
    /// The part of either that one caller may use.
    pub caller_share: f64,
}

/// `[idempotency]`
#[derive(Debug, Clone)]
pub struct IdempotencySettings {
    /// How long request ids are remembered.
    pub window: Duration,
    /// How many of one caller.
    pub max_entries_per_caller: usize,
}

/// `[telemetry]`
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// How much is logged.
    pub log_level: LogLevel,
    /// In which form.
    pub log_format: LogFormat,
    /// Which calls.
    pub log_requests: LogRequests,
    /// Where ledger lines go instead of the log.
    pub ledger_file: Option<PathBuf>,
}

/// `[telemetry] log_level`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// `error`
    Error,
    /// `warn`
    Warn,
    /// `info`
    Info,
    /// `debug`
    Debug,
    /// `trace`
    Trace,
}

impl LogLevel {
    /// Every level by its name.
    pub const NAMES: &[(&str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];

    /// The level of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut names = Self::NAMES.iter();
        names.find(|(known, _)| *known == name).map(|(_, it)| *it)
    }
}

/// `[telemetry] log_format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// Text.
    Text,
    /// JSON lines.
    Json,
}

/// `[telemetry] log_requests`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRequests {
    /// No calls.
    None,
    /// Calls that failed, or were slow, or asked a vendor in vain.
    Problems,
    /// Every call.
    All,
}
