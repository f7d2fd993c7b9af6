//! Reading what vendors send: strict about what decides, lenient about the rest.
//!
//! A reply with the same key twice says two things at once, and parsers differ about which one
//! holds. So objects keep every member, and asking for one that stands there twice is an error.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{ProviderError, ProviderErrorKind, http::HttpReply};

/// A JSON value, reduced to what vendors' replies are made of.
#[derive(Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number written without fraction or exponent.
    Integer(i128),
    /// Any other number; no vendor means anything by one.
    Fraction,
    /// A string.
    Text(String),
    /// A list; no vendor's reply needs what is inside.
    List,
    /// An object, with its members in their order.
    Object(Vec<(String, Self)>),
}

/// A key that stands twice in one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key stands twice in one object")]
pub struct Ambiguous;

impl Json {
    /// Reads a body, whatever its content type claims; `None` unless it is one JSON object in
    /// UTF-8 and nothing else.
    #[must_use]
    pub fn object(body: &[u8]) -> Option<Self> {
        let value: Self = serde_json::from_slice(body).ok()?;
        matches!(value, Self::Object(_)).then_some(value)
    }

    /// A member of an object; `None` where there is none, or this is no object.
    ///
    /// # Errors
    /// When it stands there twice.
    pub fn member(&self, name: &str) -> Result<Option<&Self>, Ambiguous> {
        self.only(|key| key == name)
    }

    /// The same, whatever the letter case of the key.
    ///
    /// # Errors
    /// When it stands there twice, in whichever letter case.
    pub fn member_in_any_case(&self, name: &str) -> Result<Option<&Self>, Ambiguous> {
        self.only(|key| key.eq_ignore_ascii_case(name))
    }

    fn only(&self, wanted: impl Fn(&str) -> bool) -> Result<Option<&Self>, Ambiguous> {
        let Self::Object(members) = self else {
            return Ok(None);
        };
        let mut found = members.iter().filter(|(key, _)| wanted(key));
        let first = found.next().map(|(_, value)| value);
        if found.next().is_some() {
            Err(Ambiguous)
        } else {
            Ok(first)
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text, or the digits of an integer.
    #[must_use]
    pub fn text_or_integer(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Integer(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    }
}

// a vendor may echo what it was asked
impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json(***)")
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Integer(value.into()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Fraction)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        while items.next_element::<Json>()?.is_some() {}
        Ok(Json::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

/// An error that a reply stands for, with what its headers say.
#[must_use]
pub fn error_of(reply: &HttpReply, kind: ProviderErrorKind, detail: &'static str) -> ProviderError {
    let mut error = ProviderError::new(kind, detail);
    error.retry_after = reply.retry_after;
    error.clock_skew_seconds = reply.clock_skew_seconds;
    error
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("")]
    #[case("<html>502</html>")]
    #[case("{\"a\":\"b\"")]
    #[case("{\"a\":\"b\"} trailing")]
    #[case("{\"a\":\"b\"}{}")]
    #[case("[{\"a\":\"b\"}]")]
    #[case("\"text\"")]
    #[case("{'a':'b'}")]
    #[case("{\"a\":NaN}")]
    fn what_is_no_object_is_nothing(#[case] body: &str) {
        assert_eq!(Json::object(body.as_bytes()), None);
    }

    #[test]
    fn other_encodings_and_deep_nesting_are_nothing() {
        // "认证通过" in GBK
        let gbk = b"{\"a\":\"\xc8\xcf\xd6\xa4\xcd\xa8\xb9\xfd\"}";
        assert_eq!(Json::object(gbk), None);
        let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(Json::object(&utf16), None);
        let deep = "{\"a\":".repeat(10_000);
        assert_eq!(Json::object(deep.as_bytes()), None);
    }

    #[test]
    fn a_key_that_stands_twice_cannot_be_read() {
        let json = Json::object(br#"{"a":1,"b":{"c":2,"c":2},"a":1,"D":3,"d":3}"#).unwrap();
        assert_eq!(json.member("a"), Err(Ambiguous));
        assert_eq!(json.member("D"), Ok(Some(&Json::Integer(3))));
        assert_eq!(json.member_in_any_case("d"), Err(Ambiguous));
        assert_eq!(json.member("x"), Ok(None));
        let inner = json.member("b").unwrap().unwrap();
        assert_eq!(inner.member("c"), Err(Ambiguous));
    }

    #[test]
    fn only_plain_integers_read_as_text() {
        let json = Json::object(br#"{"a":-1,"b":"x","c":1.0,"d":1e0,"e":-0,"f":null}"#).unwrap();
        let read = |key| json.member(key).unwrap().unwrap().text_or_integer();
        assert_eq!(read("a").as_deref(), Some("-1"));
        assert_eq!(read("b").as_deref(), Some("x"));
        for key in ["c", "d", "e", "f"] {
            assert_eq!(read(key), None, "{key}");
        }
        assert_eq!(format!("{json:?}"), "Json(***)");
    }
}
