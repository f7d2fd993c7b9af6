//! The published vectors, taken apart and put together in wrong ways.

use http::Request;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    access_key_id: String,
    access_key_secret: String,
    security_token: Option<String>,
    headers_before_authorization: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    canonical_query: Option<String>,
    canonical_request: String,
    signature: String,
    authorization: String,
    minimal: Option<Minimal>,
}

#[derive(Deserialize)]
struct Minimal {
    headers_before_authorization: BTreeMap<String, String>,
    signature: String,
    authorization: String,
}

const NOW: &str = "2026-01-02T03:04:05Z";

fn vectors() -> Vec<Vector> {
    let text = include_str!("../../../vectors/alibaba_acs3.json");
    serde_json::from_str::<File>(text).unwrap().vectors
}

fn parts(vector: &Vector, headers: &BTreeMap<String, String>, authorization: &str) -> Parts {
    let query = canonical_query(&vector.query);
    let mut request = Request::post(format!("/?{query}")).header("authorization", authorization);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(()).unwrap().into_parts().0
}

fn full(vector: &Vector) -> Parts {
    parts(
        vector,
        &vector.headers_before_authorization,
        &vector.authorization,
    )
}

fn pair(vector: &Vector) -> KeyPair {
    KeyPair {
        id: vector.access_key_id.clone(),
        secret: vector.access_key_secret.clone(),
        token: vector.security_token.clone(),
    }
}

fn time(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn code(result: Result<Signed<'_>, Refusal>) -> String {
    result.map_or_else(|refusal| refusal.code, |_| "accepted".to_owned())
}

#[test]
fn canonical_requests_and_signatures_are_the_published_ones() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let parts = full(&vector);
        let stated = Authorization::parse(&vector.authorization).unwrap();
        let names = stated.names(&parts).unwrap();
        let hash = hex::encode(Sha256::digest(b""));
        let request = canonical_request(&parts, &names, &vector.query, &hash).unwrap();
        assert_eq!(request, vector.canonical_request, "{}", vector.name);
        let signature = hex::encode(sign(&vector.access_key_secret, &request));
        assert_eq!(signature, vector.signature, "{}", vector.name);
        if let Some(query) = &vector.canonical_query {
            assert_eq!(&canonical_query(&vector.query), query, "{}", vector.name);
        }
    }
}

#[test]
fn the_sdks_requests_and_the_least_that_is_documented_are_accepted() {
    for vector in vectors() {
        let date = &vector.headers_before_authorization["x-acs-date"];
        let signed = full(&vector);
        let verified = verify(&[pair(&vector)], time(date), &signed, b"").unwrap();
        assert!(!verified.loose_query);
        assert_eq!(verified.temporary, vector.security_token.is_some());
        if let Some(minimal) = &vector.minimal {
            assert!(minimal.authorization.ends_with(&minimal.signature));
            let headers = &minimal.headers_before_authorization;
            let signed = parts(&vector, headers, &minimal.authorization);
            assert_eq!(
                code(verify(&[pair(&vector)], time(date), &signed, b"")),
                "accepted"
            );
        }
    }
}

#[test]
fn fifteen_minutes_are_the_window() {
    let vector = &vectors()[0];
    let ask = |now| code(verify(&[pair(vector)], now, &full(vector), b""));
    for skew in [-900_000, 0, 900_000] {
        assert_eq!(ask(time(NOW) + skew), "accepted");
    }
    for skew in [-901_000, 901_000] {
        assert_eq!(ask(time(NOW) + skew), "InvalidTimeStamp.Expired");
    }
}

#[test]
fn whatever_is_changed_is_refused() {
    let vector = &vectors()[0];
    let ask = |parts: &Parts, body: &[u8]| code(verify(&[pair(vector)], time(NOW), parts, body));
    assert_eq!(ask(&full(vector), b"x"), "SignatureDoesNotMatch");
    let changes: [(&str, Option<&str>, &str); 9] = [
        ("host", Some("elsewhere.example"), "SignatureDoesNotMatch"),
        ("accept", None, "SignatureDoesNotMatch"),
        ("user-agent", Some("other"), "SignatureDoesNotMatch"),
        (
            "x-acs-action",
            Some("KeepaliveIntl"),
            "SignatureDoesNotMatch",
        ),
        ("x-acs-extra", Some("not signed"), "SignatureDoesNotMatch"),
        (
            "x-acs-security-token",
            Some("not signed"),
            "SignatureDoesNotMatch",
        ),
        (
            "x-acs-date",
            Some("2026-01-02 03:04:05"),
            "InvalidTimeStamp.Format",
        ),
        ("x-acs-signature-nonce", None, "MissingParameter"),
        ("authorization", None, "MissingParameter"),
    ];
    for (name, value, expected) in changes {
        let mut parts = full(vector);
        parts.headers.remove(name);
        if let Some(value) = value {
            parts.headers.insert(name, value.parse().unwrap());
        }
        assert_eq!(ask(&parts, b""), expected, "{name} changed");
    }
    let mut blanks = full(vector);
    let spaced = vector.authorization.replace(',', ", ");
    blanks
        .headers
        .insert("authorization", spaced.parse().unwrap());
    assert_eq!(ask(&blanks, b""), "SignatureDoesNotMatch");

    let mut stranger = pair(vector);
    stranger.id.push('X');
    let refused = verify(&[stranger], time(NOW), &full(vector), b"").map(|_| ());
    assert_eq!(refused.unwrap_err().code, "InvalidAccessKeyId.NotFound");
    let mut temporary = pair(vector);
    temporary.token = Some("wanted".to_owned());
    let refused = verify(&[temporary], time(NOW), &full(vector), b"").map(|_| ());
    assert_eq!(refused.unwrap_err().code, "MissingSecurityToken");
}

#[test]
fn a_query_is_canonical_or_the_sdks() {
    let loose = |raw| parse_query(raw).map(|(_, loose)| loose);
    assert_eq!(loose("A=1&B=Wei%20Xiaobao&C=%E5%BC%A0~"), Some(false));
    assert_eq!(loose("A=1&B=Wei+Xiaobao"), Some(true));
    assert_eq!(loose(""), Some(false));
    for wrong in [
        "B=1&A=2",
        "A=%e5%bc%a0",
        "A=%41",
        "A=a b",
        "A=1&A=2",
        "A",
        "A=%7E",
        "A=1&",
        "A=%zz",
    ] {
        assert_eq!(loose(wrong), None, "{wrong}");
    }
}
