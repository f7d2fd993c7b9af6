//! The calls that change something, or show what is counted about a card.
//!
//! They are there only while the operator has set a token, answer to loopback peers alone (from
//! inside the container, or over a forwarded port), and take everything in the body, so that no
//! number of a card stands in a path that somebody logs. Without a token they are not there: 404,
//! as for any other path.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{domain::CardNumber, telemetry::events};

/// A card number and its key need a few dozen bytes.
const MAX_BODY_BYTES: usize = 4 * 1024;

/// Who is at the other end of a connection; among the extensions of its requests.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// What came of a call, or a word on why nothing did. The word holds no value of the call.
pub type Done = Result<Value, &'static str>;

/// Changes what an operator wants changed, and writes that down.
#[async_trait]
pub trait Controls: Send + Sync {
    /// Whether there are such calls at all.
    fn are_there(&self) -> bool;
    /// Whether this is the operator's token. Takes the same time whatever is shown.
    fn are_open_to(&self, token: &[u8]) -> bool;
    /// What is counted about a card.
    async fn guard_show(&self, card: CardNumber) -> Done;
    /// Forgets what is counted about a card.
    async fn guard_reset(&self, card: CardNumber) -> Done;
    /// Forgets every answer about a card.
    async fn erase(&self, card: CardNumber) -> Done;
    /// Changes how much is logged, until a restart or a reload says otherwise.
    fn log_level(&self, level: &str) -> Done;
    /// Takes a provider out of every route, or puts it back.
    fn maintenance(&self, provider: &str, maintenance: bool) -> Done;
}

type Shared = Arc<dyn Controls>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfCard {
    bank_card: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfLog {
    log_level: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfProvider {
    provider: String,
    maintenance: bool,
}

/// All such calls.
pub(super) fn router(controls: Shared) -> Router {
    Router::new()
        .route("/guard/show", post(guard_show))
        .route("/guard/reset", post(guard_reset))
        .route("/erase", post(erase))
        .route("/log-level", post(log_level))
        .route("/maintenance", post(maintenance))
        .route_layer(from_fn_with_state(Arc::clone(&controls), operators_only))
        .with_state(controls)
}

/// What any path answers that does not exist.
pub(super) fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}

async fn operators_only(State(controls): State<Shared>, request: Request, next: Next) -> Response {
    if !controls.are_there() {
        return not_found();
    }
    let peer = request.extensions().get::<Peer>();
    // an IPv4 peer of a socket for both versions has an address of IPv6
    let is_near = peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    if !is_near {
        return refused(StatusCode::FORBIDDEN, "answered to loopback peers only");
    }
    if !bearer(request.headers()).is_some_and(|token| controls.are_open_to(token)) {
        events::admin_call_refused();
        let mut response = refused(StatusCode::UNAUTHORIZED, "needs the operator's token");
        let scheme = header::HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, scheme);
        return response;
    }
    next.run(request).await
}

/// The token of the one `authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.as_bytes();
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(token)
}

async fn guard_show(State(controls): State<Shared>, body: Body) -> Response {
    match card(body).await {
        Ok(card) => answer(controls.guard_show(card).await),
        Err(response) => response,
    }
}

async fn guard_reset(State(controls): State<Shared>, body: Body) -> Response {
    match card(body).await {
        Ok(card) => answer(controls.guard_reset(card).await),
        Err(response) => response,
    }
}

async fn erase(State(controls): State<Shared>, body: Body) -> Response {
    match card(body).await {
        Ok(card) => answer(controls.erase(card).await),
        Err(response) => response,
    }
}

async fn log_level(State(controls): State<Shared>, body: Body) -> Response {
    const EXPECTED: &str = "expected {\"log_level\": \"info\"}";
    match read::<OfLog>(body, EXPECTED).await {
        Ok(wanted) => answer(controls.log_level(&wanted.log_level)),
        Err(response) => response,
    }
}

async fn maintenance(State(controls): State<Shared>, body: Body) -> Response {
    const EXPECTED: &str = "expected {\"provider\": \"name\", \"maintenance\": true}";
    match read::<OfProvider>(body, EXPECTED).await {
        Ok(wanted) => answer(controls.maintenance(&wanted.provider, wanted.maintenance)),
        Err(response) => response,
    }
}

async fn card(body: Body) -> Result<CardNumber, Response> {
    const EXPECTED: &str = "expected {\"bank_card\": \"the number\"}";
    let mut wanted = read::<OfCard>(body, EXPECTED).await?;
    let card = CardNumber::parse(&wanted.bank_card);
    wanted.bank_card.zeroize();
    card.map_err(|_| refused(StatusCode::BAD_REQUEST, "bank_card is not a card number"))
}

/// The parser's own words would show values, so they are not passed on.
async fn read<T: DeserializeOwned>(body: Body, expected: &'static str) -> Result<T, Response> {
    let unreadable = || refused(StatusCode::BAD_REQUEST, expected);
    let bytes = to_bytes(body, MAX_BODY_BYTES).await;
    let bytes = Zeroizing::new(bytes.map_err(|_| unreadable())?.to_vec());
    serde_json::from_slice(&bytes).map_err(|_| unreadable())
}

fn answer(done: Done) -> Response {
    match done {
        Ok(value) => Json(value).into_response(),
        Err(word) => refused(StatusCode::BAD_REQUEST, word),
    }
}

fn refused(code: StatusCode, word: &str) -> Response {
    (code, Json(json!({ "error": word }))).into_response()
}
