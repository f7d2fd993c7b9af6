//! The command line: it parses, calls the library, and maps what comes back to an exit code.
//!
//! Results go to standard output and everything else to standard error. Card numbers, names, ID
//! numbers and phones are never taken from arguments, and never shown again, not even in a
//! complaint about them.

mod admin_client;
mod admin_port;
mod answer_view;
mod card_info;
mod check_config;
mod completions;
mod connection;
mod erase;
mod guard;
mod healthcheck;
mod json;
mod ledger;
mod meaning;
mod operator;
mod output;
mod prompt;
mod providers;
mod question;
mod serve;
mod span;
mod usage;
mod verify;
pub mod verify_file;

use std::{ffi::OsString, path::PathBuf, process::ExitCode, sync::LazyLock};

use crate::config::{self, Config, LoadedConfig, Problems, secret::process_env};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint, builder::ValueParser};

/// The configuration cannot be used (`EX_USAGE` of sysexits).
pub const EXIT_BAD_CONFIGURATION: u8 = 64;
/// The question has no answer.
const EXIT_ERROR: u8 = 2;
/// The answer is another one than match, found or serving.
const EXIT_OTHER_ANSWER: u8 = 1;

static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} (BIN data {})",
        env!("CARGO_PKG_VERSION"),
        crate::app::DATA_VERSION
    )
});

const EXAMPLES: &str = "\
Examples:
  cardproof                                   serve with the embedded configuration
  cardproof --config /etc/cardproof.toml      serve with your own
  cardproof check-config --config my.toml     say what is wrong with it
  cardproof card-info                         ask a running server what a card is
  cardproof verify --json < question.json     ask it whether a card belongs to a person
  cardproof verify-file in.csv --out out.csv  ask it about every row of a file

The configuration is one TOML file over the embedded default; every key can also be set by a
variable, CARDPROOF__SERVER__LISTEN=127.0.0.1:50052 for example.";

/// Verifies bank cards in front of pluggable vendors
///
/// One gRPC service in front of many bank-card vendors: it asks one of them, in one vocabulary,
/// and never pays twice for the same answer. Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "cardproof", version = VERSION.as_str(), after_long_help = EXAMPLES)]
struct Cli {
    /// Configuration file (TOML)
    #[arg(
        long,
        env = "CARDPROOF_CONFIG",
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        // a variable that is set to nothing is a variable that is not set
        value_parser = ValueParser::os_string(),
    )]
    config: Option<OsString>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT (the default command)
    ///
    /// The first signal drains: health turns to NOT_SERVING, calls under way are finished, and the
    /// process ends with 0. A second signal ends it at once; SIGTERM over and over is one. Ends
    /// with 64 when the configuration cannot be used.
    Serve(admin_port::ConfigFile),
    /// Ask a running server whether a card belongs to a person
    Verify(verify::Arguments),
    /// Ask a running server about every row of a file
    ///
    /// A run that was ended, even by force, is gone on with by the same command; no row is paid for
    /// twice, left out or answered twice.
    VerifyFile(Box<verify_file::Arguments>),
    /// Ask a running server what a card is
    CardInfo(card_info::Arguments),
    /// Say whether a configuration can be used
    ///
    /// Prints one line per problem and ends with 64 if there is one.
    CheckConfig(admin_port::ConfigFile),
    /// Ask a running server for its health; for container health checks
    Healthcheck(healthcheck::Arguments),
    /// Add up what was asked of vendors and what it cost
    Ledger(ledger::Arguments),
    /// Show what each provider can do and how it is, or check credentials with free calls
    Providers(providers::Arguments),
    /// Show or forget what is counted about a card, so that its bank does not lock it
    Guard(guard::Arguments),
    /// Have every answer about a card forgotten
    ///
    /// In the memory of every replica, in Redis, and under request ids. What is counted so that the
    /// card is not locked stays until it ends (guard reset forgets it), and so does the hold after
    /// a call whose outcome is unknown. The ledger keeps its lines; they hold no card number.
    #[command(after_long_help = operator::WHERE)]
    Erase(operator::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

/// Where the configuration is read from, besides the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigSource {
    /// The file; `None`: the embedded default alone.
    pub file: Option<PathBuf>,
}

/// Reads and checks the configuration, the files and secrets that it names included.
fn load(source: &ConfigSource) -> Result<LoadedConfig, Problems> {
    let found = config::ConfigSource::from_process(source.file.as_deref())?;
    let loaded = Config::load(&found)?;
    let mut problems = loaded.config.check_files();
    problems.extend(loaded.config.check_secrets(&process_env));
    if problems.is_empty() {
        Ok(loaded)
    } else {
        Err(Problems::new(problems))
    }
}

/// Runs the program with these arguments, the first of which is its own name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // a panic's text may hold a value of a request; its place never does
    crate::telemetry::panics::log_place_only();
    if let Err(error) = crate::dumps::forbid() {
        output::warn(&format!(
            "core dumps cannot be turned off: {}",
            error.kind()
        ));
    }
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = Cli::command()
        .try_get_matches_from(&arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error, &arguments),
    };
    let file = cli.config.filter(|file| !file.is_empty());
    let source = ConfigSource {
        file: file.map(PathBuf::from),
    };
    let Some(command) = cli.command else {
        return serve::run(&source);
    };
    match command {
        Command::Serve(file) => serve::run(&file.or(&source)),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::VerifyFile(arguments) => verify_file::run(&arguments),
        Command::CardInfo(arguments) => card_info::run(&arguments),
        Command::CheckConfig(file) => check_config::run(&file.or(&source)),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments, &source),
        Command::Ledger(arguments) => ledger::run(&arguments),
        Command::Guard(arguments) => guard::run(&arguments, &source),
        Command::Erase(arguments) => erase::run(&arguments, &source),
        Command::Providers(arguments) => providers::run(&arguments, &source),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
