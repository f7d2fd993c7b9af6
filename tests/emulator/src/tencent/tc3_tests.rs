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
    secret_id: String,
    secret_key: String,
    timestamp: i64,
    date: String,
    service: String,
    payload: String,
    headers: std::collections::BTreeMap<String, String>,
    canonical_request: String,
    signature: String,
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("../../../vectors/tencent_tc3.json");
    serde_json::from_str::<File>(text).unwrap().vectors
}

fn faceid() -> Vec<Vector> {
    vectors()
        .into_iter()
        .filter(|vector| vector.service == SERVICE)
        .collect()
}

fn parts(vector: &Vector) -> Parts {
    let mut request = Request::post("/");
    for (name, value) in &vector.headers {
        request = request.header(name, value);
    }
    request.body(()).unwrap().into_parts().0
}

fn pair(vector: &Vector) -> KeyPair {
    let token = vector.headers.get("X-TC-Token").cloned();
    KeyPair {
        id: vector.secret_id.clone(),
        secret: vector.secret_key.clone(),
        token,
    }
}

fn code(result: Result<bool, Refusal>) -> String {
    result.map_or_else(
        |refusal| refusal.code,
        |temporary| format!("accepted {temporary}"),
    )
}

#[test]
fn canonical_requests_and_signatures_are_the_published_ones() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let parts = parts(&vector);
        let authorization = header(&parts, "authorization").unwrap();
        let stated = Authorization::parse(authorization).unwrap();
        let request = canonical_request(&parts, &stated, vector.payload.as_bytes()).unwrap();
        assert_eq!(request, vector.canonical_request, "{}", vector.name);
        let signature = sign(
            &vector.secret_key,
            &vector.date,
            &vector.service,
            vector.timestamp,
            request.as_bytes(),
        );
        assert_eq!(hex::encode(signature), vector.signature, "{}", vector.name);
    }
}

#[test]
fn the_sdks_requests_are_accepted_within_five_minutes() {
    let vectors = faceid();
    assert_eq!(vectors.len(), 1);
    for vector in vectors {
        let ask = |now| {
            verify(
                &[pair(&vector)],
                now,
                &parts(&vector),
                vector.payload.as_bytes(),
            )
        };
        let temporary = pair(&vector).token.is_some();
        for skew in [-300, 0, 300] {
            assert_eq!(
                ask(vector.timestamp + skew),
                Ok(temporary),
                "{}",
                vector.name
            );
        }
        for skew in [-301, 301] {
            let refused = code(ask(vector.timestamp + skew));
            assert_eq!(refused, "AuthFailure.SignatureExpire", "{}", vector.name);
        }
    }
}

#[test]
fn over_http2_the_authority_is_the_host() {
    let vector = &faceid()[0];
    let mut parts = parts(vector);
    let host = parts.headers.remove("host").unwrap();
    parts.uri = format!("http://{}/", host.to_str().unwrap())
        .parse()
        .unwrap();
    let asked = verify(
        &[pair(vector)],
        vector.timestamp,
        &parts,
        vector.payload.as_bytes(),
    );
    assert_eq!(code(asked), "accepted false");
    parts.uri = "http://faceid.tencentcloudapi.com/".parse().unwrap();
    let asked = verify(
        &[pair(vector)],
        vector.timestamp,
        &parts,
        vector.payload.as_bytes(),
    );
    assert_eq!(code(asked), "AuthFailure.SignatureFailure");
}

#[test]
fn whatever_is_changed_is_refused() {
    let vector = &faceid()[0];
    let body = vector.payload.as_bytes();
    let ask =
        |parts: &Parts, body: &[u8]| code(verify(&[pair(vector)], vector.timestamp, parts, body));
    assert_eq!(ask(&parts(vector), body), "accepted false");

    let mut longer = body.to_vec();
    longer.push(b' ');
    assert_eq!(ask(&parts(vector), &longer), "AuthFailure.SignatureFailure");

    let changes: [(&str, Option<&str>, &str); 6] = [
        (
            "content-type",
            Some("text/plain"),
            "AuthFailure.SignatureFailure",
        ),
        ("content-type", None, "AuthFailure.SignatureFailure"),
        (
            "host",
            Some("elsewhere.example"),
            "AuthFailure.SignatureFailure",
        ),
        ("authorization", None, "MissingParameter"),
        ("x-tc-timestamp", None, "MissingParameter"),
        (
            "x-tc-token",
            Some("a token nobody gave"),
            "AuthFailure.TokenFailure",
        ),
    ];
    for (name, value, expected) in changes {
        let mut parts = parts(vector);
        parts.headers.remove(name);
        if let Some(value) = value {
            parts.headers.insert(name, value.parse().unwrap());
        }
        assert_eq!(ask(&parts, body), expected, "{name} changed");
    }

    let mut stranger = pair(vector);
    stranger.id.push('X');
    let refused = verify(&[stranger], vector.timestamp, &parts(vector), body);
    assert_eq!(code(refused), "AuthFailure.SecretIdNotFound");
    let mut wrong = pair(vector);
    wrong.secret.push('X');
    let refused = verify(&[wrong], vector.timestamp, &parts(vector), body);
    assert_eq!(code(refused), "AuthFailure.SignatureFailure");
    let mut temporary = pair(vector);
    temporary.token = Some("wanted".to_owned());
    let refused = verify(&[temporary], vector.timestamp, &parts(vector), body);
    assert_eq!(code(refused), "AuthFailure.TokenFailure");
}

#[test]
fn host_and_content_type_must_be_signed() {
    let vector = &faceid()[0];
    for list in [
        "host",
        "content-type",
        "host;content-type",
        "content-type;host;x-none",
    ] {
        let mut parts = parts(vector);
        let text = header(&parts, "authorization").unwrap();
        let text = text.replace(
            "SignedHeaders=content-type;host",
            &format!("SignedHeaders={list}"),
        );
        parts.headers.insert("authorization", text.parse().unwrap());
        let body = vector.payload.as_bytes();
        let refused = verify(&[pair(vector)], vector.timestamp, &parts, body);
        assert_eq!(code(refused), "AuthFailure.SignatureFailure", "{list}");
    }
}
