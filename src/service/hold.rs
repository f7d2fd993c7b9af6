//! Questions whose last call may have run without an answer: asked again, they are answered so
//! again and no vendor is asked, until the hold ends. It ends by a clock that never jumps: one that
//! is set forward must not make anybody pay a second time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::denial::Denial;
use crate::cache::QuestionTag;

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
    /// Holds a question for a while.
    pub fn put(&self, tag: QuestionTag, lasts: Duration, denial: Arc<Denial>) {
        let now = Instant::now();
        let until = now + lasts;
        let mut entries = self.entries.lock();
        if entries.by_tag.len() >= entries.sweep_at.max(SWEEP_FROM) {
            entries.by_tag.retain(|_, hold| hold.until > now);
            entries.sweep_at = entries.by_tag.len() * 2;
        }
        entries.by_tag.insert(tag, Hold { until, denial });
    }

    /// How a question is to be answered while it is held.
    pub fn get(&self, tag: &QuestionTag) -> Option<Arc<Denial>> {
        let entries = self.entries.lock();
        let hold = entries.by_tag.get(tag)?;
        (hold.until > Instant::now()).then(|| Arc::clone(&hold.denial))
    }

    /// Ends a hold: a definite answer has come since.
    pub fn end(&self, tag: &QuestionTag) {
        self.entries.lock().by_tag.remove(tag);
    }
}
