//! The output: one row for each of the input, in its order, written from the journal.
//!
//! It is written beside its place and then takes it, so that nobody ever sees half of it.

use std::{
    fs::{self, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use serde_json::Value;

use super::{
    journal::{Journal, sync_folder},
    rows::Format,
};

/// The columns, and the key of a journal line that each is; the last two are of its error.
const COLUMNS: [(&str, &str); 13] = [
    ("row", "row"),
    ("verdict", "verdict"),
    ("result", "result"),
    ("factors", "factors"),
    ("luhn_valid", "luhnValid"),
    ("charge", "charge"),
    ("source", "source"),
    ("provider", "provider"),
    ("provider_code", "providerCode"),
    ("provider_request_id", "providerRequestId"),
    ("answered_at", "answeredAt"),
    ("error", "reason"),
    ("error_message", "message"),
];
/// What the names of enums begin with; a column has the short ones, as people read it.
const PREFIXES: [(&str, &str); 5] = [
    ("verdict", "VERDICT_"),
    ("result", "RESULT_CODE_"),
    ("factors", "FACTORS_"),
    ("charge", "CHARGE_"),
    ("source", "SOURCE_"),
];

/// Writes the output of a job whose rows were all asked.
pub(super) fn write(
    journal: &Journal,
    total: u64,
    out: &Path,
    format: Format,
) -> anyhow::Result<()> {
    let mut part = out.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let cannot_write = || format!("cannot write {}", out.display());
    let mut file =
        BufWriter::with_capacity(1 << 16, make_private(&part).with_context(cannot_write)?);
    match format {
        Format::Jsonl => write_lines(journal, total, &mut file),
        Format::Csv => write_table(journal, total, &mut file),
    }
    .with_context(cannot_write)?;
    let file = file
        .into_inner()
        .map_err(|error| error.into_error())
        .with_context(cannot_write)?;
    file.sync_all().with_context(cannot_write)?;
    fs::rename(&part, out).with_context(cannot_write)?;
    sync_folder(out).with_context(cannot_write)
}

fn write_lines(journal: &Journal, total: u64, file: &mut impl Write) -> anyhow::Result<()> {
    let mut from = journal.reader()?;
    for row in 1..=total {
        let line = journal.line(row, &mut from)?.ok_or_else(|| lost(row))?;
        file.write_all(&line)?;
    }
    Ok(())
}

fn write_table(journal: &Journal, total: u64, file: &mut impl Write) -> anyhow::Result<()> {
    let mut table = csv::Writer::from_writer(file);
    table.write_record(COLUMNS.iter().map(|(column, _)| column))?;
    let mut from = journal.reader()?;
    for row in 1..=total {
        let line = journal.line(row, &mut from)?.ok_or_else(|| lost(row))?;
        let line: Value = serde_json::from_slice(&line)?;
        table.write_record(COLUMNS.iter().map(|(column, key)| cell(&line, column, key)))?;
    }
    table.flush()?;
    Ok(())
}

fn cell(line: &Value, column: &str, key: &str) -> String {
    let object = if column.starts_with("error") {
        &line["error"]
    } else {
        line
    };
    match &object[key] {
        Value::Null => String::new(),
        Value::String(text) => {
            let prefix = PREFIXES.iter().find(|(of, _)| *of == column);
            let short = prefix.and_then(|(_, prefix)| text.strip_prefix(prefix));
            short.unwrap_or(text).to_owned()
        }
        other => other.to_string(),
    }
}

fn lost(row: u64) -> anyhow::Error {
    anyhow!("row {row} is not in the journal")
}

/// A new file that its owner alone may read; what an earlier run left unfinished goes.
fn make_private(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options.mode(0o600).open(path)
}
