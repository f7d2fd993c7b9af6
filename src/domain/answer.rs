//! What vendors answer, in the vocabulary of the house.

use std::{borrow::Cow, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    card_kind::{CardNetwork, CardType},
    charge::Charge,
    provider_name::ProviderName,
    reason::vocabulary,
    result_code::{CardInfoResult, Certainty, FailOver, GuardEffect, Keep, ResultCode, Verdict},
    vendor_text::{ProviderMessage, VendorToken},
};

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The answer to a verification.
    Verification {
        /// What was found.
        result: ResultCode,
        /// How sure that reading is.
        certainty: Certainty,
    },
    /// The answer to a question for card information.
    CardInfo {
        /// What was found.
        result: CardInfoResult,
        /// What is known about the card.
        facts: CardFacts,
    },
}

/// What is known about a card. Empty texts and `None` mean: not known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CardFacts {
    /// The issuing bank's name in its own language.
    pub bank_name: Cow<'static, str>,
    /// The issuing bank's name in English.
    pub bank_name_en: Cow<'static, str>,
    /// A short code of the issuing bank.
    pub bank_code: Cow<'static, str>,
    /// Debit, credit and so on.
    pub card_type: Option<CardType>,
    /// The card network.
    pub network: Option<CardNetwork>,
    /// The leading digits that decided the answer; at most 11 of them.
    pub bin: Cow<'static, str>,
    /// Which edition of the embedded table answered.
    pub data_version: Cow<'static, str>,
}

impl Finding {
    /// A verification's result that was read without doubt.
    #[must_use]
    pub const fn verified(result: ResultCode) -> Self {
        Self::Verification {
            result,
            certainty: Certainty::Certain,
        }
    }

    /// What to do with the answer; `None` for card information.
    #[must_use]
    pub const fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Verification {
                result,
                certainty: Certainty::Certain,
            } => Some(result.verdict()),
            Self::Verification {
                certainty: Certainty::Doubtful,
                ..
            } => Some(Verdict::Inconclusive),
            Self::CardInfo { .. } => None,
        }
    }

    /// What the answer does to the guard's counts.
    #[must_use]
    pub const fn guard_effect(&self) -> GuardEffect {
        match self {
            Self::Verification {
                result,
                certainty: Certainty::Certain,
            } => result.guard_effect(),
            Self::Verification {
                certainty: Certainty::Doubtful,
                ..
            } => GuardEffect::Mismatch,
            Self::CardInfo { result, .. } => result.guard_effect(),
        }
    }

    /// Whether another vendor may be asked after it.
    #[must_use]
    pub const fn fail_over(&self) -> FailOver {
        match self {
            Self::Verification {
                result,
                certainty: Certainty::Certain,
            } => result.fail_over(),
            Self::Verification {
                certainty: Certainty::Doubtful,
                ..
            } => FailOver::Never,
            Self::CardInfo { result, .. } => result.fail_over(),
        }
    }

    /// How long the answer is kept.
    #[must_use]
    pub const fn keep(&self) -> Keep {
        match self {
            Self::Verification {
                result,
                certainty: Certainty::Certain,
            } => result.keep(),
            Self::Verification {
                certainty: Certainty::Doubtful,
                ..
            } => Keep::Inconclusive,
            Self::CardInfo { result, .. } => result.keep(),
        }
    }

    /// The result's name in the public vocabulary.
    #[must_use]
    pub const fn result_name(&self) -> &'static str {
        match self {
            Self::Verification { result, .. } => result.as_str(),
            Self::CardInfo { result, .. } => result.as_str(),
        }
    }
}

/// A vendor's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it says.
    pub finding: Finding,
    /// What the call that brought it cost.
    pub charge: Charge,
    /// The vendor's own code.
    pub provider_code: VendorToken<16>,
    /// The vendor's own text.
    pub provider_message: ProviderMessage,
    /// The vendor's id of the request.
    pub provider_request_id: VendorToken<64>,
    /// When it was given.
    pub answered_at: Timestamp,
}

impl Answer {
    /// What of it may be kept and given to others: all but a text that is in no vendor's table.
    #[must_use]
    pub fn storable(self: &Arc<Self>) -> Arc<Self> {
        let message = self.provider_message.storable();
        if message == self.provider_message {
            return Arc::clone(self);
        }
        Arc::new(Self {
            provider_message: message,
            ..Self::clone(self)
        })
    }
}

vocabulary! {
    /// Where an answer came from.
    Source {
        /// A vendor.
        Provider = "PROVIDER",
        /// The memory of this process.
        Cache = "CACHE",
        /// The memory that all replicas share.
        SharedCache = "SHARED_CACHE",
        /// The service itself.
        Embedded = "EMBEDDED",
    }
}

vocabulary! {
    /// How one try at one vendor ended.
    AttemptOutcome {
        /// The vendor answered.
        Answered = "ANSWERED",
        /// The request surely did not leave.
        NotSent = "NOT_SENT",
        /// There was no room; it was not run.
        Throttled = "THROTTLED",
        /// The vendor is left alone for a while.
        BreakerOpen = "BREAKER_OPEN",
        /// The vendor does not accept our credentials or settings.
        Misconfigured = "MISCONFIGURED",
        /// The account has no credit.
        OutOfCredit = "OUT_OF_CREDIT",
        /// The budget for today is spent.
        BudgetSpent = "BUDGET_SPENT",
        /// The vendor called the request invalid.
        Refused = "REFUSED",
        /// It may have run and been charged.
        OutcomeUnknown = "OUTCOME_UNKNOWN",
    }
}

/// One try at one vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The vendor.
    pub provider: ProviderName,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What it cost.
    pub charge: Charge,
    /// From the decision to ask until the outcome was known.
    pub latency: Duration,
    /// Why it brought no answer; empty when it did.
    pub error_reason: &'static str,
}
