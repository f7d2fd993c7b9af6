//! A vendor that is down is not asked again and again: after too many failures in a while nothing
//! is sent for a while, then one call finds out whether it is back.
//!
//! One breaker stands for one operation of one provider:
//!
//! - **closed**: calls pass and count. When, of the calls within the window that said anything
//!   about health, there are at least `min_calls`, and at least `failure_ratio` of them say that
//!   the vendor is sick, it opens.
//! - **open**: nothing passes for `open`. A call that was let through before and ends now is not
//!   counted: it says nothing about the time after.
//! - **half-open**: one call passes, the probe. Well: closed, with nothing counted. Sick: open
//!   again. If it says nothing, or nobody ever says how it ended, the next call is the probe.
//!
//! Answers about cards and people say nothing bad about a vendor; [`Health`] decides, not this.
//!
//! The window slides by tenths: a call counts for at least nine tenths of it and never longer.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{config::BreakerSettings, provider::Health};

/// Parts that the window slides by.
const SLICES: u32 = 10;
/// When to come again while a probe is under way: it has no end that is known.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// Nothing may be sent for about that long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFor(pub Duration);

/// What a breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They pass.
    Closed,
    /// One passes at a time.
    HalfOpen,
    /// None passes.
    Open,
}

impl State {
    /// Its value in metrics.
    #[must_use]
    pub const fn as_metric(self) -> u64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// The breaker of one operation of one provider. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Breaker {
    /// `None`: the operator wants none, and everything passes.
    inner: Option<Arc<Inner>>,
}

struct Inner {
    settings: BreakerSettings,
    slice: Duration,
    machine: Mutex<Machine>,
}

struct Machine {
    phase: Phase,
    /// Goes up with every change of phase: tickets of an earlier one are not listened to.
    generation: u64,
    slices: [Slice; SLICES as usize],
    begun: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen { probing: bool },
}

/// Calls that ended within one part of the window.
#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    number: u128,
    well: u32,
    sick: u32,
}

/// The right to make one call. Dropped without a word it frees the probe that it may have been.
#[must_use = "a ticket that is dropped says nothing about the vendor"]
pub struct Ticket {
    inner: Option<Arc<Inner>>,
    generation: u64,
}

impl Breaker {
    /// A breaker that is closed.
    #[must_use]
    pub fn new(settings: &BreakerSettings, now: Instant) -> Self {
        let slice = (settings.window / SLICES).max(Duration::from_nanos(1));
        let inner = settings.enabled.then(|| {
            Arc::new(Inner {
                settings: settings.clone(),
                slice,
                machine: Mutex::new(Machine {
                    phase: Phase::Closed,
                    generation: 0,
                    slices: [Slice::default(); SLICES as usize],
                    begun: now,
                }),
            })
        });
        Self { inner }
    }

    /// Lets one call through, if the vendor may be asked.
    ///
    /// # Errors
    /// When it may not, with how long that lasts.
    pub fn admit(&self, now: Instant) -> Result<Ticket, OpenFor> {
        let Some(inner) = &self.inner else {
            return Ok(Ticket {
                inner: None,
                generation: 0,
            });
        };
        let mut machine = inner.machine.lock();
        machine.wake(now);
        match machine.phase {
            Phase::Closed => {}
            Phase::Open { until } => return Err(OpenFor(until.duration_since(now))),
            Phase::HalfOpen { probing: true } => return Err(OpenFor(PROBE_PATIENCE)),
            Phase::HalfOpen { probing: false } => {
                machine.phase = Phase::HalfOpen { probing: true };
            }
        }
        Ok(inner.ticket(&machine))
    }

    /// Lets one call through though the time has not come: for the one that recovers first when
    /// every vendor is closed off. It is a probe as any other, so only one is out at a time.
    #[must_use]
    pub fn force(&self, now: Instant) -> Option<Ticket> {
        let Some(inner) = &self.inner else {
            return self.admit(now).ok();
        };
        let mut machine = inner.machine.lock();
        machine.wake(now);
        match machine.phase {
            Phase::Closed => {}
            Phase::HalfOpen { probing: true } => return None,
            Phase::Open { .. } | Phase::HalfOpen { probing: false } => {
                machine.enter(Phase::HalfOpen { probing: true });
            }
        }
        Some(inner.ticket(&machine))
    }

    /// When a call will pass: now if one would.
    #[must_use]
    pub fn recovers_at(&self, now: Instant) -> Instant {
        let Some(inner) = &self.inner else {
            return now;
        };
        let mut machine = inner.machine.lock();
        machine.wake(now);
        match machine.phase {
            Phase::Closed | Phase::HalfOpen { probing: false } => now,
            Phase::HalfOpen { probing: true } => now + PROBE_PATIENCE,
            Phase::Open { until } => until,
        }
    }

    /// What it does with calls.
    #[must_use]
    pub fn state(&self, now: Instant) -> State {
        let Some(inner) = &self.inner else {
            return State::Closed;
        };
        let mut machine = inner.machine.lock();
        machine.wake(now);
        match machine.phase {
            Phase::Closed => State::Closed,
            Phase::HalfOpen { .. } => State::HalfOpen,
            Phase::Open { .. } => State::Open,
        }
    }
}

impl Ticket {
    /// Tells how the call ended.
    pub fn record(mut self, health: Health, now: Instant) {
        if let Some(inner) = self.inner.take() {
            inner.learn(self.generation, health, now);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            inner.free_probe(self.generation);
        }
    }
}

impl Inner {
    fn ticket(self: &Arc<Self>, machine: &Machine) -> Ticket {
        Ticket {
            inner: Some(Arc::clone(self)),
            generation: machine.generation,
        }
    }

    fn learn(&self, generation: u64, health: Health, now: Instant) {
        if health == Health::SaysNothing {
            self.free_probe(generation);
            return;
        }
        let mut machine = self.machine.lock();
        if machine.generation != generation {
            return;
        }
        let sick = health == Health::Sick;
        match machine.phase {
            Phase::Closed => {
                if machine.count(sick, self.slice, &self.settings, now) {
                    machine.open(self.settings.open, now);
                }
            }
            Phase::HalfOpen { .. } if sick => machine.open(self.settings.open, now),
            Phase::HalfOpen { .. } => machine.enter(Phase::Closed),
            Phase::Open { .. } => {}
        }
    }

    fn free_probe(&self, generation: u64) {
        let mut machine = self.machine.lock();
        if machine.generation == generation
            && let Phase::HalfOpen { probing } = &mut machine.phase
        {
            *probing = false;
        }
    }
}

impl Machine {
    /// An open breaker whose time is over is half-open.
    fn wake(&mut self, now: Instant) {
        if let Phase::Open { until } = self.phase
            && now >= until
        {
            self.enter(Phase::HalfOpen { probing: false });
        }
    }

    fn open(&mut self, time: Duration, now: Instant) {
        self.enter(Phase::Open { until: now + time });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
        self.slices = [Slice::default(); SLICES as usize];
    }

    /// Counts a call that has ended and says whether that is too much.
    fn count(
        &mut self,
        sick: bool,
        slice: Duration,
        settings: &BreakerSettings,
        now: Instant,
    ) -> bool {
        let number = now.duration_since(self.begun).as_nanos() / slice.as_nanos();
        let slices = u128::from(SLICES);
        let place = usize::try_from(number % slices).unwrap_or_default();
        if let Some(current) = self.slices.get_mut(place) {
            if current.number != number {
                *current = Slice {
                    number,
                    ..Slice::default()
                };
            }
            if sick {
                current.sick = current.sick.saturating_add(1);
            } else {
                current.well = current.well.saturating_add(1);
            }
        }
        let recent = self
            .slices
            .iter()
            .filter(|slice| slice.number + slices > number);
        let (well, ill) = recent.fold((0u32, 0u32), |(well, ill), slice| {
            (
                well.saturating_add(slice.well),
                ill.saturating_add(slice.sick),
            )
        });
        let calls = well.saturating_add(ill);
        ill > 0
            && calls >= settings.min_calls
            && f64::from(ill) >= settings.failure_ratio * f64::from(calls)
    }
}

#[cfg(test)]
mod tests;
