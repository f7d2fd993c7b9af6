//! `cardproof card-info`

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
use crate::grpc::client::CardInfoAnswer;

const EXAMPLES: &str = r#"The card number, or its first 6 to 11 digits, is typed at a prompt, or read from standard input in
one JSON object with the fields of QueryCardInfoRequest: bank_card, cache, provider, request_id. It
is never taken from arguments.

Exit code: 0 found, 1 any other answer, 2 error.

Examples:
  cardproof card-info
  echo '{"bank_card": "622202"}' | cardproof card-info --json"#;

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Print one JSON object, errors too
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: question::Options,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match ask(arguments) {
        Ok(answer) => {
            output::result(&shown(arguments, &answer));
            if answer.result.short_name() == Some("FOUND") {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(EXIT_OTHER_ANSWER)
            }
        }
        Err(error) => connection::no_answer(&error, arguments.json),
    }
}

fn ask(arguments: &Arguments) -> anyhow::Result<CardInfoAnswer> {
    let target = arguments.connection.target()?;
    connection::ask(
        &target,
        arguments.options.terms(),
        |terms| prompt::card_info(&mut Terminal, terms),
        |terms| question::card_info_from_json(io::stdin().lock(), terms),
        async |client, question| client.card_info(&question).await,
    )
}

fn shown(arguments: &Arguments, answer: &CardInfoAnswer) -> Vec<u8> {
    if arguments.json {
        json::card_info(answer)
    } else {
        answer_view::card_info(answer, Style::of_stdout(), Timestamp::now()).into_bytes()
    }
}
