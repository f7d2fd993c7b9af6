//! What is counted about one card, as a list of everything that happened to it: slower than the
//! service's own counts, and so simple that it is the measure of them.

use std::{sync::Arc, time::Duration};

use cardproof::{
    cache::shared::{Family, GuardLimits, SeedCard, Token},
    domain::GuardEffect,
};

const AHEAD: i64 = 8 * 3_600_000;
const DAY: i64 = 24 * 3_600_000;
const HALF_A_DAY: i64 = 12 * 3_600_000;

/// The number of a day in Asia/Shanghai.
pub fn day(now: i64) -> i64 {
    (now + AHEAD).div_euclid(DAY)
}

fn midnight(at: i64) -> i64 {
    (day(at) + 1) * DAY - AHEAD
}

/// Until when a bank keeps a card locked: twelve hours, or to midnight, whichever is later.
fn lock_end(at: i64) -> i64 {
    let whole_seconds = (at + 999).div_euclid(1000) * 1000;
    (whole_seconds + HALF_A_DAY).max(midnight(at))
}

/// One card in one family of calls.
#[derive(Default)]
pub struct Card {
    calls: Vec<(Arc<str>, i64)>,
    mismatches: Vec<(Arc<str>, i64)>,
    closed_at: Option<i64>,
    slots: Vec<Slot>,
    /// How many mismatches there ever were.
    ever: u64,
}

/// Whose, until when, and how many mismatches there ever were when it was taken.
struct Slot {
    token: Token,
    caller: Arc<str>,
    ends: i64,
    ever: u64,
}

impl Card {
    /// Forgets what has ended, and counts slots that ended by themselves.
    pub fn expire(&mut self, family: Family, now: i64) {
        let (over, left) = self.slots.drain(..).partition(|slot| slot.ends <= now);
        self.slots = left;
        let over: Vec<Slot> = over;
        for Slot { caller, ends, .. } in over {
            self.calls.push((Arc::clone(&caller), ends));
            if family == Family::Verification {
                self.mismatches.push((caller, ends));
                self.ever += 1;
            }
        }
        self.calls.retain(|(_, at)| midnight(*at) > now);
        let last = self.mismatches.iter().map(|(_, at)| *at).max();
        if last.is_none_or(|last| lock_end(last) <= now) {
            self.mismatches.clear();
        }
        self.closed_at = self.closed_at.filter(|at| lock_end(*at) > now);
    }

    /// Why there is no slot, and when there may be one.
    pub fn closed(
        &mut self,
        caller: &Arc<str>,
        limits: &GuardLimits,
        now: i64,
    ) -> Option<(&'static str, Option<Duration>)> {
        let family = match limits.mismatches {
            Some(_) => Family::Verification,
            None => Family::CardInformation,
        };
        self.expire(family, now);
        let own = |list: &[(Arc<str>, i64)]| list.iter().filter(|it| it.0 == *caller).count();
        let (calls, own_calls) = (self.calls.len(), own(&self.calls));
        let (mismatches, own_mismatches) = (self.mismatches.len(), own(&self.mismatches));
        let calls_end = midnight(now);
        let mismatches_end = self.mismatches.iter().map(|it| lock_end(it.1)).max();
        let over = |count: usize, limit: Option<u16>| {
            limit.is_some_and(|limit| count >= usize::from(limit))
        };
        let causes = [
            (
                "vendor",
                self.closed_at.is_some(),
                self.closed_at.map(lock_end),
            ),
            ("calls", over(calls, Some(limits.calls)), Some(calls_end)),
            (
                "mismatches",
                over(mismatches, limits.mismatches),
                mismatches_end,
            ),
            (
                "caller_calls",
                over(own_calls, Some(limits.caller_calls)),
                Some(calls_end),
            ),
            (
                "caller_mismatches",
                over(own_mismatches, limits.caller_mismatches),
                mismatches_end,
            ),
        ];
        let mut closing = causes.iter().filter(|cause| cause.1);
        if let Some(first) = closing.clone().next() {
            let opens = closing.by_ref().filter_map(|cause| cause.2).max();
            let wait = opens.map(|opens| u64::try_from(opens - now).unwrap_or_default());
            return Some((first.0, wait.map(Duration::from_millis)));
        }
        let all = self.slots.len();
        let own = self
            .slots
            .iter()
            .filter(|slot| slot.caller == *caller)
            .count();
        let full = over(calls + all, Some(limits.calls))
            || over(own_calls + own, Some(limits.caller_calls))
            || over(mismatches + all, limits.mismatches)
            || over(own_mismatches + own, limits.caller_mismatches);
        full.then_some(("in_flight", None))
    }

    pub fn take(&mut self, token: Token, caller: &Arc<str>, ends: i64) {
        self.slots.push(Slot {
            token,
            caller: Arc::clone(caller),
            ends,
            ever: self.ever,
        });
    }

    /// How many mismatches there ever were when the slot was taken, if it is still there.
    pub fn give_back(&mut self, token: Token) -> Option<u64> {
        let place = self.slots.iter().position(|slot| slot.token == token)?;
        Some(self.slots.remove(place).ever)
    }

    /// `taken`: what [`Self::give_back`] said. A match forgets mismatches that were counted before
    /// its call was sent, and no later ones.
    pub fn count(&mut self, caller: &Arc<str>, taken: Option<u64>, effect: GuardEffect, now: i64) {
        if effect != GuardEffect::Nothing {
            self.calls.push((Arc::clone(caller), now));
        }
        match effect {
            GuardEffect::Match if taken == Some(self.ever) => self.mismatches.clear(),
            GuardEffect::Mismatch => {
                self.mismatches.push((Arc::clone(caller), now));
                self.ever += 1;
            }
            GuardEffect::Close => self.closed_at = Some(now),
            GuardEffect::Match | GuardEffect::Call | GuardEffect::Nothing => {}
        }
    }

    pub fn reset(&mut self) -> bool {
        let known =
            !self.calls.is_empty() || !self.mismatches.is_empty() || self.closed_at.is_some();
        self.calls.clear();
        self.mismatches.clear();
        self.closed_at = None;
        known
    }

    /// One caller's part, as a replica knows it. Each replica puts back its own calls.
    pub fn put_back(&mut self, seed: &SeedCard, now: i64) {
        for _ in 0..seed.calls {
            self.calls.push((Arc::clone(&seed.caller), now));
        }
        for _ in 0..seed.mismatches {
            self.mismatches.push((Arc::clone(&seed.caller), now));
            self.ever += 1;
        }
        if i64::from(seed.closed_end) * 1000 > now {
            self.closed_at = Some(now);
        }
    }
}
