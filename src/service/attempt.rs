//! What every attempt stakes before anything is sent, and gets back or loses afterwards: a slot of
//! its card, and its price from the budgets of the vendor and of the caller.
//!
//! Embedded providers cost nothing and ask no bank, so nothing is staked for them.

use std::{sync::Arc, time::Duration};

use super::{
    ask::Ask,
    budget::{self, Hold},
    denial::{Denial, Refusal, Stage},
    guard::{self, Guard, Reservation},
    lane::Lane,
};
use crate::{
    cache::key::CardTag,
    domain::{Answer, Charge, GuardEffect, Reason},
    provider::{Health, ProviderError},
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
    /// Too little time is left for one more attempt.
    OutOfTime,
}

impl Stopped {
    /// What the caller is told.
    #[must_use]
    pub fn denial(self, caller: &Arc<str>) -> Denial {
        let (reason, retry_after) = match self {
            Self::CardClosed { retry_after } => (Reason::CardAttemptsExceeded, Some(retry_after)),
            Self::NoRoomForCards => (Reason::Overloaded, None),
            Self::CallerBudgetSpent { retry_after } => (Reason::CallerBudgetSpent, retry_after),
            Self::ProviderBudgetSpent => (Reason::ProviderBudgetSpent, None),
            Self::OutOfTime => return Denial::deadline(Stage::Routing),
        };
        let mut refusal = Refusal::new(reason);
        refusal.retry_after = retry_after;
        refusal.caller = Some(Arc::clone(caller));
        Denial::Refused(Box::new(refusal))
    }
}

/// What is staked on one attempt. Dropped without a word it counts as an unknown outcome.
pub struct Stake {
    card: Option<Reservation>,
    money: Vec<Hold>,
}

/// Takes a slot of the card, then the price from both budgets.
///
/// # Errors
/// When one of them has no room; what was taken before is given back.
pub fn stake(guard: &Guard, ask: &Ask, lane: &Lane, card: CardTag) -> Result<Stake, Stopped> {
    if lane.is_embedded() {
        return Ok(Stake {
            card: None,
            money: Vec::new(),
        });
    }
    let operation = ask.question.operation();
    let slot = guard
        .reserve(
            card,
            &ask.caller.name,
            operation.into(),
            lane.longest_call(),
        )
        .map_err(|refused| match refused {
            guard::Refused::Closed { retry_after, .. } => Stopped::CardClosed { retry_after },
            guard::Refused::Full => Stopped::NoRoomForCards,
        })?;
    match holds(guard, ask, lane) {
        Ok(money) => Ok(Stake {
            card: Some(slot),
            money,
        }),
        Err(stopped) => {
            slot.release();
            Err(stopped)
        }
    }
}

fn holds(guard: &Guard, ask: &Ask, lane: &Lane) -> Result<Vec<Hold>, Stopped> {
    let now = guard.clock().now();
    let price = lane.price(ask.question.operation());
    let vendor = lane
        .budget()
        .reserve(price, now)
        .map_err(|_| Stopped::ProviderBudgetSpent)?;
    match ask.caller.budget.reserve(price, now) {
        Ok(caller) => Ok(vec![vendor, caller]),
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
    pub fn settle(self, result: &Result<Answer, ProviderError>) {
        let (effect, charge) = match result {
            Ok(answer) => (answer.finding.guard_effect(), answer.charge),
            Err(error) => match error.kind.charge() {
                Charge::NotCharged => (GuardEffect::Nothing, Charge::NotCharged),
                // it may have run: a call, and a mismatch for all that is known
                charge => (GuardEffect::Mismatch, charge),
            },
        };
        if let Some(card) = self.card {
            card.settle(effect);
        }
        for hold in self.money {
            hold.settle(charge);
        }
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
