//! What every command that asks a running server has in common.

use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::{Args, ValueHint};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{EXIT_ERROR, answer_view, json, output, span};
use crate::grpc::client::{Address, Client, ClientError, ClientIdentity, Target, Terms};

/// A longer file is neither a token nor a chain of certificates.
const MAX_FILE_BYTES: u64 = 1 << 20;

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct Security {
    /// Certificate authorities to trust instead of the system's (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    ca: Option<PathBuf>,
    /// Certificate to show to the server (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "key")]
    cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "cert")]
    key: Option<PathBuf>,
    /// File with the bearer token to show to the server
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    token_file: Option<PathBuf>,
}

/// Where a question goes, and how long its answer may take.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct Connection {
    /// Address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50051")]
    addr: Address,
    /// Longest wait for the answer: 500ms, 15s, 1m
    #[arg(
        long,
        value_name = "TIME",
        default_value = "15s",
        value_parser = span::parse_timeout
    )]
    timeout: Duration,
    #[command(flatten)]
    security: Security,
}

impl Connection {
    /// The server, with what is shown to it.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        self.security.target(&self.addr, self.timeout)
    }
}

/// The runtime that one client needs.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")
}

/// Asks a server one question, from a terminal or from JSON on standard input.
pub(super) fn ask<Question, Answer>(
    target: &Target,
    terms: Terms,
    from_terminal: impl FnOnce(Terms) -> anyhow::Result<Question>,
    from_json: impl FnOnce(Terms) -> anyhow::Result<Question>,
    call: impl AsyncFnOnce(Client, Question) -> Result<Answer, ClientError>,
) -> anyhow::Result<Answer> {
    let runtime = runtime()?;
    let question = if io::stdin().is_terminal() {
        // nobody shall type a question in vain
        runtime.block_on(Client::connect(target))?;
        from_terminal(terms)?
    } else {
        from_json(terms)?
    };
    let answer = runtime.block_on(async {
        let client = Client::connect(target).await?;
        call(client, question).await
    })?;
    Ok(answer)
}

/// Says why there is no answer, and which exit code that is.
pub(super) fn no_answer(error: &anyhow::Error, as_json: bool) -> ExitCode {
    if as_json {
        output::result(&json::error(error));
    } else {
        output::error(&answer_view::error(error));
    }
    ExitCode::from(EXIT_ERROR)
}

impl Security {
    /// Reads the files, and warns of what others could read.
    pub(super) fn target(&self, address: &Address, timeout: Duration) -> anyhow::Result<Target> {
        let ca = match &self.ca {
            Some(path) => Some(read(path, "CA")?.as_bytes().to_vec()),
            None => None,
        };
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                warn_if_readable_by_all(key, "key");
                Some(ClientIdentity {
                    cert: read(cert, "certificate")?.to_string(),
                    key: SecretString::from(read(key, "key")?.as_str()),
                })
            }
            _ => None,
        };
        let token = match &self.token_file {
            Some(path) => Some(token(path)?),
            None => None,
        };
        if !address.is_https() && !address.is_loopback() {
            output::warn("the connection is not encrypted and leaves this machine: use https");
        }
        Ok(Target {
            address: address.clone(),
            ca,
            identity,
            token,
            timeout,
        })
    }
}

/// The token in a file.
pub(super) fn token(path: &Path) -> anyhow::Result<SecretString> {
    warn_if_readable_by_all(path, "token");
    let text = read(path, "token")?;
    let token = text.trim();
    if token.is_empty() {
        bail!("the token file is empty");
    }
    Ok(SecretString::from(token))
}

fn read(path: &Path, what: &str) -> anyhow::Result<Zeroizing<String>> {
    let cannot_read = || format!("cannot read the {what} file {}", path.display());
    let size = fs::metadata(path).with_context(cannot_read)?.len();
    if size > MAX_FILE_BYTES {
        bail!("{}: it is longer than 1 MiB", cannot_read());
    }
    fs::read_to_string(path)
        .map(Zeroizing::new)
        .with_context(cannot_read)
}

#[cfg(unix)]
fn warn_if_readable_by_all(path: &Path, what: &str) {
    use std::os::unix::fs::PermissionsExt;
    let by_all = fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o004 != 0);
    if by_all {
        output::warn(&format!(
            "the {what} file {} can be read by every user of this machine: chmod 600 helps",
            path.display()
        ));
    }
}

#[cfg(not(unix))]
fn warn_if_readable_by_all(_: &Path, _: &str) {}
