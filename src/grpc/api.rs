//! The service behind the generated trait: read the request, ask, write the reply.

use std::{collections::BTreeSet, sync::Arc};

use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{
    arrived::Arrived,
    auth::{Admission, Callers, Method},
    convert::{self, Reading},
    path_switch::{ARRIVAL, Answers},
    status,
};
use crate::{
    config::LuhnPolicy,
    domain::{Factors, Operation, ProviderName, Question, Reason},
    proto::bankcard::v1::{
        QueryCardInfoRequest, QueryCardInfoResponse, VerifyBankCardRequest, VerifyBankCardResponse,
        bank_card_service_server::{BankCardService, BankCardServiceServer},
    },
    service::{
        Asked, Service,
        ask::{Ask, CacheMode, Caller, Reply},
        denial::{Denial, Stage},
    },
    telemetry::events,
};

/// The service behind the generated trait.
#[derive(Clone)]
pub struct Api {
    service: Service,
    luhn: LuhnPolicy,
    everybody: Arc<Caller>,
    providers: Arc<BTreeSet<ProviderName>>,
    max_deadline: std::time::Duration,
}

impl Api {
    /// Serves a service.
    #[must_use]
    pub fn new(service: Service, luhn: LuhnPolicy, max_deadline: std::time::Duration) -> Self {
        let providers = service.lanes().map(|lane| lane.name().clone()).collect();
        Self {
            service,
            luhn,
            everybody: Arc::new(Caller::anonymous()),
            providers: Arc::new(providers),
            max_deadline,
        }
    }

    /// The service in its generated clothes, taking messages of at most that many bytes from those
    /// who may call.
    #[must_use]
    pub fn into_server(
        self,
        max_message_bytes: usize,
        callers: Arc<Callers>,
    ) -> Admission<BankCardServiceServer<Self>> {
        let server = BankCardServiceServer::new(self).max_decoding_message_size(max_message_bytes);
        Admission::new(server, callers)
    }

    fn reading<T>(&self, request: &Request<T>) -> Reading {
        let arrived = request.extensions().get::<Arrived>();
        let deadline = arrived.map_or_else(
            || Instant::now() + self.max_deadline,
            |arrived| arrived.deadline.0,
        );
        let caller = arrived.and_then(|arrived| arrived.caller.as_ref());
        let caller = caller.unwrap_or(&self.everybody);
        Reading {
            caller: Arc::clone(caller),
            providers: Arc::clone(&self.providers),
            deadline,
            luhn: self.luhn,
            today: self.service.clock().today(),
        }
    }

    /// Reads a request for verification and begins to have it answered. Not part of the handler's
    /// future, which has a place for everything that is in it.
    fn verification(
        &self,
        request: Request<VerifyBankCardRequest>,
    ) -> Result<(Asking<'_>, Factors, bool), Status> {
        const METHOD: &str = Method::Verify.as_str();
        let reading = self.reading(&request);
        let ask = reading
            .verification(request.into_inner())
            .map_err(|violations| refuse(METHOD, Denial::Invalid(violations)))?;
        let Question::Verify(verification) = &ask.question else {
            return Err(status::plain(Reason::Internal));
        };
        let factors = verification.factors();
        let luhn_valid = verification.card.luhn_valid();
        Ok((self.begin(METHOD, ask)?, factors, luhn_valid))
    }

    /// The same for card information.
    fn card_inquiry(
        &self,
        request: Request<QueryCardInfoRequest>,
    ) -> Result<(Asking<'_>, Option<bool>), Status> {
        const METHOD: &str = Method::CardInfo.as_str();
        let reading = self.reading(&request);
        let ask = reading
            .card_inquiry(request.into_inner())
            .map_err(|violations| refuse(METHOD, Denial::Invalid(violations)))?;
        let Question::CardInfo(inquiry) = &ask.question else {
            return Err(status::plain(Reason::Internal));
        };
        let luhn_valid = inquiry.card.full().map(|card| card.luhn_valid());
        Ok((self.begin(METHOD, ask)?, luhn_valid))
    }

    fn begin(&self, method: &'static str, ask: Ask) -> Result<Asking<'_>, Status> {
        if ask.mode == CacheMode::Bypass && !ask.caller.may_bypass {
            return Err(refuse(method, Denial::because(Reason::BypassNotAllowed)));
        }
        Ok(Asking {
            method,
            operation: ask.question.operation(),
            begun: Instant::now(),
            asked: self.service.begin(ask),
        })
    }
}

/// A question that the service was asked.
struct Asking<'a> {
    method: &'static str,
    operation: Operation,
    begun: Instant,
    asked: Asked<'a>,
}

impl Asking<'_> {
    /// Waits for what comes of it, and tells of it.
    async fn reply(self) -> Result<Reply, Status> {
        let result = match self.asked {
            Asked::AtOnce(result) => result,
            Asked::Later(later) => later.await,
        };
        match &result {
            Ok(reply) => events::answered(
                self.method,
                self.operation,
                &reply.provider,
                &reply.answer.finding,
                reply.source,
                reply.charge,
                self.begun.elapsed(),
            ),
            Err(denial) => {
                events::denied(self.method, denial.reason_name(), self.begun.elapsed());
            }
        }
        result.map_err(|denial| status::status(&denial))
    }
}

#[tonic::async_trait]
impl BankCardService for Api {
    async fn verify_bank_card(
        &self,
        request: Request<VerifyBankCardRequest>,
    ) -> Result<Response<VerifyBankCardResponse>, Status> {
        let (asking, factors, luhn_valid) = self.verification(request)?;
        convert::verification_reply(asking.reply().await?, factors, luhn_valid)
            .map(Response::new)
            .ok_or_else(|| status::plain(Reason::Internal))
    }

    async fn query_card_info(
        &self,
        request: Request<QueryCardInfoRequest>,
    ) -> Result<Response<QueryCardInfoResponse>, Status> {
        let (asking, luhn_valid) = self.card_inquiry(request)?;
        convert::card_info_reply(asking.reply().await?, luhn_valid)
            .map(Response::new)
            .ok_or_else(|| status::plain(Reason::Internal))
    }
}

fn refuse(method: &'static str, denial: Denial) -> Status {
    events::denied(method, denial.reason_name(), std::time::Duration::ZERO);
    status::status(&denial)
}

/// The answers that are given without asking the service.
#[must_use]
pub fn answers() -> Answers {
    Answers {
        refused: |reason| status::plain(reason).into_http(),
        deadline_exceeded: |stage| {
            let stage = if stage == ARRIVAL {
                Stage::Receiving
            } else {
                Stage::Waiting
            };
            status::status(&Denial::deadline(stage)).into_http()
        },
    }
}
