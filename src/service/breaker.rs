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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPEN: Duration = Duration::from_secs(15);

    fn settings() -> BreakerSettings {
        BreakerSettings {
            enabled: true,
            window: Duration::from_secs(30),
            min_calls: 4,
            failure_ratio: 0.5,
            open: OPEN,
        }
    }

    fn breaker() -> Breaker {
        Breaker::new(&settings(), Instant::now())
    }

    fn call(breaker: &Breaker, health: Health) {
        let ticket = breaker.admit(Instant::now()).unwrap();
        ticket.record(health, Instant::now());
    }

    fn state(breaker: &Breaker) -> State {
        breaker.state(Instant::now())
    }

    fn opened() -> Breaker {
        let breaker = breaker();
        for _ in 0..4 {
            call(&breaker, Health::Sick);
        }
        assert_eq!(state(&breaker), State::Open);
        breaker
    }

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn opens_at_the_ratio_and_not_before_enough_calls() {
        let breaker = breaker();
        call(&breaker, Health::Sick);
        call(&breaker, Health::Sick);
        call(&breaker, Health::Sick);
        assert_eq!(state(&breaker), State::Closed, "three calls say nothing");
        call(&breaker, Health::Well);
        assert_eq!(state(&breaker), State::Open, "three of four are sick");

        let breaker = self::breaker();
        for _ in 0..6 {
            call(&breaker, Health::Well);
        }
        for _ in 0..5 {
            call(&breaker, Health::Sick);
            assert_eq!(state(&breaker), State::Closed);
        }
        call(&breaker, Health::Sick);
        assert_eq!(state(&breaker), State::Open, "six of twelve are sick");
    }

    #[tokio::test(start_paused = true)]
    async fn business_answers_and_silence_say_nothing() {
        let breaker = breaker();
        for _ in 0..100 {
            call(&breaker, Health::SaysNothing);
            drop(breaker.admit(Instant::now()).unwrap());
        }
        for _ in 0..3 {
            call(&breaker, Health::Sick);
        }
        assert_eq!(state(&breaker), State::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_is_forgotten() {
        let breaker = breaker();
        for _ in 0..3 {
            call(&breaker, Health::Sick);
        }
        pass(Duration::from_secs(30)).await;
        call(&breaker, Health::Sick);
        assert_eq!(state(&breaker), State::Closed);
        pass(Duration::from_secs(26)).await;
        for _ in 0..3 {
            call(&breaker, Health::Sick);
        }
        assert_eq!(state(&breaker), State::Open, "four within 26 seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn open_lets_nothing_pass_until_its_time_is_over() {
        let breaker = opened();
        assert_eq!(breaker.admit(Instant::now()).err(), Some(OpenFor(OPEN)));
        assert_eq!(breaker.recovers_at(Instant::now()), Instant::now() + OPEN);
        pass(OPEN - Duration::from_millis(1)).await;
        let left = OpenFor(Duration::from_millis(1));
        assert_eq!(breaker.admit(Instant::now()).err(), Some(left));
        pass(Duration::from_millis(1)).await;
        assert_eq!(state(&breaker), State::HalfOpen);
        assert_eq!(breaker.recovers_at(Instant::now()), Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_decides() {
        let breaker = opened();
        pass(OPEN).await;
        let probe = breaker.admit(Instant::now()).unwrap();
        assert!(breaker.admit(Instant::now()).is_err());
        assert!(breaker.force(Instant::now()).is_none());
        probe.record(Health::Sick, Instant::now());
        assert_eq!(breaker.admit(Instant::now()).err(), Some(OpenFor(OPEN)));

        pass(OPEN).await;
        call(&breaker, Health::Well);
        assert_eq!(state(&breaker), State::Closed);
        for _ in 0..3 {
            call(&breaker, Health::Sick);
        }
        assert_eq!(state(&breaker), State::Closed, "it began anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_without_a_word_frees_its_place() {
        let breaker = opened();
        pass(OPEN).await;
        for health in [None, Some(Health::SaysNothing), None] {
            let probe = breaker.admit(Instant::now()).unwrap();
            assert!(breaker.admit(Instant::now()).is_err());
            match health {
                Some(health) => probe.record(health, Instant::now()),
                None => drop(probe),
            }
            assert_eq!(state(&breaker), State::HalfOpen);
        }
        let probe = breaker.admit(Instant::now()).unwrap();
        let task = tokio::spawn(async move {
            let _held = probe;
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(breaker.admit(Instant::now()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_from_before_do_not_decide_about_after() {
        let breaker = breaker();
        let early: Vec<_> = (0..8)
            .map(|_| breaker.admit(Instant::now()).unwrap())
            .collect();
        let mut early = early.into_iter();
        for _ in 0..4 {
            early.next().unwrap().record(Health::Sick, Instant::now());
        }
        assert_eq!(state(&breaker), State::Open);
        early.next().unwrap().record(Health::Well, Instant::now());
        assert_eq!(state(&breaker), State::Open);
        pass(OPEN).await;
        let probe = breaker.admit(Instant::now()).unwrap();
        early.next().unwrap().record(Health::Well, Instant::now());
        early.next().unwrap().record(Health::Sick, Instant::now());
        drop(early.next().unwrap());
        assert_eq!(state(&breaker), State::HalfOpen);
        assert!(breaker.admit(Instant::now()).is_err(), "the probe is out");
        probe.record(Health::Well, Instant::now());
        assert_eq!(state(&breaker), State::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_forced_call_is_a_probe() {
        let breaker = opened();
        let probe = breaker.force(Instant::now()).unwrap();
        assert!(breaker.force(Instant::now()).is_none());
        assert!(breaker.admit(Instant::now()).is_err());
        pass(Duration::from_secs(5)).await;
        probe.record(Health::Sick, Instant::now());
        assert_eq!(breaker.recovers_at(Instant::now()), Instant::now() + OPEN);
        let probe = breaker.force(Instant::now()).unwrap();
        probe.record(Health::Well, Instant::now());
        assert_eq!(state(&breaker), State::Closed);
        assert!(breaker.force(Instant::now()).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_breaker_everything_passes() {
        let settings = BreakerSettings {
            enabled: false,
            ..settings()
        };
        let breaker = Breaker::new(&settings, Instant::now());
        for _ in 0..100 {
            call(&breaker, Health::Sick);
        }
        assert_eq!(state(&breaker).as_metric(), 0);
        assert!(breaker.force(Instant::now()).is_some());
        assert_eq!(breaker.recovers_at(Instant::now()), Instant::now());
    }

    proptest! {
        /// Against every call remembered: the window ends somewhere in its last tenth, and the
        /// breaker is open exactly when the calls up to there say so.
        #[test]
        fn opens_as_the_calls_of_the_window_say(
            calls in proptest::collection::vec((0u64..4_000, any::<bool>()), 1..100),
        ) {
            let begun = Instant::now();
            let breaker = Breaker::new(&settings(), begun);
            let mut now = begun;
            let mut ended: Vec<(Instant, bool)> = Vec::new();
            for (gap_ms, sick) in calls {
                now += Duration::from_millis(gap_ms);
                let health = if sick { Health::Sick } else { Health::Well };
                breaker.admit(now).unwrap().record(health, now);
                ended.push((now, sick));
                let too_much = |window: Duration| {
                    let recent = ended.iter().filter(|(at, _)| now.duration_since(*at) <= window);
                    let (all, ill) = recent.fold((0, 0), |(all, ill), (_, sick)| {
                        (all + 1, ill + i32::from(*sick))
                    });
                    all >= 4 && 2 * ill >= all
                };
                let nine_tenths = Duration::from_secs(27);
                let verdicts: Vec<bool> = ended
                    .iter()
                    .map(|(at, _)| now.duration_since(*at))
                    .filter(|age| *age > nine_tenths && *age < Duration::from_secs(30))
                    .chain([nine_tenths])
                    .map(too_much)
                    .collect();
                let opened = breaker.state(now) == State::Open;
                prop_assert!(verdicts.contains(&opened));
                if opened {
                    break;
                }
            }
        }
    }
}
