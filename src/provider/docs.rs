//! `docs/PROVIDERS.md`, written from the tables that the program itself reads by.

mod kinds;
mod vendors;

use std::fmt::Display;

use super::codes::CodeRow;
use crate::domain::{CardInfoResult, Charge, ResultCode};

const HEAD: &str = "\
# Providers

<!-- Written by `cargo run --example generate-docs -- --write` from the tables of the program: do
not edit here. -->

What each kind of provider can do, what its codes mean, and what its errors say. A code means
something only within one operation of one vendor, so every operation has a table of its own. A code
that is in no table is `UNKNOWN_PROVIDER_CODE`: inconclusive, never a match, never asked again, never
asked elsewhere.
";

/// The whole page.
#[must_use]
pub fn providers_page() -> String {
    let sections = [
        HEAD.to_owned(),
        kinds::capabilities(),
        kinds::errors(),
        vendors::tencent(),
        vendors::ace(),
        vendors::alibaba(),
        kinds::grpc(),
        kinds::sandbox(),
        kinds::bin(),
    ];
    sections.join("\n")
}

/// A Markdown table.
fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&head.map(str::to_owned));
    text.push_str(&format!("|{}\n", "---|".repeat(N)));
    for row in rows {
        text.push_str(&line(&row));
    }
    text
}

/// A code of a vendor, or a word of the vocabulary.
fn code(text: impl Display) -> String {
    format!("`{text}`")
}

const fn charged(charge: Charge) -> &'static str {
    match charge {
        Charge::Charged => "yes",
        Charge::NotCharged => "no",
        Charge::Unknown => "unknown",
    }
}

fn wording<R>(row: &CodeRow<R>) -> String {
    let texts = [row.zh, row.en];
    let known: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    known.join(" / ")
}

/// The codes of a verification.
fn verification_table(rows: &[CodeRow<ResultCode>]) -> String {
    table(
        ["code", "result", "verdict", "charged", "the vendor's text"],
        rows.iter().map(|row| {
            [
                code(row.code),
                code(row.result.as_str()),
                row.result.verdict().as_str().to_owned(),
                charged(row.charge).to_owned(),
                wording(row),
            ]
        }),
    )
}

/// The codes of card information.
fn card_info_table(rows: &[CodeRow<CardInfoResult>]) -> String {
    table(
        ["code", "result", "charged", "the vendor's text"],
        rows.iter().map(|row| {
            [
                code(row.code),
                code(row.result.as_str()),
                charged(row.charge).to_owned(),
                wording(row),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_the_one_that_the_tables_make() {
        let committed = include_str!("../../docs/PROVIDERS.md");
        assert!(
            committed == providers_page(),
            "docs/PROVIDERS.md differs: cargo run --example generate-docs -- --write"
        );
    }

    #[test]
    fn no_cell_breaks_its_table() {
        let page = providers_page();
        let mut columns = None;
        for line in page.lines() {
            if !line.starts_with('|') {
                columns = None;
                continue;
            }
            let count = line.matches('|').count();
            assert_eq!(*columns.get_or_insert(count), count, "{line}");
        }
    }
}
