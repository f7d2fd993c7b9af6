//! What every attempt stakes before anything is sent, and gets back or loses afterwards: a slot of
//! its card, its price from the budgets of the vendor and of the caller, and a line in the ledger.
//!
//! Embedded providers cost nothing and ask no bank, so nothing is staked for them.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    ask::Ask,
    budget::{self, Hold},
    denial::{Denial, Refusal, Stage},
    guard::{self, Guard, Reservation},
    lane::Lane,
    ledger::{Call, Event, EventKind, Ledger, Settlement},
};
use crate::{
    cache::key::CardTag,
    config::providers::Money,
    domain::{Answer, Charge, GuardEffect, Reason},
    provider::{Health, ProviderError},
    telemetry::events,
};

/// What keeps a question from a vendor, or from all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// One more call could lock the card.
    CardClosed {
        /// When it opens.
        retry_after: Duration,
    },
    /// There is no room to count one more card.
    NoRoomForCards,
    /// The caller has spent its budget.
    CallerBudgetSpent {
        /// When the next day begins.
        retry_after: Option<Duration>,
    },
    /// This vendor's budget is spent; another one may be asked.
    ProviderBudgetSpent,
    /// The ledger cannot be written, so nothing may be sent.
    LedgerUnavailable,
    /// Too little time is left for one more attempt.
    OutOfTime,
}

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
    pub guard: CardTag,
    /// For the ledger.
    pub ledger: CardTag,
}

impl Stopped {
    /// Its name in the public vocabulary.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::CardClosed { .. } => Reason::CardAttemptsExceeded,
            Self::NoRoomForCards => Reason::Overloaded,
            Self::CallerBudgetSpent { .. } => Reason::CallerBudgetSpent,
            Self::ProviderBudgetSpent => Reason::ProviderBudgetSpent,
            Self::LedgerUnavailable => Reason::LedgerUnavailable,
            Self::OutOfTime => Reason::DeadlineExceeded,
        }
    }

    /// What the caller is told.
    #[must_use]
    pub fn denial(self, caller: &Arc<str>) -> Denial {
        let mut refusal = Refusal::new(self.reason());
        match self {
            Self::CardClosed { retry_after } => refusal.retry_after = Some(retry_after),
            Self::CallerBudgetSpent { retry_after } => refusal.retry_after = retry_after,
            Self::OutOfTime => refusal.stage = Some(Stage::Routing),
            Self::NoRoomForCards | Self::ProviderBudgetSpent | Self::LedgerUnavailable => {}
        }
        refusal.caller = Some(Arc::clone(caller));
        Denial::Refused(Box::new(refusal))
    }
}

/// What is staked on one attempt. Dropped without a word it counts as an unknown outcome.
#[must_use = "a stake that is dropped counts as lost"]
pub enum Stake {
    /// Nothing: the provider is embedded.
    Nothing,
    /// All three.
    All {
        /// The slot of the card.
        card: Reservation,
        /// The price, from both budgets.
        money: [Hold; 2],
        /// The call as the ledger knows it.
        call: Box<Call>,
        /// Where its end is written down.
        ledger: Ledger,
    },
}

/// Takes a slot of the card, then the price from both budgets, then writes the intent down.
///
/// # Errors
/// When one of them has no room; what was taken before is given back.
pub async fn stake(
    safeguards: &Safeguards,
    ask: &Ask,
    lane: &Lane,
    tags: CardTags,
) -> Result<Stake, Stopped> {
    if lane.is_embedded() {
        return Ok(Stake::Nothing);
    }
    let operation = ask.question.operation();
    let call = Box::new(Call {
        // from the thread's own generator: `new_v4` would ask the kernel every time
        call_id: uuid::Builder::from_random_bytes(rand::random()).into_uuid(),
        caller: Arc::clone(&ask.caller.name),
        provider: lane.name().clone(),
        operation,
        price: lane.price(operation).cloned(),
        request_id: ask.request_id,
        consent_reference: ask.consent_reference.clone(),
        card_tag: tags.ledger,
    });
    let staked = stake_in_order(safeguards, ask, lane, tags, &call).await;
    match staked {
        Ok((card, money)) => Ok(Stake::All {
            card,
            money,
            call,
            ledger: safeguards.ledger.clone(),
        }),
        Err(stopped) => {
            let now = safeguards.guard.clock().now();
            let refused = Event {
                kind: EventKind::Refused,
                call_id: None,
                result: stopped.reason().as_str(),
                ..call.intent(now)
            };
            safeguards.ledger.refused(&refused);
            Err(stopped)
        }
    }
}

async fn stake_in_order(
    safeguards: &Safeguards,
    ask: &Ask,
    lane: &Lane,
    tags: CardTags,
    call: &Call,
) -> Result<(Reservation, [Hold; 2]), Stopped> {
    let family = call.operation.into();
    let card = safeguards
        .guard
        .reserve(tags.guard, &ask.caller.name, family, lane.longest_call())
        .map_err(|refused| {
            events::guard_refused(refused.as_str());
            match refused {
                guard::Refused::Closed { retry_after, .. } => Stopped::CardClosed { retry_after },
                guard::Refused::Full => Stopped::NoRoomForCards,
            }
        })?;
    let now = safeguards.guard.clock().now();
    let money = match holds(ask, lane, call.price.as_ref(), now) {
        Ok(money) => money,
        Err(stopped) => {
            card.release();
            return Err(stopped);
        }
    };
    if safeguards.ledger.intent(call, now).await.is_err() {
        card.release();
        money.into_iter().for_each(Hold::release);
        return Err(Stopped::LedgerUnavailable);
    }
    Ok((card, money))
}

fn holds(
    ask: &Ask,
    lane: &Lane,
    price: Option<&Money>,
    now: Timestamp,
) -> Result<[Hold; 2], Stopped> {
    let vendor = lane
        .budget()
        .reserve(price, now)
        .map_err(|_| Stopped::ProviderBudgetSpent)?;
    match ask.caller.budget.reserve(price, now) {
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

impl Stake {
    /// Counts what the attempt came to.
    pub fn settle(self, result: &Result<Answer, ProviderError>, now: Timestamp) {
        let Self::All {
            card,
            money,
            call,
            ledger,
        } = self
        else {
            return;
        };
        let settlement = match result {
            Ok(answer) => {
                card.settle(answer.finding.guard_effect());
                Settlement {
                    result: answer.finding.result_name(),
                    charge: answer.charge,
                    provider_request_id: answer.provider_request_id.clone(),
                }
            }
            Err(error) => {
                match error.kind.charge() {
                    Charge::NotCharged => card.release(),
                    Charge::Charged | Charge::Unknown => card.unknown(),
                }
                Settlement {
                    result: error.kind.as_str(),
                    charge: error.kind.charge(),
                    provider_request_id: error.provider_request_id.clone(),
                }
            }
        };
        for hold in money {
            hold.settle(settlement.charge);
        }
        if let (Some(price), Charge::Charged | Charge::Unknown) = (&call.price, settlement.charge) {
            events::spent(&call.provider, &price.currency, price.micros);
        }
        ledger.settled(&call, &settlement, now);
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
