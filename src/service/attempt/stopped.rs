//! Why an attempt is not made.

use std::{sync::Arc, time::Duration};

use super::super::{
    denial::{Denial, Refusal, Stage},
    sharing,
};
use crate::domain::Reason;

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
    /// The vendor was asked as often as it may be in this second.
    Busy {
        /// When it may be asked again.
        wait: Duration,
    },
    /// Another replica makes this call by now.
    SeatLost,
    /// The store that replicas share is lost, and the operator prefers refusing.
    StoreLost,
    /// The ledger cannot be written, so nothing may be sent.
    LedgerUnavailable,
    /// Too little time is left for one more attempt.
    OutOfTime,
}

impl Stopped {
    /// Whether it keeps a question from a vendor for a reason of money or of the card, and not of
    /// the moment.
    pub(super) const fn is_worth_a_line(self) -> bool {
        match self {
            Self::CardClosed { .. }
            | Self::NoRoomForCards
            | Self::CallerBudgetSpent { .. }
            | Self::ProviderBudgetSpent
            | Self::StoreLost
            | Self::LedgerUnavailable => true,
            Self::Busy { .. } | Self::SeatLost | Self::OutOfTime => false,
        }
    }

    /// Its name in the public vocabulary.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::CardClosed { .. } => Reason::CardAttemptsExceeded,
            Self::NoRoomForCards => Reason::Overloaded,
            Self::CallerBudgetSpent { .. } => Reason::CallerBudgetSpent,
            Self::ProviderBudgetSpent => Reason::ProviderBudgetSpent,
            Self::Busy { .. } => Reason::Overloaded,
            Self::SeatLost | Self::StoreLost => Reason::SharedStateUnavailable,
            Self::LedgerUnavailable => Reason::LedgerUnavailable,
            Self::OutOfTime => Reason::DeadlineExceeded,
        }
    }

    /// What the caller is told.
    #[must_use]
    pub fn denial(self, caller: &Arc<str>) -> Denial {
        let mut refusal = Refusal::new(self.reason());
        match self {
            Self::CardClosed { retry_after } | Self::Busy { wait: retry_after } => {
                refusal.retry_after = Some(retry_after);
            }
            Self::SeatLost | Self::StoreLost => refusal.retry_after = Some(sharing::retry_after()),
            Self::CallerBudgetSpent { retry_after } => refusal.retry_after = retry_after,
            Self::OutOfTime => refusal.stage = Some(Stage::Routing),
            Self::NoRoomForCards | Self::ProviderBudgetSpent | Self::LedgerUnavailable => {}
        }
        refusal.caller = Some(Arc::clone(caller));
        Denial::Refused(Box::new(refusal))
    }
}
