//! The one HTTP client for vendors.
//!
//! What it is careful about is whether a request left: a call that may have run may have been paid
//! for and may have counted against somebody's card. A request counts as gone from the moment the
//! connection asks for its body, which is just before the first byte is written; see `departure`.
//! Nothing is ever sent a second time from here, redirects are not followed, proxies come from the
//! configuration alone, and no URL shows up in an error, because vendors put personal data there.

mod departure;
mod headers;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    fmt, fs,
    pin::pin,
    time::{Duration, Instant},
};

use reqwest::{
    Body, Certificate, Client, ClientBuilder, Proxy, Url,
    header::{HeaderName, HeaderValue},
};
use tokio::time::{self, sleep};
use zeroize::{Zeroize, Zeroizing};

use self::departure::{Departure, Left};
use super::{ProviderError, ProviderErrorKind};
use crate::{
    config::providers::{Endpoint, VendorSettings},
    domain::{Operation, ProviderName},
    telemetry::events::{self, VendorCall},
    telemetry::trace::Span,
};

/// Longer replies, after decompression, are cut off and count as unusable.
pub const MAX_REPLY_BYTES: usize = 64 * 1024;
/// Room for a reply that does not say how long it is.
const UNANNOUNCED: usize = 4096;
/// Idle connections are closed before a vendor's load balancer closes them under a request.
const POOL_IDLE: Duration = Duration::from_secs(45);
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// A warm pool of connections to one vendor.
pub struct HttpClient {
    provider: ProviderName,
    client: Client,
    /// Scheme, host and port, read once.
    base: Url,
    host: String,
    port: u16,
    connect_timeout: Duration,
}

/// Why a client could not be made. Its text contains no path, URL or password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpClientError {
    /// The file of certificate authorities cannot be used.
    #[error("is not a readable file of PEM certificates")]
    CaFile,
    /// The proxy's URL cannot be used.
    #[error("is not a proxy that can be used")]
    Proxy,
    /// There are no certificate authorities to trust, or TLS could not be set up.
    #[error("TLS cannot be set up: no system certificates, and no ca_file")]
    Tls,
}

impl HttpClientError {
    /// The configuration key that is at fault.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::CaFile | Self::Tls => "ca_file",
            Self::Proxy => "proxy",
        }
    }
}

/// One POST to a vendor. Path, query and body are overwritten when it is dropped, and headers
/// unless the HTTP client has taken them.
pub struct HttpCall {
    /// Path and query, byte for byte as they are to stand on the wire.
    pub path_and_query: String,
    /// Headers beside `Host`, `Content-Length`, `Accept-Encoding` and `User-Agent`.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body; may be empty.
    pub body: Vec<u8>,
    /// What is asked; `None` for the free probe of endpoint and credentials.
    pub operation: Option<Operation>,
    /// The path without its values, for telemetry.
    pub url_template: &'static str,
}

impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpCall({} ***)", self.url_template)
    }
}

impl Drop for HttpCall {
    fn drop(&mut self) {
        self.path_and_query.zeroize();
        self.body.zeroize();
        for (_, value) in &mut self.headers {
            if let Cow::Owned(value) = value {
                value.zeroize();
            }
        }
    }
}

/// A vendor's reply, whatever its status.
pub struct HttpReply {
    /// The HTTP status.
    pub status: u16,
    /// The body, decompressed; at most [`MAX_REPLY_BYTES`].
    pub body: Zeroizing<Vec<u8>>,
    /// What the vendor says the body is.
    pub content_type: Option<String>,
    /// When the vendor may be asked again.
    pub retry_after: Option<Duration>,
    /// How far the vendor's clock is ahead of ours, from the `Date` header.
    pub clock_skew_seconds: Option<i64>,
}

impl fmt::Debug for HttpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpReply({} ***)", self.status)
    }
}

/// Why no reply came: a failure of the connection, or of what came over it.
enum Failure {
    /// No connection could be made.
    Connect,
    /// Anything else; whether the request left is for [`Departure`] to tell.
    Exchange(&'static str),
}

impl HttpClient {
    /// Makes a client for one vendor.
    ///
    /// # Errors
    /// When the certificate authorities or the proxy of the settings cannot be used.
    pub fn new(
        provider: &ProviderName,
        endpoint: &Endpoint,
        settings: &VendorSettings,
    ) -> Result<Self, HttpClientError> {
        Self::build(provider, endpoint, settings, |builder| builder)
    }

    fn build(
        provider: &ProviderName,
        endpoint: &Endpoint,
        settings: &VendorSettings,
        adjust: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, HttpClientError> {
        let builder = Client::builder()
            .user_agent(concat!("cardproof/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // resending by itself on a refused stream or a graceful GOAWAY could pay twice
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(usize::try_from(settings.concurrent).unwrap_or(usize::MAX))
            .tcp_keepalive(TCP_KEEPALIVE)
            .tcp_nodelay(true);
        let builder = with_proxy(builder, settings)?;
        let builder = with_trust(builder, endpoint, settings)?;
        let client = adjust(builder).build().map_err(|_| HttpClientError::Tls)?;
        Ok(Self {
            provider: provider.clone(),
            client,
            base: endpoint.url().clone(),
            host: endpoint.host().to_owned(),
            port: endpoint.port(),
            connect_timeout: settings.connect_timeout,
        })
    }

    /// Sends a request, once. A connection may take the settings' connect timeout; from the moment
    /// the request leaves, the whole exchange may take `timeout`.
    ///
    /// # Errors
    /// [`ProviderErrorKind::NotSent`] when none of the request was written,
    /// [`ProviderErrorKind::OutcomeUnknown`] when it may have been and no usable reply came,
    /// [`ProviderErrorKind::Misconfigured`] when a credential cannot stand in a header.
    pub async fn post(
        &self,
        mut call: HttpCall,
        timeout: Duration,
    ) -> Result<HttpReply, ProviderError> {
        let started = Instant::now();
        // the trace goes no further: the vendor is somebody else's
        let span = Span::http_client(call.url_template, &self.host, self.port);
        let outcome = match self.request(&mut call) {
            Ok((request, departure)) => {
                let exchange = self.exchange(request, departure, timeout);
                span.within(exchange).await
            }
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(reply) => span.http_status(reply.status),
            Err(error) => span.fail(error.kind.as_str()),
        }
        let reply = outcome.as_ref().ok();
        events::vendor_call(&VendorCall {
            provider: &self.provider,
            operation: call.operation,
            url_template: call.url_template,
            server_address: &self.host,
            status: reply.map(|reply| reply.status),
            latency: started.elapsed(),
            clock_skew_seconds: reply.and_then(|reply| reply.clock_skew_seconds),
        });
        outcome
    }

    fn request(&self, call: &mut HttpCall) -> Result<(reqwest::Request, Departure), ProviderError> {
        let url = self.url(&call.path_and_query)?;
        let body = std::mem::take(&mut call.body);
        let length = HeaderValue::from(body.len());
        let (body, departure) = departure::watched(body);
        let mut request = reqwest::Request::new(reqwest::Method::POST, url);
        *request.body_mut() = Some(Body::wrap(body));
        let headers = request.headers_mut();
        headers.insert(reqwest::header::CONTENT_LENGTH, length);
        for (name, value) in &mut call.headers {
            let value = match std::mem::take(value) {
                Cow::Borrowed(value) => HeaderValue::from_static(value),
                Cow::Owned(value) => of_a_credential(value)?,
            };
            headers.insert(HeaderName::from_static(name), value);
        }
        Ok((request, departure))
    }

    fn url(&self, path_and_query: &str) -> Result<Url, ProviderError> {
        // two vendors have one path alone: there is nothing to parse again
        if self.base[url::Position::BeforePath..] == *path_and_query {
            return Ok(self.base.clone());
        }
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let mut url = self.base.clone();
        url.set_path(path);
        url.set_query(query);
        if url[url::Position::BeforePath..] == *path_and_query {
            Ok(url)
        } else {
            // a parser that changes the query would also make its signature wrong
            Err(not_sent("path or query is not in its final form"))
        }
    }

    async fn exchange(
        &self,
        request: reqwest::Request,
        mut departure: Departure,
        timeout: Duration,
    ) -> Result<HttpReply, ProviderError> {
        let mut reply = Box::pin(self.send_and_read(request));
        // one timer for both waits: to set it anew costs less than another
        let mut timer = pin!(sleep(self.connect_timeout));
        let early = tokio::select! {
            biased;
            reply = &mut reply => Some(reply),
            _ = departure.decided() => None,
            () = &mut timer => Some(Err(Failure::Exchange("no connection in time"))),
        };
        let outcome = match early {
            Some(outcome) => outcome,
            None => {
                timer.as_mut().reset(time::Instant::now() + timeout);
                tokio::select! {
                    biased;
                    reply = &mut reply => reply,
                    () = timer => Err(Failure::Exchange("no reply in time")),
                }
            }
        };
        // from here on nothing drives the request any more, so what has not left will not leave
        drop(reply);
        match outcome {
            Ok(reply) => Ok(reply),
            Err(Failure::Connect) => Err(not_sent("no connection")),
            Err(Failure::Exchange(detail)) => match departure.settle().await {
                Left::SurelyNot => Err(not_sent(detail)),
                Left::Perhaps => Err(ProviderError::new(
                    ProviderErrorKind::OutcomeUnknown,
                    detail,
                )),
            },
        }
    }

    async fn send_and_read(&self, request: reqwest::Request) -> Result<HttpReply, Failure> {
        let mut response = self.client.execute(request).await.map_err(|error| {
            if error.is_connect() {
                Failure::Connect
            } else {
                Failure::Exchange("the connection broke before a reply")
            }
        })?;
        let status = response.status().as_u16();
        let content_type = headers::content_type(response.headers());
        let retry_after = headers::retry_after(response.headers());
        let clock_skew_seconds = headers::clock_skew_seconds(response.headers());
        let announced = response.content_length().unwrap_or(UNANNOUNCED as u64);
        if announced > MAX_REPLY_BYTES as u64 {
            return Err(Failure::Exchange("the reply is too long"));
        }
        // as large as need be and no larger, because all of it is overwritten in the end
        let expected = usize::try_from(announced).unwrap_or(MAX_REPLY_BYTES);
        let mut body = Zeroizing::new(Vec::with_capacity(expected));
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|_| Failure::Exchange("the reply broke off"))?;
            let Some(chunk) = chunk else { break };
            if body.len() + chunk.len() > MAX_REPLY_BYTES {
                return Err(Failure::Exchange("the reply is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpReply {
            status,
            body,
            content_type,
            retry_after,
            clock_skew_seconds,
        })
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpClient({})", self.provider)
    }
}

fn of_a_credential(value: String) -> Result<HeaderValue, ProviderError> {
    let mut value = HeaderValue::try_from(value).map_err(|_| {
        ProviderError::new(
            ProviderErrorKind::Misconfigured,
            "a credential has characters that no header can carry",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn not_sent(detail: &'static str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::NotSent, detail)
}

fn with_proxy(
    builder: ClientBuilder,
    settings: &VendorSettings,
) -> Result<ClientBuilder, HttpClientError> {
    let Some(proxy) = &settings.proxy else {
        return Ok(builder);
    };
    let proxy = Proxy::all(proxy.expose()).map_err(|_| HttpClientError::Proxy)?;
    Ok(builder.proxy(proxy))
}

fn with_trust(
    builder: ClientBuilder,
    endpoint: &Endpoint,
    settings: &VendorSettings,
) -> Result<ClientBuilder, HttpClientError> {
    if let Some(path) = &settings.ca_file {
        let pem = fs::read(path).map_err(|_| HttpClientError::CaFile)?;
        let authorities =
            Certificate::from_pem_bundle(&pem).map_err(|_| HttpClientError::CaFile)?;
        if authorities.is_empty() {
            return Err(HttpClientError::CaFile);
        }
        return Ok(builder.tls_certs_only(authorities));
    }
    let proxy_is_tls = settings
        .proxy
        .as_ref()
        .is_some_and(|proxy| proxy.expose().starts_with("https:"));
    if endpoint.is_tls() || proxy_is_tls {
        return Ok(builder);
    }
    // without this, a machine without system certificates could not even speak plain HTTP
    Ok(builder.tls_certs_only([]))
}
