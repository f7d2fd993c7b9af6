//! One provider as the service sees it: the provider itself, and everything that may keep a call
//! from it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    config::providers::VendorSettings,
    domain::{AttemptOutcome, Operation, ProviderName, Question},
    provider::{Provider, ProviderErrorKind},
};

/// One provider, and what may keep a call from it.
pub struct Lane {
    provider: Arc<dyn Provider>,
    /// The longest that a call may take once it was sent.
    pub timeout: Duration,
    connect_timeout: Duration,
    misconfigured_skip: Duration,
    maintenance: AtomicBool,
    slots: Arc<Semaphore>,
    skip: Mutex<Option<Skip>>,
}

/// A provider that refused our credentials or credit is passed over for a while.
#[derive(Debug, Clone, Copy)]
struct Skip {
    until: Instant,
    outcome: AttemptOutcome,
}

/// The right to make one call.
pub struct Permit {
    _slot: OwnedSemaphorePermit,
}

/// Why a provider cannot be asked right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// All its slots are taken.
    Busy,
    /// It is passed over for a while.
    Skipped(AttemptOutcome),
}

impl Lane {
    /// A lane for a provider.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, settings: &VendorSettings) -> Self {
        Self {
            provider,
            timeout: settings.timeout,
            connect_timeout: settings.connect_timeout,
            misconfigured_skip: settings.misconfigured_skip,
            maintenance: AtomicBool::new(settings.maintenance),
            slots: Arc::new(Semaphore::new(settings.concurrent as usize)),
            skip: Mutex::new(None),
        }
    }

    /// The provider's name.
    #[must_use]
    pub fn name(&self) -> &ProviderName {
        self.provider.name()
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &dyn Provider {
        &*self.provider
    }

    /// Whether the provider is part of this process.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.provider.capabilities().embedded
    }

    /// The longest that a call may take in all.
    #[must_use]
    pub fn longest_call(&self) -> Duration {
        self.connect_timeout + self.timeout
    }

    /// Whether the operator has taken the provider out of every route.
    #[must_use]
    pub fn in_maintenance(&self) -> bool {
        self.maintenance.load(Ordering::Relaxed)
    }

    /// Takes the provider out of every route, or puts it back.
    pub fn set_maintenance(&self, maintenance: bool) {
        self.maintenance.store(maintenance, Ordering::Relaxed);
    }

    /// Whether the provider can answer a question at all.
    #[must_use]
    pub fn can(&self, question: &Question) -> bool {
        let capabilities = self.provider.capabilities();
        let can_operation = capabilities.can(question.operation());
        can_operation
            && match question {
                Question::Verify(verification) => verification
                    .identity()
                    .is_none_or(|identity| capabilities.accepts(identity.kind())),
                Question::CardInfo(inquiry) => {
                    capabilities.card_prefix || inquiry.card.full().is_some()
                }
            }
    }

    /// Takes the right to make one call now.
    ///
    /// # Errors
    /// When the provider cannot be asked right now.
    pub fn admit(&self, _operation: Operation) -> Result<Permit, Obstacle> {
        let skip = *self.skip.lock();
        if let Some(skip) = skip.filter(|skip| skip.until > Instant::now()) {
            return Err(Obstacle::Skipped(skip.outcome));
        }
        Arc::clone(&self.slots)
            .try_acquire_owned()
            .map(|slot| Permit { _slot: slot })
            .map_err(|_| Obstacle::Busy)
    }

    /// Waits for the right to make one call.
    pub async fn admit_within(&self, patience: Duration) -> Option<Permit> {
        let slot = tokio::time::timeout(patience, Arc::clone(&self.slots).acquire_owned())
            .await
            .ok()?
            .ok()?;
        Some(Permit { _slot: slot })
    }

    /// Learns from a call that brought no answer.
    pub fn learn(&self, kind: ProviderErrorKind) {
        // the sandbox plays a misconfigured vendor for one number; that says nothing about itself
        if kind.skips_provider() && !self.is_embedded() {
            *self.skip.lock() = Some(Skip {
                until: Instant::now() + self.misconfigured_skip,
                outcome: kind.outcome(),
            });
        }
    }
}
