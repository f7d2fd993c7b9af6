//! The use cases: a question comes in, an answer or a denial goes out, and everything that the
//! service promises about money and cards holds in between.
//!
//! One way in, one way out: embedded tables, the cache, then one call under way per question on
//! the runtime for outside calls, past the vendors in order, into the cache and back.

pub mod ask;
mod asking;
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
mod leader;
pub mod ledger;
pub mod limiter;
mod memory;
mod operator;
mod packed;
mod request_id;
pub mod routing;
mod sharing;
pub mod tally;
mod under_way;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::{runtime::Handle, time::Instant};
use tokio_util::task::TaskTracker;

use self::{
    ask::Ask, attempt::Safeguards, budget::Budget, clock::Clock, denial::Denial, flight::Flights,
    hold::Holds, idempotency::Idempotency, lane::Lane, operator::ErasedLately, routing::Policy,
    sharing::Sharing,
};
pub use self::{
    asking::Asked,
    conclusion::{Conclusion, Remembered},
    operator::Erased,
};
use crate::{
    cache::{
        Digests, KeyRing, LocalCache,
        shared::{Local, Shared},
    },
    config::{CacheSettings, IdempotencySettings, OnLoss, Share, TtlSettings},
    domain::{Field, InvalidInput, Operation, ProviderName, Question, Reason, Source, Violation},
};

/// What the service is made of.
pub struct Parts {
    /// Keyed digests.
    pub digests: Digests,
    /// Keyed digests under the key before, while it is being exchanged.
    pub previous_digests: Option<Digests>,
    /// The store that all replicas share, if there is one.
    pub shared: Option<Arc<dyn Shared>>,
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
    keys: ArcSwap<KeyRing>,
    sharing: Option<Sharing>,
    erased: ErasedLately,
    /// Budgets of callers that have asked a vendor.
    purses: Mutex<HashMap<Arc<str>, Budget>>,
    lanes: BTreeMap<ProviderName, Arc<Lane>>,
    routes: BTreeMap<Operation, Vec<Arc<Lane>>>,
    policy: Policy,
    safeguards: Safeguards,
    request_ids: Idempotency<Remembered>,
    window: Duration,
    most_ids: usize,
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
        let redis = parts.cache.redis.as_ref();
        let sharing = parts.shared.map(|store| Sharing {
            store,
            on_loss: redis.map_or(OnLoss::Degrade, |redis| redis.on_loss),
            hold: parts.cache.outcome_unknown_hold,
            max_queue: parts.policy.max_queue,
            under_way: Arc::default(),
        });
        let service = Self {
            inner: Arc::new(Inner {
                keys: ArcSwap::from_pointee(KeyRing {
                    current: parts.digests,
                    previous: parts.previous_digests,
                }),
                sharing,
                erased: ErasedLately::default(),
                purses: Mutex::default(),
                routes,
                lanes: parts.lanes,
                policy: parts.policy,
                safeguards: parts.safeguards,
                window: parts.idempotency.window,
                most_ids: parts.idempotency.max_entries_per_caller,
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
        };
        if let Some(sharing) = &service.inner.sharing {
            let local: Arc<dyn Local> = Arc::<Inner>::clone(&service.inner);
            sharing.store.attach(Arc::downgrade(&local));
        }
        service
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

    /// Whether a question is any business of other replicas: not if nobody but this process can
    /// answer it.
    fn may_share(&self, ask: &Ask) -> bool {
        let sharing = self.sharing.as_ref();
        sharing.is_some_and(|it| it.store.is_up())
            && self.candidates(ask).any(|lane| !lane.is_embedded())
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
            embedded: true,
            attempts: Vec::new(),
        })
    }
}
