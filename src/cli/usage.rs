//! Complaints about arguments. They never repeat what was typed: it could be a card number.

use std::{error::Error as _, ffi::OsString, process::ExitCode};

use clap::{
    CommandFactory, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{Cli, EXIT_ERROR, output};

/// Prints help and version where they were asked for, or says what is wrong with the arguments.
pub(super) fn explain(error: &Error, arguments: &[OsString]) -> ExitCode {
    if !error.use_stderr() {
        // a reader that went away is no failure
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    output::error(&complaint(error));
    let command = command_name(arguments);
    if is_question(command.as_deref()) && error.kind() == ErrorKind::UnknownArgument {
        output::message(
            "the question is typed at prompts or read as JSON from standard input, never taken \
             from arguments: other users of this machine can read those",
        );
    }
    let of_command = command.map(|name| format!(" {name}")).unwrap_or_default();
    output::message(&format!("for help, try: cardproof{of_command} --help"));
    ExitCode::from(EXIT_ERROR)
}

fn complaint(error: &Error) -> String {
    // an argument that is not known is what somebody typed; in every other complaint clap names
    // an argument of ours
    let argument = text(error, ContextKind::InvalidArg).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let complaint = match option_name(&argument) {
                Some(option) => format!("unknown option {option}"),
                None => "unexpected argument".to_owned(),
            };
            did_you_mean(complaint, text(error, ContextKind::SuggestedArg))
        }
        ErrorKind::InvalidSubcommand => {
            // the most similar one is the last
            let similar = text(error, ContextKind::SuggestedSubcommand);
            let nearest = similar.and_then(|all| all.rsplit(", ").next().map(str::to_owned));
            did_you_mean("unknown command".to_owned(), nearest)
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => value_complaint(error, &argument),
        ErrorKind::ArgumentConflict => match text(error, ContextKind::PriorArg) {
            Some(other) if other == argument => format!("{argument} can be given only once"),
            Some(other) => format!("{argument} cannot be used with {other}"),
            None => format!("{argument} cannot be used here"),
        },
        ErrorKind::MissingRequiredArgument => format!("missing: {argument}"),
        kind => kind
            .as_str()
            .unwrap_or("these arguments cannot be used")
            .to_owned(),
    }
}

fn value_complaint(error: &Error, argument: &str) -> String {
    let value = text(error, ContextKind::InvalidValue);
    if value.is_none_or(|value| value.is_empty()) {
        return format!("{argument} needs a value");
    }
    let complaint = format!("the value of {argument} cannot be used");
    if let Some(reason) = error.source() {
        return format!("{complaint}: {reason}");
    }
    match text(error, ContextKind::ValidValue) {
        Some(values) => format!("{complaint}: expected one of {values}"),
        None => complaint,
    }
}

fn did_you_mean(complaint: String, similar: Option<String>) -> String {
    match similar {
        Some(similar) => format!("{complaint}; did you mean {similar}?"),
        None => complaint,
    }
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) if !texts.is_empty() => Some(texts.join(", ")),
        _ => None,
    }
}

/// The name of a long option, if nobody could mistake it for a name or number of a person.
fn option_name(argument: &str) -> Option<&str> {
    let option = argument.split('=').next()?;
    let name = option.strip_prefix("--")?;
    let harmless = (2..=24).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_'));
    harmless.then_some(option)
}

fn command_name(arguments: &[OsString]) -> Option<String> {
    let definition = Cli::command();
    let known = |name: &str| definition.get_subcommands().any(|it| it.get_name() == name);
    arguments
        .iter()
        .skip(1)
        .filter_map(|argument| argument.to_str())
        .find(|name| known(name))
        .map(str::to_owned)
}

fn is_question(command: Option<&str>) -> bool {
    matches!(command, Some("verify" | "card-info" | "guard" | "erase"))
}
