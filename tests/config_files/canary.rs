//! No value is ever repeated to the operator, and nothing makes the reader panic.

use std::fs;

use cardproof::config::{DEFAULT, LoadedConfig, Problems};
use proptest::prelude::*;
use toml::{Table, Value};

use super::{folder, good, load, load_with};

const CANARY: &str = "c4n4ryInTheMine";
const NUMBER: i64 = 918_273_645_918;

/// Nothing that the operator is told without asking for values may hold the canary.
fn silent(outcome: &Result<LoadedConfig, Problems>, about: &str) {
    let told = match outcome {
        Ok(loaded) => loaded.config.warnings.join("\n"),
        Err(problems) => format!("{problems}\n{problems:?}"),
    };
    for secret in [CANARY, &NUMBER.to_string()] {
        assert!(!told.contains(secret), "{about}: {told}");
    }
}

/// Everything that a value may turn out to be.
fn shapes() -> Vec<Value> {
    let text = || Value::String(CANARY.to_owned());
    let table = |key: &str, value| Value::Table([(key.to_owned(), value)].into_iter().collect());
    vec![
        text(),
        Value::String(format!("https://user:{CANARY}@example.org/{CANARY}")),
        Value::String(format!("\u{7}{CANARY}\n{CANARY}")),
        Value::String(CANARY.repeat(400)),
        Value::Array(vec![text()]),
        Value::Array(vec![Value::Array(vec![text()])]),
        table("value", text()),
        table("env", Value::String(format!("${CANARY}"))),
        table("file", Value::Array(vec![text()])),
        table("value", table("value", text())),
        Value::Integer(NUMBER),
        Value::Integer(-NUMBER),
        Value::Float(918_273_645_918.0),
        Value::Float(f64::NAN),
        Value::Boolean(true),
        Value::Array(Vec::new()),
        Value::Table(Table::new()),
        Value::Datetime("1979-05-27T07:32:00Z".parse().unwrap()),
    ]
}

fn paths(table: &Table, path: &[String], found: &mut Vec<Vec<String>>) {
    for (key, value) in table {
        let path = [path, std::slice::from_ref(key)].concat();
        if let Some(inner) = value.as_table() {
            paths(inner, &path, found);
        }
        found.push(path);
    }
}

fn put(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => drop(table.insert(key.clone(), value)),
        [key, rest @ ..] => put(table[key].as_table_mut().unwrap(), rest, value),
    }
}

#[test]
fn a_wrong_value_at_any_place_is_not_repeated() {
    // laid over the default, so that there is no place without a value
    let whole = load(&good("production.toml")).unwrap().table;
    let mut all = Vec::new();
    paths(&whole, &[], &mut all);
    let mut refused = 0;
    for path in &all {
        for shape in shapes() {
            let mut table = whole.clone();
            put(&mut table, path, shape);
            let outcome = load(&table.to_string());
            refused += usize::from(outcome.is_err());
            silent(&outcome, &path.join("."));
        }
    }
    // most shapes are wrong at most places
    assert!(
        refused > all.len() * 10,
        "{refused} of {} places",
        all.len()
    );
}

#[test]
fn a_broken_file_is_not_repeated() {
    for name in ["production.toml", "development.toml"] {
        let text = good(name);
        for (line, _) in text.match_indices('\n') {
            for junk in [CANARY, " = ", "\"", "[", "]]", "{", "'''", "\u{0}", "= = ="] {
                let broken = format!("{}{junk}{CANARY}{}", &text[..line], &text[line..]);
                silent(&load(&broken), name);
            }
        }
    }
}

#[test]
fn a_wrong_variable_is_not_repeated() {
    let mut all = Vec::new();
    paths(&DEFAULT.parse().unwrap(), &[], &mut all);
    for path in all {
        let name = format!("CARDPROOF__{}", path.join("__").to_ascii_uppercase());
        for value in [
            CANARY.to_owned(),
            format!("['{CANARY}']"),
            NUMBER.to_string(),
        ] {
            silent(&load_with("", &[(&name, &value)]), &name);
        }
    }
    let told = load_with("", &[(&format!("CARDPROOF__{CANARY} {CANARY}"), "1")]);
    silent(&told, "a name that is none");
}

#[test]
fn depth_without_end_is_refused() {
    const DEPTH: usize = 100_000;
    for text in [
        format!("{}b = 1", "a.".repeat(DEPTH)),
        format!("[{}b]", "a.".repeat(DEPTH)),
        format!("a = {}", "[".repeat(DEPTH)),
        format!("a = {}1{}", "{ a = ".repeat(DEPTH), "}".repeat(DEPTH)),
        "[a]\n[a.a]\n".repeat(DEPTH),
    ] {
        assert!(load(&text).is_err());
    }
    let name = format!("CARDPROOF__{}B", "A__".repeat(DEPTH));
    assert!(load_with("", &[(&name, "1")]).is_err());
    assert!(load_with("", &[("CARDPROOF__ADMIN__TOKEN", &"[".repeat(DEPTH))]).is_err());
}

fn pieces() -> Vec<String> {
    let mut pieces: Vec<String> = [
        "\n",
        "[",
        "]",
        "[[",
        "]]",
        "=",
        "\"",
        "'",
        "'''",
        "\"\"\"",
        ".",
        ",",
        "{",
        "}",
        "#",
        " ",
        "-1",
        "0x",
        "1e999",
        "nan",
        "true",
        "1979-05-27",
        "\u{0}",
        "\u{feff}",
        "密",
        CANARY,
    ]
    .map(str::to_owned)
    .to_vec();
    let keys = fs::read_to_string(folder("keys.toml")).unwrap();
    let table: Table = keys.parse().unwrap();
    for key in table["key"].as_array().unwrap() {
        pieces.push(key["name"].as_str().unwrap().replace("NAME", "tencent"));
        pieces.push(format!(" = {}\n", key["other"]));
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,400}") {
        let _ = load(&text);
    }

    #[test]
    fn anything_like_toml_is_read_without_a_panic(
        chosen in prop::collection::vec(prop::sample::select(pieces()), 0..40),
    ) {
        // the canary as a key would be named: keys are no values
        let text = chosen.concat();
        if let Err(problems) = load(&text) {
            prop_assert!(!problems.as_slice().is_empty());
            let told = problems.to_string();
            prop_assert_eq!(told.lines().count(), problems.as_slice().len());
        }
    }

    #[test]
    fn any_bytes_in_variables_are_read_without_a_panic(
        name in "CARDPROOF__[A-Z_.\u{0}密]{0,30}",
        value in ".{0,60}",
    ) {
        silent(&load_with("", &[(&name, &value)]), "a variable");
    }
}
