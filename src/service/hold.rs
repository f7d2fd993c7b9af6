//! Questions whose last call may have run without an answer: asked again, they are answered so
//! again and no vendor is asked, until the hold ends. That goes by the monotonic clock: a time of
//! day that is set forward ends no hold early.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::denial::Denial;
use crate::cache::{QuestionTag, Tags};

/// From this many holds on, ended ones are looked for before another is added.
const SWEEP_FROM: usize = 1024;

struct Hold {
    until: Instant,
    denial: Arc<Denial>,
}

/// All holds. They are never evicted: each stands for money that may have been spent.
#[derive(Default)]
pub struct Holds {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_tag: HashMap<QuestionTag, Hold>,
    sweep_at: usize,
}

impl Holds {
    /// Holds a question until a time.
    pub fn put(
        &self,
        tags: &Tags<QuestionTag>,
        until: Instant,
        denial: &Arc<Denial>,
        now: Instant,
    ) {
        let mut entries = self.entries.lock();
        if entries.by_tag.len() >= entries.sweep_at.max(SWEEP_FROM) {
            entries.by_tag.retain(|_, hold| hold.until > now);
            entries.sweep_at = entries.by_tag.len() * 2;
        }
        for tag in tags.iter() {
            let denial = Arc::clone(denial);
            entries.by_tag.insert(*tag, Hold { until, denial });
        }
    }

    /// How a question is to be answered while it is held.
    pub fn get(&self, tags: &Tags<QuestionTag>, now: Instant) -> Option<Arc<Denial>> {
        let entries = self.entries.lock();
        let held = tags.iter().filter_map(|tag| entries.by_tag.get(tag));
        let mut held = held.filter(|hold| hold.until > now);
        held.next().map(|hold| Arc::clone(&hold.denial))
    }

    /// Ends a hold: a definite answer has come since.
    pub fn end(&self, tags: &Tags<QuestionTag>) {
        let mut entries = self.entries.lock();
        for tag in tags.iter() {
            entries.by_tag.remove(tag);
        }
    }

    /// All holds that have not ended.
    pub fn all(&self, now: Instant) -> Vec<(QuestionTag, Instant, Arc<Denial>)> {
        let entries = self.entries.lock();
        let held = entries.by_tag.iter().filter(|(_, hold)| hold.until > now);
        held.map(|(tag, hold)| (*tag, hold.until, Arc::clone(&hold.denial)))
            .collect()
    }
}
