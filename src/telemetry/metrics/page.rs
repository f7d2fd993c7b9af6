//! `docs/METRICS.md`, written from the table that the instruments are made from.

use super::table::{ALL, Row};

const HEAD: &str = "\
# Metrics

<!-- Written by `cargo run --example generate-docs -- --write` from the tables of the program: do
not edit here. -->

`/metrics` of the admin port (`server.admin_listen`) serves these in Prometheus' text format, version 0.0.4. Every
label has a closed set of values, so the number of series depends on the configuration and not on what callers send. No
label and no value holds personal data. Counters begin at 0 with the process. Names in OpenTelemetry's spelling stand
in parentheses; under those they go over OTLP where the `OTEL_*` variables say so ([TRACING.md](TRACING.md)).
";

const BUCKETS_HEAD: &str = "\
## Buckets

Both histograms have these upper bounds, in seconds: ";

/// The whole page.
#[must_use]
pub fn metrics_page() -> String {
    let mut text = HEAD.to_owned();
    for row in ALL {
        text.push('\n');
        text.push_str(&section(row));
    }
    let bounds: Vec<_> = super::BOUNDS_SECONDS
        .iter()
        .map(|bound| bound.to_string())
        .collect();
    text.push_str(&format!("\n{BUCKETS_HEAD}{}.\n", bounds.join(", ")));
    text
}

fn section(row: &Row) -> String {
    let unit = match row.unit {
        "" => String::new(),
        "s" => ", seconds".to_owned(),
        "By" => ", bytes".to_owned(),
        other => format!(", {}s", other.trim_matches(['{', '}'])),
    };
    let mut text = format!(
        "## `{}`\n\n{}{unit} (`{}`). {}\n\n",
        row.prometheus_name(),
        capitalised(row.kind.as_str()),
        row.name,
        row.meaning,
    );
    if !row.labels.is_empty() {
        text.push_str("| label | values |\n| --- | --- |\n");
        for (label, values) in row.labels {
            text.push_str(&format!("| `{}` | {values} |\n", label.replace('.', "_")));
        }
        text.push('\n');
    }
    text.push_str(&format!("When to look: {}\n", row.look));
    text
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(letters)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_the_one_that_the_table_makes() {
        let committed = include_str!("../../../docs/METRICS.md");
        assert!(
            committed == metrics_page(),
            "docs/METRICS.md differs: cargo run --example generate-docs -- --write"
        );
    }
}
