//! `cardproof guard`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{ConfigSource, operator, output};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what is counted about a card
    ///
    /// Calls to vendors today, mismatches in a row, and whether a vendor said that the card was
    /// asked about too often. A card whose counts are used up is answered CARD_ATTEMPTS_EXCEEDED
    /// until they end.
    #[command(after_long_help = operator::WHERE)]
    Show(operator::Arguments),
    /// Forget what is counted about a card, so that it may be asked about again
    ///
    /// The card's bank counts for itself and forgets nothing: it may lock the card at the next
    /// mismatch, for twelve hours or to the next day. Do this when you know why the calls failed.
    #[command(after_long_help = operator::WHERE)]
    Reset(operator::Arguments),
}

pub(super) fn run(arguments: &Arguments, source: &ConfigSource) -> ExitCode {
    match &arguments.command {
        Command::Show(arguments) => operator::about_a_card(arguments, source, "guard/show", shown),
        Command::Reset(arguments) => {
            operator::about_a_card(arguments, source, "guard/reset", |done| {
                let known = done["known"] == true;
                let word = if known {
                    "forgotten"
                } else {
                    "nothing was counted about this card"
                };
                format!("{word}\n")
            })
        }
    }
}

fn shown(state: &Value) -> String {
    if state["known"] != true {
        return "nothing is counted about this card\n".to_owned();
    }
    let header = [
        "COUNTED",
        "CALLS",
        "UNTIL",
        "MISMATCHES",
        "UNTIL",
        "UNDER WAY",
        "CLOSED UNTIL",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.push(row("verification", &state["verification"]));
    rows.push(row("card information", &state["card_information"]));
    output::table(&rows)
}

fn row(label: &str, counts: &Value) -> Vec<String> {
    let number = |key: &str| counts[key].as_u64().unwrap_or_default().to_string();
    let time = |key: &str| {
        counts[key]
            .as_str()
            .map_or_else(|| "-".to_owned(), output::clean)
    };
    vec![
        label.to_owned(),
        number("calls"),
        time("calls_until"),
        number("mismatches"),
        time("mismatches_until"),
        number("in_flight"),
        time("closed_until"),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_are_a_table() {
        let state = json!({
            "known": true,
            "verification": {
                "calls": 3, "mismatches": 1, "in_flight": 0, "calls_until": "2026-06-01T16:00:00Z",
                "mismatches_until": "2026-06-01T20:00:00Z", "closed_until": null,
            },
            "card_information": null,
        });
        let table = shown(&state);
        let lines: Vec<_> = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .collect();
        assert_eq!(
            lines[1],
            [
                "verification",
                "3",
                "2026-06-01T16:00:00Z",
                "1",
                "2026-06-01T20:00:00Z",
                "0",
                "-"
            ]
        );
        assert_eq!(
            lines[2],
            ["card", "information", "0", "-", "0", "-", "0", "-"]
        );
        assert_eq!(
            shown(&json!({"known": false})),
            "nothing is counted about this card\n"
        );
    }
}
