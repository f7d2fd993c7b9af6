//! A client of the admin port.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, redirect::Policy};
use serde_json::Value;
use url::Url;

/// A status is a few kilobytes; more than this is none.
const MAX_REPLY_BYTES: usize = 1 << 20;

/// Reads an address of the admin port: `http://HOST:PORT`.
pub(super) fn parse_address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "must be a URL like http://127.0.0.1:9464")?;
    let plain = url.scheme() == "http"
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    plain
        .then_some(url)
        .ok_or("must be http with a host and a port, and nothing else")
}

/// What `/status` says.
///
/// # Errors
/// When nothing of the kind comes back.
pub(super) async fn status(address: &Url, timeout: Duration) -> anyhow::Result<Value> {
    // plaintext only, so no certificates are needed; the port is nobody's but the operator's own
    let client = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .tls_certs_only([])
        .timeout(timeout)
        .build()
        .context("cannot make an HTTP client")?;
    let url = address.join("status").context("cannot address /status")?;
    let mut reply = client
        .get(url)
        .send()
        .await
        .map_err(reqwest::Error::without_url)
        .context("the admin port does not answer")?;
    if reply.status() != 200 {
        bail!(
            "the admin port answered with HTTP status {}",
            reply.status().as_u16()
        );
    }
    let mut body = Vec::new();
    while let Some(chunk) = reply.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > MAX_REPLY_BYTES {
            bail!("the answer is too long to be a status");
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).context("the answer is no status")
}
