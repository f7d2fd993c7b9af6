//! `cardproof completions SHELL`

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use super::output;

const EXAMPLES: &str = "\
Examples:
  cardproof completions bash > /etc/bash_completion.d/cardproof
  cardproof completions fish > ~/.config/fish/completions/cardproof.fish";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments, mut definition: Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut definition, "cardproof", &mut script);
    output::result(&script);
    ExitCode::SUCCESS
}
