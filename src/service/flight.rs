//! Identical questions at the same time share one call: the first to ask starts it, the others
//! wait for it. The call runs on a task of its own, so nobody who stops waiting ends it.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, error::Elapsed, timeout_at},
};

use super::{Conclusion, Remembered, denial::Denial, idempotency::Token};
use crate::{
    cache::QuestionTag,
    domain::ProviderName,
    telemetry::trace::{self, Span, keys},
};

/// Locks to spread the questions over.
const SHARDS: usize = 64;

/// How a call ended, for everybody who waited for it.
pub type Outcome = Result<Arc<Conclusion>, Arc<Denial>>;

/// A call under way.
pub struct Flight {
    /// The providers that may be asked: a caller who joins may be allowed others.
    candidates: Vec<ProviderName>,
    outcome: watch::Sender<Option<Outcome>>,
    deadline: Mutex<Instant>,
    sent: AtomicBool,
    /// The span of the call, for those who join.
    span: OnceLock<trace::Context>,
    /// Request ids that are to be answered as this call is, whoever still waits for it.
    tokens: Mutex<Vec<Token<Remembered>>>,
}

impl Flight {
    /// The latest time that somebody waits until: no new attempt starts after it.
    pub fn deadline(&self) -> Instant {
        *self.deadline.lock()
    }

    /// Whether every provider of a list may be asked in this call.
    pub fn covers<'a>(&self, mut names: impl Iterator<Item = &'a ProviderName>) -> bool {
        names.all(|name| self.candidates.contains(name))
    }

    /// Notes that a request is about to leave: from here on the outcome may be unknown.
    pub fn mark_sent(&self) {
        self.sent.store(true, Ordering::SeqCst);
    }

    /// Whether a request may have left.
    pub fn was_sent(&self) -> bool {
        self.sent.load(Ordering::SeqCst)
    }

    /// The span that the call runs in.
    pub fn begin_span(&self) -> Span {
        let span = Span::part("flight");
        span.set(keys::ROLE, "leader");
        if let Some(context) = span.context() {
            // nobody else begins it
            let _ = self.span.set(context);
        }
        span
    }

    /// Waits for the outcome, until a time. Who joined somebody else's call waits in a span that
    /// points to that call's.
    pub async fn outcome_by(
        &self,
        deadline: Instant,
        leads: bool,
    ) -> Result<Option<Outcome>, Elapsed> {
        if leads {
            return timeout_at(deadline, self.outcome()).await;
        }
        let span = Span::part("flight");
        let outcome = span.within(timeout_at(deadline, self.outcome())).await;
        span.set(keys::ROLE, "follower");
        if let Some(leader) = self.span.get() {
            span.link(leader);
        }
        outcome
    }

    /// Waits for the outcome.
    pub async fn outcome(&self) -> Option<Outcome> {
        let mut outcome = self.outcome.subscribe();
        let landed = outcome.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }
}

/// What became of a wish to ask.
pub enum Boarding {
    /// Nobody was asking: the caller must have it asked, and land it.
    Leader(Arc<Flight>),
    /// Somebody is asking already.
    Follower(Arc<Flight>),
}

/// All calls under way.
pub struct Flights {
    shards: Vec<Mutex<HashMap<QuestionTag, Arc<Flight>>>>,
}

impl Default for Flights {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Flights {
    /// Joins the call for a question, or begins one past the given providers. `token` is the
    /// request id that the caller asked under.
    pub fn board(
        &self,
        tag: QuestionTag,
        deadline: Instant,
        token: &mut Option<Token<Remembered>>,
        candidates: impl FnOnce() -> Vec<ProviderName>,
    ) -> Boarding {
        let mut shard = self.shard(&tag).lock();
        if let Some(flight) = shard.get(&tag) {
            let mut latest = flight.deadline.lock();
            *latest = (*latest).max(deadline);
            drop(latest);
            flight.tokens.lock().extend(token.take());
            return Boarding::Follower(Arc::clone(flight));
        }
        let flight = Arc::new(Flight {
            candidates: candidates(),
            outcome: watch::Sender::new(None),
            deadline: Mutex::new(deadline),
            sent: AtomicBool::new(false),
            span: OnceLock::new(),
            tokens: Mutex::new(token.take().into_iter().collect()),
        });
        shard.insert(tag, Arc::clone(&flight));
        Boarding::Leader(flight)
    }

    /// Ends a call: whoever waits gets the outcome, whoever comes later begins anew. What is to be
    /// remembered must have been stored before.
    pub fn land(&self, tag: &QuestionTag, flight: &Flight, outcome: Outcome) {
        // nobody boards once it is out of the list, so no token is left behind
        self.shard(tag).lock().remove(tag);
        for token in flight.tokens.lock().drain(..) {
            match Remembered::of(&outcome) {
                Some(remembered) => token.remember(remembered),
                None => token.forget(),
            }
        }
        let _waiting = flight.outcome.send_replace(Some(outcome));
    }

    /// How many calls are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, tag: &QuestionTag) -> &Mutex<HashMap<QuestionTag, Arc<Flight>>> {
        // tags are evenly spread by themselves
        let at = tag.as_bytes().last().copied().unwrap_or_default();
        &self.shards[usize::from(at) % SHARDS]
    }
}
