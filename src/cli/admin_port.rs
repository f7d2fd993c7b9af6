//! Where a running server's admin port is, for the commands that ask it.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow};
use clap::{Args, ValueHint, builder::ValueParser};
use url::Url;

use super::{ConfigSource, admin_client, span};
use crate::{
    config::{self, Config},
    grpc::client::Address,
};

/// The file of the commands that read the configuration.
#[derive(Debug, Args)]
pub(super) struct ConfigFile {
    /// Configuration file (TOML)
    ///
    /// Without it: the variable CARDPROOF_CONFIG, else the embedded configuration alone.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        value_parser = ValueParser::os_string(),
    )]
    config: Option<OsString>,
}

impl ConfigFile {
    /// The file that counts: this one, or the one that was named before the command.
    pub(super) fn or(&self, outer: &ConfigSource) -> ConfigSource {
        match self.config.as_ref().filter(|file| !file.is_empty()) {
            Some(file) => ConfigSource {
                file: Some(PathBuf::from(file)),
            },
            None => outer.clone(),
        }
    }
}

/// The admin port and how long to wait for it.
#[derive(Debug, Args)]
pub(super) struct AdminPort {
    #[command(flatten)]
    pub(super) file: ConfigFile,
    /// Address of the server's admin port
    ///
    /// Without it: the admin port of the configuration, on this machine.
    #[arg(
        long,
        value_name = "URL",
        value_parser = admin_client::parse_address,
        help_heading = "Connection"
    )]
    pub(super) addr: Option<Url>,
    /// Longest wait for the answer: 500ms, 3s
    #[arg(
        long,
        value_name = "TIME",
        default_value = "5s",
        value_parser = span::parse_timeout,
        help_heading = "Connection"
    )]
    pub(super) timeout: Duration,
}

impl AdminPort {
    /// Where it is. Reads the configuration only where that has to say it.
    pub(super) fn address(&self, outer: &ConfigSource) -> anyhow::Result<Url> {
        match &self.addr {
            Some(address) => Ok(address.clone()),
            None => url(&configuration(&self.file.or(outer))?),
        }
    }
}

/// The admin port of a configuration, on this machine.
pub(super) fn url(config: &Config) -> anyhow::Result<Url> {
    let address = Address::on_this_machine(config.server.admin_listen)?;
    Url::parse(&address.to_string()).context("the admin port has no address")
}

/// Certificates and other secrets are not looked at: what the server could read when it started
/// need not be readable for this program now.
pub(super) fn configuration(source: &ConfigSource) -> anyhow::Result<Config> {
    config::ConfigSource::from_process(source.file.as_deref())
        .and_then(|found| Config::load(&found))
        .map(|loaded| loaded.config)
        .map_err(|_| anyhow!("the configuration cannot be used; check-config tells why"))
}
