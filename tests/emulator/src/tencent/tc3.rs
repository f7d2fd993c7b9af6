//! TC3-HMAC-SHA256, recomputed from the request as it arrived.
//! Source: Tencent's page "Signature v3", whose worked example is one of the vectors below.

use http::request::Parts;
use sha2::{Digest as _, Sha256};

use crate::exchange::Refusal;
use crate::signing::{header, hmac, host, same};
use crate::state::KeyPair;

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const SERVICE: &str = "faceid";
/// A timestamp may be off by five minutes.
const WINDOW_S: i64 = 300;

/// Checks signature, time and token; tells whether the credentials are temporary.
pub(crate) fn verify(
    known: &[KeyPair],
    now_s: i64,
    parts: &Parts,
    body: &[u8],
) -> Result<bool, Refusal> {
    let authorization = header(parts, "authorization").ok_or_else(missing_authorization)?;
    let stated = Authorization::parse(authorization).ok_or_else(|| {
        Refusal::new(
            "AuthFailure.SignatureFailure",
            "The authorization header is malformed.",
        )
    })?;
    let timestamp = header(parts, "x-tc-timestamp")
        .and_then(|text| text.parse::<i64>().ok())
        .ok_or_else(|| {
            Refusal::new(
                "MissingParameter",
                "The request is missing `X-TC-Timestamp`.",
            )
        })?;
    if now_s.abs_diff(timestamp) > WINDOW_S.unsigned_abs() {
        let message = "Signature expired; please check your system time.";
        return Err(Refusal::new("AuthFailure.SignatureExpire", message));
    }
    let pair = known
        .iter()
        .find(|pair| pair.id == stated.id)
        .ok_or_else(|| {
            Refusal::new("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
        })?;
    if stated.service != SERVICE || date_of(timestamp).as_deref() != Some(stated.date) {
        return Err(mismatch());
    }
    let request = canonical_request(parts, &stated, body).ok_or_else(mismatch)?;
    let signature = sign(
        &pair.secret,
        stated.date,
        stated.service,
        timestamp,
        request.as_bytes(),
    );
    if !same(&signature, stated.signature) {
        return Err(mismatch());
    }
    match (pair.token.as_deref(), header(parts, "x-tc-token")) {
        (None, None) => Ok(false),
        (Some(token), Some(sent)) if token == sent => Ok(true),
        _ => Err(Refusal::new(
            "AuthFailure.TokenFailure",
            "The token is not valid.",
        )),
    }
}

fn missing_authorization() -> Refusal {
    Refusal::new(
        "MissingParameter",
        "The request is missing `Authorization`.",
    )
}

fn mismatch() -> Refusal {
    let message = "The provided credentials could not be validated.";
    Refusal::new("AuthFailure.SignatureFailure", message)
}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    id: &'a str,
    date: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut rest = text
            .strip_prefix(ALGORITHM)?
            .strip_prefix(' ')?
            .splitn(3, ',');
        let credential = rest.next()?.trim().strip_prefix("Credential=")?;
        let signed_headers = rest.next()?.trim().strip_prefix("SignedHeaders=")?;
        let signature = rest.next()?.trim().strip_prefix("Signature=")?;
        let mut scope = credential.split('/');
        let parsed = Self {
            id: scope.next()?,
            date: scope.next()?,
            service: scope.next()?,
            signed_headers,
            signature,
        };
        (scope.next() == Some("tc3_request") && scope.next().is_none()).then_some(parsed)
    }
}

/// The canonical request over the headers that the caller lists; `None` if the list lacks a header
/// that must be in it, or names one that was not sent.
fn canonical_request(parts: &Parts, stated: &Authorization<'_>, body: &[u8]) -> Option<String> {
    let names: Vec<&str> = stated.signed_headers.split(';').collect();
    if !names.is_sorted() || !names.contains(&"content-type") || !names.contains(&"host") {
        return None;
    }
    let mut headers = String::new();
    for name in &names {
        let value = if *name == "host" {
            host(parts)?
        } else {
            header(parts, name)?
        };
        // The vendor lowers both sides: a content type in capitals is signed in small letters.
        headers.push_str(&format!("{name}:{}\n", value.trim().to_lowercase()));
    }
    Some(format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        parts.method,
        parts.uri.path(),
        parts.uri.query().unwrap_or_default(),
        stated.signed_headers,
        hex::encode(Sha256::digest(body)),
    ))
}

fn sign(secret: &str, date: &str, service: &str, timestamp: i64, request: &[u8]) -> [u8; 32] {
    let to_sign = format!(
        "{ALGORITHM}\n{timestamp}\n{date}/{service}/tc3_request\n{}",
        hex::encode(Sha256::digest(request))
    );
    let key = hmac(format!("TC3{secret}").as_bytes(), date.as_bytes());
    let key = hmac(&key, service.as_bytes());
    let key = hmac(&key, b"tc3_request");
    hmac(&key, to_sign.as_bytes())
}

/// The UTC date of a time, as `YYYY-MM-DD`.
fn date_of(timestamp_s: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(timestamp_s).ok()?;
    Some(time.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
#[path = "tc3_tests.rs"]
mod tests;
