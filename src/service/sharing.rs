//! How a call is shared with other replicas: who makes it, what it stakes, and how its end is
//! told.
//!
//! Without the shared store, or while it is lost, a call is made *alone*: within the divided
//! limits of this process, or not at all, as the operator chose. What it counted is told to the
//! store when that is found.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    ask::{Ask, CacheMode},
    attempt::Stopped,
    budget,
    denial::{Denial, Refusal, Stage},
    flight::{Flight, Outcome},
    lane::Lane,
    packed,
    under_way::{Entry, UnderWay},
};
use crate::{
    cache::{
        Stored,
        shared::{
            Board, Boarded, GuardLimits, Lost, Pace, Price, Purse, RequestId, Seat, Sent, Settle,
            Shared, Slot, Stake, Staked, token,
        },
    },
    config::OnLoss,
    domain::{Charge, GuardEffect, Operation, Reason},
    telemetry::events::{self, FlightScope},
};

/// How long a seat lasts while nothing is sent, beyond the time that is waited for a place.
const LEASE: Duration = Duration::from_secs(2);
/// A call that has not begun to leave this long after it was marked as sent does not leave.
const DEPARTS_WITHIN: Duration = Duration::from_secs(1);
/// What a call may take beyond its provider's timeouts: until it leaves, and until it is given up.
const BEYOND_TIMEOUTS: Duration = Duration::from_millis(2500);
/// Pauses between two looks at a call of another replica: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// When to come again while the store is lost.
const STORE_COMES_BACK: Duration = Duration::from_secs(1);
/// Ids that are noted as sent together with the stake; more go ahead of it.
const IDS_WITH_STAKE: usize = 100;

/// The store, and what the operator decided about it.
pub struct Sharing {
    /// The store.
    pub store: Arc<dyn Shared>,
    /// What happens while it is lost.
    pub on_loss: OnLoss,
    /// How long a question is held after an unknown outcome.
    pub hold: Duration,
    /// The longest wait for a place at a vendor.
    pub max_queue: Duration,
    /// What is put back into a store that was emptied.
    pub under_way: Arc<UnderWay>,
}

/// Who makes a call.
pub enum Seated {
    /// This process: it has the seat now.
    Ours,
    /// This process, alone: the store is lost.
    Alone,
    /// Nobody: this is the outcome already, with what of it may be kept.
    Known(Outcome, Option<Stored>),
}

impl Sharing {
    fn lease(&self) -> Duration {
        LEASE + self.max_queue
    }

    /// Takes the seat of a question, or waits for whoever has it, as long as anybody waits here.
    pub async fn seat(
        &self,
        flight: &Flight,
        ask: &Ask,
        now: impl Fn() -> Timestamp,
        asks_anew: bool,
    ) -> Seated {
        let mut board = Board {
            keys: Arc::clone(flight.keys()),
            question: *flight.tags(),
            owner: token(),
            following: None,
            answers: ask.mode != CacheMode::Bypass,
            holds: !asks_anew,
            lease: self.lease(),
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let boarded = match self.store.board(&board).await {
                Ok(boarded) => boarded,
                Err(Lost) => return self.alone(),
            };
            match boarded {
                Boarded::Seat => {
                    flight.sit(Some(Seat {
                        keys: board.keys,
                        question: board.question,
                        owner: board.owner,
                    }));
                    return Seated::Ours;
                }
                Boarded::Answer(bytes) => match self.usable(&bytes, ask, now()) {
                    Some(known) => return known,
                    // somebody else's answer will not do, so one is asked for
                    None => board.answers = false,
                },
                Boarded::Held(bytes) => {
                    let denial = Arc::new(packed::read_hold(&bytes));
                    return Seated::Known(Err(denial), None);
                }
                Boarded::Ended(bytes) => {
                    board.following = None;
                    if let Some(known) = self.followed(&bytes, ask, flight) {
                        return known;
                    }
                }
                Boarded::UnderWay(owner) => {
                    if board.following.is_none() {
                        events::flight_followed(FlightScope::Shared);
                    }
                    board.following = Some(owner);
                    let wake = Instant::now() + pause.mul_f64(rand::random_range(0.8..=1.2));
                    if wake >= flight.deadline() {
                        tokio::time::sleep_until(flight.deadline()).await;
                        let denial = Denial::deadline(Stage::Waiting);
                        return Seated::Known(Err(Arc::new(denial)), None);
                    }
                    tokio::time::sleep_until(wake).await;
                    pause = pause.mul_f64(1.5).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// A stored answer, if it will do for whoever asks.
    fn usable(&self, bytes: &[u8], ask: &Ask, now: Timestamp) -> Option<Seated> {
        let stored = self.as_we_count_time(&packed::read_stored(bytes)?);
        let conclusion = super::Conclusion::of_store(&stored, ask, now)?;
        Some(Seated::Known(Ok(Arc::new(conclusion)), Some(stored)))
    }

    /// The end of another replica's call, if it is one for whoever waits here.
    fn followed(&self, bytes: &[u8], ask: &Ask, flight: &Flight) -> Option<Seated> {
        let ending = packed::read_ending(bytes)?;
        let fits = match &ending.outcome {
            Ok(conclusion) => ask.caller.may_use(&conclusion.provider),
            Err(denial) => {
                let unknown = denial.reason_name() == Reason::OutcomeUnknown.as_str();
                unknown || ending.covers(flight.candidates())
            }
        };
        let stored = ending.stored.map(|stored| self.as_we_count_time(&stored));
        fits.then_some(Seated::Known(ending.outcome, stored))
    }

    /// An answer with its ends as the store has them: clocks of replicas may differ by minutes.
    pub fn as_the_store_counts_time(&self, stored: &Stored) -> Stored {
        stored.moved_by(self.store.ahead_ms())
    }

    /// An answer from the store with its ends as this process has them.
    pub fn as_we_count_time(&self, stored: &Stored) -> Stored {
        stored.moved_by(self.store.ahead_ms().saturating_neg())
    }

    /// What becomes of a call without the store.
    pub fn alone(&self) -> Seated {
        events::degraded();
        match self.on_loss {
            OnLoss::Degrade => Seated::Alone,
            OnLoss::Refuse => {
                let denial = Stopped::StoreLost.denial(&Arc::from(""));
                Seated::Known(Err(Arc::new(denial)), None)
            }
        }
    }

    /// The store was lost on the way: whether the call may be made alone.
    pub fn go_alone(&self) -> Result<(), Stopped> {
        events::degraded();
        self.may_go_alone()
    }

    /// Whether a call may be made alone.
    pub fn may_go_alone(&self) -> Result<(), Stopped> {
        match self.on_loss {
            OnLoss::Degrade => Ok(()),
            OnLoss::Refuse => Err(Stopped::StoreLost),
        }
    }

    /// Keeps the seat while a call waits for a while.
    pub async fn stay(&self, flight: &Flight, wait: Duration) {
        if let Some(seat) = flight.seat() {
            // whether it is still ours is asked again when something is staked
            let _ours = self.store.stay(&seat, wait + self.lease()).await;
        }
    }

    /// Settles an attempt after which the call goes on.
    pub async fn settle(&self, flight: &Flight, settle: Settle) {
        let seat = seat_of(flight);
        self.store.settle(&seat, settle, self.lease()).await;
    }

    /// Takes everything that an attempt needs from the store.
    ///
    /// # Errors
    /// When the attempt may not be made. `Ok(Err(Lost))`: nobody knows.
    pub async fn stake(
        &self,
        seat: Seat,
        bet: &Bet<'_>,
        ids: Vec<RequestId>,
    ) -> Result<Result<Taken, Lost>, Stopped> {
        let lasts = bet.lasts();
        let after_seed = self.under_way.seeds();
        let stake = Stake {
            seat,
            call_lasts: lasts,
            hold: self.hold,
            held: packed::hold(&unknown(bet.lane)),
            slot: bet.slot.clone(),
            limits: bet.limits,
            pace: bet.pace(),
            prices: bet.prices.iter().map(|(_, price)| price.clone()).collect(),
            ids: ids.iter().take(IDS_WITH_STAKE).cloned().collect(),
        };
        let departure = Departure::now();
        let ahead = ids.get(IDS_WITH_STAKE..).unwrap_or_default();
        if !ahead.is_empty() && self.store.ids_sent(ahead, lasts).await.is_err() {
            return Ok(Err(Lost));
        }
        match self.store.stake(&stake).await {
            Err(Lost) => Ok(Err(Lost)),
            Ok(Staked::Taken { day, spent_micros }) => Ok(Ok(Taken {
                day,
                spent_micros,
                departure,
                after_seed,
                sent: Sent {
                    seat: stake.seat,
                    hold: stake.hold,
                    held: stake.held,
                },
            })),
            Ok(Staked::SeatLost) => Err(Stopped::SeatLost),
            Ok(Staked::Busy(wait)) => Err(Stopped::Busy { wait }),
            Ok(Staked::Closed { cause, opens_in }) => {
                let known = events::GUARD_REFUSALS.iter().find(|it| **it == cause);
                if let Some(cause) = known {
                    events::guard_refused(cause);
                }
                Err(Stopped::CardClosed {
                    retry_after: opens_in.unwrap_or_else(|| bet.lane.longest_call()),
                })
            }
            Ok(Staked::Spent(at)) => Err(bet.spent(at)),
        }
    }
}

/// What one attempt is about to take.
pub struct Bet<'a> {
    /// Who is to be asked.
    pub lane: &'a Lane,
    /// What for.
    pub operation: Operation,
    /// The slot of the card.
    pub slot: Slot,
    /// The card's limits.
    pub limits: GuardLimits,
    /// The price, from each budget that has a limit.
    pub prices: Vec<(Stopped, Price)>,
}

impl Bet<'_> {
    /// How long its call may take, from the stake on.
    pub fn lasts(&self) -> Duration {
        self.lane.longest_call() + BEYOND_TIMEOUTS
    }

    fn pace(&self) -> Option<Pace> {
        let (limit, window) = self.lane.limiter(self.operation)?.whole()?;
        Some(Pace {
            provider: self.lane.name().clone(),
            operation: self.operation,
            limit,
            window,
        })
    }

    fn spent(&self, at: usize) -> Stopped {
        let found = self.prices.get(at).map(|(stopped, _)| *stopped);
        found.unwrap_or(Stopped::ProviderBudgetSpent)
    }
}

/// A price as the store has to know it, if the budget has a limit.
///
/// # Errors
/// When it is in another currency.
pub fn price(
    purse: Purse,
    counted: Result<Option<(u64, u64)>, budget::Refused>,
) -> Result<Option<Price>, budget::Refused> {
    Ok(counted?.map(|(micros, limit_micros)| Price {
        purse,
        micros,
        limit_micros,
    }))
}

/// What the store has given.
pub struct Taken {
    /// The day that a price was taken on.
    pub day: i64,
    /// What of each budget is spent.
    pub spent_micros: Vec<u64>,
    /// Until when the call may begin to leave.
    pub departure: Departure,
    /// How many seeds this process had made before.
    pub after_seed: u64,
    /// The seat, for a store that was emptied meanwhile.
    pub sent: Sent,
}

/// An attempt as the store has to be told of it.
pub struct SharedStake {
    slot: Slot,
    /// The prices that were taken, or would have been.
    prices: Vec<Price>,
    /// The day; `None`: the store has given nothing, the attempt was made alone.
    day: Option<i64>,
    entry: Entry,
}

impl SharedStake {
    /// An attempt that the store has given, or that is made alone.
    pub fn new(slot: Slot, prices: Vec<Price>, given: Option<&Taken>, entry: Entry) -> Self {
        // a store that was emptied since it gave the slot does not know it, nor was it put back
        let given = given.filter(|given| given.after_seed == entry.begun_after());
        Self {
            slot,
            prices,
            day: given.map(|given| given.day),
            entry,
        }
    }

    /// How it ended. `count` counts the same in this process.
    pub fn settle(self, effect: GuardEffect, charge: Charge, count: impl FnOnce()) -> Settle {
        let charged = charge != Charge::NotCharged;
        let counted = self.entry.end(count);
        let staked = self.day.is_some() || counted.was_put_back;
        let when = |told: bool| {
            if told {
                self.prices.clone()
            } else {
                Vec::new()
            }
        };
        Settle {
            was_staked: staked,
            after_seed: counted.after_seed,
            effect,
            // whatever was lost on its way may have arrived: then its prices were taken just now
            day: self.day.unwrap_or(-1),
            refunds: when(!charged),
            spent: when(!staked && charged),
            slot: self.slot,
        }
    }
}

/// When a call was marked as sent: by a clock that stands while the machine sleeps, and by one
/// that does not.
#[derive(Debug, Clone, Copy)]
pub struct Departure {
    marked: Instant,
    marked_awake_or_not: Duration,
}

impl Departure {
    fn now() -> Self {
        Self {
            marked: Instant::now(),
            marked_awake_or_not: time_since_boot(),
        }
    }

    /// Whether the call may still begin to leave. A process that was stopped after the mark finds
    /// that its place may be somebody else's by now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let slept = time_since_boot().saturating_sub(self.marked_awake_or_not);
        self.marked.elapsed().max(slept) < DEPARTS_WITHIN
    }
}

/// Time that passes while the machine sleeps, too.
#[cfg(target_os = "linux")]
fn time_since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

/// Other systems have other names for it; the time of day will do, except while it is being set.
#[cfg(not(target_os = "linux"))]
fn time_since_boot() -> Duration {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default()
}

/// How a question is answered whose call nobody ever ended.
fn unknown(lane: &Lane) -> Denial {
    let mut refusal = Refusal::new(Reason::OutcomeUnknown);
    refusal.providers = vec![(lane.name().clone(), "OUTCOME_UNKNOWN")];
    Denial::Refused(Box::new(refusal))
}

/// The seat of a call. One that is made alone has a name that the store does not know.
pub fn seat_of(flight: &Flight) -> Seat {
    flight.seat().unwrap_or_else(|| Seat {
        keys: Arc::clone(flight.keys()),
        question: *flight.tags(),
        owner: token(),
    })
}

/// When to come again while the store is lost.
pub const fn retry_after() -> Duration {
    STORE_COMES_BACK
}
