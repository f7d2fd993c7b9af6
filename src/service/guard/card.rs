//! What is counted about one card, and the decision that follows from it: plain arithmetic on a
//! record and a time, so that a script on a shared server can do the very same.
//!
//! The rules, in the order in which they are applied to every record before anything else:
//!
//! 1. Counts whose end has come are 0.
//! 2. A call count ends at the next midnight in Asia/Shanghai; a mismatch count, and a closing,
//!    12 hours after the last one or at that midnight, whichever is later. An end that lies later
//!    than it would if it were set now (the clock was set back) is brought down to that.
//! 3. A slot is free while each of these holds: the card is not closed; calls and slots in flight
//!    are fewer than the limit of calls; mismatches and slots in flight are fewer than the limit
//!    of mismatches; and the same two for what the caller itself counted and holds.
//! 4. A reservation takes one slot. Settling gives it back and counts: a call for every answer
//!    but `Nothing`; a mismatch more for `Mismatch`; no mismatches at all after `Match`, unless one
//!    was counted since the reservation: the bank may have seen that one last; closed after
//!    `Close`. It is counted on the day that it is settled on.
//!
//! All times are whole seconds: ends are rounded up, the present is rounded down, so nothing opens
//! early.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    cache::key::CardTag,
    cache::shared::{Family, GuardLimits, SeedCard},
    domain::{GuardEffect, reason::vocabulary},
    service::day::midnight_after,
};

/// For how long a bank keeps a card locked at least.
const LOCKED_SECONDS: i64 = 12 * 3600;

/// A second since 1970; 0 stands for "never set".
type Second = u32;

/// A caller's number in the guard's own list of names.
pub(super) type CallerId = u16;

vocabulary! {
    /// What keeps a card closed.
    Cause {
        /// A vendor said that the card was asked about too often.
        Vendor = "vendor",
        /// The day's calls are used up.
        Calls = "calls",
        /// So are the mismatches in a row.
        Mismatches = "mismatches",
        /// So is the caller's share of the calls.
        CallerCalls = "caller_calls",
        /// So is the caller's share of the mismatches.
        CallerMismatches = "caller_mismatches",
        /// Nothing is used up: calls under way hold the slots that are left.
        InFlight = "in_flight",
    }
}

/// Why there is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed {
    /// The first of the reasons.
    pub cause: Cause,
    /// When the last of the reasons ends; `None` when only slots in flight are in the way.
    pub opens_at: Option<Timestamp>,
}

/// One card in one family of calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Card {
    calls: u16,
    mismatches: u16,
    in_flight: u16,
    /// Goes on with every mismatch, round and round.
    mark: Mark,
    calls_end: Second,
    mismatches_end: Second,
    closed_end: Second,
    shares: Shares,
}

/// Where a card's mismatches stood when a slot was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark(u16);

/// What of it one caller has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Share {
    caller: CallerId,
    calls: u16,
    mismatches: u16,
    in_flight: u16,
}

/// Most cards are asked about by one caller: that one costs no memory of its own.
#[derive(Debug, Clone)]
enum Shares {
    One(Share),
    Many(Box<ManyShares>),
}

/// A box around a vector keeps the usual record small.
#[derive(Debug, Clone)]
struct ManyShares(Vec<Share>);

/// A card as an operator is shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Calls of today.
    pub calls: u32,
    /// Mismatches in a row.
    pub mismatches: u32,
    /// Slots that calls under way hold.
    pub in_flight: u32,
    /// When the calls are forgotten.
    pub calls_until: Option<Timestamp>,
    /// When the mismatches are forgotten.
    pub mismatches_until: Option<Timestamp>,
    /// Until when a vendor's word closes the card.
    pub closed_until: Option<Timestamp>,
}

impl Card {
    /// Takes a slot, if one is free.
    pub(super) fn reserve(
        &mut self,
        caller: CallerId,
        limits: &GuardLimits,
        now: Timestamp,
    ) -> Result<Mark, Closed> {
        self.forget_what_ended(now);
        let share = self.shares.of(caller);
        if let Some(closed) = self.closed_by_counts(share, limits) {
            return Err(closed);
        }
        let full = |counted: u16, in_flight: u16, limit: u16| {
            u32::from(counted) + u32::from(in_flight) >= u32::from(limit)
        };
        let taken = full(self.calls, self.in_flight, limits.calls)
            || full(share.calls, share.in_flight, limits.caller_calls)
            || limits
                .mismatches
                .is_some_and(|limit| full(self.mismatches, self.in_flight, limit))
            || limits
                .caller_mismatches
                .is_some_and(|limit| full(share.mismatches, share.in_flight, limit));
        if taken {
            return Err(Closed {
                cause: Cause::InFlight,
                opens_at: None,
            });
        }
        self.in_flight = self.in_flight.saturating_add(1);
        self.shares.change(caller, |share| {
            share.in_flight = share.in_flight.saturating_add(1);
        });
        Ok(self.mark)
    }

    /// Gives a slot back that was taken at a mark, and counts what the call came to.
    pub(super) fn settle(
        &mut self,
        caller: CallerId,
        taken: Mark,
        effect: GuardEffect,
        now: Timestamp,
    ) {
        self.forget_what_ended(now);
        self.in_flight = self.in_flight.saturating_sub(1);
        let (call, mismatch) = match effect {
            GuardEffect::Nothing => (0, 0),
            GuardEffect::Match | GuardEffect::Call | GuardEffect::Close => (1, 0),
            GuardEffect::Mismatch => (1, 1),
        };
        self.calls = self.calls.saturating_add(call);
        self.mismatches = self.mismatches.saturating_add(mismatch);
        self.shares.change(caller, |share| {
            share.in_flight = share.in_flight.saturating_sub(1);
            share.calls = share.calls.saturating_add(call);
            share.mismatches = share.mismatches.saturating_add(mismatch);
        });
        if call > 0 {
            self.calls_end = midnight(now);
        }
        match effect {
            GuardEffect::Match if taken == self.mark => self.forget_mismatches(),
            GuardEffect::Mismatch => {
                self.mismatches_end = lock_end(now);
                self.mark = Mark(self.mark.0.wrapping_add(1));
            }
            GuardEffect::Close => self.closed_end = lock_end(now),
            GuardEffect::Match | GuardEffect::Call | GuardEffect::Nothing => {}
        }
    }

    /// Forgets everything that was counted. Slots in flight stay: their calls are still out.
    pub(super) fn reset(&mut self) {
        self.forget_calls();
        self.forget_mismatches();
        self.closed_end = 0;
    }

    /// Whether nothing is known about the card, so that its record may go.
    pub(super) fn is_blank(&mut self, now: Timestamp) -> bool {
        self.forget_what_ended(now);
        self.calls == 0 && self.may_make_room(now)
    }

    /// Whether the record may go when the store is full: nothing stands in it but calls.
    pub(super) fn may_make_room(&mut self, now: Timestamp) -> bool {
        self.forget_what_ended(now);
        self.mismatches == 0 && self.in_flight == 0 && self.closed_end == 0
    }

    /// How many calls were counted today.
    pub(super) fn calls(&self) -> u16 {
        self.calls
    }

    /// What an operator is shown.
    pub(super) fn counts(&mut self, now: Timestamp) -> Counts {
        self.forget_what_ended(now);
        Counts {
            calls: self.calls.into(),
            mismatches: self.mismatches.into(),
            in_flight: self.in_flight.into(),
            calls_until: (self.calls > 0).then(|| instant(self.calls_end)),
            mismatches_until: (self.mismatches > 0).then(|| instant(self.mismatches_end)),
            closed_until: (self.closed_end > 0).then(|| instant(self.closed_end)),
        }
    }

    /// Each caller's part of the counts, without slots in flight. Card, family and name are for
    /// whoever knows them.
    pub(super) fn parts(&mut self, now: Timestamp) -> Vec<(CallerId, SeedCard)> {
        self.forget_what_ended(now);
        let shares = match &self.shares {
            Shares::One(share) => std::slice::from_ref(share),
            Shares::Many(many) => &many.0[..],
        };
        let part = |share: &Share| {
            let seed = SeedCard {
                card: CardTag::from_bytes([0; 8]),
                family: Family::Verification,
                caller: Arc::from(""),
                calls: share.calls,
                mismatches: share.mismatches,
                calls_end: self.calls_end,
                mismatches_end: self.mismatches_end,
                closed_end: self.closed_end,
            };
            (share.caller, seed)
        };
        let told = |(_, seed): &(CallerId, SeedCard)| {
            seed.calls > 0 || seed.mismatches > 0 || seed.closed_end > 0
        };
        shares.iter().map(part).filter(told).collect()
    }

    /// Whether what was counted is enough to close the card, whatever is in flight.
    fn closed_by_counts(&self, share: Share, limits: &GuardLimits) -> Option<Closed> {
        let reached =
            |counted: u16, limit: Option<u16>| limit.is_some_and(|limit| counted >= limit);
        let causes = [
            (Cause::Vendor, self.closed_end > 0, self.closed_end),
            (
                Cause::Calls,
                reached(self.calls, Some(limits.calls)),
                self.calls_end,
            ),
            (
                Cause::Mismatches,
                reached(self.mismatches, limits.mismatches),
                self.mismatches_end,
            ),
            (
                Cause::CallerCalls,
                reached(share.calls, Some(limits.caller_calls)),
                self.calls_end,
            ),
            (
                Cause::CallerMismatches,
                reached(share.mismatches, limits.caller_mismatches),
                self.mismatches_end,
            ),
        ];
        let mut closing = causes.iter().filter(|(_, closes, _)| *closes);
        let (cause, _, first_end) = closing.next()?;
        let last_end = closing.map(|(_, _, end)| *end).fold(*first_end, Ord::max);
        Some(Closed {
            cause: *cause,
            opens_at: Some(instant(last_end)),
        })
    }

    fn forget_what_ended(&mut self, now: Timestamp) {
        let present = floor(now);
        self.calls_end = self.calls_end.min(midnight(now));
        self.mismatches_end = self.mismatches_end.min(lock_end(now));
        self.closed_end = self.closed_end.min(lock_end(now));
        if self.calls_end <= present {
            self.forget_calls();
        }
        if self.mismatches_end <= present {
            self.forget_mismatches();
        }
        if self.closed_end <= present {
            self.closed_end = 0;
        }
    }

    fn forget_calls(&mut self) {
        self.calls = 0;
        self.calls_end = 0;
        self.shares.change_all(|share| share.calls = 0);
    }

    fn forget_mismatches(&mut self) {
        self.mismatches = 0;
        self.mismatches_end = 0;
        self.shares.change_all(|share| share.mismatches = 0);
    }
}

impl Default for Shares {
    fn default() -> Self {
        Self::One(Share::default())
    }
}

impl Share {
    fn is_blank(&self) -> bool {
        self.calls == 0 && self.mismatches == 0 && self.in_flight == 0
    }
}

impl Shares {
    fn of(&self, caller: CallerId) -> Share {
        let found = match self {
            Self::One(share) => Some(share).filter(|share| share.caller == caller),
            Self::Many(many) => many.0.iter().find(|share| share.caller == caller),
        };
        found.copied().unwrap_or(Share {
            caller,
            ..Share::default()
        })
    }

    fn change(&mut self, caller: CallerId, change: impl FnOnce(&mut Share)) {
        let mut changed = self.of(caller);
        change(&mut changed);
        match self {
            Self::One(share) if share.caller == caller || share.is_blank() => *share = changed,
            Self::One(_) if changed.is_blank() => {}
            Self::One(share) => *self = Self::Many(Box::new(ManyShares(vec![*share, changed]))),
            Self::Many(many) => {
                many.0
                    .retain(|share| share.caller != caller && !share.is_blank());
                if !changed.is_blank() {
                    many.0.push(changed);
                }
            }
        }
    }

    fn change_all(&mut self, mut change: impl FnMut(&mut Share)) {
        match self {
            Self::One(share) => change(share),
            Self::Many(many) => {
                many.0.iter_mut().for_each(&mut change);
                many.0.retain(|share| !share.is_blank());
            }
        }
    }
}

fn floor(at: Timestamp) -> Second {
    second(at.as_second())
}

fn ceiling(at: Timestamp) -> i64 {
    at.as_second() + i64::from(at.subsec_nanosecond() > 0)
}

fn midnight(now: Timestamp) -> Second {
    second(midnight_after(now.as_second()))
}

/// The end of what a bank would count until "12 hours later, or the next day".
fn lock_end(now: Timestamp) -> Second {
    midnight(now).max(second(ceiling(now) + LOCKED_SECONDS))
}

fn second(seconds: i64) -> Second {
    Second::try_from(seconds.max(0)).unwrap_or(Second::MAX)
}

fn instant(second: Second) -> Timestamp {
    Timestamp::from_second(second.into()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
