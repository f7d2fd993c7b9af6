//! The use cases: a question comes in, an answer or a denial goes out, and everything that the
//! service promises about money and cards holds in between.
//!
//! One way in, one way out: embedded tables, the cache, then one call under way per question on
//! the runtime for outside calls, past the vendors in order, into the cache and back.

pub mod ask;
pub mod attempt;
pub mod breaker;
pub mod budget;
pub mod clock;
mod conclusion;
mod day;
pub mod denial;
mod flight;
pub mod guard;
mod hold;
pub mod idempotency;
pub mod lane;
pub mod ledger;
pub mod limiter;
mod memory;
mod operator;
pub mod routing;
pub mod tally;

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{runtime::Handle, time::Instant};
use tokio_util::task::TaskTracker;

use self::{
    ask::{Ask, CacheMode, Reply},
    attempt::{CardTags, Safeguards},
    clock::Clock,
    conclusion::{remembered, reused},
    denial::{Denial, Refusal, Stage},
    flight::{Boarding, Flight, Flights, Outcome},
    hold::Holds,
    idempotency::{Begin, Idempotency, Token},
    lane::Lane,
    routing::{Journey, Policy},
};
pub use self::{
    conclusion::{Conclusion, Remembered},
    operator::Erased,
};
use crate::{
    cache::{Digests, LocalCache, QuestionTag, Scope},
    config::{CacheSettings, IdempotencySettings, Share, TtlSettings},
    domain::{Field, InvalidInput, Operation, ProviderName, Question, Reason, Source, Violation},
    telemetry::events::{self, CacheOutcome, FlightScope, Tier},
    telemetry::trace::Span,
};

/// What the service is made of.
pub struct Parts {
    /// Keyed digests.
    pub digests: Digests,
    /// All providers, by name.
    pub lanes: BTreeMap<ProviderName, Arc<Lane>>,
    /// The providers to ask, in order, by operation.
    pub routes: BTreeMap<Operation, Vec<ProviderName>>,
    /// How the vendors are gone through.
    pub policy: Policy,
    /// What stands before money.
    pub safeguards: Safeguards,
    /// How request ids are remembered.
    pub idempotency: IdempotencySettings,
    /// Capacity, scope and times of the cache.
    pub cache: CacheSettings,
    /// The runtime for everything that waits for the outside.
    pub outside: Handle,
    /// The time of day.
    pub clock: Clock,
}

/// The service. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

struct Inner {
    digests: Digests,
    lanes: BTreeMap<ProviderName, Arc<Lane>>,
    routes: BTreeMap<Operation, Vec<Arc<Lane>>>,
    policy: Policy,
    safeguards: Safeguards,
    request_ids: Idempotency<Remembered>,
    share: Share,
    ttl: TtlSettings,
    hold: Duration,
    cache: LocalCache,
    flights: Flights,
    holds: Holds,
    outside: Handle,
    leaders: TaskTracker,
    clock: Clock,
}

impl Service {
    /// Puts the service together. Providers that a route names and that do not exist are left out
    /// of it; the configuration has refused them before.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let lanes_of = |names: Vec<ProviderName>| {
            names
                .iter()
                .filter_map(|name| parts.lanes.get(name).cloned())
                .collect()
        };
        let routes = parts
            .routes
            .into_iter()
            .map(|(operation, names)| (operation, lanes_of(names)))
            .collect();
        Self {
            inner: Arc::new(Inner {
                digests: parts.digests,
                routes,
                lanes: parts.lanes,
                policy: parts.policy,
                safeguards: parts.safeguards,
                request_ids: Idempotency::new(parts.idempotency),
                share: parts.cache.share,
                ttl: parts.cache.ttl,
                hold: parts.cache.outcome_unknown_hold,
                cache: LocalCache::new(parts.cache.capacity_bytes),
                flights: Flights::default(),
                holds: Holds::default(),
                outside: parts.outside,
                leaders: TaskTracker::new(),
                clock: parts.clock,
            }),
        }
    }

    /// The clock that the service goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// All providers.
    pub fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.inner.lanes.values()
    }

    /// The providers of an operation's route, in order.
    #[must_use]
    pub fn route(&self, operation: Operation) -> &[Arc<Lane>] {
        self.inner.routes.get(&operation).map_or(&[], Vec::as_slice)
    }

    /// What stands before money.
    #[must_use]
    pub fn safeguards(&self) -> &Safeguards {
        &self.inner.safeguards
    }

    /// The cache of answers.
    #[must_use]
    pub fn cache(&self) -> &LocalCache {
        &self.inner.cache
    }

    /// How many calls to vendors are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.inner.flights.under_way()
    }

    /// Waits until no call to a vendor is under way, or until a time.
    pub async fn wait_for_leaders(&self, until: Instant) -> bool {
        self.inner.leaders.close();
        tokio::time::timeout_at(until, self.inner.leaders.wait())
            .await
            .is_ok()
    }

    /// Answers one question.
    ///
    /// # Errors
    /// When there is no answer to it; see [`Denial`].
    pub async fn ask(&self, ask: Ask) -> Result<Reply, Denial> {
        let first = self.inner.first_candidate(&ask)?;
        let Some(id) = ask.request_id else {
            return self.answer(&ask, first, None).await;
        };
        let content = self.inner.digests.content(&ask.question);
        loop {
            let begun = self
                .inner
                .request_ids
                .begin(&ask.caller.name, id, content, Instant::now());
            match begun {
                Begin::New(token) => return self.answer(&ask, first, Some(token)).await,
                Begin::Earlier(remembered) => return remembered.reply(),
                Begin::Running(waiting) => {
                    let ended = tokio::time::timeout_at(ask.deadline, waiting.ended());
                    let ended = Box::pin(ended);
                    match ended.await {
                        Ok(Some(remembered)) => return remembered.reply(),
                        // it left nothing to remember: now it is this one's turn
                        Ok(None) => {}
                        Err(_) => return Err(Denial::deadline(Stage::Waiting)),
                    }
                }
                Begin::Reused => return Err(reused()),
                Begin::Exhausted(after) => {
                    let mut refusal = Refusal::new(Reason::RequestIdsExhausted);
                    refusal.retry_after = Some(after);
                    refusal.caller = Some(Arc::clone(&ask.caller.name));
                    return Err(Denial::Refused(Box::new(refusal)));
                }
            }
        }
    }

    /// Answers a question that is not known by its request id. `token` is the request id to
    /// remember the answer under.
    async fn answer(
        &self,
        ask: &Ask,
        first: &Lane,
        mut token: Option<Token<Remembered>>,
    ) -> Result<Reply, Denial> {
        if let Some(conclusion) = self.inner.known_without_asking(ask, first) {
            return Ok(remembered(token, conclusion));
        }
        let scope = match self.inner.share {
            Share::All => Scope::All,
            Share::Caller => Scope::Caller(&ask.caller.name),
        };
        let tag = self
            .inner
            .digests
            .question(&ask.question, scope, ask.pinned.as_ref());
        if ask.mode != CacheMode::Bypass {
            let cached = self.inner.cached(&tag, ask).await;
            events::cache_lookup(Tier::Local, CacheOutcome::of(cached.is_some()));
            if let Some(conclusion) = cached {
                return Ok(remembered(token, conclusion));
            }
        }
        if ask.mode == CacheMode::OnlyIfCached {
            return Err(Denial::because(Reason::NotCached));
        }
        // only a request id that stands for nothing yet asks anew while the question is held
        let asks_anew = ask.mode == CacheMode::Bypass && token.is_some();
        let held = || {
            let hold = self.inner.holds.get(&tag);
            hold.filter(|_| !asks_anew)
        };
        if let Some(denial) = held() {
            return Err(Denial::clone(&denial));
        }
        // what is answered from memory, which is most, needs no list
        let candidates: Vec<_> = self.inner.candidates(ask).cloned().collect();
        loop {
            // boxed, so that what is answered from memory does not carry its size about
            let boarded = Box::pin(self.board(tag, ask, &candidates, &mut token, held)).await?;
            if let Some(reply) = boarded {
                return Ok(reply);
            }
        }
    }

    /// Joins the call under way for a question, or has one made. `None`: the call was somebody
    /// else's and ended with what this caller may not have, or without asking those it may; so it
    /// was no call for this caller's question.
    async fn board(
        &self,
        tag: QuestionTag,
        ask: &Ask,
        candidates: &[Arc<Lane>],
        token: &mut Option<Token<Remembered>>,
        held: impl Fn() -> Option<Arc<Denial>>,
    ) -> Result<Option<Reply>, Denial> {
        let names = || candidates.iter().map(|lane| lane.name().clone()).collect();
        let (flight, leads) = match self.inner.flights.board(tag, ask.deadline, token, names) {
            Boarding::Follower(flight) => {
                events::flight_followed(FlightScope::Local);
                (flight, false)
            }
            Boarding::Leader(flight) => {
                // a call that ended between our look for a hold and our boarding set one before it
                // let go of the question: its outcome is ours, as if we had joined it
                match held() {
                    Some(denial) => self.inner.flights.land(&tag, &flight, Err(denial)),
                    None => self.launch(tag, &flight, ask, candidates),
                }
                (flight, true)
            }
        };
        let outcome = flight
            .outcome_by(ask.deadline, leads)
            .await
            .map_err(|_| Denial::deadline(Stage::Waiting))?
            .unwrap_or_else(|| Err(Arc::new(Denial::because(Reason::Internal))));
        match outcome {
            Ok(conclusion) if leads => Ok(Some(conclusion.reply_to_leader())),
            Ok(conclusion) if ask.caller.may_use(&conclusion.provider) => {
                Ok(Some(conclusion.reply_to_follower()))
            }
            Ok(_) => Ok(None),
            Err(denial) => {
                let same = leads || flight.covers(candidates.iter().map(|lane| lane.name()));
                let unknown = denial.reason_name() == Reason::OutcomeUnknown.as_str();
                if same || unknown {
                    Err(Denial::clone(&denial))
                } else {
                    Ok(None)
                }
            }
        }
    }

    /// Has a question asked on a task of its own: nobody who stops waiting ends it.
    fn launch(&self, tag: QuestionTag, flight: &Arc<Flight>, ask: &Ask, candidates: &[Arc<Lane>]) {
        let inner = Arc::clone(&self.inner);
        let flight = Arc::clone(flight);
        let (ask, candidates) = (ask.clone(), candidates.to_vec());
        let span = flight.begin_span();
        let leader = async move { span.within(inner.lead(tag, flight, ask, candidates)).await };
        self.inner.leaders.spawn_on(leader, &self.inner.outside);
    }
}

impl Inner {
    /// The first of the providers that may be asked.
    fn first_candidate(&self, ask: &Ask) -> Result<&Arc<Lane>, Denial> {
        if let Some(pinned) = &ask.pinned {
            if !self.lanes.contains_key(pinned) {
                return Err(Denial::Invalid(vec![Violation::new(
                    Field::Provider,
                    InvalidInput::ProviderUnknown,
                    "no provider of that name is configured",
                )]));
            }
            if !ask.caller.may_use(pinned) {
                return Err(Denial::because(Reason::ProviderNotAllowed));
            }
        }
        self.candidates(ask)
            .next()
            .ok_or_else(|| Denial::because(Reason::NoProvider))
    }

    /// The providers that may be asked, in order: the pinned one, else those of the route.
    fn candidates(&self, ask: &Ask) -> impl Iterator<Item = &Arc<Lane>> {
        let pinned = ask.pinned.as_ref().map(|name| self.lanes.get(name));
        let route = match pinned {
            Some(_) => None,
            None => self.routes.get(&ask.question.operation()),
        };
        pinned
            .flatten()
            .into_iter()
            .chain(route.into_iter().flatten())
            .filter(|lane| ask.caller.may_use(lane.name()) && lane.can(&ask.question))
    }

    /// What the first provider knows without waiting, if it is an embedded table.
    fn known_without_asking(&self, ask: &Ask, first: &Lane) -> Option<Conclusion> {
        let Question::CardInfo(inquiry) = &ask.question else {
            return None;
        };
        let answer = first.provider().card_info_now(inquiry)?;
        // what the table does not know, another one may
        if routing::says_nothing(&answer.finding) && self.candidates(ask).nth(1).is_some() {
            return None;
        }
        Some(Conclusion {
            answer: Arc::new(answer),
            provider: first.name().clone(),
            source: Source::Embedded,
            attempts: Vec::new(),
        })
    }

    /// Has a question asked, remembers what came of it, and tells everybody who waits.
    async fn lead(
        self: Arc<Self>,
        tag: QuestionTag,
        flight: Arc<Flight>,
        ask: Ask,
        candidates: Vec<Arc<Lane>>,
    ) {
        let asking = AssertUnwindSafe(self.ask_vendors(&tag, &flight, &ask, &candidates));
        let outcome = asking.catch_unwind().await.unwrap_or_else(|_panic| {
            let reason = if flight.was_sent() {
                Reason::OutcomeUnknown
            } else {
                Reason::Internal
            };
            let denial = Denial::because(reason);
            self.hold_if_unknown(&tag, &denial);
            Err(Arc::new(denial))
        });
        self.remember(&tag, &outcome).await;
        events::flight_ended(match &outcome {
            Ok(conclusion) => conclusion.answer.finding.result_name(),
            Err(denial) => denial.reason_name(),
        });
        self.flights.land(&tag, &flight, outcome);
    }

    async fn ask_vendors(
        &self,
        tag: &QuestionTag,
        flight: &Flight,
        ask: &Ask,
        candidates: &[Arc<Lane>],
    ) -> Outcome {
        // somebody else's call may have landed between our look into the cache and our boarding
        if ask.mode != CacheMode::Bypass
            && let Some(conclusion) = self.cached(tag, ask).await
        {
            return Ok(Arc::new(conclusion));
        }
        let card = ask.question.expose_card();
        let card = CardTags {
            guard: self.digests.guard_card(card),
            ledger: self.digests.ledger_card(card),
        };
        let journey = Journey::new(&self.policy, &self.safeguards, ask, flight, card);
        let span = Span::part("route");
        let travelled = span.within(journey.travel(candidates)).await;
        drop(span);
        match travelled.result {
            Ok((answer, provider, source)) => Ok(Arc::new(Conclusion {
                answer,
                provider,
                source,
                attempts: travelled.attempts,
            })),
            Err(denial) => {
                self.hold_if_unknown(tag, &denial);
                self.stale(tag, ask, travelled.attempts)
                    .await
                    .ok_or_else(|| Arc::new(denial))
            }
        }
    }
}
