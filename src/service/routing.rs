//! Which vendors are asked, in which order, and when the asking ends.
//!
//! One definite answer ends it. Another vendor is asked only when a request surely did not run, or
//! when the answer was that the issuer was not asked or cannot be served there. A request that may
//! have run ends it as well: it is never sent again.

mod conclusion;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

pub use self::conclusion::Travelled;
use super::{
    ask::Ask,
    attempt::{self, CardTags, Safeguards, Stopped, Table},
    flight::Flight,
    lane::{Lane, Obstacle, Permit},
    limiter::Limiter,
    sharing::Sharing,
};
use crate::{
    cache::shared::Settle,
    domain::{
        Answer, Attempt, AttemptOutcome, CardInfoResult, Charge, FailOver, Finding, Operation,
        ProviderName, Question, Source,
    },
    provider::{CallContext, Health, ProviderError, ProviderErrorKind},
    telemetry::events,
    telemetry::trace::{Span, keys},
};

/// Before a vendor is asked again that could not be reached.
const BEFORE_RETRY: Duration = Duration::from_millis(100);
/// Between two looks for a place within a vendor's limit.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// A provider that does not keep to its own timeout is given up this much later.
const OVERTIME: Duration = Duration::from_millis(500);

/// What the operator decided about routing.
pub struct Policy {
    /// Whether an answer that issuer or card cannot be served may be sought elsewhere.
    pub failover_on_unsupported: bool,
    /// Less than this left: no new attempt.
    pub min_attempt: Duration,
    /// The longest wait for a free slot.
    pub max_queue: Duration,
    /// How often a second what surely was not sent may be sent again.
    pub retries: Limiter,
}

/// One question's way past the vendors.
pub struct Journey<'a> {
    policy: &'a Policy,
    table: Table<'a>,
    ask: &'a Ask,
    flight: &'a Flight,
    attempts: Vec<Attempt>,
    /// The last attempt, as far as the shared store has not been told of it yet. Boxed, as the
    /// error: a question that waits for a place has neither.
    untold: Option<Box<Settle>>,
    last_answer: Option<(Arc<Answer>, ProviderName, Source)>,
    last_error: Option<Box<ProviderError>>,
    /// What keeps this question from every vendor.
    stopped: Option<Stopped>,
    /// Why providers were passed over without an attempt.
    passed_over: Vec<(ProviderName, &'static str)>,
    /// Vendors that surely did not run the request, with when they may be asked again.
    retryable: Vec<(Arc<Lane>, Duration)>,
}

/// What follows from one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The next vendor may be asked.
    GoOn,
    /// This one was asked as often as it may be in this second; the next vendor may be asked.
    Busy(Duration),
    /// That was it.
    Stop,
}

impl<'a> Journey<'a> {
    /// A way that begins.
    pub fn new(
        policy: &'a Policy,
        safeguards: &'a Safeguards,
        sharing: Option<&'a Sharing>,
        ask: &'a Ask,
        flight: &'a Flight,
        card: CardTags,
    ) -> Self {
        Self {
            policy,
            table: Table {
                safeguards,
                sharing,
                ask,
                flight,
                card,
            },
            ask,
            flight,
            attempts: Vec::new(),
            untold: None,
            last_answer: None,
            last_error: None,
            stopped: None,
            passed_over: Vec::new(),
            retryable: Vec::new(),
        }
    }

    /// Asks one vendor after another until the asking ends: each in its turn, then those that had
    /// no place, then the one that recovers first if all are failing, then once more those that
    /// surely did not run the request.
    pub async fn travel(&mut self, candidates: &[Arc<Lane>]) {
        let mut busy = Vec::new();
        let mut open = Vec::new();
        let mut next = Next::GoOn;
        for lane in candidates {
            if lane.in_maintenance() {
                events::passed_over(lane.name(), "MAINTENANCE");
                self.passed_over.push((lane.name().clone(), "MAINTENANCE"));
                continue;
            }
            match lane.admit(self.operation()) {
                Ok(permit) => next = self.attempt_in_time(lane, permit).await,
                Err(Obstacle::Busy) => {
                    self.passed(lane, AttemptOutcome::Throttled);
                    busy.push(lane);
                }
                Err(Obstacle::BreakerOpen) => {
                    self.passed(lane, AttemptOutcome::BreakerOpen);
                    open.push(lane);
                }
                Err(Obstacle::Skipped(outcome)) => self.passed(lane, outcome),
            }
            match std::mem::replace(&mut next, Next::GoOn) {
                Next::Stop => return,
                Next::Busy(_) => {
                    self.passed(lane, AttemptOutcome::Throttled);
                    busy.push(lane);
                }
                Next::GoOn => {}
            }
        }
        if self.after_the_first_round(&busy, &open).await == Next::GoOn {
            self.retry().await;
        }
    }

    /// Those that had no place, and the one that recovers first if all are failing.
    async fn after_the_first_round(&mut self, busy: &[&Arc<Lane>], open: &[&Arc<Lane>]) -> Next {
        for lane in busy {
            if self.attempt_when_free(lane).await == Next::Stop {
                return Next::Stop;
            }
        }
        let operation = self.operation();
        let nobody_asked = self
            .attempts
            .iter()
            .all(|it| it.outcome == AttemptOutcome::BreakerOpen);
        let recovers_first = open.iter().min_by_key(|lane| lane.recovers_at(operation));
        let forced = recovers_first
            .filter(|_| nobody_asked)
            .and_then(|lane| Some((*lane, lane.admit_anyway(operation)?)));
        match forced {
            Some((lane, permit)) => self.attempt_in_time(lane, permit).await,
            None => Next::GoOn,
        }
    }

    /// Waits for a place at one vendor, within the operator's patience.
    async fn attempt_when_free(&mut self, lane: &Arc<Lane>) -> Next {
        let until = Instant::now() + self.policy.max_queue;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let permit = lane.admit_within(self.operation(), left);
            let Some(permit) = permit.await else {
                return Next::GoOn;
            };
            match self.attempt_in_time(lane, permit).await {
                Next::Busy(wait) => {
                    // others wait too, so that not all of them come at the same instant
                    let wait = wait
                        .mul_f64(rand::random_range(1.0..=1.05))
                        .max(SHORTEST_WAIT);
                    if Instant::now() + wait > until {
                        return Next::GoOn;
                    }
                    tokio::time::sleep(wait).await;
                }
                next => return next,
            }
        }
    }

    /// Once more those that surely did not run the request, if there is time and the budget for it.
    async fn retry(&mut self) {
        let mut retryable = std::mem::take(&mut self.retryable);
        retryable.sort_by_key(|(_, wait)| *wait);
        for (lane, wait) in retryable {
            let ready_at = Instant::now() + wait;
            let in_time = self.flight.deadline() >= ready_at + self.policy.min_attempt;
            if !in_time || self.policy.retries.try_acquire(Instant::now()).is_err() {
                return;
            }
            if let Some(sharing) = self.table.sharing {
                sharing.stay(self.flight, wait).await;
            }
            tokio::time::sleep_until(ready_at).await;
            let Ok(permit) = lane.admit(self.operation()) else {
                continue;
            };
            if self.attempt_in_time(&lane, permit).await == Next::Stop {
                return;
            }
        }
    }

    fn operation(&self) -> Operation {
        self.ask.question.operation()
    }

    fn passed(&mut self, lane: &Lane, outcome: AttemptOutcome) {
        events::passed_over(lane.name(), outcome.as_str());
        self.attempts.push(Attempt {
            provider: lane.name().clone(),
            outcome,
            charge: Charge::NotCharged,
            latency: Duration::ZERO,
            error_reason: outcome.as_str(),
        });
    }

    async fn attempt_in_time(&mut self, lane: &Arc<Lane>, permit: Permit) -> Next {
        if self.flight.deadline() < Instant::now() + self.policy.min_attempt {
            self.stopped = Some(Stopped::OutOfTime);
            return Next::Stop;
        }
        let span = Span::part("attempt");
        if span.is_recorded() {
            span.set(keys::PROVIDER, lane.name().as_str().to_owned());
            span.set(keys::OPERATION, self.operation().as_str());
            let number = self.attempts.len() + 1;
            span.set(keys::ATTEMPT, i64::try_from(number).unwrap_or(i64::MAX));
        }
        // boxed, so that a question that waits for a place does not carry the size of a call
        span.within(Box::pin(self.attempt(lane, permit))).await
    }

    async fn attempt(&mut self, lane: &Arc<Lane>, permit: Permit) -> Next {
        let begun = Instant::now();
        self.tell().await;
        let stake = match self.table.stake(lane).await {
            Ok(stake) => stake,
            Err(Stopped::ProviderBudgetSpent) => {
                self.passed(lane, AttemptOutcome::BudgetSpent);
                return Next::GoOn;
            }
            Err(Stopped::Busy { wait }) => return Next::Busy(wait),
            Err(stopped) => {
                self.stopped = Some(stopped);
                return Next::Stop;
            }
        };
        let departs = stake.may_depart();
        let result = if departs {
            self.call(lane).await
        } else {
            Err(ProviderError::new(
                ProviderErrorKind::NotSent,
                "too long between the mark and the call",
            ))
        };
        // a call that we kept back says nothing about the vendor
        permit.record(if departs {
            attempt::health(&result)
        } else {
            Health::SaysNothing
        });
        let settle = stake.settle(&result, self.table.safeguards.guard.clock().now());
        self.untold = settle.map(Box::new);
        let (attempt, next) = match result {
            Ok(answer) => self.weigh_answer(lane, answer),
            Err(error) => self.weigh_error(lane, error),
        };
        let attempt = Attempt {
            latency: begun.elapsed(),
            ..attempt
        };
        events::attempt_ended(self.operation(), &attempt);
        let now = self.table.safeguards.guard.clock().now();
        lane.note(self.operation(), &attempt, now);
        self.attempts.push(attempt);
        next
    }

    /// Tells the shared store of the attempt before this one.
    async fn tell(&mut self) {
        if let (Some(sharing), Some(settle)) = (self.table.sharing, self.untold.take()) {
            sharing.settle(self.flight, *settle).await;
        }
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
        let next = match answer.finding.fail_over() {
            // what an embedded table does not know, a vendor may
            _ if embedded && says_nothing(&answer.finding) => Next::GoOn,
            FailOver::Always => Next::GoOn,
            FailOver::IfUnsupported if self.policy.failover_on_unsupported => Next::GoOn,
            FailOver::IfUnsupported | FailOver::Never => Next::Stop,
        };
        let source = if embedded {
            Source::Embedded
        } else {
            Source::Provider
        };
        self.last_answer = Some((Arc::new(answer), lane.name().clone(), source));
        (attempt, next)
    }

    fn weigh_error(&mut self, lane: &Arc<Lane>, error: ProviderError) -> (Attempt, Next) {
        lane.learn(error.kind);
        if error.kind == ProviderErrorKind::NonceReused {
            events::nonce_reused(lane.name());
        }
        tracing::warn!(
            provider = %lane.name(),
            operation = self.operation().as_str(),
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
        if error.kind.may_retry() {
            let wait = error.retry_after.unwrap_or(BEFORE_RETRY);
            self.retryable.push((Arc::clone(lane), wait));
        }
        let next = if error.kind.may_fail_over() {
            Next::GoOn
        } else {
            Next::Stop
        };
        self.last_error = Some(Box::new(error));
        (attempt, next)
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
