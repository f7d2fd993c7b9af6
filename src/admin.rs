//! The port for operators and probes: plaintext, HTTP/1.1 and HTTP/2 alike, so that kubelet's gRPC
//! health probes work on it.
//!
//! `/livez` and `/readyz` for probes, `/status` for programs, `/` for people, `/metrics` for
//! Prometheus as soon as there is a source of them: all of them read only, and waiting for nothing
//! outside the process. What changes something is in [`Controls`].

mod calls;
mod listen;
mod page;

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn},
    response::{Html, IntoResponse, Response},
    routing::get,
};

pub use self::{
    calls::{Controls, Done, Peer},
    listen::serve,
};

use crate::health::{HealthSwitch, Phase};

/// The longest that a page may take; they are all made from memory.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Knows how the process is doing.
pub trait StatusSource: Send + Sync {
    /// A JSON object, without personal data and secrets; called for every request, so it has to
    /// be quick and must not block.
    fn status(&self) -> serde_json::Value;
}

/// Knows the numbers.
pub trait MetricsSource: Send + Sync {
    /// The Prometheus text format, version 0.0.4.
    fn metrics(&self) -> String;
}

/// What the port is made from.
#[derive(Clone)]
pub struct Admin {
    /// For `/status` and the page.
    pub status: Arc<dyn StatusSource>,
    /// For `/metrics`, which is not there without.
    pub metrics: Option<Arc<dyn MetricsSource>>,
    /// For `/livez` and `/readyz`.
    pub health: HealthSwitch,
    /// gRPC health, for probes that speak it; has its own paths.
    pub grpc_health: Router,
    /// For the calls that change something, which are not there without.
    pub controls: Option<Arc<dyn Controls>>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("metrics", &self.metrics.is_some())
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}

impl Admin {
    /// All routes of the port.
    pub fn router(self) -> Router {
        let pages = Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz).with_state(self.health))
            .route("/status", get(status).with_state(Arc::clone(&self.status)))
            .route("/", get(front_page).with_state(self.status));
        let pages = match self.metrics {
            Some(source) => pages.route("/metrics", get(metrics).with_state(source)),
            None => pages,
        };
        let pages = match self.controls {
            Some(controls) => pages.merge(calls::router(controls)),
            None => pages,
        };
        pages
            .fallback(|| async { calls::not_found() })
            .merge(self.grpc_health)
            .layer(from_fn(within_time))
            .layer(from_fn(with_safe_headers))
    }
}

async fn livez() -> &'static str {
    "ok\n"
}

async fn readyz(State(health): State<HealthSwitch>) -> (StatusCode, String) {
    let phase = health.state();
    let code = match phase {
        Phase::Serving => StatusCode::OK,
        Phase::Starting | Phase::Draining | Phase::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, format!("{}\n", phase.as_str()))
}

async fn status(State(source): State<Arc<dyn StatusSource>>) -> Json<serde_json::Value> {
    Json(source.status())
}

async fn metrics(State(source): State<Arc<dyn MetricsSource>>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        source.metrics(),
    )
}

async fn front_page(State(source): State<Arc<dyn StatusSource>>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_SECURITY_POLICY,
            page::content_security_policy(),
        )],
        Html(page::render(&source.status())),
    )
}

async fn within_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::GATEWAY_TIMEOUT.into_response(),
    }
}

async fn with_safe_headers(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
