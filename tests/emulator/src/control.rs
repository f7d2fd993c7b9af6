//! The control interface over HTTP, `/_control/...`, for users and for tests in other languages.
//! It is not part of any vendor and is not written to the ledger.

use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::ReplyBody;
use crate::script::{Fault, Script};
use crate::script_book::ScriptId;
use crate::state::{Credentials, State};
use crate::vendor::Vendor;
use crate::{RSA_PUBLIC_KEY_PEM, SM2_PUBLIC_KEY_PEM};

/// What went wrong: an HTTP status and a text.
type Failure = (StatusCode, String);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Box<Script>),
    Many(Vec<Script>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    offset_ms: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    vendor: Vendor,
    requests_per_second: Option<u32>,
}

/// Answers one control request.
pub(crate) async fn handle(state: &State, parts: &Parts, body: &Bytes) -> Response<ReplyBody> {
    match route(state, parts, body).await {
        Ok(Reply::Json(value)) => reply(StatusCode::OK, "application/json", value.to_string()),
        Ok(Reply::Pem(pem)) => reply(StatusCode::OK, "application/x-pem-file", pem.to_owned()),
        Err((status, message)) => reply(
            status,
            "application/json",
            json!({ "error": message }).to_string(),
        ),
    }
}

enum Reply {
    Json(Value),
    Pem(&'static str),
}

async fn route(state: &State, parts: &Parts, body: &Bytes) -> Result<Reply, Failure> {
    let path = parts.uri.path().trim_start_matches("/_control/");
    let segments: Vec<&str> = path.split('/').collect();
    let done = || Ok(Reply::Json(json!({ "ok": true })));
    match (&parts.method, segments.as_slice()) {
        (&Method::GET, ["health"]) => done(),
        (&Method::GET, ["keys", "rsa.pem"]) => Ok(Reply::Pem(RSA_PUBLIC_KEY_PEM)),
        (&Method::GET, ["keys", "sm2.pem"]) => Ok(Reply::Pem(SM2_PUBLIC_KEY_PEM)),
        (&Method::GET, ["credentials"]) => to_json(&*state.credentials()),
        (&Method::PUT, ["credentials"]) => {
            *state.credentials.write() = std::sync::Arc::new(parse::<Credentials>(body)?);
            done()
        }
        (&Method::GET, ["scripts"]) => to_json(&state.scripts.list()),
        (&Method::POST, ["scripts"]) => add_scripts(state, body),
        (&Method::DELETE, ["scripts"]) => {
            state.scripts.clear();
            done()
        }
        (&Method::DELETE, ["scripts", id]) => {
            let id = id.parse().map_err(|_| not_found("no such script"))?;
            if state.scripts.remove(ScriptId(id)) {
                done()
            } else {
                Err(not_found("no such script"))
            }
        }
        (&Method::GET, ["gates", name]) => gate(state, parts, name).await,
        (&Method::POST, ["gates", name, "release"]) => {
            state.gates.set(name, true);
            done()
        }
        (&Method::POST, ["gates", name, "close"]) => {
            state.gates.set(name, false);
            done()
        }
        (&Method::GET, ["clock"]) => {
            Ok(Reply::Json(json!({ "offset_ms": state.clock_offset_ms() })))
        }
        (&Method::PUT, ["clock"]) => {
            state.set_clock_offset_ms(parse::<Clock>(body)?.offset_ms);
            done()
        }
        (&Method::PUT, ["limits"]) => {
            let limit = parse::<Limit>(body)?;
            state.limits.set(limit.vendor, limit.requests_per_second);
            done()
        }
        (&Method::GET, ["ledger"]) => to_json(&state.ledger.after(number(parts, "after")?)),
        (&Method::DELETE, ["ledger"]) => {
            state.ledger.reset();
            done()
        }
        (&Method::GET, ["summary"]) => to_json(&state.summary()),
        (&Method::POST, ["reset"]) => {
            state.reset();
            done()
        }
        _ => Err(not_found("no such control request; the README lists them")),
    }
}

fn add_scripts(state: &State, body: &Bytes) -> Result<Reply, Failure> {
    let scripts = match parse::<OneOrMany>(body)? {
        OneOrMany::One(script) => vec![*script],
        OneOrMany::Many(scripts) => scripts,
    };
    if scripts
        .iter()
        .any(|script| script.fault == Fault::CutBeforeBody && script.card.is_some())
    {
        let text = "cut_before_body cannot know the card, which is in the body";
        return Err((StatusCode::BAD_REQUEST, text.to_owned()));
    }
    let ids: Vec<ScriptId> = scripts
        .into_iter()
        .map(|script| state.scripts.add(script))
        .collect();
    Ok(Reply::Json(json!({ "ids": ids })))
}

/// A gate's state; with `?waiting=N` it waits up to 30 seconds until so many calls wait there.
async fn gate(state: &State, parts: &Parts, name: &str) -> Result<Reply, Failure> {
    let wanted = usize::try_from(number(parts, "waiting")?).unwrap_or(usize::MAX);
    let waited =
        tokio::time::timeout(Duration::from_secs(30), state.gates.wait_for(name, wanted)).await;
    if waited.is_err() {
        let text = format!("only {} calls are waiting", state.gates.state(name).waiting);
        return Err((StatusCode::REQUEST_TIMEOUT, text));
    }
    to_json(&state.gates.state(name))
}

/// A number of the query, or 0.
fn number(parts: &Parts, name: &str) -> Result<u64, Failure> {
    let query = parts.uri.query().unwrap_or_default();
    let text = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    text.map_or(Ok(0), |text| {
        text.parse()
            .map_err(|_| (StatusCode::BAD_REQUEST, format!("{name} must be a number")))
    })
}

fn parse<T: for<'de> Deserialize<'de>>(body: &Bytes) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn to_json(value: &impl serde::Serialize) -> Result<Reply, Failure> {
    let json = serde_json::to_value(value);
    json.map(Reply::Json)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn not_found(text: &str) -> Failure {
    (StatusCode::NOT_FOUND, text.to_owned())
}

fn reply(status: StatusCode, content_type: &'static str, body: String) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(Bytes::from(body)));
    *response.status_mut() = status;
    let content_type = http::HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, content_type);
    response
}
