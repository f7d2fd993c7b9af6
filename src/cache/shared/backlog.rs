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

    /// The same without what it would count: that stands in the seed of an emptied store.
    fn without_counts(self) -> Option<Self> {
        match self {
            Self::Settle(_) => None,
            Self::Land(mut arguments) => {
                arguments.json.remove("settle");
                Some(Self::Land(arguments))
            }
            other => Some(other),
        }
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Backlog {
    waiting: Mutex<VecDeque<Operation>>,
}

impl Backlog {
    /// Keeps one. When there are too many, the oldest is given up: its slot and its hold end by
    /// themselves, on the safe side.
    pub(super) fn keep(&self, operation: Operation) {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= MOST {
            waiting.pop_front();
        }
        waiting.push_back(operation);
    }

    /// The oldest.
    pub(super) fn first(&self) -> Option<Operation> {
        self.waiting.lock().front().cloned()
    }

    /// The oldest was told.
    pub(super) fn told(&self) {
        self.waiting.lock().pop_front();
    }

    /// The store was emptied and has been told all counts of this process.
    pub(super) fn forget_counts(&self) {
        let mut waiting = self.waiting.lock();
        let all = std::mem::take(&mut *waiting);
        waiting.extend(all.into_iter().filter_map(Operation::without_counts));
    }
}
