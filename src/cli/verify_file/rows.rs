//! Rows of a file of questions. A complaint names field and line, never a value.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    rc::Rc,
};

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use csv::{ErrorKind, StringRecord};
use zeroize::Zeroizing;

use super::super::question;
use crate::grpc::client::VerifyQuestion;

/// A row is a handful of short fields. A longer one is a quotation mark that nobody closed.
const MAX_ROW_BYTES: usize = 64 * 1024;
/// What is read ahead of the row at hand.
const READ_AHEAD_BYTES: usize = 64 * 1024;
/// The fields that a row may have.
pub const FIELDS: &[&str] = &[
    "bank_card",
    "name",
    "id_number",
    "phone",
    "identity_type",
    "consent_reference",
];

/// What a file looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values with a line of names first
    Csv,
    /// One JSON object a line
    Jsonl,
}

impl Format {
    /// What the name of a file says, or else what was said about it.
    pub(super) fn of(path: &Path, said: Option<Self>) -> anyhow::Result<Self> {
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        match ending.as_deref().and_then(|ending| ending.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            _ => said.ok_or_else(|| {
                anyhow!(
                    "{} ends in neither .csv nor .jsonl: --format says what it is",
                    path.display()
                )
            }),
        }
    }
}

/// One row.
pub struct Row {
    /// Its number, from 1; a line of names does not count.
    pub number: u64,
    /// The line of the file that it begins on.
    pub line: u64,
    /// The question, or what is wrong with it.
    pub question: Result<VerifyQuestion, String>,
}

/// The rows of a file, one after the other. An error is one of the file, not of a row: reading
/// ends there.
pub struct Rows<R> {
    lines: Lines<R>,
    number: u64,
    ended: bool,
}

enum Lines<R> {
    Csv(Table<R>),
    Jsonl {
        reader: BufReader<R>,
        line: u64,
        ignore: Vec<String>,
    },
}

struct Table<R> {
    reader: csv::Reader<Watched<R>>,
    watch: Rc<RefCell<Watch>>,
    /// The field that each column is; `None` where it is not to be looked at.
    columns: Vec<Option<&'static str>>,
}

impl<R: Read> Rows<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// When the line of names cannot be read or names what is no field.
    pub fn new(input: R, format: Format, ignore: &[String]) -> anyhow::Result<Self> {
        let lines = match format {
            Format::Csv => Lines::Csv(Table::new(input, ignore)?),
            Format::Jsonl => Lines::Jsonl {
                reader: BufReader::with_capacity(READ_AHEAD_BYTES, input),
                line: 0,
                ignore: ignore.to_vec(),
            },
        };
        Ok(Self {
            lines,
            number: 0,
            ended: false,
        })
    }
}

impl<R: Read> Iterator for Rows<R> {
    type Item = anyhow::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = match &mut self.lines {
            Lines::Csv(table) => table.read(),
            Lines::Jsonl {
                reader,
                line,
                ignore,
            } => read_object(reader, line, ignore),
        };
        match read {
            Ok(Some((line, question))) => {
                self.number += 1;
                Some(Ok(Row {
                    number: self.number,
                    line,
                    question,
                }))
            }
            Ok(None) => None,
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

type ReadRow = anyhow::Result<Option<(u64, Result<VerifyQuestion, String>)>>;

impl<R: Read> Table<R> {
    fn new(input: R, ignore: &[String]) -> anyhow::Result<Self> {
        let watch = Rc::new(RefCell::new(Watch::default()));
        watch.borrow_mut().begin_row();
        let input = Watched {
            inner: input,
            watch: Rc::clone(&watch),
        };
        let mut reader = csv::ReaderBuilder::new()
            .buffer_capacity(READ_AHEAD_BYTES)
            .trim(csv::Trim::Headers)
            .from_reader(input);
        let names = reader.headers().map_err(|error| told(&error))?.clone();
        if names.is_empty() {
            bail!(
                "the first line must name the columns: {}",
                FIELDS.join(", ")
            );
        }
        let mut columns = Vec::new();
        for name in &names {
            if ignore.iter().any(|ignored| ignored == name) {
                columns.push(None);
                continue;
            }
            let field = question::known(name, FIELDS).ok_or_else(|| {
                anyhow!(
                    "the first line must name the columns, and names an {}; known are {}; --ignore \
                     NAME leaves a column out",
                    question::unknown(name, "").replace("key", "column"),
                    FIELDS.join(", ")
                )
            })?;
            if columns.contains(&Some(field)) {
                bail!("column {field} is there twice");
            }
            columns.push(Some(field));
        }
        if !columns.contains(&Some("bank_card")) {
            bail!("there is no column bank_card");
        }
        Ok(Self {
            reader,
            watch,
            columns,
        })
    }

    fn read(&mut self) -> ReadRow {
        self.watch.borrow_mut().begin_row();
        let mut record = StringRecord::new();
        let problem = match self.reader.read_record(&mut record) {
            Ok(false) => return Ok(None),
            Ok(true) => None,
            Err(error) => match error.kind() {
                ErrorKind::UnequalLengths {
                    expected_len, len, ..
                } => Some(format!(
                    "{len} fields where the first line names {expected_len} columns"
                )),
                ErrorKind::Utf8 { err, .. } => {
                    let column = self.columns.get(err.field()).copied().flatten();
                    Some(format!("{} is not in UTF-8", column.unwrap_or("a field")))
                }
                _ => return Err(told(&error)),
            },
        };
        // the reader's own count of lines is one behind where lines end as on Windows
        let end = self.reader.position().byte().saturating_sub(1);
        let within = record.as_slice().bytes().filter(|byte| *byte == b'\n');
        let before = self.watch.borrow_mut().line_ends_before(end);
        let line = before.saturating_sub(within.count() as u64) + 1;
        Ok(Some((
            line,
            problem.map_or_else(|| self.question(&record), Err),
        )))
    }

    fn question(&self, record: &StringRecord) -> Result<VerifyQuestion, String> {
        let mut question = VerifyQuestion::default();
        for (field, value) in self.columns.iter().zip(record) {
            let value = value.trim();
            match *field {
                Some("bank_card") => question.bank_card = value.into(),
                Some("name") => question.name = value.into(),
                Some("id_number") => question.id_number = value.into(),
                Some("phone") => question.phone = value.into(),
                Some("identity_type") if !value.is_empty() => {
                    let kind = question::identity_type(value).map_err(|error| error.to_string())?;
                    question.identity_type = Some(kind);
                }
                Some("consent_reference") => {
                    value.clone_into(&mut question.terms.consent_reference)
                }
                _ => {}
            }
        }
        Ok(question)
    }
}

/// An error of the file, in words of our own: the reader's would show values.
fn told(error: &csv::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => anyhow!("{error}"),
        ErrorKind::Io(error) => anyhow!("{}", error.kind()),
        ErrorKind::Utf8 { .. } => anyhow!("the first line is not in UTF-8"),
        _ => anyhow!("it is no CSV"),
    }
}

fn read_object<R: Read>(reader: &mut BufReader<R>, line: &mut u64, ignore: &[String]) -> ReadRow {
    loop {
        let mut bytes = Zeroizing::new(Vec::new());
        let longest = MAX_ROW_BYTES as u64 + 1;
        let read = reader.take(longest).read_until(b'\n', &mut bytes);
        if read.map_err(|error| anyhow!("{}", error.kind()))? == 0 {
            return Ok(None);
        }
        *line += 1;
        if bytes.len() > MAX_ROW_BYTES {
            return Err(too_long()).with_context(|| format!("line {line}"));
        }
        // editors of one system put it at the head of every file
        let text = match bytes.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if *line == 1 => rest,
            _ => &bytes,
        };
        if !text.trim_ascii().is_empty() {
            let question = question::row_from_json(text, FIELDS, ignore);
            return Ok(Some((*line, question.map_err(|error| error.to_string()))));
        }
    }
}

fn too_long() -> anyhow::Error {
    anyhow!("a row is longer than 64 KiB; is a quotation mark missing?")
}

/// What a reader of CSV does not tell: how far it has read for one row, and where lines end.
#[derive(Default)]
struct Watch {
    left_for_row: usize,
    read: u64,
    /// Ends of lines that were read ahead.
    line_ends: VecDeque<u64>,
    passed: u64,
}

impl Watch {
    fn begin_row(&mut self) {
        self.left_for_row = MAX_ROW_BYTES + READ_AHEAD_BYTES;
    }

    /// How many lines end before that place; places must not go backwards.
    fn line_ends_before(&mut self, place: u64) -> u64 {
        while self.line_ends.front().is_some_and(|end| *end < place) {
            self.line_ends.pop_front();
            self.passed += 1;
        }
        self.passed
    }
}

struct Watched<R> {
    inner: R,
    watch: Rc<RefCell<Watch>>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let mut watch = self.watch.borrow_mut();
        let left = watch.left_for_row.checked_sub(count);
        watch.left_for_row =
            left.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, too_long().to_string()))?;
        let begun_at = watch.read;
        let places = (begun_at..).zip(buffer.iter().take(count));
        let ends = places.filter(|(_, byte)| **byte == b'\n');
        watch.line_ends.extend(ends.map(|(place, _)| place));
        watch.read += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
