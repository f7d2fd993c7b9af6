//! The spellings in which a value may come out.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

use super::values::{CARD, CONSENT, ID_NUMBER, NAME, PHONE, PROXY_PASSWORD, REQUEST_IDS, SECRETS};

/// How a text is to be looked at to find a spelling in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// As it is.
    Exact,
    /// In lower case.
    Lower,
    /// In lower case, letters and digits only.
    Compact,
}

/// One spelling of one value.
#[derive(Debug)]
pub struct Form {
    /// What the value is; shown instead of it.
    pub what: &'static str,
    pub encoding: &'static str,
    pub view: View,
    pub needle: String,
}

/// What must not come out, with what it is.
pub fn values() -> Vec<(&'static str, String)> {
    let mut values = vec![
        ("card", CARD.to_owned()),
        ("name", NAME.to_owned()),
        ("id number", ID_NUMBER.to_owned()),
        ("phone", PHONE.to_owned()),
        ("consent reference", CONSENT.to_owned()),
        ("request id", REQUEST_IDS.to_owned()),
        ("proxy password", PROXY_PASSWORD.to_owned()),
    ];
    values.extend(SECRETS.map(|(name, value)| (name, value.to_owned())));
    // parts that say too much by themselves; the ends of a card may be shown
    values.push(("middle of the card", CARD[6..CARD.len() - 4].to_owned()));
    values.push(("end of the id number", ID_NUMBER[6..].to_owned()));
    values.push(("end of the phone", PHONE[3..].to_owned()));
    values.extend(
        NAME.split('·')
            .map(|part| ("part of the name", part.to_owned())),
    );
    values
}

/// Every spelling of every value.
pub fn all() -> Vec<Form> {
    values()
        .iter()
        .flat_map(|(what, value)| forms(what, value))
        .collect()
}

fn forms(what: &'static str, value: &str) -> Vec<Form> {
    let lower = value.to_lowercase();
    let mut forms = Vec::new();
    let mut add = |encoding, view, needle: String| {
        forms.push(Form {
            what,
            encoding,
            view,
            needle,
        });
    };
    add("raw", View::Lower, lower.clone());
    add("with separators", View::Compact, compact(value));
    for (encoding, spelled) in [
        ("percent", percent(value, false)),
        ("percent of every byte", percent(value, true)),
        ("json escape", json_escape(value, false)),
        ("json escape of every character", json_escape(value, true)),
        ("hex", hex::encode(value)),
        (
            "list of bytes",
            format!("{:?}", value.as_bytes()).replace(['[', ']'], ""),
        ),
    ] {
        add(encoding, View::Lower, spelled.to_lowercase());
    }
    for shift in 0..3 {
        add(
            "base64",
            View::Exact,
            aligned(&STANDARD_NO_PAD, value, shift),
        );
        add(
            "base64 for urls",
            View::Exact,
            aligned(&URL_SAFE_NO_PAD, value, shift),
        );
    }
    forms
}

/// What of a value's base64 does not depend on what stands before and after it, when it begins so
/// many bytes into a group of three.
fn aligned(engine: &impl Engine, value: &str, shift: usize) -> String {
    let bytes = [&[0; 2][..shift], value.as_bytes()].concat();
    let encoded = engine.encode(&bytes);
    let certain = bytes.len() * 8 / 6;
    let first = (shift * 8).div_ceil(6);
    encoded[first..certain].to_owned()
}

fn percent(value: &str, all: bool) -> String {
    let spell = |byte: u8| match byte {
        plain if !all && plain.is_ascii_alphanumeric() => char::from(plain).to_string(),
        plain @ (b'-' | b'.' | b'_' | b'~') if !all => char::from(plain).to_string(),
        other => format!("%{other:02X}"),
    };
    value.bytes().map(spell).collect()
}

fn json_escape(value: &str, all: bool) -> String {
    let mut units = [0; 2];
    let mut spell = |character: char| match character {
        plain if !all && plain.is_ascii() => plain.to_string(),
        other => {
            let units = other.encode_utf16(&mut units).iter();
            units.map(|unit| format!("\\u{unit:04x}")).collect()
        }
    };
    value.chars().map(&mut spell).collect()
}

/// Letters and digits only, in lower case.
pub fn compact(text: &str) -> String {
    let characters = text.chars().filter(|character| character.is_alphanumeric());
    characters.flat_map(char::to_lowercase).collect()
}
