//! From the operator's file and variables to one table over the embedded default.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{
    problem::{Problem, Problems},
    reader::printable,
};

/// The embedded default: the reference of every key.
pub const DEFAULT: &str = include_str!("../../config/default.toml");

/// Names the file, where the command line does not.
const FILE_VARIABLE: &str = "CARDPROOF_CONFIG";
/// What the names of variables begin with that override keys.
const PREFIX: &str = "CARDPROOF__";
/// Longer files are no configuration.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// No key has more parts than this; a path without an end would end the stack.
const MAX_PARTS: usize = 8;
/// Below it keys are types of identity documents, which are written in capital letters.
const IDENTITY_TYPES: &str = "identity_types";

/// What the operator decided, as it was found.
#[derive(Clone, Default)]
pub struct ConfigSource {
    /// The configuration file and its text.
    pub file: Option<(PathBuf, String)>,
    /// Variables of the environment; those that do not begin with `CARDPROOF__` do not matter.
    pub env: Vec<(String, String)>,
}

impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigSource(***)")
    }
}

impl ConfigSource {
    /// Reads the file that `--config` names, else that which `CARDPROOF_CONFIG` names, else none;
    /// and the overriding variables of this process.
    ///
    /// # Errors
    /// When the file cannot be read, or a variable is no text.
    pub fn from_process(option: Option<&Path>) -> Result<Self, Problems> {
        Self::find(option, std::env::vars_os())
    }

    /// The same with the variables given.
    ///
    /// # Errors
    /// When the file cannot be read, or a variable is no text.
    pub fn find(
        option: Option<&Path>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Problems> {
        let mut named = None;
        let mut env = Vec::new();
        let mut problems = Vec::new();
        for (name, value) in variables {
            let Ok(name) = name.into_string() else {
                continue;
            };
            if name == FILE_VARIABLE && !value.is_empty() {
                named = Some(PathBuf::from(value));
            } else if name.starts_with(PREFIX) {
                match value.into_string() {
                    Ok(value) => env.push((name, value)),
                    Err(_) => problems.push(Problem::new(printable(&name), "is not in UTF-8")),
                }
            }
        }
        let (origin, path) = match option {
            Some(path) => ("--config", Some(path.to_owned())),
            None => (FILE_VARIABLE, named),
        };
        let file = path.map(|path| (read_text(&path), path));
        let file = match file {
            Some((Ok(text), path)) => Some((path, text)),
            Some((Err(message), _)) => {
                problems.push(Problem::new(origin, message));
                None
            }
            None => None,
        };
        if problems.is_empty() {
            Ok(Self { file, env })
        } else {
            Err(Problems::new(problems))
        }
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("the file cannot be read: {}", error.kind());
    let mut bytes = Vec::new();
    fs::File::open(path)
        .map_err(cannot)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    let too_long = u64::try_from(bytes.len()).map_or(true, |length| length > MAX_FILE_BYTES);
    match String::from_utf8(bytes) {
        Ok(text) if !too_long => Ok(text),
        _ => Err("the file is not a text of at most 1 MiB".to_owned()),
    }
}

/// File and variables laid over the default.
pub(super) struct Merged {
    pub(super) table: Table,
    pub(super) defaults: Table,
    /// The variable that set a path.
    pub(super) variables: BTreeMap<String, String>,
    pub(super) problems: Vec<Problem>,
}

/// The embedded default.
pub(super) fn defaults() -> Result<Table, Problems> {
    parse(DEFAULT)
}

/// Lays the file and the variables over the default, key by key.
pub(super) fn merge(source: &ConfigSource) -> Result<Merged, Problems> {
    let defaults = defaults()?;
    let mut own = match &source.file {
        Some((_, text)) => parse(text)?,
        None => Table::new(),
    };
    let mut problems = Vec::new();
    let mut variables = BTreeMap::new();
    let mut env = source.env.clone();
    env.sort();
    for (name, value) in &env {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let path = keys_of(rest);
        let is_path = path.len() <= MAX_PARTS && path.iter().all(|key| !key.is_empty());
        if is_path && put(&mut own, &path, value_of(value)) {
            let path: Vec<String> = path.iter().map(|key| printable(key)).collect();
            variables.insert(path.join("."), printable(name));
        } else {
            problems.push(Problem::new(printable(name), NOT_A_KEY));
        }
    }
    let mut table = defaults.clone();
    overlay(&mut table, own, "", &mut problems);
    Ok(Merged {
        table,
        defaults,
        variables,
        problems,
    })
}

/// What is wrong with a variable that sets nothing.
pub(super) const NOT_A_KEY: &str = "does not name a key of the configuration";

/// Parses TOML. The parser's own messages show lines of the file, so they are not passed on.
fn parse(text: &str) -> Result<Table, Problems> {
    text.parse::<Table>().map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|it| *it != '\n').count() + 1;
        let message = match error.message() {
            "duplicate key" => "stands there a second time",
            _ => "is not valid TOML",
        };
        Problems::one(format!("line {line}, column {column}"), message)
    })
}

/// `SERVER__MAX_DEADLINE_MS` is `server.max_deadline_ms`.
fn keys_of(name: &str) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for part in name.split("__") {
        let capital = keys.last().is_some_and(|key| key == IDENTITY_TYPES);
        keys.push(if capital {
            part.to_owned()
        } else {
            part.to_ascii_lowercase()
        });
    }
    keys
}

/// The value of a variable: TOML where it is, else text.
fn value_of(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    parsed
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Sets a value; false when something on the way is no table.
fn put(table: &mut Table, path: &[String], value: Value) -> bool {
    match path {
        [] => false,
        [key] => {
            table.insert(key.clone(), value);
            true
        }
        [key, rest @ ..] => table
            .entry(key.clone())
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .is_some_and(|table| put(table, rest, value)),
    }
}

fn overlay(base: &mut Table, over: Table, path: &str, problems: &mut Vec<Problem>) {
    for (key, value) in over {
        let path = match path {
            "" => printable(&key),
            parent => format!("{parent}.{}", printable(&key)),
        };
        match (base.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => {
                overlay(inner, value, &path, problems);
            }
            (Some(Value::Table(_)), _) => problems.push(Problem::new(path, "must be a table")),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_keys() {
        assert_eq!(keys_of("SERVER__LISTEN"), ["server", "listen"]);
        assert_eq!(
            keys_of("PROVIDERS__MY_ACE__IDENTITY_TYPES__PASSPORT"),
            ["providers", "my_ace", "identity_types", "PASSPORT"]
        );
    }

    #[test]
    fn values_are_toml_or_text() {
        assert_eq!(value_of("5"), Value::Integer(5));
        assert_eq!(value_of("true"), Value::Boolean(true));
        assert_eq!(value_of("\"5\""), Value::String("5".into()));
        assert_eq!(
            value_of("[\"a\"]"),
            Value::Array(vec![Value::String("a".into())])
        );
        for text in ["debug", "127.0.0.1:0", "", "1\nother = 2", "03"] {
            assert_eq!(value_of(text), Value::String(text.into()));
        }
    }

    #[test]
    fn places_are_counted_in_characters() {
        let error = parse("a = 1\n\n密 = = 2").unwrap_err();
        assert!(error.as_slice()[0].key.starts_with("line 3, column "));
        let error = parse("a = 1\na = 2").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2, column 1: stands there a second time"
        );
    }
}
