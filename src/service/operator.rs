//! What an operator may ask and do about one card.

use super::{Service, guard::CardState};
use crate::{cache::key::CardTag, domain::CardNumber};

/// What was forgotten about a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Answers.
    pub answers: u64,
    /// Request ids whose answers were remembered.
    pub request_ids: u64,
}

impl Service {
    /// What is counted about a card.
    pub async fn guard_show(&self, card: &CardNumber) -> Option<CardState> {
        let tag = self.inner.digests.guard_card(card.expose());
        self.inner.safeguards.guard.show(tag)
    }

    /// Forgets what is counted about a card; says whether there was anything.
    pub async fn guard_reset(&self, card: &CardNumber) -> bool {
        let tag = self.inner.digests.guard_card(card.expose());
        self.inner.safeguards.guard.reset(tag)
    }

    /// Forgets every answer about a card. What keeps it from being locked stays, and so do holds.
    pub async fn erase(&self, card: &CardNumber) -> Erased {
        let tag = self.inner.digests.cache_card(card.expose());
        let answers = self.inner.cache.erase(tag).await;
        Erased {
            answers: answers as u64,
            request_ids: 0,
        }
    }

    /// The card's pseudonym in the ledger.
    #[must_use]
    pub fn ledger_tag(&self, card: &CardNumber) -> CardTag {
        self.inner.digests.ledger_card(card.expose())
    }
}
