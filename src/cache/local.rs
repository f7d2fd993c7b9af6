//! Answers in the memory of this process.

mod packed;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use moka::{Expiry, policy::EvictionPolicy, sync::Cache};

use self::packed::Packed;
use super::key::{CardTag, QuestionTag, Tags};
use crate::domain::{Answer, Finding, ProviderName};

/// What an entry takes beside what hangs on its value: key, value, and the cache's own lists and
/// tables, by measurement (docs/BENCHMARKS.md).
const ENTRY_BYTES: usize = 400;

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
    /// The same with its ends moved by some milliseconds, for a clock that differs by as much.
    #[must_use]
    pub fn moved_by(&self, milliseconds: i64) -> Self {
        let by = jiff::SignedDuration::from_millis(milliseconds);
        let moved = |at: Timestamp| at.checked_add(by).unwrap_or(at);
        Self {
            fresh_until: moved(self.fresh_until),
            stale_until: moved(self.stale_until),
            ..self.clone()
        }
    }

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

    /// Bytes that it takes where it is kept as it is.
    fn bytes(&self) -> usize {
        let texts = match &self.answer.finding {
            Finding::Verification { .. } => 0,
            Finding::CardInfo { facts, .. } => {
                facts.bank_name.len()
                    + facts.bank_name_en.len()
                    + facts.bank_code.len()
                    + facts.bin.len()
                    + facts.data_version.len()
            }
        };
        // both are behind a counted reference
        size_of::<Self>() + size_of::<Answer>() + 4 * size_of::<usize>() + texts
    }
}

/// An answer in the cache: most are verifications, and fit into little.
#[derive(Clone)]
enum Kept {
    Small(Packed),
    Whole(Arc<Stored>),
}

impl Kept {
    fn of(stored: Stored) -> Self {
        match Packed::of(&stored) {
            Some(packed) => Self::Small(packed),
            None => Self::Whole(Arc::new(stored)),
        }
    }

    fn stored(self) -> Stored {
        match self {
            Self::Small(packed) => packed.stored(),
            Self::Whole(stored) => Stored::clone(&stored),
        }
    }

    fn stale_until(&self) -> Timestamp {
        match self {
            Self::Small(packed) => packed.fresh_until(),
            Self::Whole(stored) => stored.stale_until,
        }
    }

    /// Bytes that it takes, the cache's own included.
    fn weight(&self) -> u32 {
        let beside = match self {
            Self::Small(_) => 0,
            Self::Whole(stored) => stored.bytes(),
        };
        u32::try_from(ENTRY_BYTES + beside).unwrap_or(u32::MAX)
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
    entries: Cache<QuestionTag, Kept>,
}

impl LocalCache {
    /// A cache of at most that many bytes.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(capacity_bytes)
            .weigher(|_, kept: &Kept| kept.weight())
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(UntilStale)
            .build();
        Self { entries }
    }

    /// What is kept under a tag, fresh or stale.
    pub fn get(&self, tags: &Tags<QuestionTag>) -> Option<Stored> {
        if let Some(kept) = self.entries.get(&tags.current) {
            return Some(kept.stored());
        }
        let kept = self.entries.get(tags.previous.as_ref()?)?;
        Some(kept.stored())
    }

    /// Keeps an answer.
    pub fn put(&self, tags: &Tags<QuestionTag>, stored: &Stored) {
        for tag in tags.iter() {
            self.entries.insert(*tag, Kept::of(stored.clone()));
        }
    }

    /// Forgets everything.
    pub fn erase_all(&self) {
        self.entries.invalidate_all();
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
            self.entries.invalidate(tag);
        }
        tags.len()
    }

    /// Catches up with what was put: counts are exact afterwards, and what is too much is gone.
    pub async fn settle(&self) {
        self.entries.run_pending_tasks();
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

impl Expiry<QuestionTag, Kept> for UntilStale {
    fn expire_after_create(
        &self,
        _tag: &QuestionTag,
        kept: &Kept,
        _created: std::time::Instant,
    ) -> Option<Duration> {
        Some(age(Timestamp::now(), kept.stale_until()))
    }

    fn expire_after_update(
        &self,
        tag: &QuestionTag,
        kept: &Kept,
        updated: std::time::Instant,
        _left: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(tag, kept, updated)
    }
}
