//! The status as a page for people: no script, nothing loaded from elsewhere, and it asks for itself
//! again after a while.
//!
//! It shows what `/status` says and knows nothing more. Whatever is not there is a dash: a page that
//! is looked at in the middle of the night must come up.

use std::{sync::LazyLock, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{config::providers::decimal, domain::Operation};

/// The one style sheet, allowed by its digest.
const STYLE: &str = include_str!("page/style.css");
/// How often the page asks for itself again.
const REFRESH_SECONDS: u64 = 10;
/// What stands where there is nothing to say.
const NOTHING: &str = "–";

/// Allows the style sheet above and nothing else.
pub(super) fn content_security_policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let digest = STANDARD.encode(Sha256::digest(STYLE));
        format!(
            "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'"
        )
    });
    &POLICY
}

/// The page for a status.
pub(super) fn render(status: &Value) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content=(REFRESH_SECONDS);
                title { "cardproof: " (text(&status["phase"])) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (heading(status))
                (attention(&status["attention"]))
                (tiles(status))
                h2 { "Vendors today" }
                @for provider in items(&status["providers"]) { (vendor(provider, &status["now"])) }
                (details(status))
                footer {
                    "Days end at midnight in Asia/Shanghai. Times are UTC. This page is made anew every "
                    (REFRESH_SECONDS) " seconds; the same for programs is at "
                    a href="/status" { "/status" } ", numbers over time at " a href="/metrics" { "/metrics" } "."
                }
            }
        }
    };
    page.into_string()
}

fn heading(status: &Value) -> Markup {
    let phase = status["phase"].as_str().unwrap_or(NOTHING);
    let look = if phase == "serving" { "good" } else { "warn" };
    html! {
        header {
            h1 { "cardproof" }
            span.pill.(look) { (phase) }
            span.soft {
                (text(&status["version"])) " · up " (span(&status["uptime_seconds"]))
                " · " (text(&status["now"]))
            }
        }
    }
}

fn attention(what: &Value) -> Markup {
    html! {
        @if items(what).next().is_some() {
            section.card.attention.bad {
                h3 { "Needs attention" }
                ul { @for item in items(what) { li { (text(item)) } } }
            }
        } @else {
            section.card.attention { span.good { "Nothing needs attention." } }
        }
    }
}

fn tiles(status: &Value) -> Markup {
    let (calls, cache, guard) = (&status["calls"], &status["cache"], &status["guard"]);
    let connections = &status["connections"];
    let refusals: u64 = members(&guard["refusals"])
        .map(|(_, count)| count.as_u64().unwrap_or(0))
        .sum();
    let redis = match status["redis"]["up"].as_bool() {
        Some(true) => ("up", "good"),
        Some(false) => ("down", "bad"),
        None => ("none", "soft"),
    };
    html! {
        section.tiles {
            (tile("Calls in flight", &number(&calls["in_flight"]), "", html! {
                (number(&calls["at_vendors"])) " at vendors, " (number(&calls["turned_away"])) " turned away"
            }))
            (tile("Connections", &number(&connections["open"]), "", html! {
                (number(&connections["turned_away"])) " turned away"
            }))
            (tile("Cache hits", &percent(&cache["hit_ratio"]), "", html! {
                (number(&cache["entries"])) " answers, " (mebibytes(&cache["weight_bytes"])) " of "
                (mebibytes(&cache["capacity_bytes"])) " MiB"
            }))
            (tile("Guard refusals", &grouped(refusals), if refusals > 0 { "warn" } else { "" }, html! {
                @if refusals > 0 {
                    @for (reason, count) in members(&guard["refusals"]).filter(|(_, count)| count.as_u64() > Some(0)) {
                        (words(reason)) " " (number(count)) " "
                    }
                } @else { (number(&guard["cards"])) " cards counted" }
            }))
            (tile("Redis", redis.0, redis.1, html! {
                @match redis.0 {
                    "none" => "each replica by itself",
                    "up" => "shared by all replicas",
                    _ => "out of reach",
                }
            }))
            (tile("Ledger", if status["ledger"]["unwritten"].as_u64() > Some(0) { "behind" } else { "written" }, "", html! {
                (number(&status["ledger"]["errors"])) " errors"
            }))
        }
    }
}

fn tile(label: &str, value: &str, look: &str, more: Markup) -> Markup {
    html! { div.card { span.soft { (label) } b.(look) { (value) } span.soft { (more) } } }
}

fn vendor(provider: &Value, now: &Value) -> Markup {
    let (state, look) = state(provider);
    html! {
        section.card.vendor {
            div {
                h3 { (text(&provider["name"])) }
                span.pill.(look) { (state) }
                (budget(&provider["budget"]))
            }
            table {
                thead {
                    tr {
                        th { "operation" } th.left { "breaker" } th { "calls" } th { "answered" }
                        th { "charged" } th { "maybe charged" } th { "cost" } th { "median" }
                        th { "slowest" } th.left { "last error" }
                    }
                }
                tbody {
                    @for (operation, counts) in in_order(&provider["today"]) {
                        (operation_row(operation, counts, provider, now))
                    }
                }
            }
        }
    }
}

fn operation_row(operation: &str, counts: &Value, provider: &Value, now: &Value) -> Markup {
    let breaker = provider["breaker"][operation].as_str().unwrap_or(NOTHING);
    let look = match breaker {
        "open" => "bad",
        "half_open" => "warn",
        _ => "",
    };
    let count = |label: &str, key: &str| {
        let zero = counts[key].as_u64() == Some(0);
        html! { td.zero[zero] data-label=(label) { (number(&counts[key])) } }
    };
    let error = &counts["last_error"];
    let quiet = counts["calls"].as_u64() == Some(0) && error.is_null();
    html! {
        tr.quiet[quiet] {
            td { (words(operation)) }
            td.left.(look) data-label="breaker" {
                @if provider["embedded"] == true { (NOTHING) } @else { (words(breaker)) }
            }
            (count("calls", "calls"))
            (count("answered", "answered"))
            (count("charged", "charged"))
            (count("maybe charged", "unknown"))
            td data-label="cost" { (money(&counts["cost_micros"], &provider["price"]["currency"])) }
            td data-label="median" { (millis(&counts["median_ms"])) }
            td data-label="slowest" { (millis(&counts["slowest_ms"])) }
            td.left.warn[!error.is_null()] data-label="last error" {
                @if error.is_null() { (NOTHING) }
                @else { (words(error["reason"].as_str().unwrap_or(NOTHING))) " " (ago(&error["at"], now)) }
            }
        }
    }
}

/// What keeps calls from a vendor, or that nothing does.
fn state(provider: &Value) -> (String, &'static str) {
    if provider["maintenance"] == true {
        return ("maintenance".to_owned(), "warn");
    }
    let skipped = &provider["skipped"];
    if let Some(reason) = skipped["reason"].as_str() {
        let seconds = skipped["for_seconds"].as_f64().unwrap_or_default();
        return (
            format!("{}, passed over for {seconds:.0} s", words(reason)),
            "bad",
        );
    }
    if members(&provider["breaker"]).any(|(_, state)| state == "open") {
        return ("failing".to_owned(), "bad");
    }
    match provider["embedded"] == true {
        true => ("embedded".to_owned(), ""),
        false => ("ready".to_owned(), "good"),
    }
}

fn budget(budget: &Value) -> Markup {
    let (spent, limit) = (
        budget["spent_micros"].as_u64(),
        budget["limit_micros"].as_u64(),
    );
    let (Some(spent), Some(limit)) = (spent, limit) else {
        return html! {};
    };
    let currency = &budget["currency"];
    html! {
        div.budget {
            // a browser draws it by itself: full is bad
            meter min="0" max=(limit.max(1)) high=(limit / 10 * 8) low=(limit / 2) optimum="0" value=(spent) {}
            span.soft { (decimal(spent)) " of " (decimal(limit)) " " (text(currency)) " spent" }
        }
    }
}

fn details(status: &Value) -> Markup {
    let reload = &status["last_reload"];
    html! {
        h2 { "Routes" }
        dl.card {
            @for (operation, names) in in_order(&status["routes"]) {
                dt { (words(operation)) }
                dd { (joined(names, " → ")) }
            }
        }
        h2 { "Configuration" }
        dl.card {
            dt { "warnings" }
            dd {
                @if items(&status["warnings"]).next().is_none() { "none" }
                ul { @for warning in items(&status["warnings"]) { li { (text(warning)) } } }
            }
            dt { "last reload" }
            dd {
                @if reload.is_null() { "none since the start" }
                @else {
                    (words(reload["outcome"].as_str().unwrap_or(NOTHING))) " " (ago(&reload["at"], &status["now"]))
                    " (" (text(&reload["trigger"])) ")"
                    @if items(&reload["changed"]).next().is_some() { "; changed: " (joined(&reload["changed"], ", ")) }
                    ul { @for problem in items(&reload["problems"]) { li.bad { (text(problem)) } } }
                }
            }
            @for certificate in items(&status["certificates"]) {
                dt { (text(&certificate["file"])) }
                dd { "good until " (text(&certificate["not_after"])) }
            }
            dt { "build" }
            dd { (text(&status["version"])) ", BIN data " (text(&status["bin_data_version"])) }
            dt { "started" }
            dd { (text(&status["started_at"])) }
        }
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.as_str(), value))
}

/// Members by operation, the fewest factors first.
fn in_order(value: &Value) -> Vec<(&str, &Value)> {
    let place = |name: &str| Operation::ALL.iter().position(|it| it.as_str() == name);
    let mut members: Vec<_> = members(value).collect();
    members.sort_by_key(|(name, _)| place(name).unwrap_or(Operation::ALL.len()));
    members
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or(NOTHING)
}

/// A name of the vocabulary as words.
fn words(name: &str) -> String {
    name.replace('_', " ").to_lowercase()
}

fn joined(values: &Value, between: &str) -> String {
    let texts: Vec<&str> = items(values).map(text).collect();
    if texts.is_empty() {
        NOTHING.to_owned()
    } else {
        texts.join(between)
    }
}

fn number(value: &Value) -> String {
    value.as_u64().map_or_else(|| NOTHING.to_owned(), grouped)
}

/// Thousands apart, without a comma that could be a decimal one.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

fn percent(ratio: &Value) -> String {
    let ratio = ratio
        .as_f64()
        .map(|ratio| format!("{:.1} %", ratio * 100.0));
    ratio.unwrap_or_else(|| NOTHING.to_owned())
}

fn mebibytes(bytes: &Value) -> String {
    let bytes = bytes
        .as_f64()
        .map(|bytes| format!("{:.0}", bytes / 1_048_576.0));
    bytes.unwrap_or_else(|| NOTHING.to_owned())
}

fn millis(value: &Value) -> String {
    let millis = value.as_f64().map(|millis| {
        if millis < 10.0 {
            format!("{millis:.1} ms")
        } else {
            format!("{millis:.0} ms")
        }
    });
    millis.unwrap_or_else(|| NOTHING.to_owned())
}

fn money(micros: &Value, currency: &Value) -> String {
    match (micros.as_u64(), currency.as_str()) {
        (Some(micros), Some(currency)) => format!("{} {currency}", decimal(micros)),
        _ => NOTHING.to_owned(),
    }
}

fn span(seconds: &Value) -> String {
    seconds.as_u64().map_or_else(
        || NOTHING.to_owned(),
        |seconds| in_words(Duration::from_secs(seconds)),
    )
}

fn ago(then: &Value, now: &Value) -> String {
    let time = |value: &Value| {
        value
            .as_str()
            .and_then(|text| text.parse::<Timestamp>().ok())
    };
    let (Some(then), Some(now)) = (time(then), time(now)) else {
        return NOTHING.to_owned();
    };
    let since = Duration::try_from(now.duration_since(then)).unwrap_or_default();
    format!("{} ago", in_words(since))
}

fn in_words(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests;
