//! How far this process is in its life, told to both ports.

use std::sync::Arc;

use tokio::sync::watch;

/// How far the process is. It only ever goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not everything is up yet.
    Starting,
    /// Calls are welcome.
    Serving,
    /// Calls are still served, but should go elsewhere.
    Draining,
    /// No connection is accepted any more; calls under way are finished.
    Stopping,
}

impl Phase {
    /// The word for people and `/status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
        }
    }
}

/// Says how far the process is; clones share it.
///
/// Readiness depends on nothing but this: never on vendors or shared stores, because taking every
/// replica out of service would help nobody.
#[derive(Debug, Clone)]
pub struct HealthSwitch {
    phase: Arc<watch::Sender<Phase>>,
}

impl Default for HealthSwitch {
    fn default() -> Self {
        Self::new()
    }
}

impl HealthSwitch {
    /// A process that is starting.
    #[must_use]
    pub fn new() -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(Phase::Starting)),
        }
    }

    /// Everything is up.
    pub fn serving(&self) {
        self.advance(Phase::Serving);
    }

    /// The process was asked to stop and still serves.
    pub fn draining(&self) {
        self.advance(Phase::Draining);
    }

    /// No new calls; those who watch are let go.
    pub fn stopping(&self) {
        self.advance(Phase::Stopping);
    }

    /// How far the process is.
    #[must_use]
    pub fn state(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether calls are welcome.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state() == Phase::Serving
    }

    /// Follows the phase.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let forward = to > *phase;
            if forward {
                *phase = to;
            }
            forward
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draining_process_never_calls_itself_ready_again() {
        let switch = HealthSwitch::new();
        assert_eq!(switch.state(), Phase::Starting);
        assert!(!switch.is_ready());
        switch.serving();
        assert!(switch.is_ready());
        switch.draining();
        switch.serving();
        assert_eq!(switch.state(), Phase::Draining);
        assert!(!switch.is_ready());
    }

    #[test]
    fn clones_share_the_phase_and_a_stop_before_the_start_holds() {
        let switch = HealthSwitch::new();
        let other = switch.clone();
        let watcher = switch.subscribe();
        other.draining();
        switch.serving();
        assert_eq!(switch.state(), Phase::Draining);
        assert!(watcher.has_changed().is_ok_and(|changed| changed));
    }
}
