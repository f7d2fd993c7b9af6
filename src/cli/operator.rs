//! What the commands have in common that change something on the admin port.

use std::{
    io::{self, IsTerminal, Read},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueHint};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::{
    ConfigSource, admin_client,
    admin_port::{self, AdminPort},
    connection, output,
    prompt::{Prompter, Terminal},
    question,
};
use crate::config::secret::process_env;

/// What the help of every such command ends with.
pub(super) const WHERE: &str = "\
Without --addr and --token-file the admin port and the token are those of the configuration
(--config, CARDPROOF_CONFIG and the CARDPROOF__ variables as for serve). The server answers to this
machine alone: run it beside the server (kubectl exec), or over a forwarded port. Each call is a
line of the server's ledger.

The card number is typed at a prompt that does not show it, or read from standard input, bare or as
{\"bank_card\": \"...\"}; it is never taken from arguments.";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// File with the operator's token
    ///
    /// Without it: the admin.token of the configuration.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help_heading = "Connection"
    )]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    port: AdminPort,
}

/// Asks for a card, makes a call about it, and prints what came of it.
pub(super) fn about_a_card(
    arguments: &Arguments,
    source: &ConfigSource,
    path: &str,
    show: impl FnOnce(&Value) -> String,
) -> ExitCode {
    match call(arguments, source, path) {
        Ok(done) if arguments.json => {
            output::result(format!("{done}\n").as_bytes());
            ExitCode::SUCCESS
        }
        Ok(done) => {
            output::result(show(&done).as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => connection::no_answer(&error, arguments.json),
    }
}

fn call(arguments: &Arguments, source: &ConfigSource, path: &str) -> anyhow::Result<Value> {
    // nobody shall type a number in vain
    let (address, token) = target(arguments, source)?;
    let card = card_number()?;
    let body = Zeroizing::new(json!({ "bank_card": card.expose_secret() }).to_string());
    let call = admin_client::call(&address, path, &token, &body, arguments.port.timeout);
    connection::runtime()?.block_on(call)
}

fn target(arguments: &Arguments, source: &ConfigSource) -> anyhow::Result<(Url, SecretString)> {
    let port = &arguments.port;
    let config = match (&port.addr, &arguments.token_file) {
        (Some(_), Some(_)) => None,
        _ => Some(admin_port::configuration(&port.file.or(source))?),
    };
    let address = match (&port.addr, &config) {
        (Some(address), _) => address.clone(),
        (None, Some(config)) => admin_port::url(config)?,
        (None, None) => bail!("no address"),
    };
    let token = match (&arguments.token_file, config) {
        (Some(path), _) => connection::token(path)?,
        (None, Some(config)) => {
            let token = config
                .admin_token
                .context("the configuration has no admin.token: the server offers no such call")?;
            let token = token.read(&process_env);
            let token = token.map_err(|_| anyhow!("admin.token cannot be read from here"))?;
            SecretString::from(token.expose())
        }
        (None, None) => bail!("no token"),
    };
    Ok((address, token))
}

fn card_number() -> anyhow::Result<SecretString> {
    if io::stdin().is_terminal() {
        let typed = Terminal.ask_hidden("Card number (not shown): ");
        return given(typed.context("no card number was typed")?);
    }
    read_card_number(io::stdin().lock())
}

/// Bare, or in a JSON object.
fn read_card_number(input: impl Read) -> anyhow::Result<SecretString> {
    let mut text = Zeroizing::new(String::new());
    input
        .take(question::MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|_| anyhow!("standard input is no text"))?;
    if text.trim_start().starts_with('{') {
        return given(question::bank_card_from_json(text.as_bytes())?);
    }
    given(text.trim().into())
}

fn given(card: SecretString) -> anyhow::Result<SecretString> {
    if card.expose_secret().is_empty() {
        bail!("nothing to do without a card number");
    }
    Ok(card)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_read_bare_or_from_json() {
        let read = |text: &str| {
            let card = read_card_number(text.as_bytes());
            card.map(|card| card.expose_secret().to_owned())
        };
        for text in [
            "6222\n",
            " 6222 ",
            "{\"bank_card\": \"6222\"}",
            "\n{\"bankCard\":\"6222\"}",
        ] {
            assert_eq!(read(text).unwrap(), "6222");
        }
        for text in [
            "",
            "\n",
            "{}",
            "{\"bank_card\": 6222}",
            "{\"card\": \"6222\"}",
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(!error.contains("6222"), "{error}");
        }
    }
}
