//! Reads a table key by key. Every problem is noted and reading goes on with the default, so that
//! the operator learns of all problems at once; no message holds a value.

use std::{cell::RefCell, collections::BTreeSet, ops::RangeInclusive, time::Duration};

use toml::{Table, Value};

use super::{problem::Problem, secret::SecretRef};

pub(super) mod form;

/// What comes up while a configuration is read and checked.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<BTreeSet<String>>,
    keys: RefCell<BTreeSet<String>>,
    tables: RefCell<BTreeSet<String>>,
    skipped: RefCell<BTreeSet<String>>,
}

impl Report {
    pub(super) fn problem(&self, key: impl Into<String>, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem::new(key, message));
    }

    pub(super) fn warning(&self, key: &str, message: &str) {
        self.warnings
            .borrow_mut()
            .insert(format!("{key}: {message}"));
    }

    /// Whether nothing was found wrong with a key so far, or with one below it: a check of several
    /// keys together makes no sense where one of them has no value.
    pub(super) fn is_clean(&self, path: &str) -> bool {
        let problems = self.problems.borrow();
        !problems.iter().any(|problem| is_below(path, &problem.key))
    }

    /// Notes that the keys below `path` were not looked at, as it is not known which there are.
    pub(super) fn skip(&self, path: &str) {
        self.skipped.borrow_mut().insert(path.to_owned());
    }

    /// Whether somebody looked for that path, for a table that it belongs to as a whole, or for a
    /// key in it. What stands below a key is for the key's own form to judge.
    pub(super) fn knows(&self, path: &str) -> bool {
        let keys = self.keys.borrow();
        keys.iter()
            .any(|key| is_below(path, key) || is_below(key, path))
            || self.tables.borrow().contains(path)
            || self
                .skipped
                .borrow()
                .iter()
                .any(|skip| is_below(skip, path))
    }

    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<String>, BTreeSet<String>) {
        (
            self.problems.into_inner(),
            self.warnings.into_inner().into_iter().collect(),
            self.keys.into_inner(),
        )
    }
}

/// A table that is being read: what was read is gone from it, what is left in the end is unknown.
pub(super) struct Section<'a> {
    path: String,
    table: Table,
    defaults: Table,
    asked: BTreeSet<String>,
    report: &'a Report,
}

impl<'a> Section<'a> {
    /// The whole configuration. `defaults` stand in for values that are wrong.
    pub(super) fn root(table: Table, defaults: Table, report: &'a Report) -> Self {
        Self {
            path: String::new(),
            table,
            defaults,
            asked: BTreeSet::new(),
            report,
        }
    }

    /// The path of a key of this table.
    pub(super) fn path_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => printable(key),
            path => format!("{path}.{}", printable(key)),
        }
    }

    pub(super) fn problem(&self, key: &str, message: impl Into<String>) {
        self.report.problem(self.path_of(key), message);
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A setting that may be absent.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<T> {
        self.report.keys.borrow_mut().insert(self.path_of(key));
        self.take(key, read)
    }

    fn take<T>(&mut self, key: &str, read: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        self.asked.insert(key.to_owned());
        let value = self.table.remove(key)?;
        read(&value)
            .map_err(|message| self.problem(key, message))
            .ok()
    }

    /// A setting that has no default and must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.problem(key, "is needed");
        }
        self.optional(key, read)
    }

    /// A setting with a default: that of the embedded configuration where it has one, else
    /// `otherwise`.
    pub(super) fn or<T>(
        &mut self,
        key: &str,
        read: impl Fn(&Value) -> Result<T, String>,
        otherwise: T,
    ) -> T {
        let default = self.defaults.get(key).and_then(|value| read(value).ok());
        self.optional(key, read).or(default).unwrap_or(otherwise)
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        self.or(key, form::flag, false)
    }

    /// A whole number with a default in the embedded configuration.
    pub(super) fn number<T>(&mut self, key: &str, range: RangeInclusive<u64>) -> T
    where
        T: TryFrom<u64> + Default,
    {
        self.or(key, form::number(range), T::default())
    }

    pub(super) fn millis(&mut self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.number(key, range))
    }

    pub(super) fn seconds(&mut self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.number(key, range))
    }

    /// A part of a whole: above 0, at most 1.
    pub(super) fn part(&mut self, key: &str) -> f64 {
        self.or(key, form::part, 1.0)
    }

    pub(super) fn secret(&mut self, key: &str) -> Option<SecretRef> {
        self.optional(key, form::secret)
    }

    /// A table that the embedded configuration has, so that it is always there.
    pub(super) fn section(&mut self, key: &str) -> Section<'a> {
        self.optional_section(key)
            .unwrap_or_else(|| self.child(key, Table::new()))
    }

    /// A table that may be absent.
    pub(super) fn optional_section(&mut self, key: &str) -> Option<Section<'a>> {
        self.report.tables.borrow_mut().insert(self.path_of(key));
        let table = self.take(key, form::table)?;
        Some(self.child(key, table))
    }

    /// The tables in this one, each with the name that the operator gave it.
    pub(super) fn named(&mut self) -> Vec<(String, Section<'a>)> {
        let names: Vec<String> = self.table.keys().cloned().collect();
        names
            .into_iter()
            .filter_map(|name| {
                let section = self.optional_section(&name)?;
                Some((name, section))
            })
            .collect()
    }

    /// Drops what is left unread, and says nothing about it.
    pub(super) fn skip(self) {
        self.report.skip(&self.path);
    }

    /// Tells of every key that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let hint = closest(key, self.asked.iter().map(String::as_str));
            let hint = hint.map(|it| format!("; did you mean {it}?"));
            let message = format!("is not a known key{}", hint.unwrap_or_default());
            self.problem(key, message);
        }
    }

    fn child(&self, key: &str, table: Table) -> Section<'a> {
        let defaults = self.defaults.get(key).and_then(Value::as_table).cloned();
        Section {
            path: self.path_of(key),
            table,
            defaults: defaults.unwrap_or_default(),
            asked: BTreeSet::new(),
            report: self.report,
        }
    }
}

/// Whether a path is that of `parent` or of something in it.
pub(super) fn is_below(parent: &str, path: &str) -> bool {
    path.strip_prefix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A key as it may be shown: what cannot be a key of ours is not repeated in full. Somebody may
/// have put the number of a card or a phone where a key belongs.
pub(super) fn printable(key: &str) -> String {
    const LONGEST: usize = 64;
    const MOST_DIGITS: usize = 5;
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
    let digits = key.chars().filter(char::is_ascii_digit).count();
    let is_plain = !key.is_empty() && key.len() <= LONGEST && key.chars().all(plain);
    if is_plain && digits <= MOST_DIGITS {
        key.to_owned()
    } else {
        format!("(a key of {} characters)", key.chars().count())
    }
}

/// The known key that a wrong one was probably meant to be.
fn closest<'k>(wrong: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    const LONGEST: usize = 64;
    if wrong.len() > LONGEST {
        return None;
    }
    let allowed = (wrong.chars().count() / 3).clamp(1, 3);
    known
        .map(|key| (edits(wrong, key), key))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, key)| key)
}

/// How many letters must be changed, added or dropped to turn one word into the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut left = line + 1;
        let mut next = vec![left];
        for ((other, above_left), above) in to.iter().zip(&row).zip(row.iter().skip(1)) {
            let change = above_left + usize::from(letter != *other);
            left = change.min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        for (from, to, count) in [
            ("", "", 0),
            ("listen", "listen", 0),
            ("lisen", "listen", 1),
            ("listne", "listen", 2),
            ("kitten", "sitting", 3),
            ("", "abc", 3),
        ] {
            assert_eq!(edits(from, to), count, "{from} {to}");
        }
    }

    #[test]
    fn suggests_only_what_is_close() {
        let known = || ["listen", "workers", "replicas"].into_iter();
        assert_eq!(closest("lisen", known()), Some("listen"));
        assert_eq!(closest("worker", known()), Some("workers"));
        assert_eq!(closest("token", known()), None);
    }
}
