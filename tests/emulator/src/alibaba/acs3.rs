//! ACS3-HMAC-SHA256, recomputed from the request as it arrived.
//! Source: Alibaba's page "V3 request syntax and signature", whose example is one of the vectors.

use std::collections::BTreeMap;

use http::request::Parts;
use sha2::{Digest as _, Sha256};

use crate::exchange::Refusal;
use crate::signing::{header, hmac, host, same};
use crate::state::KeyPair;

const ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// A date may be off by fifteen minutes.
const WINDOW_MS: u64 = 15 * 60 * 1000;
/// Headers that every request must have and sign.
const REQUIRED: [&str; 6] = [
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
];

/// A request whose signature holds.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) key_id: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) temporary: bool,
    pub(crate) loose_query: bool,
    pub(crate) parameters: BTreeMap<String, String>,
}

/// Checks headers, time, key, signature and security token. The nonce is left to the caller.
pub(crate) fn verify<'a>(
    known: &[KeyPair],
    now_ms: i64,
    parts: &'a Parts,
    body: &[u8],
) -> Result<Signed<'a>, Refusal> {
    for name in REQUIRED.into_iter().chain(["authorization"]) {
        if value(parts, name).is_none() {
            return Err(Refusal::new(
                "MissingParameter",
                format!("The header {name} is missing."),
            ));
        }
    }
    let stated = value(parts, "authorization")
        .and_then(Authorization::parse)
        .ok_or_else(|| mismatch("the authorization header is malformed"))?;
    check_time(now_ms, value(parts, "x-acs-date").unwrap_or_default())?;
    let pair = known
        .iter()
        .find(|pair| pair.id == stated.id)
        .ok_or_else(|| {
            Refusal::new(
                "InvalidAccessKeyId.NotFound",
                "Specified access key is not found.",
            )
        })?;
    let (parameters, loose_query) = parse_query(parts.uri.query().unwrap_or_default())
        .ok_or_else(|| mismatch("the query is not canonical"))?;
    let body_hash = hex::encode(Sha256::digest(body));
    if value(parts, "x-acs-content-sha256") != Some(body_hash.as_str()) {
        return Err(mismatch("x-acs-content-sha256 is not the hash of the body"));
    }
    let names = stated.names(parts)?;
    let request = canonical_request(parts, &names, &parameters, &body_hash)
        .ok_or_else(|| mismatch("a signed header is missing"))?;
    if !same(&sign(&pair.secret, &request), stated.signature) {
        return Err(mismatch("the signature is not the one computed here"));
    }
    check_token(pair, parts)?;
    Ok(Signed {
        key_id: stated.id,
        nonce: value(parts, "x-acs-signature-nonce").unwrap_or_default(),
        temporary: pair.token.is_some(),
        loose_query,
        parameters,
    })
}

fn mismatch(why: &str) -> Refusal {
    let message = format!("Specified signature does not match our calculation: {why}.");
    Refusal::new("SignatureDoesNotMatch", message)
}

/// A header's value; `host` is the authority of HTTP/2.
fn value<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    if name == "host" {
        host(parts)
    } else {
        header(parts, name)
    }
}

fn check_time(now_ms: i64, date: &str) -> Result<(), Refusal> {
    let exact = date.len() == "2026-01-02T03:04:05Z".len() && date.ends_with('Z');
    let time = date
        .parse::<jiff::Timestamp>()
        .ok()
        .filter(|_| exact)
        .ok_or_else(|| {
            Refusal::new(
                "InvalidTimeStamp.Format",
                "x-acs-date must be yyyy-MM-ddTHH:mm:ssZ.",
            )
        })?;
    if now_ms.abs_diff(time.as_millisecond()) > WINDOW_MS {
        let message = "Specified time stamp or date value is expired.";
        return Err(Refusal::new("InvalidTimeStamp.Expired", message));
    }
    Ok(())
}

fn check_token(pair: &KeyPair, parts: &Parts) -> Result<(), Refusal> {
    let token = value(parts, "x-acs-security-token");
    let refused = |code, message| Err(Refusal::new(code, message));
    match (pair.token.as_deref(), token) {
        (None, None) => Ok(()),
        (Some(_), None) => refused("MissingSecurityToken", "The security token is missing."),
        (Some(wanted), Some(sent)) if wanted == sent => {
            if value(parts, "x-acs-accesskey-id") == Some(pair.id.as_str()) {
                Ok(())
            } else {
                refused(
                    "MissingParameter",
                    "The header x-acs-accesskey-id is missing.",
                )
            }
        }
        _ => refused(
            "InvalidSecurityToken.MismatchWithAccessKey",
            "The security token is wrong.",
        ),
    }
}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    id: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// No blanks after the commas.
    fn parse(text: &'a str) -> Option<Self> {
        let mut rest = text
            .strip_prefix(ALGORITHM)?
            .strip_prefix(' ')?
            .splitn(3, ',');
        Some(Self {
            id: rest.next()?.strip_prefix("Credential=")?,
            signed_headers: rest.next()?.strip_prefix("SignedHeaders=")?,
            signature: rest.next()?.strip_prefix("Signature=")?,
        })
    }

    /// The signed headers: in order, each once, and with every header that must be signed.
    fn names(&self, parts: &Parts) -> Result<Vec<&'a str>, Refusal> {
        let names: Vec<&str> = self.signed_headers.split(';').collect();
        if !names.is_sorted_by(|one, next| one < next) {
            return Err(mismatch("the signed headers are not sorted"));
        }
        if let Some(name) = REQUIRED.iter().find(|name| !names.contains(name)) {
            return Err(mismatch(&format!("{name} is not signed")));
        }
        let sent = parts.headers.keys().map(http::HeaderName::as_str);
        for name in sent.filter(|name| name.starts_with("x-acs-")) {
            if !names.contains(&name) {
                return Err(mismatch(&format!("{name} is not signed")));
            }
        }
        Ok(names)
    }
}

fn canonical_request(
    parts: &Parts,
    names: &[&str],
    parameters: &BTreeMap<String, String>,
    body_hash: &str,
) -> Option<String> {
    let mut headers = String::new();
    for name in names {
        headers.push_str(&format!("{name}:{}\n", value(parts, name)?.trim()));
    }
    Some(format!(
        "{}\n{}\n{}\n{headers}\n{}\n{body_hash}",
        parts.method,
        parts.uri.path(),
        canonical_query(parameters),
        names.join(";"),
    ))
}

fn sign(secret: &str, canonical_request: &str) -> [u8; 32] {
    let hash = hex::encode(Sha256::digest(canonical_request.as_bytes()));
    hmac(secret.as_bytes(), format!("{ALGORITHM}\n{hash}").as_bytes())
}

/// The parameters of a query, and whether it was accepted although it is not canonical byte for
/// byte: the vendor's Python SDK writes a blank as `+` on the wire and signs `%20`. Any other
/// deviation (order, needless or missing escapes, small hexadecimal letters) is `None`.
fn parse_query(raw: &str) -> Option<(BTreeMap<String, String>, bool)> {
    let mut parameters = BTreeMap::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        if parameters.insert(decode(name)?, decode(value)?).is_some() {
            return None;
        }
    }
    let canonical = canonical_query(&parameters);
    let loose = canonical != raw;
    (!loose || canonical == raw.replace('+', "%20")).then_some((parameters, loose))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

fn canonical_query(parameters: &BTreeMap<String, String>) -> String {
    let mut query = String::new();
    for (name, value) in parameters {
        if !query.is_empty() {
            query.push('&');
        }
        encode_into(&mut query, name);
        query.push('=');
        encode_into(&mut query, value);
    }
    query
}

/// RFC 3986: everything but letters, digits and `-_.~` becomes `%XX`.
fn encode_into(query: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            query.push(char::from(byte));
        } else {
            query.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
#[path = "acs3_tests.rs"]
mod tests;
