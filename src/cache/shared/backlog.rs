//! What could not be told to the store while it was lost, in order. It is told before the store is
//! trusted again.

use std::collections::VecDeque;

use parking_lot::Mutex;
use redis::Script;

use super::scripts::{Arguments, Scripts};

/// Operations that are kept at most, about a kilobyte each: a minute of a busy replica.
const MOST: usize = 20_000;

/// One operation that must not be forgotten.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Settle(Arguments),
    Land(Arguments),
    EndIds(Arguments),
    Notice(Arguments),
}

impl Operation {
    pub(super) const fn script<'a>(&self, scripts: &'a Scripts) -> &'a Script {
        match self {
            Self::Settle(_) => &scripts.settle,
            Self::Land(_) => &scripts.land,
            Self::EndIds(_) => &scripts.end_ids,
            Self::Notice(_) => &scripts.notice,
        }
    }

    pub(super) const fn arguments(&self) -> &Arguments {
        match self {
            Self::Settle(arguments)
            | Self::Land(arguments)
            | Self::EndIds(arguments)
            | Self::Notice(arguments) => arguments,
        }
    }

    /// What of it is still to be told to a store that was told a seed: what this process had
    /// counted before that stands in there.
    fn since(self, seed: u64) -> Option<Self> {
        let settle = self.arguments().json.get("settle");
        let after = settle.and_then(|it| it.get("after_seed")?.as_u64());
        if after.is_none_or(|after| after >= seed) {
            return Some(self);
        }
        match self {
            Self::Land(mut arguments) => {
                arguments.json.remove("settle");
                Some(Self::Land(arguments))
            }
            _ => None,
        }
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Backlog {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Operation>,
    /// The number of the last seed that the store was told; 0: none.
    seed: u64,
}

impl Backlog {
    /// What of an operation is still to be told.
    pub(super) fn left_of(&self, operation: Operation) -> Option<Operation> {
        operation.since(self.state.lock().seed)
    }

    /// Keeps one. When there are too many, the oldest is given up: its slot and its hold end by
    /// themselves, on the safe side.
    pub(super) fn keep(&self, operation: Operation) {
        let mut state = self.state.lock();
        if state.waiting.len() >= MOST {
            state.waiting.pop_front();
        }
        let left = operation.since(state.seed);
        state.waiting.extend(left);
    }

    /// The oldest.
    pub(super) fn first(&self) -> Option<Operation> {
        self.state.lock().waiting.front().cloned()
    }

    /// The oldest was told.
    pub(super) fn told(&self) {
        self.state.lock().waiting.pop_front();
    }

    /// The store was emptied and has been told a seed of this process.
    pub(super) fn seeded(&self, seed: u64) {
        let mut state = self.state.lock();
        state.seed = seed;
        let all = std::mem::take(&mut state.waiting);
        state
            .waiting
            .extend(all.into_iter().filter_map(|it| it.since(seed)));
    }
}
