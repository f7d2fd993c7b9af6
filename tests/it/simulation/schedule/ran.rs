//! What came of a schedule, for the judge.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use cardproof::domain::{AttemptOutcome, ResultCode, Source};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::world::Call;
use crate::support;

pub const NAMES: [&str; 4] = ["张三", "李四", "王五", "赵六"];
pub const CALLERS: [&str; 2] = ["one", "two"];
/// What may be spent in a day on a vendor and by a caller, where a schedule has budgets; a call
/// costs 1.
pub const VENDOR_BUDGET: u64 = 7;
pub const CALLER_BUDGET: u64 = 9;
/// Which part of a card one caller may use, where a schedule has shares: 6 calls, 1 mismatch.
pub const SHARE: f64 = 0.6;

/// What a caller was told.
#[derive(Debug, Clone)]
pub enum Told {
    /// It had hung up, or its replica died.
    Nothing,
    Answer(Answered),
    Denial(&'static str),
}

/// As much of an answer as is judged.
#[derive(Debug, Clone)]
pub struct Answered {
    pub result: ResultCode,
    pub source: Source,
    pub attempts: Vec<AttemptOutcome>,
}

/// One call of a caller.
#[derive(Clone)]
pub struct Asked {
    pub life: usize,
    pub card: String,
    pub name: String,
    pub bypass: bool,
    pub id: Option<Uuid>,
    pub at: Instant,
    pub deadline: Instant,
    pub ended: Option<Instant>,
    pub told: Told,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = self
            .ended
            .map(|ended| ended.duration_since(self.at).as_millis());
        let bypass = if self.bypass { " BYPASS" } else { "" };
        write!(f, "{}/{}{bypass} id {:?}", self.card, self.name, self.id)?;
        write!(f, " after {took:?} ms: {:?}", self.told)
    }
}

/// Everything that came of a schedule.
pub struct Ran {
    pub begun: Instant,
    pub calls: Vec<Call>,
    pub asked: Vec<Asked>,
    pub looked_up: Vec<Asked>,
    pub erased: Vec<(Instant, String)>,
    pub events: Vec<(Instant, String)>,
    pub shared: bool,
    pub refuses: bool,
    pub losses: Vec<(Instant, Option<Instant>)>,
    pub emptyings: Vec<Instant>,
    /// Lives that ended, and when.
    pub deaths: Vec<(usize, Instant)>,
    /// Lives that stood still, from when and until when at most.
    pub frozen: Vec<(usize, Instant, Instant)>,
    pub replicas: usize,
    /// What the operator limits.
    pub limits: Limits,
}

/// What the operator of a schedule limits beside the card.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What may be spent in a day.
    pub budgets: bool,
    /// What of a card one caller may use.
    pub shares: bool,
}

/// Whose questions are about a person: each caller has two.
pub fn caller_of(name: &str) -> &'static str {
    let at = NAMES.iter().position(|it| *it == name).unwrap_or_default();
    CALLERS[at / 2]
}

impl Ran {
    /// Whether the store was lost to anybody at some time of a period.
    pub fn lost_between(&self, from: Instant, to: Instant) -> bool {
        let overlaps = |loss: &(Instant, Option<Instant>)| {
            loss.0 <= to && loss.1.is_none_or(|ended| ended >= from)
        };
        self.losses.iter().any(overlaps)
    }

    /// Whether the store forgot everything at some time of a period.
    pub fn emptied_between(&self, from: Instant, to: Instant) -> bool {
        self.emptyings.iter().any(|at| (from..=to).contains(at))
    }

    /// Whether a replica died or stood still at some time of a period.
    pub fn struck_between(&self, from: Instant, to: Instant) -> bool {
        let died = self.deaths.iter().any(|(_, at)| (from..=to).contains(at));
        died || self.frozen.iter().any(|it| it.1 <= to && it.2 >= from)
    }

    /// Whether one life stood still at some time of a period.
    pub fn stood_still(&self, life: usize, from: Instant, to: Instant) -> bool {
        let mut frozen = self.frozen.iter().filter(|it| it.0 == life);
        frozen.any(|it| it.1 <= to && it.2 >= from)
    }

    /// When a life ended, if it did.
    pub fn died_at(&self, life: usize) -> Option<Instant> {
        let found = self.deaths.iter().find(|it| it.0 == life);
        found.map(|it| it.1)
    }

    /// Whether every promise holds whatever becomes of the store: nobody asks without it, and
    /// everybody who knew something lives to put it back in time.
    pub fn holds_all(&self) -> bool {
        self.shared && self.refuses && self.deaths.is_empty() && self.frozen.is_empty()
    }

    /// Calls and mismatches in a row that a card may have had by then.
    pub fn bounds(&self, at: Instant) -> (usize, usize) {
        let settings = support::guard_settings();
        let (calls, mismatches) = (settings.max_calls, settings.max_mismatches);
        let bound = |limit: u32| self.bound(limit as usize, 1, at);
        (bound(calls), bound(mismatches))
    }

    /// The same of one caller's part.
    pub fn bounds_of_caller(&self, at: Instant) -> (usize, usize) {
        (self.bound(6, 1, at), self.bound(1, 1, at))
    }

    /// How much of a limit may have been used by a time. §3.8: without the store each replica uses
    /// its part, rounded down, and at least so much.
    pub fn bound(&self, limit: usize, least: usize, at: Instant) -> usize {
        let whole = self.shared && !self.lost_between(self.begun, at);
        let alone = self.replicas == 1 && self.deaths.is_empty();
        if whole || alone || self.holds_all() {
            return limit;
        }
        let lives = self.replicas + self.deaths.len();
        let parts = lives * (limit / self.replicas).max(least);
        if self.shared { limit + parts } else { parts }
    }
}

/// What all schedules together were.
#[derive(Default)]
pub struct Tally {
    schedules: AtomicUsize,
    calls: AtomicUsize,
    asked: AtomicUsize,
    losses: AtomicUsize,
    deaths: AtomicUsize,
    failed: AtomicUsize,
}

impl Tally {
    /// Adds one; says whether it is the first that failed.
    pub fn add(&self, ran: &Ran, failed: bool) -> bool {
        for (counter, count) in [
            (&self.schedules, 1),
            (&self.calls, ran.calls.len()),
            (&self.asked, ran.asked.len()),
            (&self.losses, ran.losses.len()),
            (&self.deaths, ran.deaths.len()),
        ] {
            counter.fetch_add(count, Ordering::Relaxed);
        }
        failed && self.failed.fetch_add(1, Ordering::Relaxed) == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{} schedules: {} questions, {} vendor calls, {} losses of the store, {} deaths",
            of(&self.schedules),
            of(&self.asked),
            of(&self.calls),
            of(&self.losses),
            of(&self.deaths)
        )
    }
}
