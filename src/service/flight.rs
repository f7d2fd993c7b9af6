//! Identical questions at the same time share one call: the first to ask starts it, the others
//! wait for it. The call runs on a task of its own, so nobody who stops waiting ends it.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::Notify,
    time::{Instant, error::Elapsed, timeout_at},
};

use super::{Conclusion, Remembered, denial::Denial, request_id::Run};
use crate::{
    cache::{
        KeyRing, QuestionTag, Tags,
        shared::{RequestId, Seat},
    },
    domain::ProviderName,
    telemetry::trace::{self, Span, keys},
};

/// Locks to spread the questions over.
const SHARDS: usize = 64;

/// How a call ended, for everybody who waited for it.
pub type Outcome = Result<Arc<Conclusion>, Arc<Denial>>;

/// A call under way.
pub struct Flight {
    keys: Arc<KeyRing>,
    tags: Tags<QuestionTag>,
    begun: Instant,
    /// The providers that may be asked: a caller who joins may be allowed others.
    candidates: Vec<ProviderName>,
    outcome: OnceLock<Outcome>,
    /// Told when there is an outcome. A watch channel would take ten times the room, and a crowd
    /// that waits has a call for each of its questions.
    landed: Notify,
    deadline: Mutex<Instant>,
    sent: AtomicBool,
    /// The span of the call, for those who join.
    span: OnceLock<Box<trace::Context>>,
    /// Its seat among the calls of all replicas, if they share a store.
    seat: Mutex<Option<Seat>>,
    /// Request ids that are to be answered as this call is, whoever still waits for it.
    runs: Mutex<Vec<Run>>,
}

impl Flight {
    /// The latest time that somebody waits until: no new attempt starts after it.
    pub fn deadline(&self) -> Instant {
        *self.deadline.lock()
    }

    /// The question.
    pub fn tags(&self) -> &Tags<QuestionTag> {
        &self.tags
    }

    /// The keys that its tags were made with.
    pub fn keys(&self) -> &Arc<KeyRing> {
        &self.keys
    }

    /// When it began.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The providers that may be asked.
    pub fn candidates(&self) -> &[ProviderName] {
        &self.candidates
    }

    /// Its seat among the calls of all replicas.
    pub fn seat(&self) -> Option<Seat> {
        self.seat.lock().clone()
    }

    /// Takes a seat, or gives it up.
    pub fn sit(&self, seat: Option<Seat>) {
        *self.seat.lock() = seat;
    }

    /// What the request ids of those who wait are in the store that replicas share.
    pub fn shared_ids(&self) -> Vec<RequestId> {
        let runs = self.runs.lock();
        runs.iter().filter_map(Run::shared_id).collect()
    }

    /// The request ids of those who wait, to be ended.
    pub fn take_runs(&self) -> Vec<Run> {
        std::mem::take(&mut self.runs.lock())
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
            let _ = self.span.set(Box::new(context));
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
        // boxed, so that those who lead do not carry the size of it about
        let waiting = Box::pin(timeout_at(deadline, self.outcome()));
        let outcome = span.within(waiting).await;
        span.set(keys::ROLE, "follower");
        if let Some(leader) = self.span.get() {
            span.link(leader);
        }
        outcome
    }

    /// Waits for the outcome.
    pub async fn outcome(&self) -> Option<Outcome> {
        let mut landed = pin!(self.landed.notified());
        // listens before it looks, so that nothing is missed in between
        landed.as_mut().enable();
        if self.outcome.get().is_none() {
            landed.await;
        }
        self.outcome.get().cloned()
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
    shards: Vec<Mutex<Calls>>,
}

impl Default for Flights {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Flights {
    /// Joins the call for a question, or begins one past the given providers. `run` is the
    /// request id that the caller asked under.
    pub fn board(
        &self,
        keys: &Arc<KeyRing>,
        tags: Tags<QuestionTag>,
        deadline: Instant,
        run: &mut Option<Run>,
        candidates: impl FnOnce() -> Vec<ProviderName>,
    ) -> Boarding {
        let mut shards = self.lock(&tags);
        let known = tags.iter().find_map(|tag| shards.get(tag).cloned());
        if let Some(flight) = known {
            let mut latest = flight.deadline.lock();
            *latest = (*latest).max(deadline);
            drop(latest);
            flight.runs.lock().extend(run.take());
            return Boarding::Follower(flight);
        }
        let flight = Arc::new(Flight {
            keys: Arc::clone(keys),
            tags,
            begun: Instant::now(),
            candidates: candidates(),
            outcome: OnceLock::new(),
            landed: Notify::new(),
            deadline: Mutex::new(deadline),
            sent: AtomicBool::new(false),
            span: OnceLock::new(),
            seat: Mutex::new(None),
            runs: Mutex::new(run.take().into_iter().collect()),
        });
        for tag in tags.iter() {
            shards.insert(*tag, Arc::clone(&flight));
        }
        Boarding::Leader(flight)
    }

    /// Ends a call: whoever waits gets the outcome, whoever comes later begins anew. What is to be
    /// remembered must have been stored before.
    pub fn land(&self, flight: &Flight, outcome: Outcome) {
        // nobody boards once it is out of the list, so no request id is left behind
        let mut shards = self.lock(&flight.tags);
        for tag in flight.tags.iter() {
            shards.remove(tag);
        }
        drop(shards);
        for run in flight.take_runs() {
            run.end(Remembered::of(&outcome, flight.tags.map(QuestionTag::card)));
        }
        // nobody else lands it
        let _ = flight.outcome.set(outcome);
        flight.landed.notify_waiters();
    }

    /// How many calls are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        let calls = |shard: &Mutex<Calls>| {
            // during an exchange of keys a call stands under two tags
            let shard = shard.lock();
            shard
                .iter()
                .filter(|(tag, it)| it.tags.current == **tag)
                .count()
        };
        self.shards.iter().map(calls).sum()
    }

    /// Locks what two tags may be in, always in the same order.
    fn lock(&self, tags: &Tags<QuestionTag>) -> Locked<'_> {
        let current = Self::shard_of(&tags.current);
        let previous = tags.previous.as_ref().map(Self::shard_of);
        let previous = previous.filter(|previous| *previous != current);
        let first = previous.map_or(current, |previous| previous.min(current));
        let second = previous.map(|previous| previous.max(current));
        Locked {
            first: (first, self.shards[first].lock()),
            second: second.map(|second| (second, self.shards[second].lock())),
        }
    }

    fn shard_of(tag: &QuestionTag) -> usize {
        // tags are evenly spread by themselves
        let at = tag.as_bytes().last().copied().unwrap_or_default();
        usize::from(at) % SHARDS
    }
}

type Calls = HashMap<QuestionTag, Arc<Flight>>;

/// One or two locked parts of all calls.
struct Locked<'a> {
    first: (usize, MutexGuard<'a, Calls>),
    second: Option<(usize, MutexGuard<'a, Calls>)>,
}

impl Locked<'_> {
    fn of(&mut self, tag: &QuestionTag) -> &mut Calls {
        let at = Flights::shard_of(tag);
        match &mut self.second {
            Some((second, calls)) if *second == at => calls,
            _ => &mut self.first.1,
        }
    }

    fn get(&mut self, tag: &QuestionTag) -> Option<&Arc<Flight>> {
        self.of(tag).get(tag)
    }

    fn insert(&mut self, tag: QuestionTag, flight: Arc<Flight>) {
        self.of(&tag).insert(tag, flight);
    }

    fn remove(&mut self, tag: &QuestionTag) {
        self.of(tag).remove(tag);
    }
}
