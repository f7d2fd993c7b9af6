//! `cardproof verify-file`: a whole file of questions, each asked once, whatever happens between.
//!
//! Every answer goes into a journal beside the output before anything else is done with it. A run
//! that was ended, by Ctrl-C or by force, is gone on with by the same command: rows with an answer
//! are not asked again, and those that were under way are asked with the `request_id` that they had,
//! so that the service gives the answer that was paid for. The output is written from the journal
//! at the end, in the order of the input, and appears under its name only when it is whole.

mod ask;
mod journal;
mod output;
mod price;
mod progress;
pub mod rows;
mod tally;

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueHint};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;

use self::{
    ask::{Asker, Outcome},
    journal::{Fingerprint, Journal},
    price::Price,
    progress::Progress,
    rows::{Format, Row, Rows},
    tally::grouped,
};
use super::{
    EXIT_OTHER_ANSWER,
    connection::{self, Connection},
    output as print, span,
};
use crate::grpc::client::{Client, Terms};

const EXAMPLES: &str = r#"IN has one question a row: CSV whose first line names the columns, or one JSON object a line. The
names are those of VerifyBankCardRequest: bank_card, name, id_number, phone, identity_type,
consent_reference; what a row leaves empty is not asked. OUT gets one row for each, in the same
order and with its number, and nothing of the question.

OUT.journal beside it holds the answers until then. When a run was ended, start the same command
again: it goes on where it stopped, and pays for nothing twice. Rows without an answer are asked
again by every run, those with an unknown outcome only with --ask-again, because they may have been
charged. The service remembers request ids for idempotency.window_s (a day by default), and
idempotency.max_entries_per_caller of them: larger files need a larger number.

Exit code: 0 every row has an answer, 1 some have none, 2 it did not get to the end.

Examples:
  cardproof verify-file cards.csv --out answers.csv
  cardproof verify-file cards.jsonl --out answers.csv --concurrency 64 --price 0.35
  cardproof verify-file cards.csv --out answers.csv --ask-again"#;

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The questions, as CSV or JSON lines
    #[arg(value_name = "IN", value_hint = ValueHint::FilePath)]
    input: PathBuf,
    /// Where the answers go, as CSV or JSON lines
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    out: PathBuf,
    /// What IN and OUT are, where their names end in neither .csv nor .jsonl nor .ndjson
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// A column or key of IN that is not to be looked at; any number of them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Questions at once, 1 to 256
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// Ask rows with an unknown outcome anew: a vendor is asked again, and may charge again
    #[arg(long)]
    ask_again: bool,
    /// What a charged call costs, such as 0.35, to show money as well
    #[arg(long, value_name = "AMOUNT")]
    price: Option<Price>,
    /// Stop when the service could answer nothing for so long
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = span::parse_timeout)]
    give_up_after: Duration,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
    /// Ask this configured provider alone
    #[arg(long, value_name = "NAME", help_heading = "Question")]
    provider: Option<String>,
    /// Oldest answer that is wanted: 30s, 15m, 2h, 7d
    #[arg(long, value_name = "AGE", value_parser = span::parse, help_heading = "Question")]
    max_age: Option<Duration>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match work(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_OTHER_ANSWER),
        Err(error) => connection::no_answer(&error, arguments.json),
    }
}

/// Whether every row has an answer.
fn work(arguments: &Arguments) -> anyhow::Result<bool> {
    let source = Source::new(arguments)?;
    let target = arguments.connection.target()?;
    let mut journal = Journal::open(&arguments.out, &source.fingerprint)?;
    let left = to_ask(&journal, source.total, arguments.ask_again);
    let mut ended = Ok(());
    if left > 0 {
        let progress = Progress::new(source.total, source.total - left, arguments.price);
        let runtime = connection::runtime()?;
        ended = runtime.block_on(async {
            let client = Client::connect(&target).await?;
            let stop = stop_on_signals()?;
            let asker = Asker::new(
                &client,
                journal.job(),
                arguments.terms(),
                arguments.give_up_after,
                stop,
            );
            ask_all(arguments, &source, &asker, &mut journal, &progress).await
        });
        progress.finish(journal.tally());
        // what came is kept, however it ended
        journal.sync()?;
    }
    progress::tell_problems(journal.problems(), journal.unanswered());
    if let Err(error) = ended {
        let left = to_ask(&journal, source.total, arguments.ask_again);
        print::message(&format!(
            "{} of {} rows to go; nothing is lost: the same command goes on",
            grouped(left),
            grouped(source.total)
        ));
        return Err(error);
    }
    output::write(
        &journal,
        source.total,
        &arguments.out,
        arguments.out_format()?,
    )?;
    let summary = journal.tally().summary(source.total, arguments.price);
    if arguments.json {
        print::result(&summary.to_json());
    } else {
        print::result(summary.to_text().as_bytes());
    }
    Ok(journal.tally().answered() == source.total)
}

/// How many rows a run has to ask.
fn to_ask(journal: &Journal, total: u64, unknown_too: bool) -> u64 {
    let asked = (1..=total).filter(|row| journal.standing(*row).is_asked(unknown_too));
    asked.count() as u64
}

impl Arguments {
    fn terms(&self) -> Terms {
        Terms {
            max_age: self.max_age,
            provider: self.provider.clone().unwrap_or_default(),
            ..Terms::default()
        }
    }

    fn out_format(&self) -> anyhow::Result<Format> {
        Format::of(&self.out, self.format)
    }
}

/// The file of questions.
struct Source<'a> {
    path: &'a Path,
    format: Format,
    ignore: &'a [String],
    fingerprint: Fingerprint,
    total: u64,
}

impl<'a> Source<'a> {
    /// Looks through the whole file once: how many rows there are, and whether its head can be read.
    fn new(arguments: &'a Arguments) -> anyhow::Result<Self> {
        let path = arguments.input.as_path();
        let format = Format::of(path, arguments.format)?;
        // a name that says nothing shall be known before anything is asked
        arguments.out_format()?;
        let file = open(path)?;
        let fingerprint = Fingerprint::of(&file).with_context(|| cannot_read(path))?;
        let mut source = Self {
            path,
            format,
            ignore: &arguments.ignore,
            fingerprint,
            total: 0,
        };
        for row in source.rows()? {
            source.total = row.with_context(|| cannot_read(path))?.number;
        }
        if source.total == 0 {
            bail!("{} has no rows", path.display());
        }
        Ok(source)
    }

    fn rows(&self) -> anyhow::Result<Rows<File>> {
        Rows::new(open(self.path)?, self.format, self.ignore)
            .with_context(|| cannot_read(self.path))
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| cannot_read(path))
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

/// Asks every row that needs it. Answers are written down as they come.
async fn ask_all(
    arguments: &Arguments,
    source: &Source<'_>,
    asker: &Asker<'_>,
    journal: &mut Journal,
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut rows = source.rows()?;
    let mut calls = FuturesUnordered::new();
    let mut ended = Ok(());
    let mut all_asked = false;
    loop {
        while ended.is_ok() && !asker.stopped() && calls.len() < usize::from(arguments.concurrency)
        {
            let Some(row) = rows.next() else {
                all_asked = true;
                break;
            };
            let Row {
                number,
                line,
                question,
            } = row.with_context(|| cannot_read(source.path))?;
            if !journal.standing(number).is_asked(arguments.ask_again) {
                continue;
            }
            let unknown_before = journal.unknown_before(number);
            match question {
                Ok(question) => calls.push(async move {
                    (
                        number,
                        line,
                        asker.ask(question, number, unknown_before).await,
                    )
                }),
                Err(problem) => {
                    journal.unusable(number, line, &problem)?;
                    progress.step(journal.tally());
                }
            }
        }
        let Some((number, line, outcome)) = calls.next().await else {
            break;
        };
        match outcome {
            Outcome::Answer(answer) => journal.answer(number, &answer)?,
            Outcome::NoAnswer(failure) => journal.no_answer(number, line, &failure)?,
            Outcome::NotAsked => {
                ended = ended.and(Err(anyhow!("interrupted")));
                continue;
            }
            Outcome::End(error) => {
                // what is under way still counts; nothing new is begun
                asker.stop();
                ended = ended.and(Err(error));
                continue;
            }
        }
        progress.step(journal.tally());
    }
    ended?;
    if !all_asked {
        bail!("interrupted");
    }
    Ok(())
}

/// The first signal lets calls under way end, the second ends the program at once.
fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let told = stop.clone();
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    tokio::spawn(async move {
        loop {
            let code = tokio::select! {
                _ = terminate.recv() => 143,
                _ = interrupt.recv() => 130,
            };
            if told.is_cancelled() {
                // the journal has everything that came
                std::process::exit(code);
            }
            // on a line of its own, below what the terminal shows of the key
            print::message("\nwaiting for the calls under way; once more ends at once");
            told.cancel();
        }
    });
    Ok(stop)
}
