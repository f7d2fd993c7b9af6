//! What all replicas share: answers, calls under way, holds, the counts of cards, budgets, limits
//! and request ids.
//!
//! [`Shared`] has an operation for each step of a question's way, not for each command of a store:
//! every one happens whole or not at all, and none of them may be taken apart. Nothing here decides
//! whether a vendor may be asked; the rules by which a store counts are those of the service's
//! guard, budget and limiter, to the letter.
//!
//! Times are the store's own, moved by [`Shared`]'s notion of the service clock, so that replicas
//! whose clocks are wrong agree. A value is bytes that the service packed; a store seals it.
//!
//! # The life of a call
//!
//! ```text
//! board ─▶ Seat ─▶ stake (sent) ─▶ settle ─▶ stake (sent) ─▶ … ─▶ land
//!            └──────────────── stay, while nothing is sent ────────┘
//! ```
//!
//! A seat belongs to whoever shows its token. Until it is *sent* it ends with its lease and
//! somebody else may take it. From `stake` on it lasts for the provider's longest call; if nobody
//! lands it by then, the question is held, because the request may have run. `stake` fails when
//! the seat is somebody else's: a leader that was stopped for a while cannot send what another
//! one is sending.

mod backlog;
mod calls;
mod connections;
mod forms;
mod ids;
mod keeper;
mod link;
mod names;
mod scripts;
mod seed;
mod store;

use std::time::Duration;

use async_trait::async_trait;

pub use self::{
    calls::{
        Board, Boarded, Family, GuardLimits, Landing, Lasting, Pace, Price, Purse, Seat, Settle,
        Slot, Stake, Staked,
    },
    forms::Offset,
    ids::{Begin, Begun, EndedId, RequestId},
    link::{Address, BadAddress},
    seed::{Seed, SeedCall, SeedCard, Sent},
    store::{RedisStore, Settings, token},
};
use super::key::{CardTag, KeyRing, QuestionTag, Tags};

/// Names a seat, a slot or a run of a request id: random, and known to its owner alone.
pub type Token = [u8; 16];

/// The shared store is lost, or was emptied and is not trusted yet. Whether the operation has
/// happened is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared store is not available")]
pub struct Lost;

/// What is counted about one card in one family, as an operator is shown it. Seconds since 1970;
/// 0: not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GuardCounts {
    /// Calls of today.
    pub calls: u32,
    /// Mismatches in a row.
    pub mismatches: u32,
    /// Slots that calls under way hold.
    pub in_flight: u32,
    /// When the calls are forgotten.
    pub calls_end: u32,
    /// When the mismatches are forgotten.
    pub mismatches_end: u32,
    /// Until when a vendor's word closes the card.
    pub closed_end: u32,
}

/// A word from one replica to all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Forget the answers about a card, given by its cache tags.
    Erase(Vec<CardTag>),
    /// Forget what was counted about a card, given by its guard tags.
    ResetGuard(Vec<CardTag>),
    /// Words were missed: forget every answer.
    EraseAll,
}

/// The memory of this process, as far as the shared store must reach it.
#[async_trait]
pub trait Local: Send + Sync {
    /// Takes a notice. Every replica gets every notice within a second, its own included, or when
    /// it is connected again.
    async fn heed(&self, notice: &Notice);
    /// Everything that this process knows, after the store was emptied.
    async fn seed(&self) -> Seed;
    /// Attempts under way that are made without the store: it is told of their slots when it is
    /// there again. `all`: also those that it was told of already.
    fn alone(&self, all: bool) -> Vec<SeedCall>;
}

/// The store that all replicas share.
#[async_trait]
pub trait Shared: Send + Sync {
    /// Whether it is there and trusted. While it is not, every operation is [`Lost`] at once.
    fn is_up(&self) -> bool;

    /// How far its clock is ahead of this process's, in milliseconds.
    fn ahead_ms(&self) -> i64;

    /// Makes the memory of this process known, once, before anything else.
    fn attach(&self, local: std::sync::Weak<dyn Local>);

    /// Looks for the store for as long as `patience`, and goes on looking after it by itself.
    async fn start(&self, patience: Duration);

    /// The answer to a question, if there is one.
    async fn look(
        &self,
        keys: &KeyRing,
        question: &Tags<QuestionTag>,
    ) -> Result<Option<Vec<u8>>, Lost>;

    /// Asks for the seat of a question.
    async fn board(&self, board: &Board) -> Result<Boarded, Lost>;

    /// Prolongs a seat of which nothing was sent. Says whether it is still ours.
    async fn stay(&self, seat: &Seat, lease: Duration) -> Result<bool, Lost>;

    /// Takes everything that an attempt needs, and marks the seat as *sent*.
    async fn stake(&self, stake: &Stake) -> Result<Staked, Lost>;

    /// Settles an attempt after which the call goes on: the seat is no longer *sent*. What cannot
    /// be told while the store is lost is told before it is up again.
    async fn settle(&self, seat: &Seat, settle: Settle, lease: Duration);

    /// Ends a call. What cannot be told while the store is lost is told before it is up again.
    async fn land(&self, landing: Landing);

    /// Says what is to be done about a request under an id.
    async fn begin(&self, begin: &Begin) -> Result<Begun, Lost>;

    /// Notes that requests are about to leave under these ids; see [`Stake::ids`].
    async fn ids_sent(&self, ids: &[RequestId], lease: Duration) -> Result<(), Lost>;

    /// Ends request ids that needed no call. What cannot be told while the store is lost is told
    /// before it is up again.
    async fn end_ids(&self, ids: Vec<EndedId>);

    /// Forgets all answers about a card, given by its cache tags, and gives the word to all
    /// replicas. Says how many there were. What cannot be told is told later.
    async fn erase(&self, card: &Tags<CardTag>) -> Result<u64, Lost>;

    /// What is counted about a card; `None` when that is nothing.
    async fn guard_show(
        &self,
        card: &Tags<CardTag>,
        family: Family,
    ) -> Result<Option<GuardCounts>, Lost>;

    /// Forgets what was counted about a card, and gives the word to all replicas. Slots in flight
    /// stay.
    async fn guard_reset(&self, card: &Tags<CardTag>) -> Result<bool, Lost>;
}
