//! One call from its first header to its answer: verification by the vendor's part, the script, the
//! ledger, and the delivery with its faults.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use crate::answer::{Rendered, decide, render_error};
use crate::body::ReplyBody;
use crate::connection::{Connection, Ending};
use crate::ledger::Entry;
use crate::question::Question;
use crate::script::{Fault, Script};
use crate::state::{State, machine_now_ms};
use crate::vendor::{Charge, Operation, Vendor};
use crate::{ace, alibaba, control, tencent};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// No vendor takes more than this, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// What the headers say about a call, before its body is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heading {
    pub(crate) vendor: Vendor,
    pub(crate) operation: Operation,
    pub(crate) action: &'static str,
}

/// A call as it was decoded.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) chinese: bool,
    pub(crate) temporary_credentials: bool,
    pub(crate) encrypted: &'static str,
    /// Whether a query was accepted that is not canonical byte for byte.
    pub(crate) loose_query: bool,
}

/// Why a vendor refuses a call: its error code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}

/// Serves one request of any kind.
pub(crate) async fn serve(
    state: Arc<State>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, BoxError> {
    let (parts, body) = request.into_parts();
    if parts.uri.path().starts_with("/_control/") {
        let body = Limited::new(body, 64 * MAX_BODY_BYTES)
            .collect()
            .await?
            .to_bytes();
        return Ok(control::handle(&state, &parts, &body).await);
    }
    let Some(heading) = route(&parts) else {
        let text = "no vendor lives here: neither path nor headers name one\n";
        let mut response = Response::new(ReplyBody::whole(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    if let Some(script) = state
        .scripts
        .take_before_body(heading.vendor, heading.operation)
    {
        let mut entry = entry(&heading, &parts, &connection);
        entry.fault = script.fault.as_str();
        entry.charge = script.charge.unwrap_or(Charge::No);
        state.ledger.record(entry);
        return Err(cut(&connection, true).await);
    }
    let body = Limited::new(body, MAX_BODY_BYTES)
        .collect()
        .await?
        .to_bytes();
    let verified = match heading.vendor {
        Vendor::Ace => ace::verify(&state, &heading, &parts, &body),
        Vendor::Tencent => tencent::verify(&state, &heading, &parts, &body),
        Vendor::Alibaba => alibaba::verify(&state, &heading, &parts, &body),
    };
    let entry = entry(&heading, &parts, &connection);
    match verified {
        Ok(asked) => accepted(&state, &connection, &heading, asked, entry).await,
        Err(refusal) => {
            let rendered = render_error(&heading, &refusal.code, Some(&refusal.message), None);
            let seq = state.ledger.record(Entry {
                result: refusal.code,
                ..entry
            });
            state.ledger.answered(seq);
            Ok(whole(&state, rendered))
        }
    }
}

fn route(parts: &Parts) -> Option<Heading> {
    let starts = |header: &HeaderName, prefix: &str| {
        parts
            .headers
            .get(header)
            .is_some_and(|value| value.as_bytes().starts_with(prefix.as_bytes()))
    };
    if parts.uri.path().starts_with("/identity/") {
        Some(ace::heading(parts))
    } else if parts.headers.contains_key("x-tc-action")
        || starts(&http::header::AUTHORIZATION, "TC3-")
    {
        Some(tencent::heading(parts))
    } else if parts.headers.contains_key("x-acs-action")
        || starts(&http::header::AUTHORIZATION, "ACS3-")
    {
        Some(alibaba::heading(parts))
    } else {
        None
    }
}

fn entry(heading: &Heading, parts: &Parts, connection: &Connection) -> Entry {
    Entry {
        seq: 0,
        time_unix_ms: machine_now_ms(),
        vendor: heading.vendor,
        operation: heading.operation,
        action: heading.action,
        accepted: false,
        result: String::new(),
        charge: Charge::No,
        question: None,
        temporary_credentials: false,
        encrypted: "",
        canonical_query: true,
        http_version: if parts.version == http::Version::HTTP_2 {
            "2"
        } else {
            "1.1"
        },
        connection: connection.number(),
        fault: "",
        answered: false,
    }
}

/// A call whose credentials and parameters are right.
async fn accepted(
    state: &State,
    connection: &Connection,
    heading: &Heading,
    asked: Asked,
    entry: Entry,
) -> Result<Response<ReplyBody>, BoxError> {
    let card = asked.question.card.as_deref();
    let script = state
        .scripts
        .take_for(heading.vendor, heading.operation, card)
        .unwrap_or_else(|| Script::new(heading.vendor));
    let (mut outcome, mut fault) = decide(state, heading, &asked, &script);
    outcome
        .rendered
        .headers
        .extend(script.headers.iter().cloned());
    if script.fault != Fault::None {
        fault = script.fault;
    }
    if entry.http_version != "2"
        && matches!(
            fault,
            Fault::GoAwayUnprocessed | Fault::GoAwayGraceful | Fault::RefuseStream
        )
    {
        fault = Fault::CutAfterRead { reset: false };
    }
    // A call whose answer is cut off has run, and what runs is billed.
    let charge = script.charge.unwrap_or(match fault {
        Fault::None | Fault::Drip { .. } => outcome.charge,
        Fault::CutBeforeBody | Fault::RefuseStream => Charge::No,
        Fault::CutAfterRead { .. }
        | Fault::ResetMidBody { .. }
        | Fault::GoAwayUnprocessed
        | Fault::GoAwayGraceful => Charge::Yes,
    });
    let seq = state.ledger.record(Entry {
        accepted: true,
        result: outcome.result,
        charge,
        question: card.is_some().then(|| asked.question.digest()),
        temporary_credentials: asked.temporary_credentials,
        encrypted: asked.encrypted,
        canonical_query: !asked.loose_query,
        fault: fault.as_str(),
        ..entry
    });
    if let Some(gate) = &script.hold {
        state.gates.pass(gate).await;
    }
    if script.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(script.delay_ms)).await;
    }
    deliver(state, connection, outcome.rendered, fault, seq).await
}

async fn deliver(
    state: &State,
    connection: &Connection,
    rendered: Rendered,
    fault: Fault,
    seq: u64,
) -> Result<Response<ReplyBody>, BoxError> {
    match fault {
        Fault::None => {
            state.ledger.answered(seq);
            Ok(whole(state, rendered))
        }
        Fault::Drip { interval_ms } => {
            state.ledger.answered(seq);
            let body = ReplyBody::drip(rendered.body.clone(), Duration::from_millis(interval_ms));
            Ok(response(state, &rendered, body))
        }
        Fault::ResetMidBody { after_bytes } => {
            state.ledger.answered(seq);
            let after = after_bytes.unwrap_or(rendered.body.len() / 2);
            let body = ReplyBody::torn(rendered.body.clone(), after, connection.ender());
            Ok(response(state, &rendered, body))
        }
        Fault::CutBeforeBody => Err(cut(connection, true).await),
        Fault::CutAfterRead { reset } => Err(cut(connection, reset).await),
        Fault::GoAwayUnprocessed => {
            connection.go_away(0);
            Err(cut_later().await)
        }
        Fault::GoAwayGraceful => {
            connection.go_away(0x7fff_ffff);
            Err(cut_later().await)
        }
        Fault::RefuseStream => Err(Box::new(h2::Error::from(h2::Reason::REFUSED_STREAM))),
    }
}

/// Cuts the connection, and gives it time to be gone before hyper could answer anything.
async fn cut(connection: &Connection, reset: bool) -> BoxError {
    connection.end(if reset { Ending::Reset } else { Ending::Close });
    cut_later().await
}

async fn cut_later() -> BoxError {
    tokio::time::sleep(Duration::from_secs(2)).await;
    "the connection was cut as scripted".into()
}

fn whole(state: &State, rendered: Rendered) -> Response<ReplyBody> {
    let body = ReplyBody::whole(rendered.body.clone());
    response(state, &rendered, body)
}

fn response(state: &State, rendered: &Rendered, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(rendered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in &rendered.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        // Bytes, not text: a script may want a header that is no ASCII.
        let value = HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    if !headers.contains_key(http::header::DATE) {
        headers.insert(http::header::DATE, state.date_header());
    }
    response
}
