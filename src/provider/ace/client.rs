//! The calls.

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{
    codes,
    config::{self, CertTypes},
    sign,
    wire::{self, ErrorBody, Reply, ResultBody},
};
use crate::{
    config::providers::{AceCodeTable, AceSettings, VendorSettings},
    domain::{
        Answer, CardFacts, CardInfoResult, CardInquiry, Charge, Factors, Finding, Operation,
        ProviderMessage, ProviderName, Question, VendorToken, Verification, vendor_text::bank_name,
    },
    provider::{
        CallContext, Capabilities, Provider, ProviderError, ProviderErrorKind,
        codes::wording_of,
        credentials::Credentials,
        http::{HttpCall, HttpClient, HttpReply},
        setup::SetupError,
        vendor_reply::{Json, error_of},
    },
    telemetry::events,
};

/// Ace Data Cloud.
pub struct Ace {
    name: ProviderName,
    http: HttpClient,
    credentials: Credentials,
    code_table: AceCodeTable,
    cert_types: CertTypes,
    conflicts_told: Mutex<HashSet<(Operation, &'static str)>>,
}

impl Ace {
    /// Makes the provider; `env` looks up variables that secrets are in.
    ///
    /// # Errors
    /// When a secret, a file or a setting cannot be used.
    pub fn new(
        name: ProviderName,
        settings: &AceSettings,
        vendor: &VendorSettings,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            http: HttpClient::new(&name, &settings.endpoint, vendor)?,
            credentials: Credentials::load(config::secrets(settings), env)?,
            code_table: settings.code_table,
            cert_types: CertTypes::new(vendor)?,
            conflicts_told: Mutex::default(),
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
        operation: Operation,
        body: Vec<u8>,
        context: &CallContext,
    ) -> Result<HttpReply, ProviderError> {
        let credentials = self.credentials.current();
        let authorization = sign::authorization(&credentials);
        let path = path(operation);
        let call = HttpCall {
            path_and_query: path.to_owned(),
            headers: vec![
                ("accept", "application/json".into()),
                ("content-type", "application/json".into()),
                ("authorization", authorization.into()),
            ],
            body,
            operation: Some(operation),
            url_template: path,
        };
        let mut reply = self.http.post(call, context.timeout).await?;
        credentials.mask_in(&mut reply.body);
        Ok(reply)
    }

    fn note_conflict(&self, operation: Operation, conflict: Option<&'static str>) {
        let Some(code) = conflict else { return };
        events::provider_code_conflict(&self.name, operation);
        if self.conflicts_told.lock().insert((operation, code)) {
            events::provider_code_conflict_first_seen(&self.name, operation, code);
        }
    }

    fn read(&self, question: &Question, reply: &HttpReply) -> Result<Answer, ProviderError> {
        let said = read_reply(reply, question, self.code_table, Timestamp::now())?;
        self.note_conflict(question.operation(), said.conflict);
        Ok(said.answer)
    }
}

/// An answer, and whether its own text contradicts it.
#[derive(Debug)]
pub struct Said {
    /// The answer.
    pub answer: Answer,
    /// The known code that the vendor's text contradicts, where it does.
    pub conflict: Option<&'static str>,
}

/// Reads a reply. Pure.
///
/// # Errors
/// When it holds no answer.
pub fn read_reply(
    reply: &HttpReply,
    question: &Question,
    table: AceCodeTable,
    now: Timestamp,
) -> Result<Said, ProviderError> {
    let json = Json::object(&reply.body);
    let body = result_of(question, reply, json.as_ref())?;
    let (finding, charge, conflict) = match question.operation() {
        Operation::CardInfo => card_info(question, &body),
        operation => {
            let reading = codes::verification(table, operation, &body.code, body.description);
            let finding = Finding::Verification {
                result: reading.result,
                certainty: reading.certainty,
            };
            (finding, reading.charge, reading.conflict)
        }
    };
    Ok(Said {
        answer: answer(question, &body, finding, charge, now),
        conflict,
    })
}

fn card_info(
    question: &Question,
    body: &ResultBody<'_>,
) -> (Finding, Charge, Option<&'static str>) {
    let reading = codes::card_info(&body.code, body.description);
    let facts = match reading.result {
        CardInfoResult::Found => CardFacts {
            bank_name: bank_name(body.account_bank, question).into(),
            card_type: body.account_type,
            ..CardFacts::default()
        },
        _ => CardFacts::default(),
    };
    let finding = Finding::CardInfo {
        result: reading.result,
        facts,
    };
    (finding, reading.charge, reading.conflict)
}

#[async_trait]
impl Provider for Ace {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn secrets(&self) -> Option<&Credentials> {
        Some(&self.credentials)
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities = Capabilities::none()
            .with(Operation::CardInfo)
            .with_factors(Factors::Two)
            .with_factors(Factors::Three)
            .with_factors(Factors::Four);
        self.cert_types
            .kinds()
            .fold(capabilities, Capabilities::with_identity)
    }

    async fn verify(
        &self,
        question: &Verification,
        context: &CallContext,
    ) -> Result<Answer, ProviderError> {
        let cert_type = match question.identity() {
            Some(identity) => self
                .cert_types
                .code(identity.kind())
                .map_err(|_| ProviderError::cannot("no cert_type for this kind of document"))?,
            None => None,
        };
        let body = wire::verification_body(question, cert_type);
        let reply = self.post(question.factors().into(), body, context).await?;
        self.read(&Question::Verify(question.clone()), &reply)
    }

    async fn card_info(
        &self,
        question: &CardInquiry,
        context: &CallContext,
    ) -> Result<Answer, ProviderError> {
        let Some(card) = question.card.full() else {
            return Err(ProviderError::cannot("full card numbers only"));
        };
        let body = wire::card_info_body(card.expose());
        let reply = self.post(Operation::CardInfo, body, context).await?;
        self.read(&Question::CardInfo(question.clone()), &reply)
    }
}

const fn path(operation: Operation) -> &'static str {
    match operation {
        Operation::CardInfo => "/identity/bankcard/check-1e",
        Operation::VerifyTwo => "/identity/bankcard/check-2e",
        Operation::VerifyThree => "/identity/bankcard/check-3e",
        Operation::VerifyFour => "/identity/bankcard/check-4e",
    }
}

fn result_of<'a>(
    question: &Question,
    reply: &HttpReply,
    body: Option<&'a Json>,
) -> Result<ResultBody<'a>, ProviderError> {
    match wire::read(reply, body) {
        Reply::Result(body) => Ok(body),
        Reply::Error(error) => Err(error_from(question, reply, &error)),
        Reply::Unusable => Err(error_of(
            reply,
            ProviderErrorKind::OutcomeUnknown,
            "the reply contradicts itself",
        )),
    }
}

fn error_from(question: &Question, reply: &HttpReply, body: &ErrorBody<'_>) -> ProviderError {
    let kind = codes::error_kind(body.code, reply.status);
    let mut error = error_of(reply, kind, "the vendor replied with an error");
    error.provider_code = VendorToken::screened(body.code.unwrap_or_default(), question);
    error.provider_request_id = VendorToken::screened(body.trace_id, question);
    error
}

fn answer(
    question: &Question,
    body: &ResultBody<'_>,
    finding: Finding,
    charge: Charge,
    answered_at: Timestamp,
) -> Answer {
    Answer {
        finding,
        charge,
        provider_code: VendorToken::screened(&body.code, question),
        provider_message: ProviderMessage::screened(body.description, question, wording_of),
        provider_request_id: VendorToken::screened(body.trace_id, question),
        answered_at,
    }
}

#[cfg(test)]
mod tests;
