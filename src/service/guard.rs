//! A card is never driven into its bank's lock-out by us.
//!
//! UnionPay's risk control locks a card after three failures in a row or more than ten calls in a
//! day, for twelve hours or to the next day, and asking while it is locked prolongs that. So every
//! attempt takes a slot of its card before anything is sent, and settles it afterwards with what
//! the answer means for the counts. Slots in flight count as if they had failed already: however
//! many requests race, no more go out than the card can bear.
//!
//! Verification and card information are two families with counts of their own; mismatches are
//! counted for verification alone. Of every limit one caller may use its share only.
//!
//! A reservation that is dropped without a word counts as an outcome that is not known: a call and
//! a mismatch. Only [`Reservation::release`] and [`GuardEffect::Nothing`] give it back.
//!
//! The store is bounded and nothing else evicts from it. When it is full, records that have ended
//! go first, then those in which nothing but calls stand (a sixteenth of a shard at a time, those
//! with the fewest calls first), then new cards are turned away.
//!
//! Limits shared by several replicas that cannot see each other are divided by their number,
//! rounded down, and at least 1. The rules for one card stand in `card.rs`.

mod card;
mod store;
mod suspects;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::Mutex;

use self::{
    card::{CallerId, Mark},
    store::{Callers, Key, Shard},
    suspects::Suspects,
};
pub use self::{
    card::{Cause, Counts},
    suspects::{SUSPECT_CARDS, SUSPECT_WINDOW},
};
use super::clock::Clock;
pub use crate::cache::shared::Family;
use crate::{
    cache::{
        key::CardTag,
        shared::{GuardLimits, SeedCard},
    },
    config::GuardSettings,
    domain::GuardEffect,
};

/// Records that are kept at most, about 100 bytes each: one for each card and family.
pub const MAX_CARDS: usize = 1_000_000;
/// Locks to spread the records over.
const MAX_SHARDS: usize = 64;
/// Fewer records than this are not worth a lock of their own.
const MIN_SHARD: usize = 1024;

/// What an answer does to the counts of a family.
const fn counted(family: Family, effect: GuardEffect) -> GuardEffect {
    match (family, effect) {
        (Family::CardInformation, GuardEffect::Match | GuardEffect::Mismatch) => GuardEffect::Call,
        (_, effect) => effect,
    }
}

/// Why no call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The card is closed, for everybody or for this caller.
    Closed {
        /// What closes it.
        cause: Cause,
        /// When it opens; if only slots in flight are in the way, how long those may last.
        retry_after: Duration,
    },
    /// There is no room to count one more card.
    Full,
}

impl Refused {
    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Closed { cause, .. } => cause.as_str(),
            Self::Full => "full",
        }
    }
}

/// One card as an operator is shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardState {
    /// What is counted of verifications.
    pub verification: Option<Counts>,
    /// What is counted of card information.
    pub card_information: Option<Counts>,
}

/// A caller with mismatches lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Its name.
    pub caller: Arc<str>,
    /// Over how many different cards within [`SUSPECT_WINDOW`].
    pub cards: usize,
    /// Whether that is [`SUSPECT_CARDS`] or more.
    pub suspected: bool,
}

/// The guard of all cards. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Guard {
    inner: Arc<Inner>,
}

struct Inner {
    settings: GuardSettings,
    divisor: AtomicU32,
    clock: Clock,
    shards: Vec<Mutex<Shard>>,
    shard_capacity: usize,
    callers: Callers,
    suspects: Suspects,
}

/// One slot of one card.
#[must_use = "a reservation that is dropped counts as an unknown outcome"]
pub struct Reservation {
    inner: Arc<Inner>,
    key: Key,
    caller: CallerId,
    taken: Mark,
    open: bool,
}

impl Guard {
    /// A guard that knows nothing yet. `clock` is the service's own.
    #[must_use]
    pub fn new(settings: GuardSettings, clock: Clock) -> Self {
        Self::with_capacity(settings, clock, MAX_CARDS)
    }

    /// The same with room for another number of records.
    #[must_use]
    pub fn with_capacity(settings: GuardSettings, clock: Clock, capacity: usize) -> Self {
        let shards = (capacity / MIN_SHARD).clamp(1, MAX_SHARDS);
        Self {
            inner: Arc::new(Inner {
                settings,
                divisor: AtomicU32::new(1),
                clock,
                shards: (0..shards).map(|_| Mutex::default()).collect(),
                shard_capacity: (capacity / shards).max(1),
                callers: Callers::default(),
                suspects: Suspects::default(),
            }),
        }
    }

    /// The clock that its days go by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Divides all limits: by the number of replicas while they cannot see each other, else by 1.
    pub fn divide(&self, divisor: u32) {
        self.inner.divisor.store(divisor.max(1), Ordering::Relaxed);
    }

    /// Takes one slot of a card for one attempt, before anything is sent. `slot_lasts` is how long
    /// a slot in flight may last: the provider's timeout.
    ///
    /// # Errors
    /// When one more call could lock the card, or the store has no room for one more card.
    pub fn reserve(
        &self,
        card: CardTag,
        caller: &str,
        family: Family,
        slot_lasts: Duration,
    ) -> Result<Reservation, Refused> {
        let key = Key { card, family };
        let caller = self.inner.callers.id(caller);
        let divisor = self.inner.divisor.load(Ordering::Relaxed);
        let limits = self.inner.limits(family, divisor);
        let taken = self.inner.reserve(key, caller, &limits, slot_lasts)?;
        Ok(Reservation {
            inner: Arc::clone(&self.inner),
            key,
            caller,
            taken,
            open: true,
        })
    }

    /// Notes a slot that a shared store has given, whatever is known here. `None` when there is no
    /// room to note it.
    #[must_use]
    pub fn note(&self, card: CardTag, caller: &str, family: Family) -> Option<Reservation> {
        let key = Key { card, family };
        let caller = self.inner.callers.id(caller);
        let unlimited = GuardLimits {
            calls: u16::MAX,
            mismatches: None,
            caller_calls: u16::MAX,
            caller_mismatches: None,
        };
        let noted = self.inner.reserve(key, caller, &unlimited, Duration::ZERO);
        noted.ok().map(|taken| Reservation {
            inner: Arc::clone(&self.inner),
            key,
            caller,
            taken,
            open: true,
        })
    }

    /// The limits of a card that hold for all replicas together.
    #[must_use]
    pub fn whole_limits(&self, family: Family) -> GuardLimits {
        self.inner.limits(family, 1)
    }

    /// Everything that this process has counted, for a shared store that was emptied; without slots
    /// in flight, which whoever holds them puts back.
    #[must_use]
    pub fn seed(&self) -> Vec<SeedCard> {
        let now = self.inner.clock.now();
        let mut seeds = Vec::new();
        for shard in &self.inner.shards {
            for (key, card) in &mut shard.lock().cards {
                for (caller, mut part) in card.parts(now) {
                    part.card = key.card;
                    part.family = key.family;
                    if let Some(name) = self.inner.callers.name(caller) {
                        part.caller = name;
                        seeds.push(part);
                    }
                }
            }
        }
        seeds
    }

    /// What is counted about a card; `None` when that is nothing.
    #[must_use]
    pub fn show(&self, card: CardTag) -> Option<CardState> {
        let now = self.inner.clock.now();
        let counts = |family| {
            let key = Key { card, family };
            let mut shard = self.inner.shard(&key).lock();
            let found = shard.cards.get_mut(&key)?;
            (!found.is_blank(now)).then(|| found.counts(now))
        };
        let state = CardState {
            verification: counts(Family::Verification),
            card_information: counts(Family::CardInformation),
        };
        (state.verification.is_some() || state.card_information.is_some()).then_some(state)
    }

    /// Opens a card: forgets everything that was counted about it. Slots in flight stay, and their
    /// calls count when they end. Says whether there was anything to forget.
    pub fn reset(&self, card: CardTag) -> bool {
        let known = self.show(card).is_some();
        let now = self.inner.clock.now();
        for family in [Family::Verification, Family::CardInformation] {
            let key = Key { card, family };
            self.inner
                .shard(&key)
                .lock()
                .change(&key, now, |card| card.reset());
        }
        known
    }

    /// Callers with mismatches lately, the ones with the most cards first.
    #[must_use]
    pub fn suspects(&self) -> Vec<Suspect> {
        let counts = self.inner.suspects.counts(self.inner.clock.now());
        let mut suspects: Vec<Suspect> = counts
            .into_iter()
            .filter_map(|(id, cards)| {
                Some(Suspect {
                    caller: self.inner.callers.name(id)?,
                    cards,
                    suspected: cards >= SUSPECT_CARDS,
                })
            })
            .collect();
        suspects.sort_by(|a, b| b.cards.cmp(&a.cards).then(a.caller.cmp(&b.caller)));
        suspects
    }

    /// How many records are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        let shards = self.inner.shards.iter();
        shards.map(|shard| shard.lock().cards.len()).sum()
    }

    /// Whether nothing is known about any card.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Reservation {
    /// Gives the slot back and counts what the answer means.
    pub fn settle(mut self, effect: GuardEffect) {
        if self.key.family == Family::Verification && effect == GuardEffect::Mismatch {
            let now = self.inner.clock.now();
            self.inner.suspects.note(self.caller, self.key.card, now);
        }
        self.close(effect);
    }

    /// The same for a card's tag under the previous key: it is no other card to be suspicious of.
    pub fn settle_again(mut self, effect: GuardEffect) {
        self.close(effect);
    }

    /// Gives the slot back: the request surely did not run.
    pub fn release(self) {
        self.settle(GuardEffect::Nothing);
    }

    /// Counts a call and a mismatch: the request may have run, and what came of it is not known.
    pub fn unknown(self) {
        drop(self);
    }

    fn close(&mut self, effect: GuardEffect) {
        self.open = false;
        self.inner
            .settle(&self.key, self.caller, self.taken, effect);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.open {
            self.close(GuardEffect::Mismatch);
        }
    }
}

impl Inner {
    fn reserve(
        &self,
        key: Key,
        caller: CallerId,
        limits: &GuardLimits,
        slot_lasts: Duration,
    ) -> Result<Mark, Refused> {
        let mut shard = self.shard(&key).lock();
        // read under the lock, so that the counts of one card see time pass in one order
        let now = self.clock.now();
        if !shard.cards.contains_key(&key) && !shard.make_room(self.shard_capacity, now) {
            return Err(Refused::Full);
        }
        let card = shard.cards.entry(key).or_default();
        let reserved = card.reserve(caller, limits, now);
        if reserved.is_err() && card.is_blank(now) {
            shard.cards.remove(&key);
        }
        reserved.map_err(|closed| Refused::Closed {
            cause: closed.cause,
            retry_after: closed
                .opens_at
                .map_or(slot_lasts, |opens_at| until(now, opens_at)),
        })
    }

    fn settle(&self, key: &Key, caller: CallerId, taken: Mark, effect: GuardEffect) {
        let effect = counted(key.family, effect);
        let mut shard = self.shard(key).lock();
        let now = self.clock.now();
        shard.change(key, now, |card| card.settle(caller, taken, effect, now));
    }

    fn limits(&self, family: Family, divisor: u32) -> GuardLimits {
        let divisor = divisor.max(1);
        let share = self.settings.caller_share;
        let calls = divided(self.settings.max_calls, divisor);
        let mismatches = divided(self.settings.max_mismatches, divisor);
        let counts_mismatches = family == Family::Verification;
        GuardLimits {
            calls,
            mismatches: counts_mismatches.then_some(mismatches),
            caller_calls: share_of(calls, share),
            caller_mismatches: counts_mismatches.then(|| share_of(mismatches, share)),
        }
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        // tags are evenly spread by themselves
        let last = key.card.as_bytes().last().copied().unwrap_or_default();
        &self.shards[usize::from(last) % self.shards.len()]
    }
}

/// A limit divided by the number of replicas, rounded down, and at least 1 unless it was 0.
fn divided(limit: u32, divisor: u32) -> u16 {
    let divided = (limit / divisor).max(1).min(limit);
    u16::try_from(divided).unwrap_or(u16::MAX)
}

/// A caller's share of a limit, rounded down, and at least 1 unless the limit is 0.
fn share_of(limit: u16, share: f64) -> u16 {
    // without the little more, 0.29 of 100 would be 28
    let part = (f64::from(limit) * share.clamp(0.0, 1.0) + 1e-9).floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a u16, not below 0"
    )]
    let part = part as u16;
    part.max(1).min(limit)
}

fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
