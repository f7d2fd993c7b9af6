//! Attempts under way, for a store that all replicas share: when it was emptied, their slots and
//! seats are put back with what this process has counted.
//!
//! What an attempt counts here and whether it is under way change in one step, and so does what is
//! put back see them: an attempt stands there as a count or as a slot, never as both, never as
//! none. A settlement says how many times something had been put back before it, so that a store
//! which knows it from there does not count it again.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::cache::shared::{SeedCall, Sent, Slot, Token};

/// All attempts of this process that are under way.
#[derive(Default)]
pub struct UnderWay {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many times they were put back.
    seeds: u64,
    attempts: HashMap<Token, Attempt>,
}

struct Attempt {
    slot: Slot,
    ends: Instant,
    sent: Option<Sent>,
    /// Made alone, and the store has been told since that it is under way.
    is_told: bool,
}

/// One of them. Dropped without a word it is not under way any more.
pub struct Entry {
    all: Arc<UnderWay>,
    slot: Token,
    begun_after: u64,
}

/// How an attempt was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// How many times attempts had been put back before.
    pub after_seed: u64,
    /// Whether this one was.
    pub was_put_back: bool,
}

impl UnderWay {
    /// How many times attempts were put back.
    pub fn seeds(&self) -> u64 {
        self.state.lock().seeds
    }

    /// Begins an attempt, together with what it takes in this process.
    ///
    /// # Errors
    /// What `take` says; then nothing is under way.
    pub fn begin<T, E>(
        self: &Arc<Self>,
        slot: &Slot,
        ends: Instant,
        sent: Option<Sent>,
        take: impl FnOnce() -> Result<T, E>,
    ) -> Result<(Entry, T), E> {
        let mut state = self.state.lock();
        let taken = take()?;
        let attempt = Attempt {
            slot: slot.clone(),
            ends,
            sent,
            is_told: false,
        };
        state.attempts.insert(slot.token, attempt);
        let entry = Entry {
            all: Arc::clone(self),
            slot: slot.token,
            begun_after: state.seeds,
        };
        Ok((entry, taken))
    }

    /// All of them, together with everything else that was counted; says which seed this is.
    pub fn seed<T>(&self, counted: impl FnOnce() -> T) -> (u64, Vec<SeedCall>, T) {
        let mut state = self.state.lock();
        state.seeds += 1;
        let now = Instant::now();
        let attempts = state.attempts.values_mut();
        let calls = attempts.map(|attempt| attempt.put_back(now)).collect();
        (state.seeds, calls, counted())
    }

    /// Those that are made alone: the store has not given their slots, and is told of them when it
    /// is there again. `all`: also those that it was told of already.
    pub fn alone(&self, all: bool) -> Vec<SeedCall> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let alone = state.attempts.values_mut();
        let alone = alone.filter(|it| it.sent.is_none() && (all || !it.is_told));
        alone.map(|attempt| attempt.put_back(now)).collect()
    }
}

impl Attempt {
    fn put_back(&mut self, now: Instant) -> SeedCall {
        self.is_told = true;
        SeedCall {
            slot: self.slot.clone(),
            lasts: self.ends.saturating_duration_since(now),
            sent: self.sent.clone(),
        }
    }
}

impl Entry {
    /// After how many times that attempts were put back this one began.
    pub fn begun_after(&self) -> u64 {
        self.begun_after
    }

    /// Ends the attempt, together with what it counts in this process.
    pub fn end(self, count: impl FnOnce()) -> Counted {
        let mut state = self.all.state.lock();
        state.attempts.remove(&self.slot);
        count();
        Counted {
            after_seed: state.seeds,
            was_put_back: state.seeds > self.begun_after,
        }
        // the lock goes before the entry, which takes it once more
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.all.state.lock().attempts.remove(&self.slot);
    }
}
