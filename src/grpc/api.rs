//! The service behind its methods: read the request, ask, write the reply.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use tonic::{Request, Response, Status};

use super::{
    arrived::Arrived,
    auth::Method,
    convert::{self, Reading},
    path_switch::{ARRIVAL, Answers},
    status,
};
use crate::{
    config::LuhnPolicy,
    domain::{Factors, Operation, ProviderName, Question, Reason},
    proto::bankcard::v1::{
        QueryCardInfoRequest, QueryCardInfoResponse, VerifyBankCardRequest, VerifyBankCardResponse,
        bank_card_service_server::BankCardService,
    },
    service::{
        Asked, Service,
        ask::{Ask, CacheMode, Caller, Reply},
        clock::date_at,
        denial::{Denial, Stage},
    },
    telemetry::events::{self, Took},
};

/// The service behind its methods.
#[derive(Clone)]
pub struct Api {
    service: Service,
    luhn: LuhnPolicy,
    everybody: Arc<Caller>,
    providers: Arc<BTreeSet<ProviderName>>,
}

impl Api {
    /// Serves a service.
    #[must_use]
    pub fn new(service: Service, luhn: LuhnPolicy) -> Self {
        let providers = service.lanes().map(|lane| lane.name().clone()).collect();
        Self {
            service,
            luhn,
            everybody: Arc::new(Caller::anonymous()),
            providers: Arc::new(providers),
        }
    }

    fn reading<'a>(&'a self, arrived: &'a Arrived, now: Timestamp) -> Reading<'a> {
        Reading {
            caller: arrived.caller.as_ref().unwrap_or(&self.everybody),
            providers: &self.providers,
            deadline: arrived.deadline.0,
            luhn: self.luhn,
            today: date_at(now),
        }
    }

    /// Reads a request for verification and begins to have it answered. Not part of the handler's
    /// future, which has a place for everything that is in it.
    pub(super) fn verification(
        &self,
        arrived: &Arrived,
        request: VerifyBankCardRequest,
    ) -> Result<Asking<VerificationReply>, Status> {
        const METHOD: &str = Method::Verify.as_str();
        let now = self.service.clock().now();
        let ask = self
            .reading(arrived, now)
            .verification(request)
            .map_err(|violations| refuse(METHOD, Denial::Invalid(violations)))?;
        let Question::Verify(verification) = &ask.question else {
            return Err(status::plain(Reason::Internal));
        };
        let shape = VerificationReply {
            factors: verification.factors(),
            luhn_valid: verification.card.luhn_valid(),
        };
        self.begin(METHOD, arrived, now, ask, shape)
    }

    /// The same for card information.
    pub(super) fn card_inquiry(
        &self,
        arrived: &Arrived,
        request: QueryCardInfoRequest,
    ) -> Result<Asking<CardInfoReply>, Status> {
        const METHOD: &str = Method::CardInfo.as_str();
        let now = self.service.clock().now();
        let ask = self
            .reading(arrived, now)
            .card_inquiry(request)
            .map_err(|violations| refuse(METHOD, Denial::Invalid(violations)))?;
        let Question::CardInfo(inquiry) = &ask.question else {
            return Err(status::plain(Reason::Internal));
        };
        let luhn_valid = inquiry.card.full().map(|card| card.luhn_valid());
        self.begin(METHOD, arrived, now, ask, CardInfoReply { luhn_valid })
    }

    fn begin<S>(
        &self,
        method: &'static str,
        arrived: &Arrived,
        now: Timestamp,
        ask: Ask,
        shape: S,
    ) -> Result<Asking<S>, Status> {
        if ask.mode == CacheMode::Bypass && !ask.caller.may_bypass {
            return Err(refuse(method, Denial::because(Reason::BypassNotAllowed)));
        }
        let operation = ask.question.operation();
        let asked = self.service.begin(ask, now);
        let took = Took {
            begun: arrived.at,
            at_once: !arrived.waited && matches!(asked, Asked::AtOnce(_)),
        };
        let told = Told {
            method,
            operation,
            took,
            shape,
        };
        Ok(Asking { told, asked })
    }
}

/// A question that the service was asked.
pub(super) struct Asking<S> {
    /// What is told of it when it is answered.
    pub told: Told<S>,
    /// What becomes of it.
    pub asked: Asked,
}

/// What is known of a question once it is asked.
pub(super) struct Told<S> {
    method: &'static str,
    operation: Operation,
    took: Took,
    shape: S,
}

/// How an answer is written.
pub(super) trait Shape: Send + Sync + 'static {
    /// The message that it is written as.
    type Message: prost::Message;

    /// Writes it; `None` if it answers something else.
    fn write(&self, reply: Reply) -> Option<Self::Message>;
}

/// What a reply to a verification says beside its answer.
pub(super) struct VerificationReply {
    factors: Factors,
    luhn_valid: bool,
}

impl Shape for VerificationReply {
    type Message = VerifyBankCardResponse;

    fn write(&self, reply: Reply) -> Option<VerifyBankCardResponse> {
        convert::verification_reply(reply, self.factors, self.luhn_valid)
    }
}

/// What a reply about a card says beside its answer.
pub(super) struct CardInfoReply {
    luhn_valid: Option<bool>,
}

impl Shape for CardInfoReply {
    type Message = QueryCardInfoResponse;

    fn write(&self, reply: Reply) -> Option<QueryCardInfoResponse> {
        convert::card_info_reply(reply, self.luhn_valid)
    }
}

impl<S: Shape> Told<S> {
    /// Tells of what came of it, and writes it.
    pub(super) fn reply(&self, result: Result<Reply, Denial>) -> Result<S::Message, Status> {
        match result {
            Ok(reply) => {
                events::answered(
                    self.method,
                    self.operation,
                    &reply.provider,
                    &reply.answer.finding,
                    reply.source,
                    reply.charge,
                    self.took,
                );
                let message = self.shape.write(reply);
                message.ok_or_else(|| status::plain(Reason::Internal))
            }
            Err(denial) => {
                let latency = self.took.begun.elapsed();
                events::denied(self.method, denial.reason_name(), latency);
                Err(status::status(&denial))
            }
        }
    }
}

impl<S: Shape> Asking<S> {
    async fn reply(self) -> Result<Response<S::Message>, Status> {
        let result = match self.asked {
            Asked::AtOnce(result) => result,
            Asked::Later(later) => later.await,
        };
        self.told.reply(result).map(Response::new)
    }
}

/// What is known about a call that the generated code has.
fn taken_apart<T>(request: Request<T>) -> Result<(Arrived, T), Status> {
    let (_, mut extensions, message) = request.into_parts();
    let arrived = extensions.remove::<Arrived>();
    // who calls is noted there; without it, the call would be taken for everybody's
    let arrived = arrived.ok_or_else(|| status::plain(Reason::Internal))?;
    Ok((arrived, message))
}

#[tonic::async_trait]
impl BankCardService for Api {
    async fn verify_bank_card(
        &self,
        request: Request<VerifyBankCardRequest>,
    ) -> Result<Response<VerifyBankCardResponse>, Status> {
        let (arrived, message) = taken_apart(request)?;
        self.verification(&arrived, message)?.reply().await
    }

    async fn query_card_info(
        &self,
        request: Request<QueryCardInfoRequest>,
    ) -> Result<Response<QueryCardInfoResponse>, Status> {
        let (arrived, message) = taken_apart(request)?;
        self.card_inquiry(&arrived, message)?.reply().await
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
