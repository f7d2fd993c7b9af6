//! A summary for people, for programs and for spreadsheets.

use std::fmt::{self, Write as _};

use super::{Summary, Sums};

/// Headings of the table and the CSV file.
const COLUMNS: [&str; 11] = [
    "day",
    "provider",
    "operation",
    "caller",
    "currency",
    "calls",
    "charged",
    "not_charged",
    "unknown",
    "cost",
    "unknown_cost",
];
/// Columns from this one on are numbers, and stand at the right.
const FIRST_NUMBER: usize = 5;

impl Summary {
    /// A table with a line of totals for each currency, and what else there is to say below it.
    #[must_use]
    pub fn to_table(&self) -> String {
        let mut lines = vec![COLUMNS.map(|heading| heading.replace('_', " "))];
        lines.extend(self.cells());
        lines.extend(self.totals.iter().map(|total| {
            let empty = String::new;
            let names = [String::from("total"), empty(), empty(), empty()];
            cells(names, &total.currency, &total.sums)
        }));
        let mut table = String::new();
        for line in &lines {
            // writing to a string does not fail
            let _infallible = write_line(&mut table, line, &lines);
        }
        for note in self.notes() {
            table.push_str(&note);
            table.push('\n');
        }
        table
    }

    /// One JSON object. Money is in millionths of a unit of its currency.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// One line for each row, with a line of headings; no totals.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let lines = std::iter::once(COLUMNS.map(String::from)).chain(self.cells());
        for line in lines {
            // writing to memory does not fail, and all lines are of one length
            let _infallible = writer.write_record(&line);
        }
        let bytes = writer.into_inner().unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }

    fn cells(&self) -> impl Iterator<Item = [String; COLUMNS.len()]> {
        self.rows.iter().map(|row| {
            let names = [&row.day, &row.provider, &row.operation, &row.caller];
            cells(names.map(|name| printable(name)), &row.currency, &row.sums)
        })
    }

    fn notes(&self) -> Vec<String> {
        let notes = [
            (self.unsettled, "calls without an end, counted as unknown"),
            (self.refused, "calls refused"),
            (self.admin, "changes by operators"),
            (self.malformed, "malformed lines"),
            (self.other, "lines about something else"),
        ];
        let told = notes.iter().filter(|(count, _)| *count > 0);
        told.map(|(count, what)| format!("{what}: {count}"))
            .collect()
    }
}

fn cells(names: [String; 4], currency: &str, sums: &Sums) -> [String; COLUMNS.len()] {
    let [day, provider, operation, caller] = names;
    [
        day,
        provider,
        operation,
        caller,
        printable(currency),
        sums.calls.to_string(),
        sums.charged.to_string(),
        sums.not_charged.to_string(),
        sums.unknown.to_string(),
        amount(sums.cost_micros),
        amount(sums.unknown_cost_micros),
    ]
}

fn write_line(
    table: &mut String,
    line: &[String; COLUMNS.len()],
    lines: &[[String; COLUMNS.len()]],
) -> fmt::Result {
    for (column, cell) in line.iter().enumerate() {
        let width = lines.iter().filter_map(|line| line.get(column));
        let width = width.map(|cell| cell.chars().count()).max().unwrap_or(0);
        let gap = if column == 0 { "" } else { "  " };
        if column < FIRST_NUMBER {
            write!(table, "{gap}{cell:<width$}")?;
        } else {
            write!(table, "{gap}{cell:>width$}")?;
        }
    }
    table.push('\n');
    Ok(())
}

/// A name as it may be shown: a ledger that somebody meddled with drives no terminal.
fn printable(name: &str) -> String {
    name.replace(char::is_control, "?")
}

/// Millionths as units, with two places behind the point or as many more as there are.
fn amount(micros: u64) -> String {
    let units = micros / 1_000_000;
    let mut part = format!("{:06}", micros % 1_000_000);
    while part.len() > 2 && part.ends_with('0') {
        part.pop();
    }
    format!("{units}.{part}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0.00")]
    #[case(1, "0.000001")]
    #[case(800_000, "0.80")]
    #[case(12_345_678, "12.345678")]
    #[case(1_005_000_000, "1005.00")]
    #[case(1_005_000, "1.005")]
    #[case(u64::MAX, "18446744073709.551615")]
    fn amounts_are_exact(#[case] micros: u64, #[case] shown: &str) {
        assert_eq!(amount(micros), shown);
    }
}
