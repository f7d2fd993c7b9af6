//! What one attempt has taken, and what becomes of it.

use jiff::Timestamp;

use super::super::{
    budget::Hold,
    guard::Reservation,
    ledger::{Call, Ledger, Settlement},
    sharing::{Departure, SharedStake},
};
use crate::{
    cache::shared::Settle,
    domain::{Answer, Charge, GuardEffect},
    provider::ProviderError,
    telemetry::events,
};

/// What is staked on one attempt. Dropped without a word it counts as an unknown outcome.
#[must_use = "a stake that is dropped counts as lost"]
pub enum Stake {
    /// Nothing: the provider is embedded.
    Nothing,
    /// Everything.
    All(Box<Staked>),
}

/// Everything that an attempt has taken.
pub struct Staked {
    pub(super) slots: Slots,
    pub(super) money: Vec<Hold>,
    pub(super) call: Call,
    pub(super) ledger: Ledger,
    /// The attempt as the shared store has to be told of it.
    pub(super) shared: Option<SharedStake>,
    pub(super) departure: Option<Departure>,
}

/// The slot of a card, under each of its tags. Only a slot that another store has given may be
/// missing: where there is no room to note it.
#[derive(Default)]
pub(super) struct Slots {
    pub(super) current: Option<Reservation>,
    pub(super) previous: Option<Reservation>,
}

impl Slots {
    pub(super) fn settle(self, effect: GuardEffect) {
        if let Some(slot) = self.current {
            slot.settle(effect);
        }
        if let Some(slot) = self.previous {
            slot.settle_again(effect);
        }
    }
}

impl Stake {
    /// Whether the call may still be sent.
    #[must_use]
    pub fn may_depart(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::All(staked) => staked.departure.is_none_or(|it| it.is_open()),
        }
    }

    /// Counts what the attempt came to; returns what the shared store is to be told of it.
    pub fn settle(self, result: &Result<Answer, ProviderError>, now: Timestamp) -> Option<Settle> {
        let Self::All(mut staked) = self else {
            return None;
        };
        let (effect, settlement) = match result {
            Ok(answer) => (
                answer.finding.guard_effect(),
                Settlement {
                    result: answer.finding.result_name(),
                    charge: answer.charge,
                    provider_request_id: answer.provider_request_id.clone(),
                },
            ),
            Err(error) => (
                effect_of(error.kind.charge()),
                Settlement {
                    result: error.kind.as_str(),
                    charge: error.kind.charge(),
                    provider_request_id: error.provider_request_id.clone(),
                },
            ),
        };
        staked.ledger.settled(&staked.call, &settlement, now);
        staked.close(effect, settlement.charge, result.is_ok())
    }
}

impl Staked {
    /// Gives everything back: nothing was sent.
    pub(super) fn take_back(&mut self) -> Option<Settle> {
        self.close(GuardEffect::Nothing, Charge::NotCharged, false)
    }

    fn close(&mut self, effect: GuardEffect, charge: Charge, told: bool) -> Option<Settle> {
        let slots = std::mem::take(&mut self.slots);
        let money = std::mem::take(&mut self.money);
        let count = || {
            if told || effect == GuardEffect::Nothing {
                slots.settle(effect);
            } else {
                // nobody has told a mismatch, so nobody is suspected for it
                drop(slots);
            }
            money.into_iter().for_each(|hold| hold.settle(charge));
        };
        if let (Some(price), Charge::Charged | Charge::Unknown) = (&self.call.price, charge) {
            events::spent(&self.call.provider, &price.currency, price.micros);
        }
        match self.shared.take() {
            Some(shared) => Some(shared.settle(effect, charge, count)),
            None => {
                count();
                None
            }
        }
    }
}

/// What an attempt without an answer does to a card: what may have run counts as a mismatch.
const fn effect_of(charge: Charge) -> GuardEffect {
    match charge {
        Charge::NotCharged => GuardEffect::Nothing,
        Charge::Charged | Charge::Unknown => GuardEffect::Mismatch,
    }
}
