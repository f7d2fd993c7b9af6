//! One call as the service sees it, and what comes back.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

use super::budget::Budget;
use crate::domain::{Answer, Attempt, Charge, ProviderName, Question, Source};

/// Who asks, and what that caller may do.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name from the configuration.
    pub name: Arc<str>,
    /// The providers whose answers it may have; `None`: all.
    pub providers: Option<BTreeSet<ProviderName>>,
    /// Whether it may have a vendor asked whatever the cache knows.
    pub may_bypass: bool,
    /// What it may spend in a day.
    pub budget: Budget,
}

impl Caller {
    /// The one caller that there is where nobody shows credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            name: Arc::from("anonymous"),
            providers: None,
            may_bypass: true,
            budget: Budget::new(None),
        }
    }

    /// Whether it may have answers of a provider.
    #[must_use]
    pub fn may_use(&self, provider: &ProviderName) -> bool {
        self.providers
            .as_ref()
            .is_none_or(|allowed| allowed.contains(provider))
    }
}

/// How the cache may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheMode {
    /// Use it.
    #[default]
    Use,
    /// Ask a vendor whatever it knows.
    Bypass,
    /// Ask no vendor.
    OnlyIfCached,
}

/// One call.
#[derive(Clone)]
pub struct Ask {
    /// Who asks.
    pub caller: Arc<Caller>,
    /// What is asked.
    pub question: Question,
    /// How the cache may be used.
    pub mode: CacheMode,
    /// The oldest answer that is wanted.
    pub max_age: Option<Duration>,
    /// The one provider that is wanted.
    pub pinned: Option<ProviderName>,
    /// The caller's id of the question.
    pub request_id: Option<Uuid>,
    /// The caller's reference to the card holder's consent, for the ledger.
    pub consent_reference: Option<Box<str>>,
    /// When the caller stops waiting.
    pub deadline: Instant,
}

impl fmt::Debug for Ask {
    /// Shows which references the caller gave, never what is in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("caller", &self.caller.name)
            .field("question", &self.question)
            .field("mode", &self.mode)
            .field("max_age", &self.max_age)
            .field("pinned", &self.pinned)
            .field("request_id", &self.request_id.is_some())
            .field("consent_reference", &self.consent_reference.is_some())
            .field("deadline", &self.deadline)
            .finish()
    }
}

/// What a caller gets.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The answer.
    pub answer: Arc<Answer>,
    /// Who gave it.
    pub provider: ProviderName,
    /// Where it came from.
    pub source: Source,
    /// What this very call cost.
    pub charge: Charge,
    /// Every vendor that this very call tried.
    pub attempts: Vec<Attempt>,
}
