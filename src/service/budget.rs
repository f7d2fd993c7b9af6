//! No more is spent in a day than the operator allowed.
//!
//! One budget stands for one provider or one caller. Every attempt reserves its price before
//! anything is sent and settles it afterwards: charged and not known count as spent, not charged
//! gives it back. A hold that is dropped without a word counts as spent: it may have been.
//!
//! The rules, for a script on a shared server to do the same:
//!
//! 1. A day begins at midnight in Asia/Shanghai; with it the spent and the held are 0. If the
//!    clock is set back to an earlier day, that day goes on with what is spent and held.
//! 2. A price may be reserved while spent + held + price is at most the limit.
//! 3. A hold belongs to the day it was reserved on: settled later, it changes that day, which no
//!    longer matters, and not the new one.
//!
//! A limit that several replicas share and cannot coordinate is divided by their number, rounded
//! down. Money is whole millionths of a unit of its currency; amounts in two currencies are never
//! compared.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::Mutex;

use super::day::{day_number, next_midnight};
use crate::{config::providers::Money, domain::Charge};

/// Why a price cannot be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Too little is left of today's budget.
    Spent {
        /// Until the next day begins.
        retry_after: Duration,
    },
    /// The price is in another currency: a budget does not vouch for what it cannot count.
    OtherCurrency,
}

/// What may be spent in a day. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Budget {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None`: unlimited.
    limit: Option<Money>,
    divisor: AtomicU32,
    /// Shared with the same budget under another limit.
    today: Arc<Mutex<Today>>,
}

#[derive(Debug, Default)]
struct Today {
    number: i64,
    /// Goes up with every new day, so that holds know theirs even if the clock is set back.
    turn: u64,
    spent_micros: u64,
    held_micros: u64,
    /// What all replicas together had taken when this one last asked; 0 where they do not share.
    by_all_micros: u64,
}

/// The price of one call, reserved.
#[must_use = "a hold that is dropped counts as spent"]
#[derive(Debug)]
pub struct Hold {
    inner: Arc<Inner>,
    turn: u64,
    micros: u64,
    open: bool,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Budget")
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Budget")
    }
}

impl Budget {
    /// A budget of which nothing is spent; without a limit if there is none.
    #[must_use]
    pub fn new(limit: Option<Money>) -> Self {
        Self {
            inner: Arc::new(Inner {
                limit,
                divisor: AtomicU32::new(1),
                today: Arc::default(),
            }),
        }
    }

    /// The same budget under another limit: what is spent and held of it stays so, unless the new
    /// limit is in another currency.
    #[must_use]
    pub fn with_limit(&self, limit: Option<Money>) -> Self {
        let currency = |limit: &Option<Money>| limit.as_ref().map(|money| money.currency.clone());
        let same = currency(&self.inner.limit) == currency(&limit);
        let today = same.then(|| Arc::clone(&self.inner.today));
        Self {
            inner: Arc::new(Inner {
                limit,
                divisor: AtomicU32::new(self.inner.divisor.load(Ordering::Relaxed)),
                today: today.unwrap_or_default(),
            }),
        }
    }

    /// Divides the limit: by the number of replicas while they cannot see each other, else by 1.
    pub fn divide(&self, divisor: u32) {
        self.inner.divisor.store(divisor.max(1), Ordering::Relaxed);
    }

    /// Reserves the price of one call, before anything is sent. No price: the operator named none,
    /// and the call counts for nothing.
    ///
    /// # Errors
    /// When today's budget does not reach for it.
    pub fn reserve(&self, price: Option<&Money>, now: Timestamp) -> Result<Hold, Refused> {
        let mut today = self.inner.today.lock();
        today.turn_to(now);
        let mut micros = 0;
        if let (Some(limit), Some(price)) = (&self.inner.limit, price) {
            if limit.currency != price.currency {
                return Err(Refused::OtherCurrency);
            }
            let taken = today.spent_micros.saturating_add(today.held_micros);
            let fits = taken
                .checked_add(price.micros)
                .is_some_and(|sum| sum <= self.inner.limit_micros(limit));
            if !fits {
                let retry_after = next_midnight(now).duration_since(now);
                return Err(Refused::Spent {
                    retry_after: Duration::try_from(retry_after).unwrap_or_default(),
                });
            }
            micros = price.micros;
        }
        today.held_micros = today.held_micros.saturating_add(micros);
        Ok(Hold {
            inner: Arc::clone(&self.inner),
            turn: today.turn,
            micros,
            open: true,
        })
    }

    /// What a shared store has to know to take a price: the price and the undivided limit. `None`
    /// where nothing is counted.
    ///
    /// # Errors
    /// When the price is in another currency.
    pub fn whole(&self, price: Option<&Money>) -> Result<Option<(u64, u64)>, Refused> {
        match (&self.inner.limit, price) {
            (Some(limit), Some(price)) if limit.currency != price.currency => {
                Err(Refused::OtherCurrency)
            }
            (Some(limit), Some(price)) => Ok(Some((price.micros, limit.micros))),
            _ => Ok(None),
        }
    }

    /// Holds a price that a shared store has found room for, whatever is known here.
    pub fn note(&self, price: Option<&Money>, now: Timestamp) -> Hold {
        let counted = self.whole(price).ok().flatten();
        let micros = counted.map_or(0, |(micros, _)| micros);
        let mut today = self.inner.today.lock();
        today.turn_to(now);
        today.held_micros = today.held_micros.saturating_add(micros);
        Hold {
            inner: Arc::clone(&self.inner),
            turn: today.turn,
            micros,
            open: true,
        }
    }

    /// Learns what all replicas together have spent today.
    pub fn learn(&self, spent_micros: u64, now: Timestamp) {
        let mut today = self.inner.today.lock();
        today.turn_to(now);
        today.by_all_micros = spent_micros;
    }

    /// What this process knows that it has spent or may spend today, in millionths.
    #[must_use]
    pub fn taken_micros(&self, now: Timestamp) -> u64 {
        let mut today = self.inner.today.lock();
        today.turn_to(now);
        today.spent_micros.saturating_add(today.held_micros)
    }

    /// Which part of today's budget is spent, 1 being all of it; `None` without a limit.
    #[must_use]
    pub fn spent_ratio(&self, now: Timestamp) -> Option<f64> {
        let limit = self.inner.limit.as_ref()?;
        let (spent, by_all) = {
            let mut today = self.inner.today.lock();
            today.turn_to(now);
            (today.spent_micros, today.by_all_micros)
        };
        let spent = spent.max(by_all);
        let limit = if by_all > 0 {
            limit.micros
        } else {
            self.inner.limit_micros(limit)
        };
        if limit == 0 {
            return Some(1.0);
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a ratio for a metric; money itself stays whole"
        )]
        let ratio = spent as f64 / limit as f64;
        Some(ratio)
    }

    /// What may be spent in a day; `None`: anything. Divided, as it is in force.
    #[must_use]
    pub fn limit(&self) -> Option<Money> {
        let limit = self.inner.limit.as_ref()?;
        Some(Money {
            currency: limit.currency.clone(),
            micros: self.inner.limit_micros(limit),
        })
    }

    /// What is spent today, in millionths, without what is held here. Of a budget that replicas
    /// share it is what all of them had taken when this one last asked.
    #[must_use]
    pub fn spent_micros(&self, now: Timestamp) -> u64 {
        let mut today = self.inner.today.lock();
        today.turn_to(now);
        today.spent_micros.max(today.by_all_micros)
    }
}

impl Hold {
    /// Says what the call cost.
    pub fn settle(mut self, charge: Charge) {
        self.close(charge);
    }

    /// Gives the price back: the request surely did not run.
    pub fn release(self) {
        self.settle(Charge::NotCharged);
    }

    fn close(&mut self, charge: Charge) {
        self.open = false;
        let mut today = self.inner.today.lock();
        if today.turn != self.turn {
            return;
        }
        today.held_micros = today.held_micros.saturating_sub(self.micros);
        match charge {
            Charge::Charged | Charge::Unknown => {
                today.spent_micros = today.spent_micros.saturating_add(self.micros);
            }
            Charge::NotCharged => {}
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.open {
            self.close(Charge::Unknown);
        }
    }
}

impl Inner {
    fn limit_micros(&self, limit: &Money) -> u64 {
        limit.micros / u64::from(self.divisor.load(Ordering::Relaxed).max(1))
    }
}

impl Today {
    fn turn_to(&mut self, now: Timestamp) {
        let number = day_number(now);
        if number > self.number {
            self.turn += 1;
            self.spent_micros = 0;
            self.held_micros = 0;
            self.by_all_micros = 0;
        }
        self.number = number;
    }
}

#[cfg(test)]
mod tests;
