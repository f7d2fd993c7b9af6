//! One provider as the service sees it: the provider itself, and everything that may keep a call
//! from it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    breaker::{Breaker, State, Ticket},
    budget::Budget,
    limiter::Limiter,
    tally::{Snapshot, Tally},
};
use crate::{
    config::{
        BreakerSettings,
        providers::{Money, VendorSettings},
    },
    domain::{Attempt, AttemptOutcome, Operation, ProviderName, Question},
    provider::{Health, Provider, ProviderErrorKind},
};

/// One provider, and what may keep a call from it.
pub struct Lane {
    provider: Arc<dyn Provider>,
    /// The longest that a call may take once it was sent.
    pub timeout: Duration,
    connect_timeout: Duration,
    misconfigured_skip: Duration,
    breaker_open: Duration,
    maintenance: AtomicBool,
    slots: Arc<Semaphore>,
    skip: Mutex<Option<Skip>>,
    budget: Budget,
    gates: Vec<Gate>,
    requests_per_second: Option<u32>,
    concurrent: u32,
    last_error: Mutex<Option<LastError>>,
}

/// The last call that brought no answer: its kind and time, and nothing that the vendor said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastError {
    /// What is known about the request.
    pub kind: ProviderErrorKind,
    /// When.
    pub at: Timestamp,
}

/// What is kept for each operation of a provider.
struct Gate {
    breaker: Breaker,
    limiter: Limiter,
    price: Option<Money>,
    tally: Tally,
    /// When a call was last let through an open breaker.
    forced: Mutex<Option<Instant>>,
}

/// A provider that refused our credentials or credit is passed over for a while.
#[derive(Debug, Clone, Copy)]
struct Skip {
    until: Instant,
    outcome: AttemptOutcome,
}

/// The right to make one call.
pub struct Permit {
    ticket: Ticket,
    _slot: OwnedSemaphorePermit,
}

impl Permit {
    /// Gives the right back, with what the call said about the vendor's health.
    pub fn record(self, health: Health) {
        self.ticket.record(health, Instant::now());
    }
}

/// Why a provider cannot be asked right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// All its slots are taken.
    Busy,
    /// It has been failing and is left alone.
    BreakerOpen,
    /// It is passed over for a while.
    Skipped(AttemptOutcome),
}

impl Lane {
    /// A lane for a provider, one of `replicas` that share its limits without seeing each other.
    #[must_use]
    pub fn new(
        provider: Arc<dyn Provider>,
        settings: &VendorSettings,
        breaker: &BreakerSettings,
        replicas: u32,
    ) -> Self {
        let budget = Budget::new(settings.daily_budget.clone());
        budget.divide(replicas);
        // the sandbox plays a failing vendor; that says nothing about itself
        let breaker = BreakerSettings {
            enabled: breaker.enabled && !provider.capabilities().embedded,
            ..breaker.clone()
        };
        let gates = Operation::ALL.iter().map(|operation| {
            let limiter = Limiter::of_vendor(settings.requests_per_second);
            limiter.divide(replicas);
            Gate {
                breaker: Breaker::new(&breaker, Instant::now()),
                limiter,
                price: settings.price.as_ref().and_then(|price| {
                    let micros = *price.micros.get(operation)?;
                    let currency = price.currency.clone();
                    Some(Money { currency, micros })
                }),
                tally: Tally::default(),
                forced: Mutex::new(None),
            }
        });
        Self {
            gates: gates.collect(),
            budget,
            provider,
            timeout: settings.timeout,
            connect_timeout: settings.connect_timeout,
            misconfigured_skip: settings.misconfigured_skip,
            breaker_open: breaker.open,
            maintenance: AtomicBool::new(settings.maintenance),
            slots: Arc::new(Semaphore::new(settings.concurrent as usize)),
            skip: Mutex::new(None),
            requests_per_second: settings.requests_per_second,
            concurrent: settings.concurrent,
            last_error: Mutex::new(None),
        }
    }

    /// The provider's name.
    #[must_use]
    pub fn name(&self) -> &ProviderName {
        self.provider.name()
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &dyn Provider {
        &*self.provider
    }

    /// Whether the provider is part of this process.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.provider.capabilities().embedded
    }

    /// The longest that a call may take in all.
    #[must_use]
    pub fn longest_call(&self) -> Duration {
        self.connect_timeout + self.timeout
    }

    /// Whether the operator has taken the provider out of every route.
    #[must_use]
    pub fn in_maintenance(&self) -> bool {
        self.maintenance.load(Ordering::Relaxed)
    }

    /// Takes the provider out of every route, or puts it back.
    pub fn set_maintenance(&self, maintenance: bool) {
        self.maintenance.store(maintenance, Ordering::Relaxed);
    }

    /// The vendor's limit of calls per second for one operation, over all replicas; `None`:
    /// unlimited.
    #[must_use]
    pub const fn requests_per_second(&self) -> Option<u32> {
        self.requests_per_second
    }

    /// How many calls may be under way at once.
    #[must_use]
    pub const fn concurrent(&self) -> u32 {
        self.concurrent
    }

    /// The last call that brought no answer.
    #[must_use]
    pub fn last_error(&self) -> Option<LastError> {
        *self.last_error.lock()
    }

    /// Why and for how long the provider is passed over, if it is.
    #[must_use]
    pub fn skipped(&self) -> Option<(AttemptOutcome, Duration)> {
        let skip = (*self.skip.lock())?;
        let left = skip.until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some((skip.outcome, left))
    }

    /// What may be spent on the provider in a day.
    #[must_use]
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What a charged call of an operation costs; `None`: the operator did not say.
    #[must_use]
    pub fn price(&self, operation: Operation) -> Option<&Money> {
        self.gate(operation).and_then(|gate| gate.price.as_ref())
    }

    /// What the breaker of an operation does with calls.
    #[must_use]
    pub fn breaker_state(&self, operation: Operation) -> State {
        self.gate(operation)
            .map_or(State::Closed, |gate| gate.breaker.state(Instant::now()))
    }

    /// Whether the provider can answer a question at all.
    #[must_use]
    pub fn can(&self, question: &Question) -> bool {
        let capabilities = self.provider.capabilities();
        let can_operation = capabilities.can(question.operation());
        can_operation
            && match question {
                Question::Verify(verification) => verification
                    .identity()
                    .is_none_or(|identity| capabilities.accepts(identity.kind())),
                Question::CardInfo(inquiry) => {
                    capabilities.card_prefix || inquiry.card.full().is_some()
                }
            }
    }

    /// Takes the right to make one call now. The breaker stands first: a call that it refuses
    /// costs no place. The limit of calls per second comes last, with everything else that an
    /// attempt stakes: a call that a card or a budget refuses costs no place there either.
    ///
    /// # Errors
    /// When the provider cannot be asked right now.
    pub fn admit(&self, operation: Operation) -> Result<Permit, Obstacle> {
        self.not_skipped()?;
        let gate = self.gate(operation).ok_or(Obstacle::Busy)?;
        let now = Instant::now();
        let ticket = gate.breaker.admit(now).map_err(|_| Obstacle::BreakerOpen)?;
        self.seat(ticket)
    }

    /// Takes the right to make one call through a breaker that is open: for the vendor that
    /// recovers first when none may be asked. Once for each time that a breaker stays open.
    pub fn admit_anyway(&self, operation: Operation) -> Option<Permit> {
        self.not_skipped().ok()?;
        let gate = self.gate(operation)?;
        let now = Instant::now();
        let mut forced = gate.forced.lock();
        if forced.is_some_and(|last| now < last + self.breaker_open) {
            return None;
        }
        let ticket = gate.breaker.force(now)?;
        *forced = Some(now);
        drop(forced);
        self.seat(ticket).ok()
    }

    /// When an operation's breaker will let a call pass.
    #[must_use]
    pub fn recovers_at(&self, operation: Operation) -> Instant {
        let now = Instant::now();
        self.gate(operation)
            .map_or(now, |gate| gate.breaker.recovers_at(now))
    }

    /// Waits for the right to make one call.
    pub async fn admit_within(&self, operation: Operation, patience: Duration) -> Option<Permit> {
        let gate = self.gate(operation)?;
        let slot = Arc::clone(&self.slots).acquire_owned();
        let slot = tokio::time::timeout(patience, slot).await.ok()?.ok()?;
        self.not_skipped().ok()?;
        let ticket = gate.breaker.admit(Instant::now()).ok()?;
        Some(Permit {
            ticket,
            _slot: slot,
        })
    }

    /// Counts a call that is over, for the operator's eyes.
    pub fn note(&self, operation: Operation, attempt: &Attempt, now: Timestamp) {
        if let Some(gate) = self.gate(operation) {
            let price = gate.price.as_ref().map_or(0, |price| price.micros);
            gate.tally.note(attempt, price, now);
        }
    }

    /// What came of the calls of an operation.
    #[must_use]
    pub fn tally(&self, operation: Operation, now: Timestamp) -> Snapshot {
        self.gate(operation)
            .map(|gate| gate.tally.at(now))
            .unwrap_or_default()
    }

    /// The limit of calls per second of an operation.
    #[must_use]
    pub fn limiter(&self, operation: Operation) -> Option<&Limiter> {
        self.gate(operation).map(|gate| &gate.limiter)
    }

    /// Learns from a call that brought no answer.
    pub fn learn(&self, kind: ProviderErrorKind) {
        let at = Timestamp::now();
        *self.last_error.lock() = Some(LastError { kind, at });
        // the sandbox plays a misconfigured vendor for one number; that says nothing about itself
        if kind.skips_provider() && !self.is_embedded() {
            *self.skip.lock() = Some(Skip {
                until: Instant::now() + self.misconfigured_skip,
                outcome: kind.outcome(),
            });
        }
    }

    fn seat(&self, ticket: Ticket) -> Result<Permit, Obstacle> {
        let slot = Arc::clone(&self.slots)
            .try_acquire_owned()
            .map_err(|_| Obstacle::Busy)?;
        Ok(Permit {
            ticket,
            _slot: slot,
        })
    }

    fn not_skipped(&self) -> Result<(), Obstacle> {
        let skip = *self.skip.lock();
        match skip.filter(|skip| skip.until > Instant::now()) {
            Some(skip) => Err(Obstacle::Skipped(skip.outcome)),
            None => Ok(()),
        }
    }

    fn gate(&self, operation: Operation) -> Option<&Gate> {
        self.gates.get(operation as usize)
    }
}
