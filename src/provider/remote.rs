//! A vendor behind a server of the operator's own, `bankcard.provider.v1` over gRPC.
//!
//! The server runs no request before it has the request's message, so a call whose message surely
//! did not leave is surely not made; see `gate`. Everything else that goes wrong leaves the
//! outcome open, unless the server itself says better.

mod convert;
mod gate;

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::RwLock;
use tonic::{
    Code, Request, Response, Status,
    metadata::{MetadataMap, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use self::gate::{Gate, GatedChannel};
use super::{
    CallContext, Capabilities, Provider, ProviderError, ProviderErrorKind, http::HttpClientError,
    setup::SetupError,
};
use crate::{
    config::providers::{GrpcSettings, VendorSettings},
    domain::{
        Answer, CardInquiry, CardRef, Identity, IdentityType, Operation, Phone, ProviderName,
        Question, Verification,
    },
    proto::bankcard::provider::v1::{
        DescribeProviderRequest, QueryCardInfoRequest, VerifyBankCardRequest,
        provider_service_client::ProviderServiceClient, query_card_info_response,
        verify_bank_card_response,
    },
    telemetry::events::{self, VendorCall},
    telemetry::trace::{self, Span, keys},
};

/// No answer of a provider is longer.
const MAX_REPLY_BYTES: usize = 64 * 1024;
/// A server that was asked in vain what it can do is left alone for this long.
const DESCRIBE_AGAIN: Duration = Duration::from_secs(5);
/// Connections that a load balancer forgot are noticed by pings, not by a paid call.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// A vendor behind a server of the operator's own.
pub struct Remote {
    name: ProviderName,
    host: String,
    port: u16,
    channel: Channel,
    connect_timeout: Duration,
    identity_type_codes: BTreeMap<IdentityType, String>,
    described: RwLock<Option<Capabilities>>,
    last_asked: tokio::sync::Mutex<Option<Instant>>,
}

impl Remote {
    /// Makes the client; connects when it is first needed. Must be called within the runtime that
    /// the connection is to live on.
    ///
    /// # Errors
    /// When a file or a setting cannot be used.
    pub fn new(
        name: ProviderName,
        settings: &GrpcSettings,
        vendor: &VendorSettings,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            host: settings.endpoint.host().to_owned(),
            port: settings.endpoint.port(),
            channel: endpoint(settings, vendor)?.connect_lazy(),
            connect_timeout: vendor.connect_timeout,
            identity_type_codes: vendor.identity_types.clone(),
            described: RwLock::new(None),
            last_asked: tokio::sync::Mutex::new(None),
            name,
        })
    }

    /// Asks the server what it can do; no vendor is asked. To be called at start; while it goes
    /// unanswered, it is asked again before a call.
    ///
    /// # Errors
    /// When the server did not answer.
    pub async fn describe(&self, timeout: Duration) -> Result<Capabilities, ProviderError> {
        let (mut client, gate) = self.client();
        let request = timed(DescribeProviderRequest {}, timeout);
        let call = client.describe_provider(request);
        let description = self.run(&gate, timeout, call).await?;
        let capabilities = convert::capabilities(&description);
        *self.described.write() = Some(capabilities);
        Ok(capabilities)
    }

    /// Asks again what the server can do, where that is not known, unless somebody just did.
    async fn describe_if_unknown(&self, context: &CallContext) {
        if self.described.read().is_some() {
            return;
        }
        let Ok(mut last_asked) = self.last_asked.try_lock() else {
            return;
        };
        if last_asked.is_some_and(|at| at.elapsed() < DESCRIBE_AGAIN) {
            return;
        }
        // a server that does not answer this may still answer the question itself
        let _ = self
            .describe(context.timeout.min(self.connect_timeout))
            .await;
        *last_asked = Some(Instant::now());
    }

    /// Refuses what the server is known not to do.
    async fn check(
        &self,
        operation: Operation,
        kind: Option<IdentityType>,
        context: &CallContext,
    ) -> Result<(), ProviderError> {
        self.describe_if_unknown(context).await;
        let capabilities = self.capabilities();
        let can = capabilities.can(operation) && kind.is_none_or(|kind| capabilities.accepts(kind));
        can.then_some(())
            .ok_or_else(|| ProviderError::cannot("the provider does not offer this"))
    }

    fn client(&self) -> (ProviderServiceClient<GatedChannel>, Arc<Gate>) {
        let gate = Arc::new(Gate::default());
        let channel = GatedChannel {
            channel: self.channel.clone(),
            gate: Arc::clone(&gate),
        };
        let client = ProviderServiceClient::new(channel).max_decoding_message_size(MAX_REPLY_BYTES);
        (client, gate)
    }

    /// Waits for a call. Its message must leave within the connect timeout; from then on it may take
    /// `timeout`, which the channel watches over as well.
    async fn run<T>(
        &self,
        gate: &Gate,
        timeout: Duration,
        call: impl Future<Output = Result<Response<T>, Status>> + Send,
    ) -> Result<T, ProviderError> {
        let mut call = pin!(call);
        let early = tokio::time::timeout(self.connect_timeout, &mut call).await;
        let outcome = match early {
            Ok(outcome) => Some(outcome),
            Err(_elapsed) if gate.shut() => return Err(not_sent("no connection in time")),
            Err(_elapsed) => tokio::time::timeout(timeout, call).await.ok(),
        };
        match outcome {
            Some(Ok(response)) => Ok(response.into_inner()),
            Some(Err(status)) => Err(error_of(&status, gate.shut())),
            None => Err(outcome_unknown("no reply in time")),
        }
    }

    /// Makes one call, in a span of its own which the server is told of.
    async fn told<T, A, F>(
        &self,
        operation: Operation,
        method: &'static str,
        timeout: Duration,
        message: T,
        begin: impl FnOnce(ProviderServiceClient<GatedChannel>, Request<T>) -> F,
    ) -> Result<A, ProviderError>
    where
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        let span = Span::grpc_client(method.trim_start_matches('/'), &self.host, self.port);
        let mut request = timed(message, timeout);
        if let Some(context) = span.handed_on() {
            hand_on(&context, request.metadata_mut());
        }
        let (client, gate) = self.client();
        let started = Instant::now();
        let call = begin(client, request);
        let reply = span.within(self.run(&gate, timeout, call)).await;
        match &reply {
            Ok(_) => span.set(keys::RPC_STATUS_CODE, "OK"),
            Err(error) => span.fail(error.kind.as_str()),
        }
        events::vendor_call(&VendorCall {
            provider: &self.name,
            operation: Some(operation),
            url_template: method,
            server_address: &self.host,
            status: reply.is_ok().then_some(200),
            latency: started.elapsed(),
            clock_skew_seconds: None,
        });
        reply
    }
}

#[async_trait]
impl Provider for Remote {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.described
            .read()
            .unwrap_or_else(convert::all_capabilities)
    }

    async fn verify(
        &self,
        question: &Verification,
        context: &CallContext,
    ) -> Result<Answer, ProviderError> {
        let operation = question.factors().into();
        let kind = question.identity().map(Identity::kind);
        self.check(operation, kind, context).await?;
        let message = self.verification_request(question);
        let reply = self
            .told(
                operation,
                "/bankcard.provider.v1.ProviderService/VerifyBankCard",
                context.timeout,
                message,
                |mut client, request| async move { client.verify_bank_card(request).await },
            )
            .await;
        let question = Question::Verify(question.clone());
        match reply?.outcome {
            Some(verify_bank_card_response::Outcome::Answer(said)) => {
                Ok(convert::verification(said, &question, Timestamp::now()))
            }
            Some(verify_bank_card_response::Outcome::Failure(said)) => {
                Err(convert::failure(&said, &question))
            }
            None => Err(outcome_unknown("the provider's reply says nothing")),
        }
    }

    async fn card_info(
        &self,
        question: &CardInquiry,
        context: &CallContext,
    ) -> Result<Answer, ProviderError> {
        let CardRef::Full(card) = &question.card else {
            return Err(ProviderError::cannot("only full card numbers are offered"));
        };
        self.check(Operation::CardInfo, None, context).await?;
        let message = QueryCardInfoRequest {
            bank_card: card.expose().to_owned(),
        };
        let reply = self
            .told(
                Operation::CardInfo,
                "/bankcard.provider.v1.ProviderService/QueryCardInfo",
                context.timeout,
                message,
                |mut client, request| async move { client.query_card_info(request).await },
            )
            .await;
        let question = Question::CardInfo(question.clone());
        match reply?.outcome {
            Some(query_card_info_response::Outcome::Answer(said)) => {
                Ok(convert::card_information(said, &question, Timestamp::now()))
            }
            Some(query_card_info_response::Outcome::Failure(said)) => {
                Err(convert::failure(&said, &question))
            }
            None => Err(outcome_unknown("the provider's reply says nothing")),
        }
    }
}

impl Remote {
    fn verification_request(&self, question: &Verification) -> VerifyBankCardRequest {
        let identity = question.identity();
        let code = identity.and_then(|it| self.identity_type_codes.get(&it.kind()));
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        VerifyBankCardRequest {
            bank_card: question.card.expose().to_owned(),
            name: question.name.expose().to_owned(),
            id_number: text(identity.map(Identity::expose)),
            phone: text(question.phone().map(Phone::expose)),
            identity_type: identity
                .map(|it| convert::identity_type_value(it.kind()).into())
                .unwrap_or_default(),
            identity_type_code: text(code.map(String::as_str)),
        }
    }
}

fn endpoint(settings: &GrpcSettings, vendor: &VendorSettings) -> Result<Endpoint, SetupError> {
    if vendor.proxy.is_some() {
        return Err(SetupError::Setting("proxy", "is not offered for grpc"));
    }
    let endpoint = Endpoint::from_shared(settings.endpoint.base())
        .map_err(|_| SetupError::Setting("endpoint", "is not a URL that gRPC can use"))?
        .connect_timeout(vendor.connect_timeout)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    if !settings.endpoint.is_tls() {
        return Ok(endpoint);
    }
    let tls = match &vendor.ca_file {
        Some(path) => {
            let pem = fs::read(path).map_err(|_| HttpClientError::CaFile)?;
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
        }
        None => ClientTlsConfig::new().with_native_roots(),
    };
    let problem = if vendor.ca_file.is_some() {
        HttpClientError::CaFile
    } else {
        HttpClientError::Tls
    };
    Ok(endpoint.tls_config(tls).map_err(|_| problem)?)
}

/// The trace goes on at the operator's own server.
fn hand_on(context: &trace::Context, metadata: &mut MetadataMap) {
    let parent = context.traceparent();
    let told = [
        ("traceparent", Some(parent.as_str())),
        ("tracestate", context.tracestate()),
    ];
    for (name, value) in told {
        if let Some(Ok(value)) = value.map(MetadataValue::try_from) {
            metadata.insert(name, value);
        }
    }
}

/// A request that tells the server how long it is waited for.
fn timed<T>(message: T, timeout: Duration) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(timeout);
    request
}

/// Reads a gRPC error. Its text stays unread: it may echo the request.
fn error_of(status: &Status, surely_not_sent: bool) -> ProviderError {
    // a status with a source was made up here, out of a failure of the connection: a peer that
    // resets streams in haste would otherwise pass for a server that throttles
    let said_by_the_server = std::error::Error::source(status).is_none();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented
            if said_by_the_server =>
        {
            let detail = "the provider does not accept the call";
            ProviderError::new(ProviderErrorKind::Misconfigured, detail)
        }
        Code::ResourceExhausted if said_by_the_server => {
            ProviderError::new(ProviderErrorKind::Throttled, "the provider has no room")
        }
        Code::InvalidArgument if said_by_the_server => {
            let detail = "the provider called the request invalid";
            ProviderError::new(ProviderErrorKind::Refused, detail)
        }
        _ if surely_not_sent => not_sent("no connection"),
        _ => outcome_unknown("the provider failed"),
    }
}

fn not_sent(detail: &'static str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::NotSent, detail)
}

fn outcome_unknown(detail: &'static str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::OutcomeUnknown, detail)
}

#[cfg(test)]
mod tests;
