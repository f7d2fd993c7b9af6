//! What every attempt stakes before anything is sent, and gets back or loses afterwards: a slot of
//! its card, its price from the budgets of the vendor and of the caller, and a line in the ledger.
//!
//! Embedded providers cost nothing and ask no bank, so nothing is staked for them.

mod stake;
mod stopped;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use self::stake::Slots;
pub use self::{
    stake::{Stake, Staked},
    stopped::Stopped,
};
use super::{
    ask::Ask,
    budget::{self, Hold},
    day::next_midnight,
    flight::Flight,
    guard::{self, Guard},
    lane::Lane,
    ledger::{Call, Event, EventKind, Ledger},
    limiter::NotBefore,
    sharing::{self, Bet, SharedStake, Sharing, Taken},
};
use crate::{
    cache::{
        Tags,
        key::CardTag,
        shared::{Lost, Purse, Slot, token},
    },
    config::providers::Money,
    domain::{Answer, GuardEffect},
    provider::{Health, ProviderError},
    telemetry::events,
};

/// What stands between a question and money.
#[derive(Clone)]
pub struct Safeguards {
    /// Keeps cards from being locked at their banks.
    pub guard: Guard,
    /// Writes down what is sent.
    pub ledger: Ledger,
}

/// A card as the safeguards know it.
#[derive(Debug, Clone, Copy)]
pub struct CardTags {
    /// For the guard.
    pub guard: Tags<CardTag>,
    /// For the ledger.
    pub ledger: CardTag,
}

/// What an attempt is staked against.
pub struct Table<'a> {
    /// What stands before money.
    pub safeguards: &'a Safeguards,
    /// The store that replicas share, if there is one.
    pub sharing: Option<&'a Sharing>,
    /// The question, and who asks it.
    pub ask: &'a Ask,
    /// The call that the attempt is part of.
    pub flight: &'a Flight,
    /// The card.
    pub card: CardTags,
}

impl Table<'_> {
    /// Takes a slot of the card, the price from both budgets and a place within the vendor's limit,
    /// then writes the intent down.
    ///
    /// # Errors
    /// When one of them has no room; what was taken before is given back.
    pub async fn stake(&self, lane: &Lane) -> Result<Stake, Stopped> {
        if lane.is_embedded() {
            return Ok(Stake::Nothing);
        }
        let operation = self.ask.question.operation();
        let call = Call {
            // from the thread's own generator: `new_v4` would ask the kernel every time
            call_id: uuid::Builder::from_random_bytes(rand::random()).into_uuid(),
            caller: Arc::clone(&self.ask.caller.name),
            provider: lane.name().clone(),
            operation,
            price: lane.price(operation).cloned(),
            request_id: self.ask.request_id,
            consent_reference: self.ask.consent_reference.clone(),
            card_tag: self.card.ledger,
        };
        match self.take(lane, call).await {
            Ok(staked) => Ok(Stake::All(Box::new(staked))),
            Err((stopped, call)) => {
                if stopped.is_worth_a_line() {
                    self.write_refusal(stopped, &call);
                }
                Err(stopped)
            }
        }
    }

    fn write_refusal(&self, stopped: Stopped, call: &Call) {
        let refused = Event {
            kind: EventKind::Refused,
            call_id: None,
            result: stopped.reason().as_str(),
            ..call.intent(self.now())
        };
        self.safeguards.ledger.refused(&refused);
    }

    async fn take(&self, lane: &Lane, call: Call) -> Result<Staked, (Stopped, Call)> {
        let bet = match self.bet(lane, &call) {
            Ok(bet) => bet,
            Err(stopped) => return Err((stopped, call)),
        };
        let given = match self.ask_store(&bet).await {
            Ok(given) => given,
            Err(stopped) => return Err((stopped, call)),
        };
        let take = || match &given {
            Some(given) => Ok(self.note(&bet, &call, given)),
            None => self.take_here(lane, &call),
        };
        let ends = Instant::now() + bet.lasts();
        let taken = match self.sharing {
            Some(sharing) => {
                let sent = given.as_ref().map(|given| given.sent.clone());
                let begun = sharing.under_way.begin(&bet.slot, ends, sent, take);
                begun.map(|(entry, taken)| (Some(entry), taken))
            }
            None => take().map(|taken| (None, taken)),
        };
        let (entry, (slots, money)) = match taken {
            Ok(taken) => taken,
            Err(stopped) => return Err((stopped, call)),
        };
        let prices = bet.prices.into_iter().map(|(_, price)| price).collect();
        let shared = entry.map(|entry| SharedStake::new(bet.slot, prices, given.as_ref(), entry));
        let mut staked = Staked {
            slots,
            money: money.into(),
            call,
            ledger: self.safeguards.ledger.clone(),
            shared,
            departure: given.map(|given| given.departure),
        };
        if staked
            .ledger
            .intent(&staked.call, self.now())
            .await
            .is_err()
        {
            let told = staked.take_back();
            if let (Some(sharing), Some(settle)) = (self.sharing, told) {
                sharing.settle(self.flight, settle).await;
            }
            return Err((Stopped::LedgerUnavailable, staked.call));
        }
        Ok(staked)
    }

    /// What the attempt is about to take.
    fn bet<'a>(&self, lane: &'a Lane, call: &Call) -> Result<Bet<'a>, Stopped> {
        let price = call.price.as_ref();
        let vendor = sharing::price(
            Purse::Provider(lane.name().clone()),
            lane.budget().whole(price),
        );
        let vendor = vendor.map_err(|_| Stopped::ProviderBudgetSpent)?;
        let caller = &self.ask.caller;
        let purse = Purse::Caller(Arc::clone(&caller.name));
        let caller = sharing::price(purse, caller.budget.whole(price));
        let caller = caller.map_err(|_| Stopped::CallerBudgetSpent { retry_after: None })?;
        let now = self.now();
        let until_midnight = next_midnight(now).duration_since(now).try_into().ok();
        let spent_by_caller = Stopped::CallerBudgetSpent {
            retry_after: until_midnight,
        };
        let prices = [
            (Stopped::ProviderBudgetSpent, vendor),
            (spent_by_caller, caller),
        ];
        let family = call.operation.into();
        Ok(Bet {
            lane,
            operation: call.operation,
            slot: Slot {
                token: token(),
                card: self.card.guard,
                family,
                caller: Arc::clone(&self.ask.caller.name),
            },
            limits: self.safeguards.guard.whole_limits(family),
            prices: prices
                .into_iter()
                .filter_map(|(stopped, price)| Some((stopped, price?)))
                .collect(),
        })
    }

    /// What the shared store gives; `None`: it is lost or there is none, and this process decides.
    async fn ask_store(&self, bet: &Bet<'_>) -> Result<Option<Taken>, Stopped> {
        let Some(sharing) = self.sharing else {
            return Ok(None);
        };
        let Some(seat) = self.flight.seat() else {
            sharing.may_go_alone()?;
            return Ok(None);
        };
        // from here on whoever joins notes its request id as sent by itself
        self.flight.mark_sent();
        let ids = self.flight.shared_ids();
        match sharing.stake(seat, bet, ids).await? {
            Ok(taken) => Ok(Some(taken)),
            Err(Lost) => {
                sharing.go_alone()?;
                Ok(None)
            }
        }
    }

    /// Notes here what the store has given, so that this process knows its own part should the
    /// store be lost.
    fn note(&self, bet: &Bet<'_>, call: &Call, given: &Taken) -> (Slots, [Hold; 2]) {
        let (guard, caller) = (&self.safeguards.guard, &self.ask.caller);
        let now = self.now();
        let note = |tag: &CardTag| guard.note(*tag, &caller.name, bet.slot.family);
        let slots = Slots {
            current: note(&self.card.guard.current),
            previous: self.card.guard.previous.as_ref().and_then(note),
        };
        if let Some(limiter) = bet.lane.limiter(call.operation) {
            limiter.note(Instant::now());
        }
        for ((_, price), spent) in bet.prices.iter().zip(&given.spent_micros) {
            match &price.purse {
                Purse::Provider(_) => bet.lane.budget().learn(*spent, now),
                Purse::Caller(_) => caller.budget.learn(*spent, now),
            }
        }
        let price = call.price.as_ref();
        let money = [
            bet.lane.budget().note(price, now),
            caller.budget.note(price, now),
        ];
        (slots, money)
    }

    /// Takes everything from what this process may use by itself.
    fn take_here(&self, lane: &Lane, call: &Call) -> Result<(Slots, [Hold; 2]), Stopped> {
        let reserve = |tag: &CardTag| {
            let guard = &self.safeguards.guard;
            let lasts = lane.longest_call();
            let family = call.operation.into();
            let reserved = guard.reserve(*tag, &self.ask.caller.name, family, lasts);
            reserved.map_err(|refused| {
                events::guard_refused(refused.as_str());
                match refused {
                    guard::Refused::Closed { retry_after, .. } => {
                        Stopped::CardClosed { retry_after }
                    }
                    guard::Refused::Full => Stopped::NoRoomForCards,
                }
            })
        };
        let mut slots = Slots {
            current: Some(reserve(&self.card.guard.current)?),
            previous: None,
        };
        let mut rest = || {
            if let Some(tag) = &self.card.guard.previous {
                slots.previous = Some(reserve(tag)?);
            }
            let money = self.holds(lane, call.price.as_ref())?;
            if let Some(limiter) = lane.limiter(call.operation)
                && let Err(NotBefore(wait)) = limiter.try_acquire(Instant::now())
            {
                money.into_iter().for_each(Hold::release);
                return Err(Stopped::Busy { wait });
            }
            Ok(money)
        };
        match rest() {
            Ok(money) => Ok((slots, money)),
            Err(stopped) => {
                slots.settle(GuardEffect::Nothing);
                Err(stopped)
            }
        }
    }

    fn holds(&self, lane: &Lane, price: Option<&Money>) -> Result<[Hold; 2], Stopped> {
        let now = self.now();
        let vendor = lane.budget().reserve(price, now);
        let vendor = vendor.map_err(|_| Stopped::ProviderBudgetSpent)?;
        match self.ask.caller.budget.reserve(price, now) {
            Ok(caller) => Ok([vendor, caller]),
            Err(refused) => {
                vendor.release();
                let retry_after = match refused {
                    budget::Refused::Spent { retry_after } => Some(retry_after),
                    budget::Refused::OtherCurrency => None,
                };
                Err(Stopped::CallerBudgetSpent { retry_after })
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.safeguards.guard.clock().now()
    }
}

/// What an attempt says about the vendor's health. An answer shows that it works, whatever it says
/// about card and person, unless it says that the vendor was busy.
#[must_use]
pub fn health(result: &Result<Answer, ProviderError>) -> Health {
    match result {
        Ok(answer) if answer.finding.guard_effect() == GuardEffect::Nothing => Health::SaysNothing,
        Ok(_) => Health::Well,
        Err(error) => error.kind.health(),
    }
}
