//! A small signing client, written from the vendors' pages for these tests alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Client, ClientBuilder, RequestBuilder};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub const CARD: &str = "6222020000000000000";
pub const NAME: &str = "张三";
pub const ID: &str = "11010519491231002X";
pub const PHONE: &str = "13800138000";

/// A client that speaks HTTP/2 without being asked, or HTTP/1.1 only; it resends nothing.
pub fn client(http2: bool) -> Client {
    builder(http2)
        .retry(reqwest::retry::never())
        .build()
        .unwrap()
}

/// The same with reqwest's own resending.
pub fn resending_client(http2: bool) -> Client {
    builder(http2).build().unwrap()
}

fn builder(http2: bool) -> ClientBuilder {
    let builder = Client::builder().no_proxy().tls_certs_only([]);
    if http2 {
        builder.http2_prior_knowledge()
    } else {
        builder.http1_only()
    }
}

fn now_s() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn host(url: &str) -> &str {
    url.split_once("://").unwrap().1
}

/// A call of Ace with the default token.
pub fn ace(client: &Client, url: &str, path: &str, body: &Value) -> RequestBuilder {
    client
        .post(format!("{url}/identity/bankcard/{path}"))
        .bearer_auth("emulator-ace-token")
        .header("content-type", "application/json")
        .body(body.to_string())
}

/// A question with so many factors in Ace's words.
pub fn ace_question(factors: usize) -> Value {
    let all = [
        ("bank_card", CARD),
        ("name", NAME),
        ("id_card", ID),
        ("phone", PHONE),
    ];
    all[..factors]
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect()
}

/// A call of Tencent, signed; `token` makes it one with temporary credentials.
pub fn tencent(
    client: &Client,
    url: &str,
    action: &str,
    body: &Value,
    (id, secret, token): (&str, &str, Option<&str>),
) -> RequestBuilder {
    let (body, now) = (body.to_string(), now_s());
    let date = jiff::Timestamp::from_second(now)
        .unwrap()
        .strftime("%Y-%m-%d")
        .to_string();
    let canonical = format!(
        "POST\n/\n\ncontent-type:application/json\nhost:{}\n\ncontent-type;host\n{}",
        host(url),
        hash(body.as_bytes())
    );
    let scope = format!("{date}/faceid/tc3_request");
    let to_sign = format!(
        "TC3-HMAC-SHA256\n{now}\n{scope}\n{}",
        hash(canonical.as_bytes())
    );
    let key = hmac(
        &hmac(&hmac(format!("TC3{secret}").as_bytes(), &date), "faceid"),
        "tc3_request",
    );
    let signature = hex::encode(hmac(&key, &to_sign));
    let mut request = client
        .post(format!("{url}/"))
        .header("content-type", "application/json")
        .header("x-tc-action", action)
        .header("x-tc-version", "2018-03-01")
        .header("x-tc-timestamp", now)
        .header(
            "authorization",
            format!(
                "TC3-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders=content-type;host, Signature={signature}"
            ),
        );
    if let Some(token) = token {
        request = request.header("x-tc-token", token);
    }
    request.body(body)
}

/// A call of Alibaba, signed; `token` makes it one with temporary credentials.
pub fn alibaba(
    client: &Client,
    url: &str,
    (action, version): (&str, &str),
    query: &BTreeMap<&str, &str>,
    (id, secret, token): (&str, &str, Option<&str>),
) -> RequestBuilder {
    static NONCE: AtomicU64 = AtomicU64::new(0);
    let nonce = format!("{}-{}", now_s(), NONCE.fetch_add(1, Ordering::Relaxed));
    let query: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    let query = query.join("&");
    let date = jiff::Timestamp::from_second(now_s()).unwrap().to_string();
    let mut headers = BTreeMap::from([
        ("host", host(url).to_owned()),
        ("x-acs-action", action.to_owned()),
        ("x-acs-version", version.to_owned()),
        ("x-acs-date", date),
        ("x-acs-signature-nonce", nonce),
        ("x-acs-content-sha256", hash(b"")),
    ]);
    if let Some(token) = token {
        headers.insert("x-acs-security-token", token.to_owned());
        headers.insert("x-acs-accesskey-id", id.to_owned());
    }
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let names = headers.keys().copied().collect::<Vec<_>>().join(";");
    let canonical = format!("POST\n/\n{query}\n{lines}\n{names}\n{}", hash(b""));
    let to_sign = format!("ACS3-HMAC-SHA256\n{}", hash(canonical.as_bytes()));
    let signature = hex::encode(hmac(secret.as_bytes(), &to_sign));
    let question = if query.is_empty() {
        String::new()
    } else {
        format!("?{query}")
    };
    let mut request = client.post(format!("{url}/{question}")).header(
        "authorization",
        format!("ACS3-HMAC-SHA256 Credential={id},SignedHeaders={names},Signature={signature}"),
    );
    for (name, value) in headers.into_iter().filter(|(name, _)| *name != "host") {
        request = request.header(name, value);
    }
    request
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
