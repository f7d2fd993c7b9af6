//! `cardproof healthcheck`
//!
//! Ends with 0 or 1 and nothing else: container engines reserve 2.

use std::{process::ExitCode, time::Duration};

use clap::Args;

use super::{
    EXIT_OTHER_ANSWER, answer_view,
    connection::{self, Security},
    output, span,
};
use crate::grpc::client::{Address, Client, Health};

const EXAMPLES: &str = "\
The default is the admin port, which answers without TLS and credentials.

Exit code: 0 serving, 1 not serving or no answer.

Examples:
  cardproof healthcheck
  cardproof healthcheck --service liveness
  HEALTHCHECK CMD [\"cardproof\", \"healthcheck\"]";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Service to ask about: liveness, readiness, bankcard.v1.BankCardService; empty: the server
    #[arg(long, value_name = "NAME", default_value = "")]
    service: String,
    /// Address of the server
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:9464",
        help_heading = "Connection"
    )]
    addr: Address,
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

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (line, code) = match ask(arguments) {
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

fn ask(arguments: &Arguments) -> anyhow::Result<Health> {
    let target = arguments
        .security
        .target(&arguments.addr, arguments.timeout)?;
    let health = connection::runtime()?.block_on(async {
        let client = Client::connect(&target).await?;
        client.health(&arguments.service).await
    })?;
    Ok(health)
}
