use proptest::prelude::*;
use serde_json::json;

use super::*;

const EVIL: &str = "</style><script>alert(1)</script>\"'&<b>";

/// A status in which every text and every name is hostile.
fn hostile() -> Value {
    json!({
        "phase": EVIL, "version": EVIL, "now": EVIL, "started_at": EVIL, "bin_data_version": EVIL,
        "attention": [EVIL], "warnings": [EVIL], "certificates": [{"file": EVIL, "not_after": EVIL}],
        "last_reload": {
            "outcome": EVIL, "trigger": EVIL, "at": EVIL, "changed": [EVIL], "problems": [EVIL],
        },
        "guard": {"refusals": {EVIL: 3}},
        "redis": {"up": true, "on_loss": EVIL},
        "routes": {EVIL: [EVIL, EVIL]},
        "providers": [{
            "name": EVIL, "skipped": {"reason": EVIL}, "breaker": {EVIL: EVIL},
            "price": {"currency": EVIL},
            "budget": {"currency": EVIL, "limit_micros": 5, "spent_micros": 3},
            "today": {EVIL: {"cost_micros": 1, "last_error": {"reason": EVIL, "at": EVIL}}},
        }],
    })
}

#[test]
fn whatever_the_status_says_is_text() {
    let page = render(&hostile());
    let calm = render(&json!({}));
    let tags = |page: &str, tag: &str| page.to_lowercase().matches(tag).count();
    assert_eq!(tags(&page, "<script"), 0);
    assert_eq!(tags(&page, "<b>"), tags(&calm, "<b>"));
    assert_eq!(tags(&page, "</style>"), 1);
    assert!(tags(&page, "&lt;script&gt;alert(1)") > 20);
}

#[test]
fn a_status_without_anything_still_is_a_page() {
    for empty in [
        Value::Null,
        json!({}),
        json!([]),
        json!({"providers": [{}], "last_reload": {}}),
    ] {
        let page = render(&empty);
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    }
}

#[test]
fn an_operation_without_calls_is_quiet_unless_it_failed() {
    let quiet = |counts: Value| {
        let provider = json!({ "name": "ace", "today": { "verify_two": counts } });
        render(&json!({ "providers": [provider] })).contains("<tr class=\"quiet\">")
    };
    assert!(quiet(json!({ "calls": 0, "last_error": null })));
    assert!(!quiet(json!({ "calls": 1, "last_error": null })));
    let error = json!({ "reason": "NOT_SENT", "at": "2026-06-01T00:00:00Z" });
    assert!(!quiet(json!({ "calls": 0, "last_error": error })));
}

#[test]
fn a_vendor_shows_its_day() {
    let page = render(&json!({
        "phase": "serving", "now": "2026-06-01T00:10:00Z",
        "cache": {"hit_ratio": 0.9375, "entries": 1234567},
        "providers": [{
            "name": "ace", "embedded": false, "maintenance": false, "skipped": null,
            "breaker": {"verify_two": "open"}, "price": {"currency": "CNY"},
            "budget": {"currency": "CNY", "limit_micros": 100_000_000, "spent_micros": 12_350_000},
            "today": {"verify_two": {
                "calls": 120, "answered": 100, "charged": 90, "unknown": 10, "cost_micros": 35_000_000,
                "median_ms": 81.4, "slowest_ms": 7.25,
                "last_error": {"reason": "OUTCOME_UNKNOWN", "at": "2026-06-01T00:05:00Z"},
            }},
        }],
    }));
    for expected in [
        ">serving</span>",
        ">93.8 %</b>",
        "1\u{202f}234\u{202f}567 answers",
        "<h3>ace</h3><span class=\"pill bad\">failing</span>",
        "12.35 of 100 CNY spent",
        "<td>verify two</td>",
        "data-label=\"breaker\">open</td>",
        "data-label=\"maybe charged\">10</td>",
        "data-label=\"cost\">35 CNY</td>",
        "data-label=\"median\">81 ms</td>",
        "data-label=\"slowest\">7.2 ms</td>",
        "outcome unknown 5 min ago</td>",
        "Nothing needs attention.",
    ] {
        assert!(page.contains(expected), "{expected} is missing\n{page}");
    }
}

proptest! {
    #[test]
    fn no_text_opens_a_tag(text in ".{0,60}") {
        let page = render(&json!({ "version": text, "attention": [text] }));
        let calm = render(&json!({ "version": "x", "attention": ["x"] }));
        let count = |page: &str| page.chars().filter(|it| matches!(it, '<' | '>' | '"')).count();
        prop_assert_eq!(count(&page), count(&calm));
    }
}

#[test]
fn the_policy_names_the_style_that_is_sent() {
    let page = render(&Value::Null);
    let style = page
        .split_once("<style>")
        .and_then(|(_, rest)| rest.split_once("</style>"))
        .map(|(style, _)| STANDARD.encode(Sha256::digest(style)));
    assert!(style.is_some_and(|digest| content_security_policy().contains(&digest)));
}
