//! Limits that all connections share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// Lets a fixed number in; clones share the count.
#[derive(Debug, Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    most: usize,
    inside: AtomicUsize,
    turned_away: AtomicU64,
}

impl Gate {
    /// A gate for `most` at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                most,
                inside: AtomicUsize::new(0),
                turned_away: AtomicU64::new(0),
            }),
        }
    }

    /// Enters, unless it is full.
    #[must_use]
    pub fn enter(&self) -> Option<Permit> {
        // lazily: a permit that is made and thrown away would give back a place
        self.admit().then(|| Permit {
            gate: Arc::clone(&self.inner),
        })
    }

    /// How many are inside.
    #[must_use]
    pub fn inside(&self) -> usize {
        self.inner.inside.load(Ordering::Relaxed)
    }

    /// How many were turned away since the start.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.inner.turned_away.load(Ordering::Relaxed)
    }

    /// How many fit.
    #[must_use]
    pub fn most(&self) -> usize {
        self.inner.most
    }

    /// Enters as [`Self::enter`] does, for whoever gives the place back by [`Self::leave`].
    pub(super) fn admit(&self) -> bool {
        // taken first and given back when it was too many: one instruction on the usual way
        if self.inner.inside.fetch_add(1, Ordering::Relaxed) < self.inner.most {
            return true;
        }
        self.leave();
        self.inner.turned_away.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Gives a place back.
    pub(super) fn leave(&self) {
        self.inner.leave();
    }
}

impl Inner {
    fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place inside a [`Gate`], given back on drop.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Inner>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_is_exact_and_counts_those_outside() {
        let gate = Gate::new(2);
        let first = gate.enter();
        let second = gate.enter();
        assert!(first.is_some() && second.is_some());
        assert!(gate.enter().is_none());
        assert!(gate.enter().is_none());
        assert_eq!((gate.inside(), gate.turned_away()), (2, 2));
        drop(first);
        assert!(gate.enter().is_some());
        drop(second);
        assert_eq!(gate.inside(), 0);
    }
}
