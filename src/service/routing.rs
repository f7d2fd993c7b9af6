//! Which vendors are asked, in which order, and when the asking ends.
//!
//! One definite answer ends it. Another vendor is asked only when a request surely did not run, or
//! when the answer was that the issuer was not asked or cannot be served there. A request that may
//! have run ends it as well: it is never sent again.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{
    ask::Ask,
    denial::{Denial, Refusal, Stage},
    flight::Flight,
    lane::{Lane, Obstacle, Permit},
};
use crate::{
    domain::{
        Answer, Attempt, AttemptOutcome, CardInfoResult, Charge, FailOver, Finding, ProviderName,
        Question, Reason, Source,
    },
    provider::{CallContext, ProviderError, ProviderErrorKind},
};

/// When to ask again where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A provider that does not keep to its own timeout is given up this much later.
const OVERTIME: Duration = Duration::from_millis(500);

/// What routing needs to know beside the question.
pub struct Policy {
    /// Whether an answer that issuer or card cannot be served may be sought elsewhere.
    pub failover_on_unsupported: bool,
    /// Less than this left: no new attempt.
    pub min_attempt: Duration,
    /// The longest wait for a free slot.
    pub max_queue: Duration,
}

/// One question's way past the vendors.
pub struct Journey<'a> {
    policy: &'a Policy,
    ask: &'a Ask,
    flight: &'a Flight,
    attempts: Vec<Attempt>,
    last_answer: Option<(Arc<Answer>, ProviderName, Source)>,
    last_error: Option<ProviderError>,
    /// Why providers were passed over without an attempt.
    passed_over: Vec<(ProviderName, &'static str)>,
}

/// How a way ended.
pub struct Travelled {
    /// The answer with who gave it and where it came from, or why there is none.
    pub result: Result<(Arc<Answer>, ProviderName, Source), Denial>,
    /// Every vendor that was tried.
    pub attempts: Vec<Attempt>,
}

/// What follows from one attempt.
enum Next {
    /// The next vendor may be asked.
    GoOn,
    /// That was it.
    Stop,
}

impl<'a> Journey<'a> {
    /// A way that begins.
    pub fn new(policy: &'a Policy, ask: &'a Ask, flight: &'a Flight) -> Self {
        Self {
            policy,
            ask,
            flight,
            attempts: Vec::new(),
            last_answer: None,
            last_error: None,
            passed_over: Vec::new(),
        }
    }

    /// Asks one vendor after another until the asking ends.
    pub async fn travel(mut self, candidates: &[Arc<Lane>]) -> Travelled {
        let mut busy = Vec::new();
        for lane in candidates {
            if lane.in_maintenance() {
                self.passed_over.push((lane.name().clone(), "MAINTENANCE"));
                continue;
            }
            if !self.has_time() {
                return self.conclude(true);
            }
            match lane.admit(self.ask.question.operation()) {
                Ok(permit) => {
                    if let Next::Stop = self.attempt(lane, permit).await {
                        return self.conclude(false);
                    }
                }
                Err(Obstacle::Busy) => busy.push(lane),
                Err(Obstacle::Skipped(outcome)) => self.passed(lane, outcome),
            }
        }
        for lane in busy {
            if !self.has_time() {
                return self.conclude(true);
            }
            let Some(permit) = lane.admit_within(self.policy.max_queue).await else {
                self.passed(lane, AttemptOutcome::Throttled);
                continue;
            };
            if let Next::Stop = self.attempt(lane, permit).await {
                break;
            }
        }
        self.conclude(false)
    }

    fn has_time(&self) -> bool {
        self.flight.deadline() >= Instant::now() + self.policy.min_attempt
    }

    fn passed(&mut self, lane: &Lane, outcome: AttemptOutcome) {
        self.attempts.push(Attempt {
            provider: lane.name().clone(),
            outcome,
            charge: Charge::NotCharged,
            latency: Duration::ZERO,
            error_reason: outcome.as_str(),
        });
    }

    async fn attempt(&mut self, lane: &Lane, permit: Permit) -> Next {
        let begun = Instant::now();
        let result = self.call(lane).await;
        drop(permit);
        let (attempt, next) = match result {
            Ok(answer) => self.weigh_answer(lane, answer),
            Err(error) => self.weigh_error(lane, error),
        };
        self.attempts.push(Attempt {
            latency: begun.elapsed(),
            ..attempt
        });
        next
    }

    async fn call(&self, lane: &Lane) -> Result<Answer, ProviderError> {
        let context = CallContext {
            timeout: lane.timeout,
            attempt: u32::try_from(self.attempts.len() + 1).unwrap_or(u32::MAX),
        };
        self.flight.mark_sent();
        let call = async {
            match &self.ask.question {
                Question::Verify(question) => lane.provider().verify(question, &context).await,
                Question::CardInfo(question) => lane.provider().card_info(question, &context).await,
            }
        };
        // a defect in a vendor client must not lose sight of a request that may have left
        let guarded = AssertUnwindSafe(call).catch_unwind();
        match tokio::time::timeout(lane.longest_call() + OVERTIME, guarded).await {
            Ok(Ok(result)) => result,
            Ok(Err(_panic)) => Err(unknown("the vendor client failed")),
            Err(_elapsed) => Err(unknown("the vendor client kept to no timeout")),
        }
    }

    fn weigh_answer(&mut self, lane: &Lane, answer: Answer) -> (Attempt, Next) {
        let embedded = lane.is_embedded();
        let attempt = Attempt {
            provider: lane.name().clone(),
            outcome: AttemptOutcome::Answered,
            charge: answer.charge,
            latency: Duration::ZERO,
            error_reason: "",
        };
        let next = if embedded && says_nothing(&answer.finding) {
            Next::GoOn
        } else {
            match answer.finding.fail_over() {
                FailOver::Always => Next::GoOn,
                FailOver::IfUnsupported if self.policy.failover_on_unsupported => Next::GoOn,
                FailOver::IfUnsupported | FailOver::Never => Next::Stop,
            }
        };
        let source = if embedded {
            Source::Embedded
        } else {
            Source::Provider
        };
        self.last_answer = Some((Arc::new(answer), lane.name().clone(), source));
        (attempt, next)
    }

    fn weigh_error(&mut self, lane: &Lane, error: ProviderError) -> (Attempt, Next) {
        lane.learn(error.kind);
        tracing::warn!(
            provider = %lane.name(),
            operation = self.ask.question.operation().as_str(),
            outcome = error.kind.as_str(),
            code = error.provider_code.as_str(),
            provider_request_id = error.provider_request_id.as_str(),
            clock_skew_seconds = error.clock_skew_seconds,
            "vendor call brought no answer: {}",
            error.detail,
        );
        let attempt = Attempt {
            provider: lane.name().clone(),
            outcome: error.kind.outcome(),
            charge: error.kind.charge(),
            latency: Duration::ZERO,
            error_reason: error.kind.as_str(),
        };
        let next = if error.kind.may_fail_over() {
            Next::GoOn
        } else {
            Next::Stop
        };
        self.last_error = Some(error);
        (attempt, next)
    }

    /// The reply after all attempts: a definite answer; else that the outcome is unknown; else the
    /// last answer; else that nobody answered, and why.
    fn conclude(self, out_of_time: bool) -> Travelled {
        let result = if self.ended_unknown() {
            Err(self.outcome_unknown())
        } else if let Some(last_answer) = self.last_answer {
            Ok(last_answer)
        } else if out_of_time {
            Err(Denial::deadline(Stage::Routing))
        } else {
            Err(self.nobody_answered())
        };
        Travelled {
            result,
            attempts: self.attempts,
        }
    }

    fn ended_unknown(&self) -> bool {
        self.attempts
            .last()
            .is_some_and(|last| last.outcome == AttemptOutcome::OutcomeUnknown)
    }

    fn outcome_unknown(&self) -> Denial {
        let mut refusal = Refusal::new(Reason::OutcomeUnknown);
        if let Some(last) = self.attempts.last() {
            refusal.providers = vec![(last.provider.clone(), last.error_reason)];
        }
        if let Some(error) = &self.last_error {
            refusal.provider_request_id = error.provider_request_id.clone();
        }
        Denial::Refused(Box::new(refusal))
    }

    fn nobody_answered(&self) -> Denial {
        let all = |wanted: &[AttemptOutcome]| {
            !self.attempts.is_empty()
                && self.passed_over.is_empty()
                && self.attempts.iter().all(|it| wanted.contains(&it.outcome))
        };
        let refused = self
            .attempts
            .last()
            .is_some_and(|it| it.outcome == AttemptOutcome::Refused);
        let reason = if refused {
            Reason::ProviderRefused
        } else if all(&[AttemptOutcome::Misconfigured, AttemptOutcome::OutOfCredit]) {
            Reason::ProviderMisconfigured
        } else if all(&[AttemptOutcome::BudgetSpent]) {
            Reason::ProviderBudgetSpent
        } else if self.last_error.is_none() && all(&[AttemptOutcome::Throttled]) {
            Reason::Overloaded
        } else {
            Reason::ProvidersUnavailable
        };
        let mut refusal = Refusal::new(reason);
        if matches!(reason, Reason::ProvidersUnavailable | Reason::Overloaded) {
            let wait = self.last_error.as_ref().and_then(|error| error.retry_after);
            refusal.retry_after = Some(wait.unwrap_or(RETRY_AFTER));
        }
        refusal.providers = self
            .attempts
            .iter()
            .map(|attempt| (attempt.provider.clone(), attempt.error_reason))
            .chain(self.passed_over.iter().cloned())
            .collect();
        Denial::Refused(Box::new(refusal))
    }
}

/// An embedded table that knows nothing about a card leaves the question open.
pub fn says_nothing(finding: &Finding) -> bool {
    matches!(
        finding,
        Finding::CardInfo {
            result: CardInfoResult::NoInformation,
            ..
        }
    )
}

fn unknown(detail: &'static str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::OutcomeUnknown, detail)
}
