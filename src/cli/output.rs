//! What is printed, and how: results to standard output, everything else to standard error.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

/// Longer texts of a server are cut.
const MAX_TEXT_CHARS: usize = 400;
/// Between a label and its value.
const GAP: usize = 2;

/// Prints a result. A reader that went away, as `head` does, wants no more and is no failure; the
/// exit code says what the answer was all the same.
pub(super) fn result(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// Prints a line for a person to standard error.
pub(super) fn message(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints what went wrong.
pub(super) fn error(text: &str) {
    let style = Style::of(io::stderr().is_terminal());
    let label = style.paint(Colour::Red, "error:");
    message(&format!("{label} {text}"));
}

/// Prints what deserves a thought.
pub(super) fn warn(text: &str) {
    let style = Style::of(io::stderr().is_terminal());
    let label = style.paint(Colour::Yellow, "warning:");
    message(&format!("{label} {text}"));
}

/// The colours that are used; each is bold as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Green,
    Red,
    Yellow,
}

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    coloured: bool,
}

impl Style {
    /// Without any colour.
    #[cfg(test)]
    pub(super) const PLAIN: Self = Self { coloured: false };

    /// For standard output as it is.
    pub(super) fn of_stdout() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    fn of(is_terminal: bool) -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            coloured: is_terminal && !is_set("NO_COLOR") && !dumb,
        }
    }

    /// The text in this colour.
    pub(super) fn paint(self, colour: Colour, text: &str) -> String {
        if !self.coloured {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Yellow => 33,
        };
        format!("\u{1b}[1;{code}m{text}\u{1b}[0m")
    }
}

/// A text of a server, safe for a terminal: no control or direction characters, and not endless.
pub(super) fn clean(text: &str) -> String {
    let mut clean: String = text
        .chars()
        .take(MAX_TEXT_CHARS)
        .map(|c| if is_harmless(c) { c } else { '\u{fffd}' })
        .collect();
    if text.chars().nth(MAX_TEXT_CHARS).is_some() {
        clean.push('…');
    }
    clean
}

fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Labels and values under each other.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    rows: Vec<(&'static str, String)>,
}

impl Sheet {
    /// Adds a row.
    pub(super) fn row(&mut self, label: &'static str, value: impl Into<String>) {
        self.rows.push((label, value.into()));
    }

    /// Adds a row unless the text, one of a server, is empty.
    pub(super) fn text(&mut self, label: &'static str, text: &str) {
        if !text.is_empty() {
            self.row(label, clean(text));
        }
    }

    /// The rows as lines.
    pub(super) fn render(&self) -> String {
        let longest = self.rows.iter().map(|(label, _)| label.len()).max();
        let width = longest.unwrap_or_default() + GAP;
        let line = |(label, value): &(&str, String)| format!("{label:width$}{value}\n");
        self.rows.iter().map(line).collect()
    }
}

/// Columns under each other, each as wide as its widest cell, indented by two.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0) + GAP
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths);
            let line: String = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            format!("  {}\n", line.trim_end())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_drive_the_terminal() {
        assert_eq!(
            clean("ok\u{1b}[2J\u{202e}x\n"),
            "ok\u{fffd}[2J\u{fffd}x\u{fffd}"
        );
        assert_eq!(clean("银行 Bank"), "银行 Bank");
        assert_eq!(clean(&"x".repeat(1_000)).chars().count(), 401);
    }

    #[test]
    fn colours_only_a_terminal() {
        let coloured = Style { coloured: true };
        assert_eq!(
            coloured.paint(Colour::Green, "MATCH"),
            "\u{1b}[1;32mMATCH\u{1b}[0m"
        );
        assert_eq!(Style::PLAIN.paint(Colour::Green, "MATCH"), "MATCH");
        assert_eq!(Style::of(false), Style::PLAIN);
    }

    #[test]
    fn columns_are_aligned() {
        let mut sheet = Sheet::default();
        sheet.row("verdict", "MATCH");
        sheet.text("answered at", "now");
        sheet.text("code", "");
        assert_eq!(sheet.render(), "verdict      MATCH\nanswered at  now\n");
        let rows = [["a", "bb"], ["ccc", "d"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "  a    bb\n  ccc  d\n");
    }
}
