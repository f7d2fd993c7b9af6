//! `cardproof providers`

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::{
    ConfigSource, EXIT_ERROR, EXIT_OTHER_ANSWER, admin_client, admin_port::AdminPort, answer_view,
    connection, load, output, serve::refuse,
};
use crate::{
    app::{self, Probed},
    config::{providers::decimal, secret::process_env},
    domain::Operation,
    provider::{Probe, ProviderErrorKind},
};

const EXAMPLES: &str = "\
Without --probe a running server is asked, at its admin port: that of --addr, or of the configuration
(--config, CARDPROOF_CONFIG and the CARDPROOF__ variables as for serve). With --probe the providers of the
configuration are checked from here, with calls that cost nothing and name no card, where a vendor
offers one.

Exit code: 0 all is well, 1 a vendor refused the probe, 2 no answer, 64 unusable configuration.

Examples:
  cardproof providers
  cardproof providers --addr http://127.0.0.1:9464 --json
  cardproof providers --probe --config /etc/cardproof.toml";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Check endpoints and credentials of the configuration with free calls
    #[arg(long, conflicts_with_all = ["addr", "timeout"])]
    probe: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) fn run(arguments: &Arguments, source: &ConfigSource) -> ExitCode {
    if arguments.probe {
        return probe(arguments, &arguments.port.file.or(source));
    }
    match ask(&arguments.port, source) {
        Ok(providers) if arguments.json => {
            print_json(&json!({ "providers": providers }));
            ExitCode::SUCCESS
        }
        Ok(providers) => {
            let header = [
                "PROVIDER",
                "STATE",
                "CAN",
                "PER SECOND",
                "AT ONCE",
                "PRICE",
                "BREAKER",
                "TODAY",
                "LAST ERROR",
            ];
            let mut rows = vec![header.map(str::to_owned).to_vec()];
            rows.extend(providers.iter().map(row));
            output::result(output::table(&rows).as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::error(&answer_view::error(&error));
            ExitCode::from(EXIT_ERROR)
        }
    }
}

fn ask(port: &AdminPort, source: &ConfigSource) -> anyhow::Result<Vec<Value>> {
    let address = port.address(source)?;
    let status = admin_client::status(&address, port.timeout);
    let status = connection::runtime()?.block_on(status)?;
    let providers = status.get("providers").and_then(Value::as_array);
    providers.cloned().context("the answer is no status")
}

fn print_json(value: &Value) {
    output::result(format!("{value}\n").as_bytes());
}

/// One provider of `/status`.
fn row(provider: &Value) -> Vec<String> {
    let text = |name: &str| output::clean(provider[name].as_str().unwrap_or_default());
    let number = |name: &str, absent: &str| {
        let number = provider[name].as_u64();
        number.map_or_else(|| absent.to_owned(), |number| number.to_string())
    };
    let embedded = provider["embedded"] == true;
    let operations = provider["operations"].as_array();
    let operations = operations.into_iter().flatten().filter_map(Value::as_str);
    vec![
        text("name"),
        state(provider),
        joined(operations.map(short)),
        if embedded {
            "-".to_owned()
        } else {
            number("requests_per_second", "unlimited")
        },
        if embedded {
            "-".to_owned()
        } else {
            number("concurrent", "-")
        },
        price(&provider["price"]),
        breaker(provider),
        today(provider),
        last_error(&provider["last_error"]),
    ]
}

fn state(provider: &Value) -> String {
    if provider["maintenance"] == true {
        return "maintenance".to_owned();
    }
    match &provider["skipped"] {
        Value::Object(skipped) => {
            let reason = skipped.get("reason").and_then(Value::as_str);
            let seconds = skipped.get("for_seconds").and_then(Value::as_f64);
            let reason = output::clean(reason.unwrap_or_default());
            format!("{reason}, skipped {:.0} s", seconds.unwrap_or_default())
        }
        _ if provider["embedded"] == true => "embedded".to_owned(),
        _ => "ready".to_owned(),
    }
}

/// `verify_two` as `two`; the table is wide enough as it is.
fn short(operation: &str) -> String {
    output::clean(operation.strip_prefix("verify_").unwrap_or(operation))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join(" ")
    }
}

/// `CNY two 0.35 three 0.5`
fn price(price: &Value) -> String {
    let Some(currency) = price["currency"].as_str() else {
        return "-".to_owned();
    };
    let known = Operation::ALL.iter().filter_map(|operation| {
        let micros = price["micros"][operation.as_str()].as_u64()?;
        Some(format!("{} {}", short(operation.as_str()), decimal(micros)))
    });
    format!("{} {}", output::clean(currency), joined(known))
}

/// `12 calls, 10 charged, 1 maybe; 4.2 of 100 CNY`
fn today(provider: &Value) -> String {
    let sum = |key: &str| -> u64 {
        let operations = provider["today"].as_object().into_iter().flatten();
        operations
            .filter_map(|(_, counts)| counts[key].as_u64())
            .sum()
    };
    let calls = sum("calls");
    if calls == 0 {
        return "-".to_owned();
    }
    let mut today = format!("{calls} calls");
    if provider["embedded"] != true {
        today += &format!(", {} charged, {} maybe", sum("charged"), sum("unknown"));
    }
    let budget = &provider["budget"];
    if let (Some(spent), Some(limit)) = (
        budget["spent_micros"].as_u64(),
        budget["limit_micros"].as_u64(),
    ) {
        let currency = output::clean(budget["currency"].as_str().unwrap_or_default());
        today += &format!("; {} of {} {currency}", decimal(spent), decimal(limit));
    } else if let Some(currency) = provider["price"]["currency"].as_str() {
        today += &format!(
            "; {} {}",
            decimal(sum("cost_micros")),
            output::clean(currency)
        );
    }
    today
}

/// Only what is not closed is worth a word.
fn breaker(provider: &Value) -> String {
    let states = provider["breaker"].as_object().into_iter().flatten();
    let troubled: Vec<_> = states
        .filter_map(|(operation, state)| {
            let state = state.as_str().filter(|state| *state != "closed")?;
            Some(format!("{} {}", short(operation), output::clean(state)))
        })
        .collect();
    match (troubled.is_empty(), provider["embedded"] == true) {
        (true, true) => "-".to_owned(),
        (true, false) => "closed".to_owned(),
        (false, _) => troubled.join(" "),
    }
}

fn last_error(error: &Value) -> String {
    let part = |name: &str| output::clean(error[name].as_str().unwrap_or_default());
    if error.is_null() {
        "-".to_owned()
    } else {
        format!("{} at {}", part("reason"), part("at"))
    }
}

fn probe(arguments: &Arguments, source: &ConfigSource) -> ExitCode {
    let loaded = match load(source) {
        Ok(loaded) => loaded,
        Err(problems) => return refuse(problems.as_slice()),
    };
    let probed = match app::probe(&loaded.config, &process_env).map_err(app::StartError::problems) {
        Ok(probed) => probed,
        Err(Ok(problems)) => return refuse(problems.as_slice()),
        Err(Err(error)) => {
            output::error(&error.to_string());
            return ExitCode::from(EXIT_ERROR);
        }
    };
    if arguments.json {
        let providers: Vec<_> = probed.iter().map(probe_json).collect();
        print_json(&json!({ "providers": providers }));
    } else {
        let mut rows = vec![vec!["PROVIDER".to_owned(), "PROBE".to_owned()]];
        rows.extend(probed.iter().map(|one| {
            let mut said = outcome(one).to_owned();
            if let Err(error) = &one.outcome {
                let code = error.provider_code.as_str();
                said = format!("{said}: {}", error.detail);
                if !code.is_empty() {
                    said = format!("{said} ({})", output::clean(code));
                }
            }
            vec![one.name.to_string(), said]
        }));
        output::result(output::table(&rows).as_bytes());
    }
    probed
        .iter()
        .map(severity)
        .max()
        .map_or(ExitCode::SUCCESS, ExitCode::from)
}

fn outcome(one: &Probed) -> &'static str {
    match &one.outcome {
        _ if one.embedded => "embedded",
        Ok(Probe::Accepted) => "accepted",
        Ok(Probe::NotOffered) => "not offered",
        Err(error) => error.kind.as_str(),
    }
}

fn probe_json(one: &Probed) -> Value {
    let error = one.outcome.as_ref().err();
    json!({
        "name": one.name.as_str(),
        "probe": outcome(one).replace(' ', "_").to_uppercase(),
        "code": error.map(|error| error.provider_code.as_str()).filter(|code| !code.is_empty()),
        "clock_skew_seconds": error.and_then(|error| error.clock_skew_seconds),
    })
}

/// The exit code that one provider asks for.
fn severity(one: &Probed) -> u8 {
    match &one.outcome {
        Ok(_) => 0,
        Err(error) => match error.kind {
            ProviderErrorKind::Throttled
            | ProviderErrorKind::Misconfigured
            | ProviderErrorKind::ClockSkewed
            | ProviderErrorKind::OutOfCredit
            | ProviderErrorKind::Refused
            | ProviderErrorKind::NonceReused => EXIT_OTHER_ANSWER,
            ProviderErrorKind::NotSent | ProviderErrorKind::OutcomeUnknown => EXIT_ERROR,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_printed_exactly() {
        let cases = [
            (0, "0"),
            (350_000, "0.35"),
            (1, "0.000001"),
            (12_000_000, "12"),
            (1_500_000, "1.5"),
        ];
        for (micros, text) in cases {
            assert_eq!(decimal(micros), text);
        }
    }
}
