//! The only place that constructs: settings become wired parts, bound sockets, a server that runs
//! and, at the end, drains.

pub mod providers;
mod status;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::Stream;
use jiff::Timestamp;
use tokio::runtime::{Handle, Runtime};

use crate::{
    admin,
    cache::Digests,
    config::{Config, secret::SecretError},
    domain::{ProviderName, Reason},
    grpc::{api::Api, health::HealthService, path_switch::Answers, routes, server::{Outcome, Server, ServerLimits}, status as grpc_status},
    health::HealthSwitch,
    listener,
    proto::bankcard::v1::bank_card_service_server::BankCardServiceServer,
    runtime,
    service::{Parts, Service, clock::Clock, denial::{Denial, Stage}, routing::Policy},
    signals::{StopSignal, stop_signals},
};

/// How often files that hold secrets are looked at.
const SECRETS_EVERY: Duration = Duration::from_secs(5);

/// Why the service did not start. Names a key or a socket, never a value.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used after all.
    #[error("{key}: {detail}")]
    Setting {
        /// The key.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
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
}

impl StartError {
    fn provider(name: &ProviderName, detail: &str) -> Self {
        Self::Setting {
            key: format!("providers.{name}"),
            detail: detail.to_owned(),
        }
    }

    fn secret(key: &str, error: &SecretError) -> Self {
        Self::Setting {
            key: key.to_owned(),
            detail: error.to_string(),
        }
    }

    /// Whether the configuration is to blame.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::Setting { .. })
    }
}
