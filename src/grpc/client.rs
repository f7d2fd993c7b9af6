//! The client that the command line asks with.
//!
//! It speaks in plain types of its own, so that the command line names neither tonic nor generated
//! code, and asks every question once: what to do after a failure is for the person to decide.

mod address;
mod answer;
mod failure;

use std::{
    fmt,
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret, SecretString};
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    domain::IdentityType,
    proto::bankcard::v1::{self, bank_card_service_client::BankCardServiceClient},
};

pub use address::{Address, AddressError};
pub use answer::{AttemptLine, CardInfoAnswer, Symbol, VerifyAnswer};
pub(super) use failure::code_name;
pub use failure::{CallFailure, ClientError, QuotaViolation, Violation};

/// Whom to ask, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where the server is.
    pub address: Address,
    /// Certificate authorities to trust instead of the system's (PEM).
    pub ca: Option<Vec<u8>>,
    /// The client's own certificate.
    pub identity: Option<ClientIdentity>,
    /// The bearer token.
    pub token: Option<SecretString>,
    /// The longest that connecting may take, and after it a question.
    pub timeout: Duration,
}

/// A certificate and its private key.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    /// The certificate chain (PEM).
    pub cert: String,
    /// The private key (PEM).
    pub key: SecretString,
}

/// How the cache may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheMode {
    /// Use it.
    #[default]
    Use,
    /// Ask a vendor whatever it knows.
    Bypass,
    /// Ask no vendor.
    OnlyIfCached,
}

/// What goes with a question of either kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// How the cache may be used.
    pub cache_mode: CacheMode,
    /// The oldest answer that is wanted.
    pub max_age: Option<Duration>,
    /// The provider that alone shall be asked; empty: the configured route.
    pub provider: String,
    /// A UUID that makes retries safe; empty: none.
    pub request_id: String,
    /// The reference to the card holder's consent; empty: none. Only of a verification.
    pub consent_reference: String,
}

/// Does this card belong to this person?
#[derive(Debug, Clone, Default)]
pub struct VerifyQuestion {
    /// The card number.
    pub bank_card: SecretString,
    /// The card holder's name.
    pub name: SecretString,
    /// The number of the identity document; empty: none.
    pub id_number: SecretString,
    /// The phone registered with the bank; empty: none.
    pub phone: SecretString,
    /// What kind of document it is.
    pub identity_type: Option<IdentityType>,
    /// What goes with it.
    pub terms: Terms,
}

/// What is this card?
#[derive(Debug, Clone, Default)]
pub struct CardInfoQuestion {
    /// The card number or its first digits.
    pub bank_card: SecretString,
    /// What goes with it.
    pub terms: Terms,
}

/// What a server says about its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// `SERVING`
    Serving,
    /// `NOT_SERVING`
    NotServing,
    /// It does not know the service that was asked about.
    Unknown,
}

/// A connection to a server.
pub struct Client {
    channel: Channel,
    bearer: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When certificates or token cannot be used, or the server cannot be reached in time.
    pub async fn connect(target: &Target) -> Result<Self, ClientError> {
        let bearer = target.token.as_ref().map(bearer).transpose()?;
        let endpoint = endpoint(target)?;
        let cannot_connect = |why: String| ClientError::CannotConnect {
            address: target.address.to_string(),
            why,
        };
        let channel = tokio::time::timeout(target.timeout, endpoint.connect())
            .await
            .map_err(|_| cannot_connect("no answer in time".into()))?
            .map_err(|error| cannot_connect(failure::innermost(&error)))?;
        Ok(Self {
            channel,
            bearer,
            timeout: target.timeout,
        })
    }

    /// Asks whether a card belongs to a person.
    ///
    /// # Errors
    /// When there is no vendor's answer.
    pub async fn verify(&self, question: &VerifyQuestion) -> Result<VerifyAnswer, ClientError> {
        let terms = &question.terms;
        let request = self.request(v1::VerifyBankCardRequest {
            bank_card: question.bank_card.expose_secret().to_owned(),
            name: question.name.expose_secret().to_owned(),
            id_number: question.id_number.expose_secret().to_owned(),
            phone: question.phone.expose_secret().to_owned(),
            identity_type: identity_type(question.identity_type).into(),
            cache: cache_policy(terms),
            provider: terms.provider.clone(),
            request_id: terms.request_id.clone(),
            consent_reference: terms.consent_reference.clone(),
        });
        let mut client = BankCardServiceClient::new(self.channel.clone());
        let asked_at = Instant::now();
        let reply = client.verify_bank_card(request).await;
        self.settle(asked_at, reply).map(VerifyAnswer::from)
    }

    /// Asks what a card is.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn card_info(
        &self,
        question: &CardInfoQuestion,
    ) -> Result<CardInfoAnswer, ClientError> {
        let terms = &question.terms;
        let request = self.request(v1::QueryCardInfoRequest {
            bank_card: question.bank_card.expose_secret().to_owned(),
            cache: cache_policy(terms),
            provider: terms.provider.clone(),
            request_id: terms.request_id.clone(),
        });
        let mut client = BankCardServiceClient::new(self.channel.clone());
        let asked_at = Instant::now();
        let reply = client.query_card_info(request).await;
        self.settle(asked_at, reply).map(CardInfoAnswer::from)
    }

    /// Asks for the health of a service of the server; an empty name means the server as a whole.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn health(&self, service: &str) -> Result<Health, ClientError> {
        let request = self.request(HealthCheckRequest {
            service: service.to_owned(),
        });
        let mut client = HealthClient::new(self.channel.clone());
        let asked_at = Instant::now();
        match client.check(request).await {
            Ok(reply) => Ok(match reply.get_ref().status() {
                ServingStatus::Serving => Health::Serving,
                ServingStatus::NotServing => Health::NotServing,
                ServingStatus::Unknown | ServingStatus::ServiceUnknown => Health::Unknown,
            }),
            Err(status) if status.code() == tonic::Code::NotFound => Ok(Health::Unknown),
            Err(status) => Err(self.failure(asked_at, &status)),
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        if let Some(bearer) = &self.bearer {
            request
                .metadata_mut()
                .insert("authorization", bearer.clone());
        }
        request
    }

    fn settle<T>(
        &self,
        asked_at: Instant,
        reply: Result<Response<T>, Status>,
    ) -> Result<T, ClientError> {
        reply
            .map(Response::into_inner)
            .map_err(|status| self.failure(asked_at, &status))
    }

    fn failure(&self, asked_at: Instant, status: &Status) -> ClientError {
        // the channel enforces the deadline as well, and calls that a cancellation
        let cut_here = status.code() == tonic::Code::Cancelled
            && status.details().is_empty()
            && asked_at.elapsed() >= self.timeout;
        if cut_here {
            return ClientError::TooLate {
                timeout: self.timeout,
            };
        }
        ClientError::Call(Box::new(CallFailure::from_status(status)))
    }
}

fn bearer(token: &SecretString) -> Result<MetadataValue<Ascii>, ClientError> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.expose_secret())
        .parse()
        .map_err(|_| ClientError::TokenMalformed)?;
    // kept out of header compression tables and of Debug output
    value.set_sensitive(true);
    Ok(value)
}

fn endpoint(target: &Target) -> Result<Endpoint, ClientError> {
    let endpoint = Endpoint::from_shared(target.address.to_string())
        .map_err(|_| ClientError::Address(AddressError::Malformed))?
        .connect_timeout(target.timeout)
        .tcp_nodelay(true);
    if !target.address.is_https() {
        if target.ca.is_some() || target.identity.is_some() {
            return Err(ClientError::TlsWithoutHttps);
        }
        return Ok(endpoint);
    }
    let mut tls = ClientTlsConfig::new().timeout(target.timeout);
    tls = match &target.ca {
        Some(ca) => tls.ca_certificate(Certificate::from_pem(ca)),
        None => tls.with_native_roots(),
    };
    if let Some(identity) = &target.identity {
        tls = tls.identity(Identity::from_pem(
            &identity.cert,
            identity.key.expose_secret(),
        ));
    }
    endpoint
        .tls_config(tls)
        .map_err(|error| ClientError::Tls(failure::innermost(&error)))
}

fn identity_type(kind: Option<IdentityType>) -> v1::IdentityType {
    match kind {
        None => v1::IdentityType::Unspecified,
        Some(IdentityType::ResidentId) => v1::IdentityType::ResidentId,
        Some(IdentityType::Passport) => v1::IdentityType::Passport,
        Some(IdentityType::HkMacaoPermit) => v1::IdentityType::HkMacaoPermit,
        Some(IdentityType::TaiwanPermit) => v1::IdentityType::TaiwanPermit,
        Some(IdentityType::ForeignPermanentResident) => v1::IdentityType::ForeignPermanentResident,
        Some(IdentityType::MilitaryOfficer) => v1::IdentityType::MilitaryOfficer,
        Some(IdentityType::Soldier) => v1::IdentityType::Soldier,
        Some(IdentityType::PoliceOfficer) => v1::IdentityType::PoliceOfficer,
        Some(IdentityType::Other) => v1::IdentityType::Other,
    }
}

fn cache_policy(terms: &Terms) -> Option<v1::CachePolicy> {
    if terms.cache_mode == CacheMode::Use && terms.max_age.is_none() {
        return None;
    }
    let mode = match terms.cache_mode {
        CacheMode::Use => v1::CacheMode::Unspecified,
        CacheMode::Bypass => v1::CacheMode::Bypass,
        CacheMode::OnlyIfCached => v1::CacheMode::OnlyIfCached,
    };
    Some(v1::CachePolicy {
        mode: mode.into(),
        max_age: terms.max_age.map(|age| prost_types::Duration {
            seconds: i64::try_from(age.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(age.subsec_nanos()).unwrap_or(0),
        }),
    })
}
