//! The operator's own rows: a CSV text over the embedded table.
//!
//! A deployment knows cards that no public table does (a new prefix, a renamed bank). The text is read once at start;
//! a bad line stops the start, and what is said about it is its place and kind, never its content.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::Range;

use csv::StringRecord;
use sha2::{Digest, Sha256};

use super::network;
use super::table::{
    BinEntry, CARD_LENGTH_MAX, CARD_LENGTH_MIN, DATA_VERSION, PREFIX_DIGITS_MAX, PREFIX_DIGITS_MIN,
};
use crate::domain::{CardNetwork, CardType};

const COLUMNS: [&str; 7] = [
    "prefix",
    "length",
    "bank_code",
    "bank_name",
    "bank_name_en",
    "card_type",
    "network",
];
const BANK_CODE_MAX: usize = 16;
/// Bank names in answers are at most this many characters…
const BANK_NAME_MAX: usize = 64;
/// …and have no run of this many digits: it could be a piece of a card number.
const BANK_NAME_DIGIT_RUN: usize = 6;

/// A line of the overlay that cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {defect}", .column.map(|column| format!(", column {column}")).unwrap_or_default())]
pub struct OverlayProblem {
    /// Line in the text, counted from 1.
    pub line: u64,
    /// The column at fault, where it is one.
    pub column: Option<&'static str>,
    /// What is wrong with it.
    pub defect: OverlayDefect,
}

/// What can be wrong with a line of the overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayDefect {
    /// The header lacks this column.
    #[error("the header lacks it")]
    ColumnMissing,
    /// The header names this column twice.
    #[error("the header names it twice")]
    ColumnTwice,
    /// The header names a column that does not exist.
    #[error("the header names an unknown column")]
    ColumnUnknown,
    /// The line has more or fewer fields than the header, or is not valid CSV.
    #[error("not as many fields as the header has")]
    FieldCount,
    /// The prefix is not 3 to 11 digits.
    #[error("not {PREFIX_DIGITS_MIN} to {PREFIX_DIGITS_MAX} digits")]
    Prefix,
    /// The card length is not 12 to 19.
    #[error("not a card length of {CARD_LENGTH_MIN} to {CARD_LENGTH_MAX}")]
    Length,
    /// The bank code is not up to 16 capital letters and digits.
    #[error("not up to {BANK_CODE_MAX} capital letters and digits")]
    BankCode,
    /// The bank name is empty.
    #[error("empty")]
    BankNameEmpty,
    /// The bank name is too long, or holds a control character or a long run of digits.
    #[error(
        "over {BANK_NAME_MAX} characters, a control character, or {BANK_NAME_DIGIT_RUN} digits in a row"
    )]
    BankName,
    /// The card type has no such value.
    #[error("not one of DEBIT, CREDIT, PREPAID, QUASI_CREDIT")]
    CardType,
    /// The network has no such value.
    #[error("not the name of a card network")]
    Network,
    /// An earlier line has the same prefix and card length.
    #[error("an earlier line has the same prefix and length")]
    Repeated,
}

/// The operator's rows, sorted by prefix length, prefix and card length.
#[derive(Debug)]
pub(super) struct Overlay {
    rows: Vec<OverlayRow>,
    data_version: String,
}

#[derive(Debug)]
struct OverlayRow {
    key: RowKey,
    bank_code: Box<str>,
    bank_name: Box<str>,
    bank_name_en: Box<str>,
    card_type: Option<CardType>,
    network: Option<CardNetwork>,
}

/// Prefix length, prefix, card length.
type RowKey = (usize, u64, usize);

impl OverlayRow {
    fn entry(&self) -> BinEntry<'_> {
        BinEntry {
            prefix_length: self.key.0,
            bank_code: &self.bank_code,
            bank_name: &self.bank_name,
            bank_name_en: &self.bank_name_en,
            card_type: self.card_type,
            network: self.network,
        }
    }
}

impl Overlay {
    /// Reads the text; on failure one problem for each bad line.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<OverlayProblem>> {
        // Spreadsheets put a byte order mark in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut lines = LineCounter::new(text);

        let mut records = reader.records().map(|record| {
            let record = record.unwrap_or_default();
            (lines.line_of(&record), record)
        });
        let (header_line, header) = records.next().unwrap_or((1, StringRecord::new()));
        let columns = Columns::parse(header_line, &header)?;

        let (mut rows, mut problems, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for (line, record) in records {
            match columns.row(&record) {
                Ok(row) if seen.insert(row.key) => rows.push(row),
                Ok(_) => problems.push(OverlayProblem {
                    line,
                    column: Some("prefix"),
                    defect: OverlayDefect::Repeated,
                }),
                Err((column, defect)) => problems.push(OverlayProblem {
                    line,
                    column,
                    defect,
                }),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        rows.sort_unstable_by_key(|row: &OverlayRow| row.key);
        Ok(Self {
            rows,
            data_version: data_version_of(text),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn data_version(&self) -> &str {
        &self.data_version
    }

    pub(super) fn row(
        &self,
        prefix_length: usize,
        prefix: u64,
        card_length: usize,
    ) -> Option<BinEntry<'_>> {
        let at = self
            .rows
            .binary_search_by_key(&(prefix_length, prefix, card_length), |row| row.key)
            .ok()?;
        self.rows.get(at).map(OverlayRow::entry)
    }

    /// The rows whose prefix has `prefix_length` digits and lies in `prefixes`, each with its card length.
    pub(super) fn rows(
        &self,
        prefix_length: usize,
        prefixes: Range<u64>,
    ) -> impl Iterator<Item = (usize, BinEntry<'_>)> {
        let from = self
            .rows
            .partition_point(|row| row.key < (prefix_length, prefixes.start, 0));
        let to = self
            .rows
            .partition_point(|row| row.key < (prefix_length, prefixes.end, 0));
        self.rows
            .get(from..to)
            .unwrap_or_default()
            .iter()
            .map(|row| (row.key.2, row.entry()))
    }
}

/// Two replicas with the same version give the same answers: eight hexadecimal digits tell their overlays apart.
fn data_version_of(text: &str) -> String {
    let mut version = format!("{DATA_VERSION}+overlay.");
    for byte in Sha256::digest(text.as_bytes()).iter().take(4) {
        // Writing to a string cannot fail.
        let _ = write!(version, "{byte:02x}");
    }
    version
}

/// Where each column stands in a line.
struct Columns {
    positions: [usize; COLUMNS.len()],
    count: usize,
}

type FieldProblem = (Option<&'static str>, OverlayDefect);

impl Columns {
    fn parse(line: u64, header: &StringRecord) -> Result<Self, Vec<OverlayProblem>> {
        let problem = |column, defect| OverlayProblem {
            line,
            column,
            defect,
        };
        let mut problems = Vec::new();
        let positions = COLUMNS.map(|column| {
            let mut found = header
                .iter()
                .enumerate()
                .filter(|(_, name)| *name == column)
                .map(|(at, _)| at);
            let first = found.next();
            if first.is_none() {
                problems.push(problem(Some(column), OverlayDefect::ColumnMissing));
            }
            if found.next().is_some() {
                problems.push(problem(Some(column), OverlayDefect::ColumnTwice));
            }
            first.unwrap_or_default()
        });
        if header.iter().any(|name| !COLUMNS.contains(&name)) {
            problems.push(problem(None, OverlayDefect::ColumnUnknown));
        }
        // Still one problem for this line: a header is corrected as a whole.
        match problems.into_iter().next() {
            Some(first) => Err(vec![first]),
            None => Ok(Self {
                positions,
                count: header.len(),
            }),
        }
    }

    fn row(&self, record: &StringRecord) -> Result<OverlayRow, FieldProblem> {
        if record.len() != self.count {
            return Err((None, OverlayDefect::FieldCount));
        }
        let [
            prefix,
            length,
            bank_code,
            bank_name,
            bank_name_en,
            card_type,
            network,
        ] = self.positions.map(|at| record.get(at).unwrap_or_default());

        let key = key_of(prefix, length)?;
        if bank_code.len() > BANK_CODE_MAX
            || !bank_code
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        {
            return Err((Some("bank_code"), OverlayDefect::BankCode));
        }
        if bank_name.is_empty() {
            return Err((Some("bank_name"), OverlayDefect::BankNameEmpty));
        }
        for (column, name) in [("bank_name", bank_name), ("bank_name_en", bank_name_en)] {
            if !is_bank_name(name) {
                return Err((Some(column), OverlayDefect::BankName));
            }
        }
        let card_type = optional(
            card_type,
            CardType::from_name,
            ("card_type", OverlayDefect::CardType),
        )?;
        let network = optional(
            network,
            CardNetwork::from_name,
            ("network", OverlayDefect::Network),
        )?;
        let (prefix_digits, prefix, card_length) = key;
        Ok(OverlayRow {
            key,
            bank_code: bank_code.into(),
            bank_name: bank_name.into(),
            bank_name_en: bank_name_en.into(),
            card_type,
            network: network.or_else(|| network::of_prefix(prefix, prefix_digits, card_length)),
        })
    }
}

fn key_of(prefix: &str, length: &str) -> Result<RowKey, FieldProblem> {
    let bad_prefix = (Some("prefix"), OverlayDefect::Prefix);
    let digits_only = prefix.bytes().all(|byte| byte.is_ascii_digit());
    if !digits_only || !(PREFIX_DIGITS_MIN..=PREFIX_DIGITS_MAX).contains(&prefix.len()) {
        return Err(bad_prefix);
    }
    let value = prefix.parse().map_err(|_| bad_prefix)?;
    let card_length = length
        .parse()
        .ok()
        .filter(|length| (CARD_LENGTH_MIN..=CARD_LENGTH_MAX).contains(length));
    let card_length = card_length.ok_or((Some("length"), OverlayDefect::Length))?;
    Ok((prefix.len(), value, card_length))
}

fn is_bank_name(name: &str) -> bool {
    let longest_digit_run = name
        .split(|character: char| !character.is_numeric())
        .map(|run| run.chars().count())
        .max();
    name.chars().count() <= BANK_NAME_MAX
        && !name.chars().any(char::is_control)
        && longest_digit_run.unwrap_or_default() < BANK_NAME_DIGIT_RUN
}

/// `None` for an empty field, the value for a known name.
fn optional<T>(
    field: &str,
    from_name: impl Fn(&str) -> Option<T>,
    (column, defect): (&'static str, OverlayDefect),
) -> Result<Option<T>, FieldProblem> {
    if field.is_empty() {
        return Ok(None);
    }
    from_name(field).map(Some).ok_or((Some(column), defect))
}

/// Counts lines by byte offset, since the reader's own count is one behind after `\r\n`: it takes the `\n` together with
/// the next record, and blank lines as well.
struct LineCounter<'a> {
    text: &'a [u8],
    counted: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            counted: 0,
            line: 1,
        }
    }

    /// The line on which `record` begins; records come in the order of the text.
    fn line_of(&mut self, record: &StringRecord) -> u64 {
        let offset = record
            .position()
            .map_or(0, |position| position.byte() as usize);
        let is_line_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let line_ends = self
            .text
            .get(offset..)
            .unwrap_or_default()
            .iter()
            .take_while(is_line_end)
            .count();
        let start = offset + line_ends;
        let passed = self.text.get(self.counted..start).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.counted = start.max(self.counted);
        self.line
    }
}
