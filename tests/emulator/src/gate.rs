//! Gates: answers held back until a test says so.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

/// How a gate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GateState {
    /// Calls that wait at it now.
    pub waiting: usize,
    /// Whether it is open; an open gate holds nobody until it is closed again.
    pub released: bool,
}

struct Gate {
    released: watch::Sender<bool>,
    waiting: AtomicUsize,
    /// Says that `waiting` changed.
    arrivals: watch::Sender<()>,
}

/// All gates, made when first named.
#[derive(Default)]
pub(crate) struct Gates {
    gates: Mutex<HashMap<String, Arc<Gate>>>,
}

/// Counts a waiting call down again, also when its connection ends.
struct Waiting(Arc<Gate>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
        self.0.arrivals.send_replace(());
    }
}

impl Gates {
    fn gate(&self, name: &str) -> Arc<Gate> {
        let mut gates = self.gates.lock();
        if let Some(gate) = gates.get(name) {
            return Arc::clone(gate);
        }
        let gate = Arc::new(Gate {
            released: watch::Sender::new(false),
            waiting: AtomicUsize::new(0),
            arrivals: watch::Sender::new(()),
        });
        gates.insert(name.to_owned(), Arc::clone(&gate));
        gate
    }

    /// Waits until the gate is open.
    pub(crate) async fn pass(&self, name: &str) {
        let gate = self.gate(name);
        let mut released = gate.released.subscribe();
        gate.waiting.fetch_add(1, Ordering::AcqRel);
        gate.arrivals.send_replace(());
        let waiting = Waiting(gate);
        // An error would mean that the gate is gone, which `waiting` prevents.
        let _ = released.wait_for(|open| *open).await;
        drop(waiting);
    }

    /// Waits until at least `count` calls wait at the gate.
    pub(crate) async fn wait_for(&self, name: &str, count: usize) {
        let gate = self.gate(name);
        let mut arrivals = gate.arrivals.subscribe();
        while gate.waiting.load(Ordering::Acquire) < count {
            if arrivals.changed().await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn set(&self, name: &str, released: bool) {
        self.gate(name).released.send_replace(released);
    }

    pub(crate) fn state(&self, name: &str) -> GateState {
        let gate = self.gate(name);
        GateState {
            waiting: gate.waiting.load(Ordering::Acquire),
            released: *gate.released.borrow(),
        }
    }

    /// Opens every gate and forgets it, so that nobody is left waiting.
    pub(crate) fn clear(&self) {
        for (_, gate) in self.gates.lock().drain() {
            gate.released.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gate_holds_until_it_is_released() {
        let gates = Arc::new(Gates::default());
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let gates = Arc::clone(&gates);
                tokio::spawn(async move { gates.pass("a").await })
            })
            .collect();
        gates.wait_for("a", 100).await;
        assert_eq!(
            gates.state("a"),
            GateState {
                waiting: 100,
                released: false
            }
        );
        assert!(tasks.iter().all(|task| !task.is_finished()));
        gates.set("a", true);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(
            gates.state("a"),
            GateState {
                waiting: 0,
                released: true
            }
        );
    }
}
