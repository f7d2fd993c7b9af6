//! The forms that values may have. An error completes a sentence that begins with the key.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use toml::{Table, Value};

use crate::config::secret::SecretRef;

/// Longer texts are no settings.
const MAX_TEXT_BYTES: usize = 4096;
/// The largest amount of money, in units of its currency.
const MAX_AMOUNT: u64 = 1_000_000_000;
const MICROS_PER_UNIT: u64 = 1_000_000;
/// Decimals of an amount of money.
const MAX_DECIMALS: usize = 6;

pub(in crate::config) fn table(value: &Value) -> Result<Table, String> {
    value
        .as_table()
        .cloned()
        .ok_or_else(|| "must be a table".to_owned())
}

pub(in crate::config) fn flag(value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| "must be true or false".to_owned())
}

pub(in crate::config) fn number<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&Value) -> Result<T, String> {
    move |value| {
        value
            .as_integer()
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| {
                let (from, to) = (range.start(), range.end());
                format!("must be a whole number from {from} to {to}")
            })
    }
}

/// A part of a whole: above 0, at most 1.
pub(in crate::config) fn part(value: &Value) -> Result<f64, String> {
    decimal(value)
        .filter(|part| *part > 0.0 && *part <= 1.0)
        .ok_or_else(|| "must be a number above 0 and at most 1".to_owned())
}

fn decimal(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        // only small numbers are of use to anybody who asks for a decimal one
        Value::Integer(number) => i32::try_from(*number).ok().map(f64::from),
        _ => None,
    }
}

/// Text on one line, not empty.
pub(in crate::config) fn text(value: &Value) -> Result<String, String> {
    value
        .as_str()
        .filter(|text| !text.is_empty() && text.len() <= MAX_TEXT_BYTES)
        .filter(|text| !text.chars().any(char::is_control))
        .map(str::to_owned)
        .ok_or_else(|| "must be text on one line".to_owned())
}

pub(in crate::config) fn path(value: &Value) -> Result<PathBuf, String> {
    text(value)
        .map(PathBuf::from)
        .map_err(|_| "must be the path of a file".to_owned())
}

pub(in crate::config) fn address(value: &Value) -> Result<SocketAddr, String> {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            "must be an IP address and a port, such as \"127.0.0.1:50051\" or \"[::]:50051\""
                .to_owned()
        })
}

/// One of a closed set of words.
pub(in crate::config) fn choice<T: Copy>(
    words: &'static [(&'static str, T)],
) -> impl Fn(&Value) -> Result<T, String> {
    move |value| {
        let chosen = words.iter().find(|(word, _)| value.as_str() == Some(word));
        chosen.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            format!("must be {}", words.join(" or "))
        })
    }
}

/// A list whose entries have a form of their own. `what` names them.
pub(in crate::config) fn list<T>(
    what: &'static str,
    entry: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&Value) -> Result<Vec<T>, String> {
    move |value| {
        let entries = value
            .as_array()
            .ok_or(format!("must be a list of {what}"))?;
        let numbered = (1..).zip(entries);
        numbered
            .map(|(number, value)| {
                let text = text(value).map_err(|it| format!("entry {number} {it}"))?;
                entry(&text).map_err(|it| format!("entry {number} {it}"))
            })
            .collect()
    }
}

/// A reference to a secret. A secret itself, or anything else, is not repeated.
pub(in crate::config) fn secret(value: &Value) -> Result<SecretRef, String> {
    const FORM: &str = "must be { env = \"NAME\" } or { file = \"PATH\" }";
    let reference = |table: &Table| {
        let mut entries = table.iter();
        let (key, value) = entries.next()?;
        if entries.next().is_some() {
            return None;
        }
        let text = text(value).ok()?;
        match key.as_str() {
            "env" if is_variable(&text) => Some(SecretRef::Env(text)),
            "file" => Some(SecretRef::File(PathBuf::from(text))),
            _ => None,
        }
    };
    value
        .as_table()
        .and_then(reference)
        .ok_or_else(|| FORM.to_owned())
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The code of a currency: three capital letters.
pub(in crate::config) fn currency(value: &Value) -> Result<String, String> {
    value
        .as_str()
        .filter(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()))
        .map(str::to_owned)
        .ok_or_else(|| "must be a currency code of three capital letters".to_owned())
}

/// An amount of money, in millionths of its unit.
pub(in crate::config) fn micros(value: &Value) -> Result<u64, String> {
    let micros = match value {
        Value::Integer(units) => u64::try_from(*units)
            .ok()
            .and_then(|units| units.checked_mul(MICROS_PER_UNIT)),
        Value::Float(amount) if *amount >= 0.0 => exact_micros(amount.abs()),
        _ => None,
    };
    micros
        .filter(|micros| *micros <= MAX_AMOUNT * MICROS_PER_UNIT)
        .ok_or_else(|| {
            format!("must be a number from 0 to {MAX_AMOUNT} with at most {MAX_DECIMALS} decimals")
        })
}

/// A decimal number counts as it was written: the shortest decimals that name this very float are
/// those that the operator wrote, as no amount that we accept has more than fifteen digits.
fn exact_micros(amount: f64) -> Option<u64> {
    let written = format!("{amount}");
    let (units, decimals) = written.split_once('.').unwrap_or((&written, ""));
    if decimals.len() > MAX_DECIMALS {
        return None;
    }
    let units: u64 = units.parse().ok()?;
    let decimals: u64 = format!("{decimals:0<MAX_DECIMALS$}").parse().ok()?;
    units.checked_mul(MICROS_PER_UNIT)?.checked_add(decimals)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0.35", Some(350_000))]
    #[case("0.1", Some(100_000))]
    #[case("0.000001", Some(1))]
    #[case("1e-6", Some(1))]
    #[case("0.0000001", None)]
    #[case("1.2345678", None)]
    #[case("500", Some(500_000_000))]
    #[case("500.0", Some(500_000_000))]
    #[case("999999999.999999", Some(999_999_999_999_999))]
    #[case("1000000000", Some(1_000_000_000_000_000))]
    #[case("1000000000.000001", None)]
    #[case("1000000001", None)]
    #[case("9223372036854775807", None)]
    #[case("-1", None)]
    #[case("-0.01", None)]
    #[case("0.0", Some(0))]
    #[case("-0.0", Some(0))]
    #[case("nan", None)]
    #[case("inf", None)]
    #[case("1e300", None)]
    #[case("\"0.35\"", None)]
    fn money_is_exact(#[case] written: &str, #[case] expected: Option<u64>) {
        let table: Table = format!("x = {written}").parse().unwrap();
        assert_eq!(micros(&table["x"]).ok(), expected);
    }

    proptest! {
        #[test]
        fn six_decimals_are_read_as_written(units in 0..MAX_AMOUNT, decimals in 0..MICROS_PER_UNIT) {
            let table: Table = format!("x = {units}.{decimals:06}").parse().unwrap();
            prop_assert_eq!(micros(&table["x"]), Ok(units * MICROS_PER_UNIT + decimals));
        }
    }

    #[rstest]
    #[case("{ env = 'A_1' }", true)]
    #[case("{ file = '/run/a' }", true)]
    #[case("{ env = '1A' }", false)]
    #[case("{ env = 'A-B' }", false)]
    #[case("{ env = '' }", false)]
    #[case("{ env = 'A', file = 'b' }", false)]
    #[case("{ value = 'A' }", false)]
    #[case("{}", false)]
    #[case("'A'", false)]
    #[case("[]", false)]
    fn secrets_are_references(#[case] written: &str, #[case] accepted: bool) {
        let table: Table = format!("x = {written}").parse().unwrap();
        assert_eq!(secret(&table["x"]).is_ok(), accepted);
    }
}
