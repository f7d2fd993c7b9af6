//! What a process knows by itself, for a store that was emptied.

use std::{sync::Arc, time::Duration};

use super::{EndedId, Family, Lasting, Purse, Seat, Slot};
use crate::cache::key::{CardTag, KeyRing, QuestionTag};

/// What one process knows, for a store that was emptied.
#[derive(Debug, Clone)]
pub struct Seed {
    /// How many this process has made, with this one.
    pub number: u64,
    /// The keys that the tags were made with.
    pub keys: Arc<KeyRing>,
    /// Counts of cards that this process asked about, without what is under way.
    pub cards: Vec<SeedCard>,
    /// Attempts under way: their slots and seats go on where they were.
    pub calls: Vec<SeedCall>,
    /// Questions that are held.
    pub holds: Vec<(QuestionTag, Lasting)>,
    /// Request ids with what is remembered.
    pub ids: Vec<EndedId>,
    /// What this process spent today.
    pub spent: Vec<(Purse, u64)>,
}

/// One caller's part of a card's counts.
#[derive(Debug, Clone)]
pub struct SeedCard {
    /// The card.
    pub card: CardTag,
    /// Which calls.
    pub family: Family,
    /// Who asked.
    pub caller: Arc<str>,
    /// Its calls of today.
    pub calls: u16,
    /// Its mismatches in a row.
    pub mismatches: u16,
    /// See [`GuardCounts`](super::GuardCounts).
    pub calls_end: u32,
    /// See [`GuardCounts`](super::GuardCounts).
    pub mismatches_end: u32,
    /// See [`GuardCounts`](super::GuardCounts).
    pub closed_end: u32,
}

/// An attempt under way.
#[derive(Debug, Clone)]
pub struct SeedCall {
    /// The slot that it holds.
    pub slot: Slot,
    /// How long the call may still take.
    pub lasts: Duration,
    /// Its seat; `None`: it is made alone, without the store.
    pub sent: Option<Sent>,
}

/// A seat that was marked as sent, as [`super::Stake`] has it.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The seat.
    pub seat: Seat,
    /// How long the question is held if nobody lands it.
    pub hold: Duration,
    /// What a held question is answered with in that case.
    pub held: Vec<u8>,
}
