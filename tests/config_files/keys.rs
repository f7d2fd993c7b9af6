//! The default file, the reader, and the list of keys written by hand: none knows a key that the
//! others do not, and all have the same defaults.

use std::{collections::BTreeSet, fs};

use cardproof::config::{DEFAULT, LoadedConfig};
use toml::{Table, Value};

use super::{folder, load};

/// The provider of each kind in the default file.
const PROVIDERS: &[(&str, &str)] = &[
    ("sandbox", "sandbox"),
    ("bin", "bin"),
    ("ace", "ace"),
    ("tencent", "tencent"),
    ("alibaba", "alibaba"),
    ("grpc", "mine"),
];

/// An entry of `tests/config/keys.toml`, which explains the fields.
struct Key {
    name: String,
    kinds: Vec<String>,
    default: Option<Value>,
    active: bool,
    other: Value,
    hidden: bool,
    with: Table,
    without: Vec<String>,
}

impl Key {
    /// The key of the default file that the entry stands for.
    fn path(&self) -> String {
        self.kinds.first().map_or_else(
            || self.name.replace("NAME", "checkout"),
            |kind| self.path_for(kind),
        )
    }

    fn path_for(&self, kind: &str) -> String {
        let (_, provider) = PROVIDERS.iter().find(|(it, _)| *it == kind).unwrap();
        let name = self.name.replace("NAME", provider);
        name.replace("TYPE", "PASSPORT")
    }
}

fn keys() -> Vec<Key> {
    let text = fs::read_to_string(folder("keys.toml")).unwrap();
    let table: Table = text.parse().unwrap();
    let entries = table["key"].as_array().unwrap();
    let strings = |value: Option<&Value>| -> Vec<String> {
        let entries = value.and_then(Value::as_array).into_iter().flatten();
        entries.map(|it| it.as_str().unwrap().to_owned()).collect()
    };
    let is = |value: Option<&Value>| value.is_some_and(|it| it.as_bool().unwrap());
    let entries = entries.iter().map(|entry| Key {
        name: entry["name"].as_str().unwrap().to_owned(),
        kinds: strings(entry.get("kinds")),
        default: entry.get("default").cloned(),
        active: is(entry.get("active")),
        other: entry["other"].clone(),
        hidden: is(entry.get("hidden")),
        with: entry
            .get("with")
            .map_or_else(Table::new, |it| it.as_table().unwrap().clone()),
        without: strings(entry.get("without")),
    });
    entries.collect()
}

/// The default file with every example in force.
fn uncommented() -> Table {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = DEFAULT.lines().map(line).collect();
    lines.join("\n").parse().unwrap()
}

fn get<'t>(table: &'t Table, path: &str) -> Option<&'t Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((key, rest)) => get(table.get(key)?.as_table()?, rest),
    }
}

fn set(table: &mut Table, path: &str, value: Option<Value>) {
    match (path.split_once('.'), value) {
        (None, None) => drop(table.remove(path)),
        (None, Some(value)) => drop(table.insert(path.to_owned(), value)),
        (Some((key, rest)), value) => {
            let inner = table
                .entry(key)
                .or_insert_with(|| Value::Table(Table::new()));
            set(inner.as_table_mut().unwrap(), rest, value);
        }
    }
}

fn changed(table: &Table, path: &str, value: Option<&Value>) -> Table {
    let mut table = table.clone();
    set(&mut table, path, value.cloned());
    table
}

fn accepted(table: &Table, about: &str) -> LoadedConfig {
    match load(&table.to_string()) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{about}:\n{problems}"),
    }
}

/// A path with the operator's own names taken out.
fn general(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('.').collect();
    if let ["providers" | "clients", name, ..] = parts.as_mut_slice() {
        *name = "NAME";
    }
    if let [.., "identity_types", kind] = parts.as_mut_slice() {
        *kind = "TYPE";
    }
    parts.join(".")
}

/// The keys of a table that hold a value; a reference to a secret is one.
fn leaves(table: &Table, path: &str, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match value.as_table() {
            Some(inner) if !inner.contains_key("env") && !inner.contains_key("file") => {
                leaves(inner, &path, found);
            }
            _ => drop(found.insert(general(&path))),
        }
    }
}

#[test]
fn the_list_the_reader_and_the_default_file_know_the_same_keys() {
    let listed: BTreeSet<String> = keys().into_iter().map(|key| key.name).collect();
    let loaded = accepted(&uncommented(), "every example of the default file in force");
    let read: BTreeSet<String> = loaded.keys.iter().map(|path| general(path)).collect();
    assert_eq!(read, listed, "the reader against the list");
    let mut written = BTreeSet::new();
    leaves(&uncommented(), "", &mut written);
    assert_eq!(written, listed, "the default file against the list");
}

#[test]
fn what_is_active_and_what_its_default_is_agree_with_the_list() {
    let active: Table = DEFAULT.parse().unwrap();
    let all = uncommented();
    for key in keys() {
        let path = key.path();
        assert_eq!(
            get(&active, &path).is_some(),
            key.active,
            "{path} is active"
        );
        if key.active {
            assert_eq!(get(&active, &path), key.default.as_ref(), "{path}");
        } else if let (Some(written), Some(default)) = (get(&all, &path), &key.default) {
            assert_eq!(written, default, "{path}");
        }
    }
}

#[test]
fn a_default_is_what_holds_where_nothing_is_set() {
    let all = uncommented();
    let shown = |table: &Table, path: &str| format!("{:?}", accepted(table, path).config);
    let mut compared = 0;
    for key in keys() {
        let paths: Vec<String> = match key.kinds.as_slice() {
            [] => vec![key.path()],
            kinds => kinds.iter().map(|kind| key.path_for(kind)).collect(),
        };
        for path in paths {
            let Some(default) = &key.default else {
                continue;
            };
            let set = changed(&all, &path, Some(default));
            let unset = changed(&all, &path, None);
            assert_eq!(shown(&set, &path), shown(&unset, &path), "{path}");
            compared += 1;
        }
    }
    assert!(compared > 60, "only {compared} defaults");
}

#[test]
fn every_key_makes_a_difference() {
    for key in keys() {
        let path = key.path();
        let mut one = uncommented();
        for other in &key.without {
            set(&mut one, other, None);
        }
        let mut other = changed(&one, &path, Some(&key.other));
        for (path, value) in &key.with {
            set(&mut other, path, Some(value.clone()));
        }
        let shown = [&one, &other].map(|table| format!("{:?}", accepted(table, &path).config));
        assert_eq!(shown[0] == shown[1], key.hidden, "{path}");
    }
}

#[test]
fn the_keys_of_a_kind_are_unknown_to_the_others() {
    let all = uncommented();
    let every_kind = |name: &str| {
        let keys = keys().into_iter().filter(|key| key.name == name);
        keys.flat_map(|key| key.kinds).collect::<BTreeSet<_>>()
    };
    let names: BTreeSet<String> = keys()
        .into_iter()
        .filter(|key| !key.kinds.is_empty() && !key.name.ends_with(".kind"))
        .map(|key| key.name)
        .collect();
    for name in names {
        let kinds = every_kind(&name);
        let key = keys().into_iter().find(|key| key.name == name).unwrap();
        for (kind, provider) in PROVIDERS {
            let path = key.path_for(kind);
            let table = changed(&all, &path, Some(&key.other));
            let told = load(&table.to_string()).map_or_else(|it| it.to_string(), |_| String::new());
            // a table that is unknown as a whole is told as one key
            let unknown = told.lines().any(|line| {
                let told_key = line.split(':').next().unwrap_or_default();
                path.starts_with(told_key) && line.contains("is not a known key")
            });
            assert_eq!(!unknown, kinds.contains(*kind), "{path} of {provider}");
        }
    }
}
