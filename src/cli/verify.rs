//! `cardproof verify`

use std::{io, process::ExitCode};

use clap::Args;
use jiff::Timestamp;

use super::{
    EXIT_OTHER_ANSWER, answer_view,
    connection::{self, Connection},
    json,
    output::{self, Style},
    prompt::{self, Terminal},
    question,
};
use crate::grpc::client::VerifyAnswer;

const EXAMPLES: &str = r#"The question is typed at prompts, or read from standard input as one JSON object with the fields
of VerifyBankCardRequest: bank_card, name, id_number, phone, identity_type, cache, provider,
request_id, consent_reference. It is never taken from arguments.

Exit code: 0 match, 1 any other answer, 2 error.

Examples:
  cardproof verify
  cardproof verify --addr https://cards.example:50051 --ca ca.pem --token-file token
  cardproof verify --json < question.json
  where question.json is {"bank_card": "...", "name": "...", "id_number": "...", "phone": "..."}"#;

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Print one JSON object, errors too
    #[arg(long)]
    json: bool,
    /// The caller's reference to the card holder's consent, for the ledger
    #[arg(long, value_name = "TEXT", help_heading = "Question")]
    consent_reference: Option<String>,
    #[command(flatten)]
    options: question::Options,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match ask(arguments) {
        Ok(answer) => {
            output::result(&shown(arguments, &answer));
            if answer.verdict.short_name() == Some("MATCH") {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(EXIT_OTHER_ANSWER)
            }
        }
        Err(error) => connection::no_answer(&error, arguments.json),
    }
}

fn ask(arguments: &Arguments) -> anyhow::Result<VerifyAnswer> {
    let target = arguments.connection.target()?;
    let mut terms = arguments.options.terms();
    terms.consent_reference = arguments.consent_reference.clone().unwrap_or_default();
    connection::ask(
        &target,
        terms,
        |terms| prompt::verify(&mut Terminal, terms),
        |terms| question::verify_from_json(io::stdin().lock(), terms),
        async |client, question| client.verify(&question).await,
    )
}

fn shown(arguments: &Arguments, answer: &VerifyAnswer) -> Vec<u8> {
    if arguments.json {
        json::verify(answer)
    } else {
        answer_view::verify(answer, Style::of_stdout(), Timestamp::now()).into_bytes()
    }
}
