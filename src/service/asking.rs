//! One question's way through the service: what is known at once, what request ids and other
//! replicas know, and the call under way that it joins or has made.

use std::{pin::Pin, sync::Arc};

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Conclusion, Inner, Service,
    ask::{Ask, CacheMode, Reply},
    denial::{Denial, Stage},
    flight::{Boarding, Flight},
    lane::Lane,
    request_id::{Run, Started, answered},
};
use crate::{
    cache::{KeyRing, QuestionTag, Scope, Tags},
    config::Share,
    domain::Reason,
    telemetry::events::{self, CacheOutcome, FlightScope, Tier},
};

/// What becomes of a question.
pub enum Asked {
    /// It needed no waiting.
    AtOnce(Result<Reply, Denial>),
    /// Somebody is asked. Boxed, so that what is answered from memory, which is most, does not
    /// carry the size of it about.
    Later(Pin<Box<dyn Future<Output = Result<Reply, Denial>> + Send>>),
}

/// A question that memory has no answer to, under the keys that it was looked for with.
struct Sought {
    keys: Arc<KeyRing>,
    tags: Tags<QuestionTag>,
}

/// A question for which a vendor is to be asked.
struct Wish<'a> {
    sought: &'a Sought,
    ask: &'a Arc<Ask>,
    candidates: &'a Arc<[Arc<Lane>]>,
    /// Whether it is asked anew though it is held.
    asks_anew: bool,
}

impl Service {
    /// Answers one question.
    ///
    /// # Errors
    /// When there is no answer to it; see [`Denial`].
    pub async fn ask(&self, ask: Ask) -> Result<Reply, Denial> {
        match self.begin(ask, self.inner.clock.now()) {
            Asked::AtOnce(result) => result,
            Asked::Later(later) => later.await,
        }
    }

    /// Answers one question from memory, or begins to have it answered. `now` is the time of day,
    /// which whoever has read the question knows.
    #[must_use]
    pub fn begin(&self, ask: Ask, now: Timestamp) -> Asked {
        let first = match self.inner.first_candidate(&ask) {
            Ok(first) => first,
            Err(denial) => return Asked::AtOnce(Err(denial)),
        };
        if let Some(id) = ask.request_id {
            let (service, ask) = (self.clone(), Arc::new(ask));
            return Asked::Later(Box::pin(
                async move { service.under_its_id(&ask, id).await },
            ));
        }
        match self.inner.known(&ask, first, now) {
            Ok(conclusion) => Asked::AtOnce(Ok(conclusion.reply_to_follower())),
            Err(sought) => {
                let (service, ask) = (self.clone(), Arc::new(ask));
                // what a block holds is held once; arguments of an `async fn` are held twice
                Asked::Later(Box::pin(
                    async move { service.seek(&ask, &sought, None).await },
                ))
            }
        }
    }

    /// Answers a question that has a request id: what is known by it comes before memory.
    async fn under_its_id(&self, ask: &Arc<Ask>, id: Uuid) -> Result<Reply, Denial> {
        let inner = &self.inner;
        let run = match inner.begin(ask, id).await? {
            Started::Run(run) => run,
            Started::Earlier(remembered) => return remembered.reply(),
        };
        match inner.known(ask, inner.first_candidate(ask)?, inner.clock.now()) {
            Ok(conclusion) => {
                let keys = inner.keys.load();
                let card = || keys.each(|key| key.cache_card(ask.question.expose_card()));
                Ok(answered(Some(run), card, conclusion))
            }
            Err(sought) => self.seek(ask, &sought, Some(run)).await,
        }
    }

    /// Finds an answer that this process does not know. `run` is the request id to remember it
    /// under.
    async fn seek(
        &self,
        ask: &Arc<Ask>,
        sought: &Sought,
        mut run: Option<Run>,
    ) -> Result<Reply, Denial> {
        let inner = &self.inner;
        let Sought { keys, tags } = sought;
        if ask.mode != CacheMode::Bypass && inner.may_share(ask) {
            let known = Box::pin(inner.shared(keys, tags, ask)).await;
            if let Some(conclusion) = known {
                return Ok(answered(run, || tags.map(QuestionTag::card), conclusion));
            }
        }
        if ask.mode == CacheMode::OnlyIfCached {
            return Err(Denial::because(Reason::NotCached));
        }
        // only a request id that stands for nothing yet asks anew while the question is held
        let asks_anew = ask.mode == CacheMode::Bypass && run.is_some();
        let candidates: Arc<[_]> = inner.candidates(ask).cloned().collect();
        let wish = Wish {
            sought,
            ask,
            candidates: &candidates,
            asks_anew,
        };
        if let Some(denial) = inner.held(&wish) {
            return Err(Denial::clone(&denial));
        }
        loop {
            if let Some(reply) = self.board(&wish, &mut run).await? {
                return Ok(reply);
            }
        }
    }

    /// Joins the call under way for a question, or has one made. `None`: the call was somebody
    /// else's and ended with what this caller may not have, or without asking those it may; so it
    /// was no call for this caller's question.
    async fn board(&self, wish: &Wish<'_>, run: &mut Option<Run>) -> Result<Option<Reply>, Denial> {
        let (ask, candidates) = (wish.ask, wish.candidates);
        let names = || candidates.iter().map(|lane| lane.name().clone()).collect();
        let id = run.as_ref().and_then(Run::shared_id);
        let flights = &self.inner.flights;
        let Sought { keys, tags } = wish.sought;
        let (flight, leads) = match flights.board(keys, *tags, ask.deadline, run, names) {
            Boarding::Follower(flight) => {
                events::flight_followed(FlightScope::Local);
                if flight.was_sent() {
                    self.inner.note_as_sent(id);
                }
                (flight, false)
            }
            Boarding::Leader(flight) => {
                // a call that ended between our look for a hold and our boarding set one before it
                // let go of the question: its outcome is ours, as if we had joined it
                match self.inner.held(wish) {
                    Some(denial) => flights.land(&flight, Err(denial)),
                    None => self.launch(&flight, wish),
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
    fn launch(&self, flight: &Arc<Flight>, wish: &Wish<'_>) {
        let inner = Arc::clone(&self.inner);
        let flight = Arc::clone(flight);
        let (ask, candidates) = (Arc::clone(wish.ask), Arc::clone(wish.candidates));
        let span = flight.begin_span();
        let asks_anew = wish.asks_anew;
        let leading = async move { inner.lead(&flight, &ask, &candidates, asks_anew).await };
        self.inner
            .leaders
            .spawn_on(span.around(leading), &self.inner.outside);
    }
}

impl Inner {
    /// What this process knows by itself: an embedded table first, then memory.
    fn known(&self, ask: &Ask, first: &Lane, now: Timestamp) -> Result<Conclusion, Sought> {
        if let Some(conclusion) = self.known_without_asking(ask, first) {
            return Ok(conclusion);
        }
        let keys = self.keys.load();
        let scope = match self.share {
            Share::All => Scope::All,
            Share::Caller => Scope::Caller(&ask.caller.name),
        };
        let tags = keys.each(|key| key.question(&ask.question, scope, ask.pinned.as_ref()));
        if ask.mode != CacheMode::Bypass {
            let cached = self.cached(&tags, ask, now);
            events::cache_lookup(Tier::Local, CacheOutcome::of(cached.is_some()));
            if let Some(conclusion) = cached {
                return Ok(conclusion);
            }
        }
        Err(Sought {
            keys: Arc::clone(&keys),
            tags,
        })
    }

    /// Why a question is not asked now, if it is held.
    fn held(&self, wish: &Wish<'_>) -> Option<Arc<Denial>> {
        let hold = self.holds.get(&wish.sought.tags, Instant::now());
        hold.filter(|_| !wish.asks_anew)
    }
}
