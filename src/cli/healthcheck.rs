//! `cardproof healthcheck`
//!
//! Ends with 0 or 1 and nothing else: container engines reserve 2.

use std::{process::ExitCode, time::Duration};

use clap::Args;

use super::{
    ConfigSource, EXIT_OTHER_ANSWER,
    admin_port::{self, ConfigFile},
    answer_view,
    connection::{self, Security},
    output, span,
};
use crate::grpc::client::{Address, Client, Health};

const EXAMPLES: &str = "\
Without --addr it asks the admin port that the configuration names (--config, CARDPROOF_CONFIG and
the CARDPROOF__ variables as for serve), which answers without TLS and credentials.

Exit code: 0 serving, 1 not serving or no answer.

Examples:
  cardproof healthcheck
  cardproof healthcheck --service liveness
  HEALTHCHECK CMD [\"cardproof\", \"healthcheck\"]";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Service to ask about: liveness, readiness, bankcard.v1.BankCardService
    ///
    /// Without it: the server as a whole.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
    /// Address of the server
    ///
    /// Without it: the admin port of the configuration, on this machine.
    #[arg(long, value_name = "URL", help_heading = "Connection")]
    addr: Option<Address>,
    /// Longest wait for the answer: 500ms, 3s
    #[arg(
        long,
        value_name = "TIME",
        default_value = "3s",
        value_parser = span::parse_timeout,
        help_heading = "Connection"
    )]
    timeout: Duration,
    #[command(flatten)]
    security: Security,
}

pub(super) fn run(arguments: &Arguments, source: &ConfigSource) -> ExitCode {
    let (line, code) = match ask(arguments, source) {
        Ok(Health::Serving) => ("SERVING\n", ExitCode::SUCCESS),
        Ok(Health::NotServing) => ("NOT_SERVING\n", ExitCode::from(EXIT_OTHER_ANSWER)),
        Ok(Health::Unknown) => ("SERVICE_UNKNOWN\n", ExitCode::from(EXIT_OTHER_ANSWER)),
        Err(error) => {
            output::error(&answer_view::error(&error));
            return ExitCode::from(EXIT_OTHER_ANSWER);
        }
    };
    output::result(line.as_bytes());
    code
}

fn ask(arguments: &Arguments, source: &ConfigSource) -> anyhow::Result<Health> {
    let address = match &arguments.addr {
        Some(address) => address.clone(),
        None => {
            let config = admin_port::configuration(&arguments.file.or(source))?;
            Address::on_this_machine(config.server.admin_listen)?
        }
    };
    let target = arguments.security.target(&address, arguments.timeout)?;
    let health = connection::runtime()?.block_on(async {
        let client = Client::connect(&target).await?;
        client
            .health(arguments.service.as_deref().unwrap_or_default())
            .await
    })?;
    Ok(health)
}
