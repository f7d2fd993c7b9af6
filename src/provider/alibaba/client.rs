//! The calls.

use std::borrow::Cow;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    codes::{self, ErrorClass},
    config::{self, ACCESS_KEY_ID, ACCESS_KEY_SECRET, IdentityTypes, SECURITY_TOKEN},
    sign::{EMPTY_BODY_SHA256, Signed},
    wire::{self, Reply, ResultObject},
};
use crate::{
    config::providers::{AlibabaParamType, AlibabaProduct, AlibabaSettings, VendorSettings},
    domain::{
        Answer, CardInquiry, Charge, Factors, Finding, Operation, ProviderMessage, ProviderName,
        Question, ResultCode, VendorToken, Verification,
    },
    provider::{
        CallContext, Capabilities, Probe, Provider, ProviderError, ProviderErrorKind,
        credentials::{CredentialSet, Credentials},
        http::{HttpCall, HttpClient, HttpReply},
        setup::SetupError,
        vendor_reply::{Json, error_of},
    },
};

/// Alibaba Cloud ID Verification.
pub struct Alibaba {
    name: ProviderName,
    http: HttpClient,
    authority: String,
    credentials: Credentials,
    product: AlibabaProduct,
    param_type: AlibabaParamType,
    identity_types: IdentityTypes,
}

impl Alibaba {
    /// Makes the provider; `env` looks up variables that secrets are in.
    ///
    /// # Errors
    /// When a secret, a file or a setting cannot be used.
    pub fn new(
        name: ProviderName,
        settings: &AlibabaSettings,
        vendor: &VendorSettings,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            http: HttpClient::new(&name, &settings.endpoint, vendor)?,
            authority: settings.endpoint.authority(),
            credentials: Credentials::load(config::secrets(settings), env)?,
            product: settings.product,
            param_type: settings.param_type,
            identity_types: IdentityTypes::new(vendor)?,
            name,
        })
    }

    /// Its secrets, to be refreshed now and then.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    async fn post(
        &self,
        operation: Option<Operation>,
        action: (&str, &str),
        canonical_query: Zeroizing<String>,
        context: &CallContext,
    ) -> Result<HttpReply, ProviderError> {
        let attempt = AttemptStamp::now();
        let credentials = self.credentials.current();
        let headers = self.headers(&credentials, action, &canonical_query, &attempt);
        let path_and_query = if canonical_query.is_empty() {
            "/".to_owned()
        } else {
            ["/?", canonical_query.as_str()].concat()
        };
        let call = HttpCall {
            path_and_query,
            headers,
            body: Vec::new(),
            operation,
            url_template: "/",
        };
        let mut reply = self.http.post(call, context.timeout).await?;
        credentials.mask_in(&mut reply.body);
        Ok(reply)
    }

    fn headers(
        &self,
        credentials: &CredentialSet,
        (action, version): (&str, &str),
        canonical_query: &str,
        attempt: &AttemptStamp,
    ) -> Vec<(&'static str, Cow<'static, str>)> {
        let id = credentials.get(ACCESS_KEY_ID).unwrap_or_default();
        let secret = credentials.get(ACCESS_KEY_SECRET).unwrap_or_default();
        let token = credentials.get(SECURITY_TOKEN);
        // sorted by name, as the signature wants them
        let parts = [
            ("host", Some(self.authority.as_str())),
            ("x-acs-accesskey-id", token.map(|_| id)),
            ("x-acs-action", Some(action)),
            ("x-acs-content-sha256", Some(EMPTY_BODY_SHA256)),
            ("x-acs-date", Some(attempt.date.as_str())),
            ("x-acs-security-token", token),
            ("x-acs-signature-nonce", Some(attempt.nonce.as_str())),
            ("x-acs-version", Some(version)),
        ];
        let mut signed = Vec::with_capacity(parts.len());
        signed.extend(
            parts
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name, value))),
        );
        let authorization = Signed {
            canonical_query,
            headers: &signed,
        }
        .authorization(id, secret);
        let mut headers = Vec::with_capacity(signed.len() + 2);
        headers.push(("accept", "application/json".into()));
        headers.push(("authorization", authorization.into()));
        // the client itself writes `host`, from the same endpoint
        let own = signed.into_iter().filter(|(name, _)| *name != "host");
        headers.extend(own.map(|(name, value)| (name, value.to_owned().into())));
        headers
    }

    /// The probe names no card, so nothing of it could come back.
    fn probed(&self, reply: &HttpReply) -> Result<Probe, ProviderError> {
        let json = Json::object(&reply.body);
        match wire::read(reply, json.as_ref()) {
            Reply::Success { .. } => Ok(Probe::Accepted),
            Reply::Error { code: None, .. } if reply.status == 200 => Ok(Probe::Accepted),
            Reply::Error { code, request_id } => {
                let class = codes::error_class(self.product, code.as_deref(), reply.status);
                let kind = match class {
                    ErrorClass::Error(kind) => kind,
                    ErrorClass::AttemptsExceeded => ProviderErrorKind::Throttled,
                };
                let mut error = error_of(reply, kind, "the vendor replied with an error");
                error.provider_code = VendorToken::trusted(code.as_deref().unwrap_or_default());
                error.provider_request_id = VendorToken::trusted(request_id);
                Err(error)
            }
            Reply::Unusable => Err(unusable(reply)),
        }
    }
}

#[async_trait]
impl Provider for Alibaba {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn secrets(&self) -> Option<&Credentials> {
        Some(&self.credentials)
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities = Capabilities::none()
            .with_factors(Factors::Two)
            .with_factors(Factors::Three)
            .with_factors(Factors::Four);
        self.identity_types
            .kinds()
            .fold(capabilities, Capabilities::with_identity)
    }

    async fn verify(
        &self,
        question: &Verification,
        context: &CallContext,
    ) -> Result<Answer, ProviderError> {
        let identity_type = match question.identity() {
            Some(identity) => self
                .identity_types
                .code(identity.kind())
                .map_err(|_| ProviderError::cannot("no IdentityType for this kind of document"))?,
            None => None,
        };
        let query =
            wire::verification_query(question, self.product, self.param_type, identity_type);
        let operation = Some(question.factors().into());
        let action = config::action(self.product);
        let reply = self.post(operation, action, query, context).await?;
        let question = Question::Verify(question.clone());
        read_reply(&reply, &question, self.product, Timestamp::now())
    }

    async fn card_info(
        &self,
        _question: &CardInquiry,
        _context: &CallContext,
    ) -> Result<Answer, ProviderError> {
        Err(ProviderError::cannot("no card information at this vendor"))
    }

    async fn probe(&self, context: &CallContext) -> Result<Probe, ProviderError> {
        let Some(action) = config::probe_action(self.product) else {
            return Ok(Probe::NotOffered);
        };
        let reply = self
            .post(None, action, Zeroizing::default(), context)
            .await?;
        self.probed(&reply)
    }
}

/// What makes one attempt different from every other: the same request sent twice would be taken
/// for a replay.
struct AttemptStamp {
    date: String,
    nonce: String,
}

impl AttemptStamp {
    fn now() -> Self {
        Self {
            date: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            nonce: Uuid::new_v4().simple().to_string(),
        }
    }
}

/// Reads a reply to a verification. Pure.
///
/// # Errors
/// When it holds no answer.
pub fn read_reply(
    reply: &HttpReply,
    question: &Question,
    product: AlibabaProduct,
    now: Timestamp,
) -> Result<Answer, ProviderError> {
    let json = Json::object(&reply.body);
    match wire::read(reply, json.as_ref()) {
        Reply::Success {
            request_id,
            result: Some(result),
        } => Ok(answer(question, &result, request_id, now)),
        Reply::Error { code, request_id } => {
            let code = code.as_deref();
            match codes::error_class(product, code, reply.status) {
                ErrorClass::AttemptsExceeded => {
                    Ok(attempts_exceeded(question, code, request_id, now))
                }
                ErrorClass::Error(kind) => {
                    let mut error = error_of(reply, kind, "the vendor replied with an error");
                    let code = code.unwrap_or_default();
                    error.provider_code = VendorToken::screened(code, question);
                    error.provider_request_id = VendorToken::screened(request_id, question);
                    Err(error)
                }
            }
        }
        Reply::Success {
            request_id,
            result: None,
        } => {
            let mut error = unusable(reply);
            error.provider_request_id = VendorToken::screened(request_id, question);
            Err(error)
        }
        Reply::Unusable => Err(unusable(reply)),
    }
}

fn answer(
    question: &Question,
    result: &ResultObject<'_>,
    request_id: &str,
    answered_at: Timestamp,
) -> Answer {
    let (code, charge) = codes::verification(result.biz_code, result.sub_code);
    Answer {
        finding: Finding::verified(code),
        charge,
        provider_code: VendorToken::screened(result.sub_code.unwrap_or(result.biz_code), question),
        provider_message: ProviderMessage::None,
        provider_request_id: VendorToken::screened(request_id, question),
        answered_at,
    }
}

fn attempts_exceeded(
    question: &Question,
    code: Option<&str>,
    request_id: &str,
    answered_at: Timestamp,
) -> Answer {
    Answer {
        finding: Finding::verified(ResultCode::AttemptsExceeded),
        charge: Charge::NotCharged,
        // the long code of the international product has no room in a reply; its result says it all
        provider_code: VendorToken::screened(code.unwrap_or_default(), question),
        provider_message: ProviderMessage::None,
        provider_request_id: VendorToken::screened(request_id, question),
        answered_at,
    }
}

fn unusable(reply: &HttpReply) -> ProviderError {
    error_of(
        reply,
        ProviderErrorKind::OutcomeUnknown,
        "the reply cannot be read",
    )
}

#[cfg(test)]
mod tests;
