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
mod forms;
mod keeper;
mod link;
mod names;
mod scripts;
mod store;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

pub use self::{
    forms::Offset,
    link::{Address, BadAddress},
    store::{RedisStore, Settings, token},
};
use super::key::{CardTag, Content, KeyRing, QuestionTag, Tags};
use crate::domain::{GuardEffect, Operation, ProviderName, reason::vocabulary};

/// Names a seat, a slot or a run of a request id: random, and known to its owner alone.
pub type Token = [u8; 16];

/// The shared store is lost, or was emptied and is not trusted yet. Whether the operation has
/// happened is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared store is not available")]
pub struct Lost;

/// A wish for the one seat of a question.
#[derive(Debug, Clone)]
pub struct Board {
    /// The keys that the tags were made with.
    pub keys: Arc<KeyRing>,
    /// The question.
    pub question: Tags<QuestionTag>,
    /// The token of the seat, if it is given.
    pub owner: Token,
    /// Whose call was waited for until now: its end is wanted.
    pub following: Option<Token>,
    /// Whether a stored answer will do.
    pub answers: bool,
    /// Whether a hold stands in the way.
    pub holds: bool,
    /// How long the seat lasts while nothing is sent.
    pub lease: Duration,
}

/// What became of the wish. In this order: an answer, a hold, the end of the call that was
/// followed, somebody else's call, the seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boarded {
    /// There is an answer.
    Answer(Vec<u8>),
    /// The question is held, with what was given for that case.
    Held(Vec<u8>),
    /// The call that was followed has ended so.
    Ended(Vec<u8>),
    /// Somebody else's call is under way.
    UnderWay(Token),
    /// The seat is the asker's.
    Seat,
}

/// A seat that was given.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The keys that the tags were made with.
    pub keys: Arc<KeyRing>,
    /// The question.
    pub question: Tags<QuestionTag>,
    /// The token it was given to.
    pub owner: Token,
}

/// The limits of one card for one attempt, as the service's guard has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardLimits {
    /// Calls in a day.
    pub calls: u16,
    /// Mismatches in a row; `None` where they are not counted.
    pub mismatches: Option<u16>,
    /// The same of one caller.
    pub caller_calls: u16,
    /// The same of one caller.
    pub caller_mismatches: Option<u16>,
}

/// A slot of a card.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The slot's own name.
    pub token: Token,
    /// The card, by its guard tags.
    pub card: Tags<CardTag>,
    /// Which calls are counted together.
    pub family: Family,
    /// Who asks.
    pub caller: Arc<str>,
}

vocabulary! {
    /// Which calls about a card are counted together.
    Family {
        /// Verification, of any number of factors.
        Verification = "v",
        /// Card information.
        CardInformation = "c",
    }
}

impl From<Operation> for Family {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::VerifyTwo | Operation::VerifyThree | Operation::VerifyFour => {
                Self::Verification
            }
            Operation::CardInfo => Self::CardInformation,
        }
    }
}

/// Whose budget a price is taken from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Purse {
    /// A provider's.
    Provider(ProviderName),
    /// A caller's.
    Caller(Arc<str>),
}

/// A price to be taken from a budget.
#[derive(Debug, Clone)]
pub struct Price {
    /// Whose budget.
    pub purse: Purse,
    /// What the call costs, in millionths.
    pub micros: u64,
    /// What may be spent in a day, by all replicas.
    pub limit_micros: u64,
}

/// A place among the calls of a second.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The provider.
    pub provider: ProviderName,
    /// The operation.
    pub operation: Operation,
    /// How many calls may go out in a window, from all replicas.
    pub limit: u32,
    /// How long a window is.
    pub window: Duration,
}

/// Everything that one attempt takes before it is sent: all of it, or nothing.
#[derive(Debug, Clone)]
pub struct Stake {
    /// The question's seat, which becomes *sent*.
    pub seat: Seat,
    /// How long the call may take.
    pub call_lasts: Duration,
    /// How long the question is held after that if nobody lands it.
    pub hold: Duration,
    /// What a held question is answered with in that case.
    pub held: Vec<u8>,
    /// The slot of the card.
    pub slot: Slot,
    /// The card's limits.
    pub limits: GuardLimits,
    /// The place within the vendor's limit; `None` where there is no limit.
    pub pace: Option<Pace>,
    /// The price, from every budget that has a limit.
    pub prices: Vec<Price>,
    /// Request ids whose outcome becomes unknown if nobody ends them.
    pub ids: Vec<RequestId>,
}

/// What became of a stake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Staked {
    /// All of it is taken, and the seat is *sent*.
    Taken {
        /// The day it was taken on; see [`Settle::day`].
        day: i64,
        /// What of each budget is spent on that day, this price included, in the order of
        /// [`Stake::prices`].
        spent_micros: Vec<u64>,
    },
    /// The seat is not ours any more.
    SeatLost,
    /// The vendor's limit is used up for this long.
    Busy(Duration),
    /// The card is closed.
    Closed {
        /// The first of the causes, by its name in the guard.
        cause: String,
        /// How long; `None` when only slots in flight are in the way.
        opens_in: Option<Duration>,
    },
    /// A budget does not reach for the price: the position in [`Stake::prices`].
    Spent(usize),
}

/// How one attempt ended.
#[derive(Debug, Clone)]
pub struct Settle {
    /// Its slot, which is given back. A slot that has ended meanwhile stands for a call and a
    /// mismatch, and nothing more is counted.
    pub slot: Slot,
    /// Whether the store is known to have given the slot. One that it does not know is counted as
    /// if it had; one that it has given all the same is settled like any other.
    pub was_staked: bool,
    /// What it does to the card's counts.
    pub effect: GuardEffect,
    /// The day that the price was taken on, a later one is not changed; -1: not known, this one.
    pub day: i64,
    /// Prices that are given back because nothing was charged, if the slot was there.
    pub refunds: Vec<Price>,
    /// Prices of a call that may have been charged, if the slot was not there.
    pub spent: Vec<Price>,
}

/// A value with an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lasting {
    /// The value.
    pub value: Vec<u8>,
    /// How long it is kept.
    pub lasts: Duration,
}

/// The end of a call.
#[derive(Debug, Clone)]
pub struct Landing {
    /// Its seat. If that is somebody else's by now, the rest still happens.
    pub seat: Seat,
    /// Whether the seat was given in the store.
    pub was_seated: bool,
    /// The last attempt, unless it was settled by itself.
    pub settle: Option<Settle>,
    /// What those are told who follow the call; `None`: nothing that is theirs, they ask anew.
    pub ending: Option<Vec<u8>>,
    /// The answer to keep. It ends a hold.
    pub answer: Option<Lasting>,
    /// The hold of the question: its outcome is unknown.
    pub hold: Option<Lasting>,
    /// Request ids that end with the call.
    pub ids: Vec<EndedId>,
}

/// A caller's id of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId {
    /// Whose.
    pub caller: Arc<str>,
    /// The id.
    pub id: Uuid,
    /// Who runs it.
    pub owner: Token,
}

/// The first use of a request id, or a later one.
#[derive(Debug, Clone)]
pub struct Begin {
    /// The keys that the tags were made with.
    pub keys: Arc<KeyRing>,
    /// The id.
    pub id: RequestId,
    /// What it stands for.
    pub content: Tags<Content>,
    /// The card, by its cache tags: with it, what is remembered can be erased.
    pub card: Tags<CardTag>,
    /// How long it counts as under way if nobody ends it.
    pub lease: Duration,
    /// How long it is remembered.
    pub window: Duration,
    /// How many of one caller are remembered.
    pub most: usize,
}

/// What became of a request id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is new, or its last run left nothing to remember: run it.
    New,
    /// Somebody else is running it.
    Running,
    /// It has ended so.
    Earlier(Vec<u8>),
    /// Its run was never ended, and may have been sent.
    Unknown,
    /// It stands for something else.
    Reused,
    /// The caller has used as many ids as are kept; there is room again after this long.
    Exhausted(Duration),
}

/// How a request id ended.
#[derive(Debug, Clone)]
pub struct EndedId {
    /// The keys that the tags were made with.
    pub keys: Arc<KeyRing>,
    /// The id.
    pub id: RequestId,
    /// What it stands for.
    pub content: Tags<Content>,
    /// The card, by its cache tags.
    pub card: Tags<CardTag>,
    /// What is remembered; `None`: nothing, it may run anew.
    pub remembered: Option<Vec<u8>>,
    /// Whether that is an answer, which can be erased, or an outcome that is not known.
    pub is_answer: bool,
    /// How long it is remembered.
    pub window: Duration,
}

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

/// What one process knows, for a store that was emptied.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The keys that the tags were made with.
    pub keys: Arc<KeyRing>,
    /// Counts of cards that this process asked about: tag, family, caller, calls, mismatches.
    pub cards: Vec<SeedCard>,
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
    /// See [`GuardCounts`].
    pub calls_end: u32,
    /// See [`GuardCounts`].
    pub mismatches_end: u32,
    /// See [`GuardCounts`].
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
}

/// The store that all replicas share.
#[async_trait]
pub trait Shared: Send + Sync {
    /// Whether it is there and trusted. While it is not, every operation is [`Lost`] at once.
    fn is_up(&self) -> bool;

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
