//! What of a status an operator should look at, in sentences.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Certificates that end sooner than this should have been renewed.
const RENEWED_BEFORE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// This many percent of a budget are nearly all of it.
const NEARLY_SPENT: u64 = 80;

/// One sentence for each thing, the worst first.
pub(super) fn what_needs_it(status: &Value) -> Vec<String> {
    let mut what = Vec::new();
    if status["phase"] != "serving" {
        what.push(format!("the process is {}", text(&status["phase"])));
    }
    if status["ledger"]["unwritten"].as_u64() > Some(0) {
        what.push("the ledger cannot be written: no vendor is asked".to_owned());
    }
    if status["redis"]["up"] == false {
        what.push("Redis is out of reach".to_owned());
    }
    for provider in items(&status["providers"]) {
        of_provider(provider, &mut what);
    }
    for suspect in items(&status["guard"]["suspects"]) {
        what.push(format!(
            "{} had mismatches on {} cards lately: it may be testing stolen ones",
            text(&suspect["caller"]),
            suspect["cards"]
        ));
    }
    of_configuration(status, &mut what);
    what
}

fn of_provider(provider: &Value, what: &mut Vec<String>) {
    let name = text(&provider["name"]);
    if let Some(reason) = provider["skipped"]["reason"].as_str() {
        what.push(match reason {
            "OUT_OF_CREDIT" => format!("{name} is out of credit"),
            _ => format!("{name} does not accept our credentials or settings"),
        });
    }
    let states = provider["breaker"].as_object().into_iter().flatten();
    let open: Vec<&str> = states
        .filter(|(_, state)| **state == "open")
        .map(|(operation, _)| operation.as_str())
        .collect();
    if !open.is_empty() {
        let operations = open.join(", ").replace('_', " ");
        what.push(format!(
            "{name} keeps failing and is left alone: {operations}"
        ));
    }
    if provider["maintenance"] == true {
        what.push(format!("{name} is in maintenance"));
    }
    let micros = |key: &str| provider["budget"][key].as_u64();
    if let (Some(spent), Some(limit)) = (micros("spent_micros"), micros("limit_micros")) {
        let percent = u128::from(spent) * 100 / u128::from(limit.max(1));
        if percent >= u128::from(NEARLY_SPENT) {
            what.push(format!("{name} has spent {percent} % of today's budget"));
        }
    }
}

fn of_configuration(status: &Value, what: &mut Vec<String>) {
    let reload = &status["last_reload"];
    match reload["outcome"].as_str() {
        Some("refused") => {
            what.push(
                "the configuration on the disk cannot be used; the earlier one stays".to_owned(),
            );
        }
        Some("needs_restart") => {
            let keys: Vec<&str> = items(&reload["needs_restart"]).map(text).collect();
            what.push(format!("waits for a restart: {}", keys.join(", ")));
        }
        _ => {}
    }
    let time = |value: &Value| text(value).parse::<Timestamp>().ok();
    for certificate in items(&status["certificates"]) {
        let left = time(&certificate["not_after"])
            .zip(time(&status["now"]))
            .map(|(end, now)| end.duration_since(now));
        if left.is_some_and(|left| left < RENEWED_BEFORE) {
            let (file, end) = (text(&certificate["file"]), text(&certificate["not_after"]));
            what.push(format!("server.tls.{file} ends at {end}"));
        }
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_trouble_is_a_sentence_and_calm_is_none() {
        let calm = json!({
            "phase": "serving", "now": "2026-06-01T00:00:00Z", "ledger": {"unwritten": 0},
            "redis": {"up": true}, "guard": {"suspects": []}, "last_reload": {"outcome": "applied"},
            "certificates": [{"file": "cert_file", "not_after": "2026-06-16T00:00:00Z"}],
            "providers": [{
                "name": "ace", "maintenance": false, "skipped": null,
                "breaker": {"verify_two": "closed", "verify_three": "half_open"},
                "budget": {"currency": "CNY", "limit_micros": 100, "spent_micros": 79},
            }],
        });
        assert_eq!(what_needs_it(&calm), Vec::<String>::new());
        let troubled = json!({
            "phase": "draining", "now": "2026-06-01T00:00:00Z", "ledger": {"unwritten": 2},
            "redis": {"up": false}, "guard": {"suspects": [{"caller": "shop", "cards": 31}]},
            "last_reload": {"outcome": "needs_restart", "needs_restart": ["server.listen", "mode"]},
            "certificates": [{"file": "cert_file", "not_after": "2026-06-14T00:00:00Z"}],
            "providers": [{
                "name": "ace", "maintenance": true, "skipped": {"reason": "OUT_OF_CREDIT"},
                "breaker": {"verify_two": "open", "verify_three": "closed"},
                "budget": {"currency": "CNY", "limit_micros": 100, "spent_micros": 80},
            }],
        });
        assert_eq!(
            what_needs_it(&troubled),
            [
                "the process is draining",
                "the ledger cannot be written: no vendor is asked",
                "Redis is out of reach",
                "ace is out of credit",
                "ace keeps failing and is left alone: verify two",
                "ace is in maintenance",
                "ace has spent 80 % of today's budget",
                "shop had mismatches on 31 cards lately: it may be testing stolen ones",
                "waits for a restart: server.listen, mode",
                "server.tls.cert_file ends at 2026-06-14T00:00:00Z",
            ]
        );
    }
}
