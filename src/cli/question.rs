//! Questions as one JSON object on standard input, and the options that go with a question.
//!
//! The object's keys are the field names of the request, as the protocol files write them or in
//! camel case. Complaints name keys, never values.

use std::{collections::BTreeMap, fmt, io::Read, time::Duration};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use zeroize::Zeroizing;

use super::span;
use crate::{
    domain::IdentityType,
    grpc::client::{CacheMode, CardInfoQuestion, Terms, VerifyQuestion},
};

/// The server takes no longer message.
pub(super) const MAX_BYTES: u64 = 64 * 1024;
/// A longer key is not shown.
const MAX_KEY_CHARS: usize = 32;

const VERIFY_KEYS: &[&str] = &[
    "bank_card",
    "name",
    "id_number",
    "phone",
    "identity_type",
    "cache",
    "provider",
    "request_id",
    "consent_reference",
];
const CARD_INFO_KEYS: &[&str] = &["bank_card", "cache", "provider", "request_id"];
const CACHE_KEYS: &[&str] = &["mode", "max_age"];

/// What goes with a question and says nothing about a person.
#[derive(Debug, Args)]
#[command(next_help_heading = "Question")]
pub(super) struct Options {
    /// Ask this configured provider alone
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Ask a vendor whatever the cache knows (only for callers that may)
    #[arg(long, conflicts_with = "only_if_cached")]
    bypass: bool,
    /// Ask no vendor: a known answer or none
    #[arg(long)]
    only_if_cached: bool,
    /// Oldest answer that is wanted: 30s, 15m, 2h, 7d
    #[arg(long, value_name = "AGE", value_parser = span::parse)]
    max_age: Option<Duration>,
    /// UUID that makes asking again safe: the same one gets the same answer
    #[arg(long, value_name = "UUID")]
    request_id: Option<String>,
}

impl Options {
    /// The options as the client takes them.
    pub(super) fn terms(&self) -> Terms {
        let cache_mode = match (self.bypass, self.only_if_cached) {
            (true, _) => CacheMode::Bypass,
            (false, true) => CacheMode::OnlyIfCached,
            (false, false) => CacheMode::Use,
        };
        Terms {
            cache_mode,
            max_age: self.max_age,
            provider: self.provider.clone().unwrap_or_default(),
            request_id: self.request_id.clone().unwrap_or_default(),
            consent_reference: String::new(),
        }
    }
}

/// Reads a question for a verification.
pub(super) fn verify_from_json(input: impl Read, options: Terms) -> anyhow::Result<VerifyQuestion> {
    verify_from_object(Object::read(input, VERIFY_KEYS)?, options)
}

fn verify_from_object(mut object: Object, options: Terms) -> anyhow::Result<VerifyQuestion> {
    let identity_type = object.text("identity_type")?;
    Ok(VerifyQuestion {
        bank_card: object.secret("bank_card")?,
        name: object.secret("name")?,
        id_number: object.secret("id_number")?,
        phone: object.secret("phone")?,
        identity_type: match identity_type.as_deref() {
            None | Some("" | "IDENTITY_TYPE_UNSPECIFIED") => None,
            Some(name) => Some(self::identity_type(name)?),
        },
        terms: object.terms(options)?,
    })
}

/// Reads a row of a file of questions; keys that are to be ignored may have any value.
pub(super) fn row_from_json(
    bytes: &[u8],
    known: &[&'static str],
    ignore: &[String],
) -> anyhow::Result<VerifyQuestion> {
    let mut pairs = pairs(bytes).map_err(|column| anyhow!("not one JSON object ({column})"))?;
    pairs.0.retain(|(key, _)| !ignore.contains(key));
    verify_from_object(Object::of_known(pairs, known, "")?, Terms::default())
}

/// Reads a question for card information.
pub(super) fn card_info_from_json(
    input: impl Read,
    options: Terms,
) -> anyhow::Result<CardInfoQuestion> {
    let mut object = Object::read(input, CARD_INFO_KEYS)?;
    Ok(CardInfoQuestion {
        bank_card: object.secret("bank_card")?,
        terms: object.terms(options)?,
    })
}

/// Reads a card number alone.
pub(super) fn bank_card_from_json(input: impl Read) -> anyhow::Result<SecretString> {
    Object::read(input, &["bank_card"])?.secret("bank_card")
}

/// Reads the name of a kind of document, in capitals or not, with the enum's prefix or without.
pub(super) fn identity_type(name: &str) -> anyhow::Result<IdentityType> {
    let name = name.trim().to_ascii_uppercase().replace([' ', '-'], "_");
    let name = name.strip_prefix("IDENTITY_TYPE_").unwrap_or(&name);
    IdentityType::ALL
        .iter()
        .copied()
        .find(|kind| kind.as_str() == name)
        .ok_or_else(|| {
            let names: Vec<_> = IdentityType::ALL.iter().map(|kind| kind.as_str()).collect();
            anyhow!("identity_type must be one of {}", names.join(", "))
        })
}

/// A JSON object whose keys are known.
struct Object {
    values: BTreeMap<&'static str, Value>,
}

impl Object {
    fn read(input: impl Read, known: &[&'static str]) -> anyhow::Result<Self> {
        let mut bytes = Zeroizing::new(Vec::new());
        input
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
        if bytes.len() as u64 > MAX_BYTES {
            bail!("standard input is longer than 64 KiB");
        }
        if bytes.trim_ascii().is_empty() {
            bail!("standard input is empty: expected one JSON object with the question");
        }
        let pairs = pairs(&bytes)
            .map_err(|place| anyhow!("standard input is not one JSON object ({place})"))?;
        Self::of_known(pairs, known, "")
    }

    fn of_known(pairs: Pairs, known: &[&'static str], path: &str) -> anyhow::Result<Self> {
        let mut values = BTreeMap::new();
        for (key, value) in pairs.0 {
            let Some(field) = self::known(&key, known) else {
                bail!("{}; known are {}", unknown(&key, path), known.join(", "));
            };
            if values.insert(field, value).is_some() {
                bail!("key {path}{field} is given twice");
            }
        }
        Ok(Self { values })
    }

    /// The text under a key; `null` is as good as no key.
    fn text(&mut self, key: &str) -> anyhow::Result<Option<String>> {
        match self.values.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => bail!("{key} must be a text in quotation marks"),
        }
    }

    fn secret(&mut self, key: &str) -> anyhow::Result<SecretString> {
        Ok(self.text(key)?.unwrap_or_default().into())
    }

    fn terms(&mut self, options: Terms) -> anyhow::Result<Terms> {
        let (cache_mode, max_age) = match self.values.remove("cache") {
            None | Some(Value::Null) => (CacheMode::Use, None),
            Some(value) => cache(value)?,
        };
        let cache_by_options = options.cache_mode != CacheMode::Use || options.max_age.is_some();
        let cache_by_object = cache_mode != CacheMode::Use || max_age.is_some();
        if cache_by_options && cache_by_object {
            bail!("cache is given by options and in the JSON object");
        }
        Ok(Terms {
            cache_mode: if cache_by_object {
                cache_mode
            } else {
                options.cache_mode
            },
            max_age: max_age.or(options.max_age),
            provider: self.either("provider", options.provider)?,
            request_id: self.either("request_id", options.request_id)?,
            consent_reference: self.either("consent_reference", options.consent_reference)?,
        })
    }

    fn either(&mut self, key: &str, option: String) -> anyhow::Result<String> {
        match self.text(key)?.filter(|text| !text.is_empty()) {
            Some(_) if !option.is_empty() => {
                bail!("{key} is given by an option and in the JSON object")
            }
            Some(text) => Ok(text),
            None => Ok(option),
        }
    }
}

fn cache(value: Value) -> anyhow::Result<(CacheMode, Option<Duration>)> {
    let pairs: Pairs = serde_json::from_value(value)
        .map_err(|_| anyhow!("cache must be an object with mode and max_age"))?;
    let mut object = Object::of_known(pairs, CACHE_KEYS, "cache.")?;
    let mode = match object.text("mode")?.as_deref() {
        None | Some("" | "CACHE_MODE_UNSPECIFIED") => CacheMode::Use,
        Some("BYPASS" | "CACHE_MODE_BYPASS") => CacheMode::Bypass,
        Some("ONLY_IF_CACHED" | "CACHE_MODE_ONLY_IF_CACHED") => CacheMode::OnlyIfCached,
        Some(_) => bail!("cache.mode must be BYPASS or ONLY_IF_CACHED"),
    };
    let max_age = object.text("max_age")?;
    let max_age = max_age
        .map(|age| span::parse(&age).map_err(|expected| anyhow!("cache.max_age: {expected}")))
        .transpose()?;
    Ok((mode, max_age))
}

/// Keys and values, or where the text stops being an object: the parser's own words would show
/// values.
fn pairs(bytes: &[u8]) -> Result<Pairs, String> {
    serde_json::from_slice(bytes)
        .map_err(|error| format!("line {}, column {}", error.line(), error.column()))
}

/// The field that a key means, as the protocol files write it or in camel case.
pub(super) fn known(key: &str, fields: &[&'static str]) -> Option<&'static str> {
    let means = |field: &&&'static str| key == **field || key == camel_case(field);
    fields.iter().find(means).copied()
}

/// A complaint about a key. What has digits or is long may be a value that slipped.
pub(super) fn unknown(key: &str, path: &str) -> String {
    let harmless = (1..=MAX_KEY_CHARS).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'));
    if harmless {
        format!("unknown key {path}{key}")
    } else {
        format!(
            "unknown key (not shown){}",
            if path.is_empty() { "" } else { " in cache" }
        )
    }
}

fn camel_case(field: &str) -> String {
    let mut words = field.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        name.push_str(&first.to_ascii_uppercase());
        name.push_str(rest);
    }
    name
}

/// Keys and values as they come, so that a key that is given twice does not go unnoticed.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn verify(json: &str) -> anyhow::Result<VerifyQuestion> {
        verify_from_json(json.as_bytes(), Terms::default())
    }

    fn complaint(json: &str) -> String {
        format!("{:#}", verify(json).unwrap_err())
    }

    #[test]
    fn reads_both_ways_of_writing_a_field() {
        let question = verify(
            r#"{"bankCard": "6222 0200", "name": "韦小宝", "id_number": "1", "phone": null,
                "identityType": "IDENTITY_TYPE_PASSPORT", "requestId": "r",
                "cache": {"mode": "BYPASS", "maxAge": "3600s"}, "consent_reference": "c"}"#,
        )
        .unwrap();
        assert_eq!(question.bank_card.expose_secret(), "6222 0200");
        assert_eq!(question.name.expose_secret(), "韦小宝");
        assert_eq!(question.phone.expose_secret(), "");
        assert_eq!(question.identity_type, Some(IdentityType::Passport));
        let expected = Terms {
            cache_mode: CacheMode::Bypass,
            max_age: Some(Duration::from_secs(3_600)),
            provider: String::new(),
            request_id: "r".into(),
            consent_reference: "c".into(),
        };
        assert_eq!(question.terms, expected);
    }

    #[test]
    fn complains_by_key_and_never_by_value() {
        for (json, expected) in [
            ("", "standard input is empty"),
            ("[1]", "not one JSON object (line 1, column 0)"),
            (r#""4111111111111111""#, "not one JSON object"),
            (
                r#"{"name": "a"} {}"#,
                "not one JSON object (line 1, column 15)",
            ),
            (
                r#"{"card": "4111111111111111"}"#,
                "unknown key card; known are bank_card, name",
            ),
            (r#"{"4111111111111111": ""}"#, "unknown key (not shown);"),
            (
                r#"{"bank_card": 4111111111111111}"#,
                "bank_card must be a text",
            ),
            (
                r#"{"bank_card": "4111111111111111", "bankCard": ""}"#,
                "key bank_card is given twice",
            ),
            (
                r#"{"identity_type": "4111111111111111"}"#,
                "identity_type must be one of RESIDENT_ID, PASSPORT",
            ),
            (
                r#"{"cache": "4111111111111111"}"#,
                "cache must be an object",
            ),
            (
                r#"{"cache": {"mode": "4111111111111111"}}"#,
                "cache.mode must be",
            ),
            (
                r#"{"cache": {"max_age": "4111111111111111x"}}"#,
                "cache.max_age: expected",
            ),
            (
                r#"{"cache": {"age": ""}}"#,
                "unknown key cache.age; known are mode, max_age",
            ),
        ] {
            let complaint = complaint(json);
            assert!(complaint.contains(expected), "{json}: {complaint}");
            assert!(!complaint.contains("4111"), "{complaint}");
        }
        let too_long = format!(r#"{{"name": "{}"}}"#, "x".repeat(70_000));
        assert!(complaint(&too_long).contains("longer than 64 KiB"));
    }

    #[test]
    fn an_option_and_a_key_do_not_contradict_each_other() {
        let options = Terms {
            provider: "ace".into(),
            max_age: Some(Duration::from_secs(1)),
            ..Terms::default()
        };
        let read = |json: &str| card_info_from_json(json.as_bytes(), options.clone());
        assert_eq!(read(r#"{"bank_card": "622202"}"#).unwrap().terms, options);
        assert_eq!(
            read(r#"{"provider": "bin"}"#).unwrap_err().to_string(),
            "provider is given by an option and in the JSON object"
        );
        assert_eq!(
            read(r#"{"cache": {"mode": "BYPASS"}}"#)
                .unwrap_err()
                .to_string(),
            "cache is given by options and in the JSON object"
        );
        assert!(
            read(r#"{"name": "x"}"#)
                .unwrap_err()
                .to_string()
                .contains("unknown key name")
        );
    }
}
