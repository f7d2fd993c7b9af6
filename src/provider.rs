//! Vendors: one trait, and what can go wrong with a call in one closed table.
//!
//! A definite answer, good or bad, is `Ok`. An error says what is known about the request: whether
//! it may have run decides everything that follows, so no kind of error leaves that open.

pub mod ace;
pub mod alibaba;
pub mod bin;
pub mod codes;
pub mod credentials;
pub mod docs;
pub mod http;
pub mod remote;
pub mod sandbox;
pub mod setup;
pub mod tencent;
#[cfg(test)]
pub(crate) mod testing;
pub mod vendor_reply;

use std::time::Duration;

use async_trait::async_trait;

use self::credentials::Credentials;
use crate::domain::{
    Answer, AttemptOutcome, CardInquiry, Charge, Factors, IdentityType, Operation, ProviderName,
    VendorToken, Verification, reason::vocabulary,
};

/// A vendor, or something in its place.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The name that the operator gave it.
    fn name(&self) -> &ProviderName;

    /// What it can do. May change while the service runs only for providers that are described by
    /// a server of their own.
    fn capabilities(&self) -> Capabilities;

    /// Asks whether a card belongs to a person.
    ///
    /// # Errors
    /// When there is no answer; see [`ProviderErrorKind`].
    async fn verify(
        &self,
        question: &Verification,
        context: &CallContext,
    ) -> Result<Answer, ProviderError>;

    /// Asks what a card is.
    ///
    /// # Errors
    /// When there is no answer; see [`ProviderErrorKind`].
    async fn card_info(
        &self,
        question: &CardInquiry,
        context: &CallContext,
    ) -> Result<Answer, ProviderError>;

    /// What a card is, where that is known without waiting for anything. Embedded tables answer
    /// here, on the thread that asks.
    fn card_info_now(&self, _question: &CardInquiry) -> Option<Answer> {
        None
    }

    /// Its secrets, for those who keep them fresh; `None` where there are none.
    fn secrets(&self) -> Option<&Credentials> {
        None
    }

    /// Checks endpoint and credentials with a call that costs nothing and names no card.
    ///
    /// # Errors
    /// When the vendor did not accept it.
    async fn probe(&self, _context: &CallContext) -> Result<Probe, ProviderError> {
        Ok(Probe::NotOffered)
    }
}

/// What a free check of endpoint and credentials came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The vendor accepted endpoint and credentials.
    Accepted,
    /// The vendor offers no call that is free.
    NotOffered,
}

/// What is known to a provider about the call that it is to make.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// The longest that the call may take: the provider's own setting. What is left of the
    /// caller's deadline never cuts a call that was sent.
    pub timeout: Duration,
    /// Which attempt at the question this is, from 1.
    pub attempt: u32,
}

/// What a provider can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    operations: [bool; Operation::ALL.len()],
    identity_types: u16,
    /// Whether it answers for the first digits of a card as well as for full numbers.
    pub card_prefix: bool,
    /// Whether it is part of this process: costs nothing, is never guarded, never stored in Redis.
    pub embedded: bool,
}

impl Capabilities {
    /// A provider that can do nothing yet.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            operations: [false; Operation::ALL.len()],
            identity_types: 0,
            card_prefix: false,
            embedded: false,
        }
    }

    /// Adds an operation.
    #[must_use]
    pub fn with(mut self, operation: Operation) -> Self {
        if let Some(slot) = self.operations.get_mut(operation as usize) {
            *slot = true;
        }
        self
    }

    /// Adds verification with that many factors.
    #[must_use]
    pub fn with_factors(self, factors: Factors) -> Self {
        self.with(factors.into())
    }

    /// Adds a kind of identity document.
    #[must_use]
    pub fn with_identity(mut self, identity: IdentityType) -> Self {
        self.identity_types |= 1 << identity as u16;
        self
    }

    /// Whether it can do an operation.
    #[must_use]
    pub fn can(&self, operation: Operation) -> bool {
        self.operations
            .get(operation as usize)
            .copied()
            .unwrap_or(false)
    }

    /// Whether it verifies a kind of identity document.
    #[must_use]
    pub const fn accepts(&self, identity: IdentityType) -> bool {
        self.identity_types & (1 << identity as u16) != 0
    }
}

vocabulary! {
    /// What is known about a request that brought no answer.
    ProviderErrorKind {
        /// It surely did not leave: no connection, or none of it was written.
        NotSent = "NOT_SENT",
        /// The vendor had no room and did not run it.
        Throttled = "THROTTLED",
        /// The vendor does not accept our credentials, permissions or settings and did not run it.
        Misconfigured = "MISCONFIGURED",
        /// The vendor did not run it because our clock is too far from its own.
        ClockSkewed = "CLOCK_SKEWED",
        /// The account has no credit; the vendor did not run it.
        OutOfCredit = "OUT_OF_CREDIT",
        /// The vendor called the request invalid.
        Refused = "REFUSED",
        /// It may have run, and may have been charged.
        OutcomeUnknown = "OUTCOME_UNKNOWN",
        /// The vendor has seen the very same signed request before: it may have run then.
        NonceReused = "NONCE_REUSED",
    }
}

impl ProviderErrorKind {
    /// Whether another vendor may be asked: only when the request surely did not run.
    #[must_use]
    pub const fn may_fail_over(self) -> bool {
        match self {
            Self::NotSent
            | Self::Throttled
            | Self::Misconfigured
            | Self::ClockSkewed
            | Self::OutOfCredit => true,
            Self::Refused | Self::OutcomeUnknown | Self::NonceReused => false,
        }
    }

    /// Whether the same vendor may be asked again by itself.
    #[must_use]
    pub const fn may_retry(self) -> bool {
        match self {
            Self::NotSent | Self::Throttled => true,
            Self::Misconfigured
            | Self::ClockSkewed
            | Self::OutOfCredit
            | Self::Refused
            | Self::OutcomeUnknown
            | Self::NonceReused => false,
        }
    }

    /// What it says about the vendor's health: sick, well, or nothing.
    #[must_use]
    pub const fn health(self) -> Health {
        match self {
            Self::NotSent | Self::OutcomeUnknown => Health::Sick,
            Self::Throttled
            | Self::Misconfigured
            | Self::ClockSkewed
            | Self::OutOfCredit
            | Self::Refused
            | Self::NonceReused => Health::SaysNothing,
        }
    }

    /// How long the provider is passed over afterwards: the whole `misconfigured_skip_s`, or not.
    #[must_use]
    pub const fn skips_provider(self) -> bool {
        match self {
            Self::Misconfigured | Self::OutOfCredit => true,
            Self::NotSent
            | Self::Throttled
            | Self::ClockSkewed
            | Self::Refused
            | Self::OutcomeUnknown
            | Self::NonceReused => false,
        }
    }

    /// How it shows in a reply.
    #[must_use]
    pub const fn outcome(self) -> AttemptOutcome {
        match self {
            Self::NotSent => AttemptOutcome::NotSent,
            Self::Throttled => AttemptOutcome::Throttled,
            Self::Misconfigured | Self::ClockSkewed => AttemptOutcome::Misconfigured,
            Self::OutOfCredit => AttemptOutcome::OutOfCredit,
            Self::Refused => AttemptOutcome::Refused,
            Self::OutcomeUnknown | Self::NonceReused => AttemptOutcome::OutcomeUnknown,
        }
    }

    /// What it cost.
    #[must_use]
    pub const fn charge(self) -> Charge {
        match self {
            Self::NotSent
            | Self::Throttled
            | Self::Misconfigured
            | Self::ClockSkewed
            | Self::OutOfCredit
            | Self::Refused => Charge::NotCharged,
            Self::OutcomeUnknown | Self::NonceReused => Charge::Unknown,
        }
    }
}

/// What a call says about the health of a vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It works.
    Well,
    /// It does not.
    Sick,
    /// Nothing either way.
    SaysNothing,
}

/// Why a vendor gave no answer. Its text never contains a value of the request, a secret or a URL.
#[derive(Debug, thiserror::Error)]
#[error("{}: {detail}", kind.as_str())]
pub struct ProviderError {
    /// What is known about the request.
    pub kind: ProviderErrorKind,
    /// What happened, in words of our own.
    pub detail: &'static str,
    /// When the vendor may be asked again, where it said so.
    pub retry_after: Option<Duration>,
    /// The vendor's own error code, where it has the form of one and says nothing about the
    /// question.
    pub provider_code: VendorToken<64>,
    /// The vendor's id of the request.
    pub provider_request_id: VendorToken<64>,
    /// How far the vendor's clock is ahead of ours, in seconds, where its reply showed it.
    pub clock_skew_seconds: Option<i64>,
}

impl ProviderError {
    /// An error of a kind, with a word on what happened.
    #[must_use]
    pub fn new(kind: ProviderErrorKind, detail: &'static str) -> Self {
        Self {
            kind,
            detail,
            retry_after: None,
            provider_code: VendorToken::default(),
            provider_request_id: VendorToken::default(),
            clock_skew_seconds: None,
        }
    }

    /// The provider was asked for something that it cannot do; routing does not let that happen.
    #[must_use]
    pub fn cannot(detail: &'static str) -> Self {
        Self::new(ProviderErrorKind::Misconfigured, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_run_is_never_sent_elsewhere() {
        for kind in ProviderErrorKind::ALL {
            if kind.charge() == Charge::Unknown {
                assert!(
                    !kind.may_fail_over() && !kind.may_retry(),
                    "{}",
                    kind.as_str()
                );
            }
        }
    }

    #[test]
    fn capabilities_hold_what_they_were_given() {
        let capabilities = Capabilities::none()
            .with(Operation::CardInfo)
            .with_factors(Factors::Three)
            .with_identity(IdentityType::Passport);
        assert!(capabilities.can(Operation::CardInfo) && capabilities.can(Operation::VerifyThree));
        assert!(
            !capabilities.can(Operation::VerifyTwo) && !capabilities.can(Operation::VerifyFour)
        );
        assert!(capabilities.accepts(IdentityType::Passport));
        assert!(!capabilities.accepts(IdentityType::ResidentId));
    }
}
