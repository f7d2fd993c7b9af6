//! The status as a page for people: no script, nothing loaded from elsewhere.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The one style sheet, allowed by its digest.
const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
body{max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.4rem}\
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.2rem 1.5rem;margin:0}\
dt{opacity:.7}dd{margin:0;overflow-wrap:anywhere}\
ul{margin:0;padding-left:1.2rem}\
footer{margin-top:2rem;opacity:.7}";

/// Deeper than this the status is shown as text.
const MAX_DEPTH: usize = 6;

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
    let mut page = String::with_capacity(4096);
    page.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width\">");
    page.push_str("<title>cardproof</title><style>");
    page.push_str(STYLE);
    page.push_str("</style></head><body><h1>cardproof</h1>\n");
    write_value(&mut page, status, 0);
    page.push_str(
        "\n<footer>The same for programs: <a href=\"/status\">/status</a></footer></body></html>\n",
    );
    page
}

fn write_value(page: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(members) if members.is_empty() => page.push('–'),
        Value::Array(items) if items.is_empty() => page.push('–'),
        Value::Object(members) if depth < MAX_DEPTH => {
            page.push_str("<dl>");
            for (name, value) in members {
                page.push_str("<dt>");
                write_text(page, &name.replace('_', " "));
                page.push_str("</dt><dd>");
                write_value(page, value, depth + 1);
                page.push_str("</dd>");
            }
            page.push_str("</dl>");
        }
        Value::Array(items) if depth < MAX_DEPTH => {
            page.push_str("<ul>");
            for item in items {
                page.push_str("<li>");
                write_value(page, item, depth + 1);
                page.push_str("</li>");
            }
            page.push_str("</ul>");
        }
        Value::Null => page.push('–'),
        Value::Bool(true) => page.push_str("yes"),
        Value::Bool(false) => page.push_str("no"),
        Value::String(text) => write_text(page, text),
        other => write_text(page, &other.to_string()),
    }
}

fn write_text(page: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            other => page.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_the_status_says_is_text() {
        let page = render(&json!({"<b>name": ["</style><script>alert(1)</script>", "a\"'&b"]}));
        assert!(page.contains("&lt;b&gt;name"));
        assert!(page.contains("&lt;/style&gt;&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("a&quot;&#39;&amp;b"));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn every_kind_of_value_is_readable() {
        let page = render(&json!({
            "phase": "serving", "up": true, "down": false, "count": 3, "none": null, "empty": [],
            "nested_thing": {"deep": {"er": 1.5}},
        }));
        for expected in [
            "<dt>phase</dt><dd>serving</dd>",
            "<dt>up</dt><dd>yes</dd>",
            "<dt>down</dt><dd>no</dd>",
            "<dt>count</dt><dd>3</dd>",
            "<dt>none</dt><dd>–</dd>",
            "<dt>empty</dt><dd>–</dd>",
            "<dt>nested thing</dt><dd><dl><dt>deep</dt><dd><dl><dt>er</dt><dd>1.5</dd></dl></dd></dl></dd>",
        ] {
            assert!(page.contains(expected), "{expected} is missing");
        }
    }

    proptest! {
        #[test]
        fn no_text_opens_a_tag(text in ".{0,60}") {
            let mut written = String::new();
            write_text(&mut written, &text);
            prop_assert!(!written.contains(['<', '>', '"', '\'']));
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
}
