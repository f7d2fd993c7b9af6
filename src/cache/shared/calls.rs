//! What is said of one call: its seat, what it stakes, how it ends.

use std::{sync::Arc, time::Duration};

use super::{EndedId, RequestId, Token};
use crate::{
    cache::key::{CardTag, KeyRing, QuestionTag, Tags},
    domain::{GuardEffect, Operation, ProviderName, reason::vocabulary},
};

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
    /// How many seeds (see [`super::Seed`]) this process had made when it counted the attempt. A
    /// store that was told a later one knows the count from there.
    pub after_seed: u64,
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
