//! Answers in the memory of this process.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use moka::{Expiry, future::Cache, policy::EvictionPolicy};

use super::key::{CardTag, QuestionTag};
use crate::domain::{Answer, Finding, ProviderName};

/// What the cache itself needs for an entry beside key and value, by measurement.
const OVERHEAD_BYTES: usize = 320;

/// An answer as it is kept: without what only the first asker may see.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The answer; its message is a phrase of the vendor's table or absent.
    pub answer: Arc<Answer>,
    /// Who gave it.
    pub provider: ProviderName,
    /// Until when it may be given out freely.
    pub fresh_until: Timestamp,
    /// Until when it may be given out when every vendor fails.
    pub stale_until: Timestamp,
}

impl Stored {
    /// Whether it may be given out freely, to a caller that wants nothing older than `max_age`.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp, max_age: Option<Duration>) -> bool {
        now < self.fresh_until
            && max_age.is_none_or(|limit| age(self.answer.answered_at, now) <= limit)
    }

    /// Whether it was kept to be given out when every vendor fails.
    #[must_use]
    pub fn may_be_stale(&self) -> bool {
        self.stale_until > self.fresh_until
    }

    /// Bytes that it takes, the cache's own included.
    fn weight(&self) -> u32 {
        let texts = self.answer.provider_code.as_str().len()
            + self.answer.provider_request_id.as_str().len()
            + match &self.answer.finding {
                Finding::Verification { .. } => 0,
                Finding::CardInfo { facts, .. } => {
                    facts.bank_name.len()
                        + facts.bank_name_en.len()
                        + facts.bank_code.len()
                        + facts.bin.len()
                        + facts.data_version.len()
                }
            };
        let bytes = OVERHEAD_BYTES
            + size_of::<QuestionTag>()
            + size_of::<Self>()
            + size_of::<Answer>()
            + texts;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// How long ago something was; nothing for what lies ahead.
#[must_use]
pub fn age(then: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or_default()
}

/// The cache of answers. Bounded in bytes; what was asked for least recently goes first, and never
/// what has just been paid for.
pub struct LocalCache {
    entries: Cache<QuestionTag, Arc<Stored>>,
}

impl LocalCache {
    /// A cache of at most that many bytes.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(capacity_bytes)
            .weigher(|_, stored: &Arc<Stored>| stored.weight())
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(UntilStale)
            .build();
        Self { entries }
    }

    /// What is kept under a tag, fresh or stale.
    pub async fn get(&self, tag: &QuestionTag) -> Option<Arc<Stored>> {
        self.entries.get(tag).await
    }

    /// Keeps an answer.
    pub async fn put(&self, tag: QuestionTag, stored: Stored) {
        self.entries.insert(tag, Arc::new(stored)).await;
    }

    /// Forgets everything about a card; returns how many answers that were.
    pub async fn erase(&self, card: CardTag) -> usize {
        let tags: Vec<QuestionTag> = self
            .entries
            .iter()
            .map(|(tag, _)| *tag)
            .filter(|tag| tag.card() == card)
            .collect();
        for tag in &tags {
            self.entries.invalidate(tag).await;
        }
        tags.len()
    }

    /// How many answers are kept, about.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.entry_count()
    }

    /// Bytes that they take, about.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.entries.weighted_size()
    }
}

/// Entries leave by themselves once they are too old even to be served stale.
struct UntilStale;

impl Expiry<QuestionTag, Arc<Stored>> for UntilStale {
    fn expire_after_create(
        &self,
        _tag: &QuestionTag,
        stored: &Arc<Stored>,
        _created: std::time::Instant,
    ) -> Option<Duration> {
        Some(age(Timestamp::now(), stored.stale_until))
    }

    fn expire_after_update(
        &self,
        tag: &QuestionTag,
        stored: &Arc<Stored>,
        updated: std::time::Instant,
        _left: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(tag, stored, updated)
    }
}
