//! A client of the admin port.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, RequestBuilder, Response, redirect::Policy};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use super::output;

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
    let url = address.join("status").context("cannot address /status")?;
    let reply = send(client(timeout)?.get(url)).await?;
    if reply.status() != 200 {
        bail!(
            "the admin port answered with HTTP status {}",
            reply.status().as_u16()
        );
    }
    serde_json::from_slice(&body(reply).await?).context("the answer is no status")
}

/// Makes a call that changes something. `content` is a JSON object.
///
/// # Errors
/// When the server refuses it, with its reason, or does not answer.
pub(super) async fn call(
    address: &Url,
    path: &str,
    token: &SecretString,
    content: &str,
    timeout: Duration,
) -> anyhow::Result<Value> {
    let url = address.join(path).context("cannot address the call")?;
    let request = client(timeout)?
        .post(url)
        .bearer_auth(token.expose_secret())
        .header("content-type", "application/json")
        .body(content.to_owned());
    let reply = send(request).await?;
    let code = reply.status().as_u16();
    let answer: Option<Value> = serde_json::from_slice(&body(reply).await?).ok();
    match (code, answer) {
        (200, Some(done)) => Ok(done),
        (404, _) => bail!("the server has no admin.token: it offers no such call"),
        (_, Some(answer)) => {
            let word = answer["error"].as_str().unwrap_or_default();
            bail!(
                "the server refused (HTTP status {code}): {}",
                output::clean(word)
            )
        }
        _ => bail!("the admin port answered with HTTP status {code}"),
    }
}

/// Plaintext only, so no certificates are needed; the port is nobody's but the operator's own.
fn client(timeout: Duration) -> anyhow::Result<Client> {
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .tls_certs_only([])
        .timeout(timeout)
        .build()
        .context("cannot make an HTTP client")
}

async fn send(request: RequestBuilder) -> anyhow::Result<Response> {
    request
        .send()
        .await
        .map_err(reqwest::Error::without_url)
        .context("the admin port does not answer")
}

async fn body(mut reply: Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = reply.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > MAX_REPLY_BYTES {
            bail!("the answer is too long to be one of the admin port");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
