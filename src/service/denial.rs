//! Why a caller gets no answer.

use std::{sync::Arc, time::Duration};

use crate::domain::{ProviderName, Reason, VendorToken, Violation};

/// Why a caller gets no answer. Holds names and reasons, never a value of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The request is wrong: everything that is wrong with it, in field order, at least one.
    Invalid(Vec<Violation>),
    /// The request is right, and yet there is no answer.
    Refused(Box<Refusal>),
}

/// Why a request that is right gets no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// When to ask again.
    pub retry_after: Option<Duration>,
    /// What is known of the vendors: one for an unknown outcome, all that were considered where
    /// none is available.
    pub providers: Vec<(ProviderName, &'static str)>,
    /// The vendor's id of the request.
    pub provider_request_id: VendorToken<64>,
    /// Where the time went, for a deadline that passed.
    pub stage: Option<Stage>,
    /// The caller whose quota is spent.
    pub caller: Option<Arc<str>>,
}

/// Where a call was when its deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The request was still coming in.
    Receiving,
    /// A vendor, or somebody else's call to one, was awaited.
    Waiting,
    /// Too little time was left to ask a vendor, or another one.
    Routing,
}

impl Stage {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Waiting => "waiting",
            Self::Routing => "routing",
        }
    }
}

impl Refusal {
    /// A refusal for a reason, with nothing else to say.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            retry_after: None,
            providers: Vec::new(),
            provider_request_id: VendorToken::default(),
            stage: None,
            caller: None,
        }
    }
}

impl Denial {
    /// A refusal for a reason, with nothing else to say.
    #[must_use]
    pub fn because(reason: Reason) -> Self {
        Self::Refused(Box::new(Refusal::new(reason)))
    }

    /// A refusal that says when to ask again.
    #[must_use]
    pub fn retry(reason: Reason, after: Duration) -> Self {
        let mut refusal = Refusal::new(reason);
        refusal.retry_after = Some(after);
        Self::Refused(Box::new(refusal))
    }

    /// The deadline passed.
    #[must_use]
    pub fn deadline(stage: Stage) -> Self {
        let mut refusal = Refusal::new(Reason::DeadlineExceeded);
        refusal.stage = Some(stage);
        Self::Refused(Box::new(refusal))
    }

    /// Its name in the public vocabulary: of a wrong request, that of its first field.
    #[must_use]
    pub fn reason_name(&self) -> &'static str {
        match self {
            Self::Invalid(violations) => violations
                .first()
                .map_or(Reason::Internal.as_str(), |first| first.reason.as_str()),
            Self::Refused(refusal) => refusal.reason.as_str(),
        }
    }
}
