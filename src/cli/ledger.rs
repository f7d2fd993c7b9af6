//! `cardproof ledger`

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueHint};

use super::{EXIT_ERROR, output};
use crate::service::ledger::summary::summarize;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add up calls and cost per day, vendor, operation and caller
    ///
    /// Days are those of Asia/Shanghai. A call of which only the intent was written counts as
    /// UNKNOWN: nobody knows how it ended, so its price is listed apart. Broken lines are counted
    /// and told of.
    Summarize(Summarize),
}

#[derive(Debug, Args)]
struct Summarize {
    /// Ledger files, or logs that ledger lines stand in; - for standard input
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Command::Summarize(wanted) = &arguments.command;
    let summary = wanted
        .files
        .iter()
        .map(open)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|readers| summarize(readers).map_err(|error| error.to_string()));
    match summary {
        Ok(summary) => {
            let text = if wanted.json {
                summary.to_json()
            } else if wanted.csv {
                summary.to_csv()
            } else {
                summary.to_table()
            };
            output::result(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::message(&error);
            ExitCode::from(EXIT_ERROR)
        }
    }
}

fn open(path: &PathBuf) -> Result<Box<dyn BufRead>, String> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path)
        .map_err(|error| format!("{} cannot be read: {}", path.display(), error.kind()))?;
    Ok(Box::new(BufReader::new(file)))
}
