//! A caller that asks again under the same request id gets what it got, and pays nothing.
//!
//! The rules, for each caller by itself, within the window that begins with an id's first use and
//! again whenever it runs anew:
//!
//! 1. An id that is new takes a place. When all places are taken, a new id is refused: nothing
//!    that may stand for money is ever evicted inside the window.
//! 2. The same id with the same content gets what is remembered, or waits for the one that runs.
//! 3. The same id with other content is refused.
//! 4. What ended before anything was sent, and an answer that the vendor was busy, is forgotten:
//!    the same id with the same content runs anew. Its place stays taken, for rule 3, until a new
//!    id needs it.
//!
//! Whoever runs holds a token. It is meant to travel with the call itself, not with the client
//! that waits for it. A token that is dropped without a word forgets the request if nothing was
//! sent, and otherwise remembers what [`Token::sent`] was given for that case: that the outcome is
//! not known.
//!
//! Contents are keyed digests, so nothing here says anything about a card or a person; what is
//! remembered is the caller's business, and [`Idempotency::erase`] lets go of it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

pub use crate::cache::key::Content;
use crate::{cache::Tags, config::IdempotencySettings};

/// The most ended ids that one new id clears away, so that none of them waits long.
const SWEEP: usize = 64;

/// The request ids of all callers, with what is remembered of each. Cheap to clone; all clones are
/// one.
pub struct Idempotency<T> {
    settings: Arc<IdempotencySettings>,
    callers: Arc<RwLock<ByCaller<T>>>,
}

type ByCaller<T> = HashMap<Arc<str>, Arc<Mutex<Ids<T>>>>;

/// The request ids of one caller. Each id that is not under way stands in one of the two orders.
struct Ids<T> {
    by_id: HashMap<Uuid, Entry<T>>,
    /// Ids with something remembered, the first to end first.
    remembered: BTreeSet<(Instant, Uuid)>,
    /// Ids that stand for nothing that may have cost money, the first to end first.
    forgotten: BTreeSet<(Instant, Uuid)>,
}

struct Entry<T> {
    content: Tags<Content>,
    ends: Instant,
    state: State<T>,
}

enum State<T> {
    /// Under way; whoever comes waits for the sender's word.
    Running(watch::Sender<Word<T>>),
    /// Ended, with this.
    Remembered(T),
    /// Ended with nothing that is worth remembering.
    Forgotten,
}

/// How a request ended, for those who wait.
#[derive(Debug, Clone)]
enum Word<T> {
    None,
    Remembered(T),
    Forgotten,
}

/// What became of a request id.
pub enum Begin<T: Clone> {
    /// It is new, or its last request left nothing to remember: run it.
    New(Token<T>),
    /// The same request is under way: wait for it.
    Running(Waiting<T>),
    /// It has ended, with this.
    Earlier(T),
    /// It stands for something else.
    Reused,
    /// The caller has used as many ids as are kept; there is room again after this long.
    Exhausted(Duration),
}

/// An id with what is remembered of it.
pub struct Known<T> {
    /// Whose.
    pub caller: Arc<str>,
    /// The id.
    pub id: Uuid,
    /// What it stands for.
    pub content: Tags<Content>,
    /// What is remembered.
    pub value: T,
    /// For how much longer.
    pub left: Duration,
}

/// Somebody else's request under the same id.
pub struct Waiting<T> {
    word: watch::Receiver<Word<T>>,
}

/// The right and the duty to run a request.
#[must_use = "a token that is dropped says how its request ended"]
pub struct Token<T: Clone> {
    ids: Arc<Mutex<Ids<T>>>,
    id: Uuid,
    /// What is remembered if nobody says how it ended; `None`: nothing was sent.
    unknown: Option<T>,
    open: bool,
}

impl<T> Clone for Idempotency<T> {
    fn clone(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            callers: Arc::clone(&self.callers),
        }
    }
}

impl<T: Clone> Idempotency<T> {
    /// A store that knows no ids.
    #[must_use]
    pub fn new(settings: IdempotencySettings) -> Self {
        Self {
            settings: Arc::new(settings),
            callers: Arc::default(),
        }
    }

    /// Says what is to be done about a request under an id.
    #[must_use]
    pub fn begin(
        &self,
        caller: &str,
        id: Uuid,
        content: impl Into<Tags<Content>>,
        now: Instant,
    ) -> Begin<T> {
        let content = content.into();
        let ids = self.ids_of(caller);
        let mut all = ids.lock();
        all.sweep(now);
        if let Some(entry) = all.by_id.get(&id).filter(|entry| !entry.is_over(now)) {
            if !entry
                .content
                .iter()
                .any(|it| content.iter().any(|mine| mine == it))
            {
                return Begin::Reused;
            }
            match &entry.state {
                State::Running(word) => {
                    return Begin::Running(Waiting {
                        word: word.subscribe(),
                    });
                }
                State::Remembered(earlier) => return Begin::Earlier(earlier.clone()),
                State::Forgotten => {}
            }
        }
        all.take_out(&id);
        if !all.has_room(self.settings.max_entries_per_caller) {
            return Begin::Exhausted(all.room_in(now).unwrap_or(self.settings.window));
        }
        let entry = Entry {
            content,
            ends: now + self.settings.window,
            state: State::Running(watch::Sender::new(Word::None)),
        };
        all.by_id.insert(id, entry);
        drop(all);
        Begin::New(Token {
            ids,
            id,
            unknown: None,
            open: true,
        })
    }

    /// Lets go of every remembered value that is to be erased. Its id runs anew if it comes again.
    /// Says how many there were.
    pub fn erase(&self, to_be_erased: impl Fn(&T) -> bool) -> usize {
        let stores: Vec<_> = self.callers.read().values().cloned().collect();
        let mut erased = 0;
        for store in stores {
            let mut ids = store.lock();
            let found: Vec<Uuid> = ids
                .by_id
                .iter()
                .filter(
                    |(_, entry)| matches!(&entry.state, State::Remembered(it) if to_be_erased(it)),
                )
                .map(|(id, _)| *id)
                .collect();
            erased += found.len();
            for id in found {
                ids.end(id, None);
            }
        }
        erased
    }

    /// Everything that is remembered, with how much longer.
    pub fn remembered(&self, now: Instant) -> Vec<Known<T>> {
        let stores: Vec<_> = {
            let callers = self.callers.read();
            let stores = callers.iter();
            stores
                .map(|(name, ids)| (Arc::clone(name), Arc::clone(ids)))
                .collect()
        };
        let mut all = Vec::new();
        for (caller, ids) in stores {
            for (id, entry) in &ids.lock().by_id {
                if let State::Remembered(value) = &entry.state
                    && entry.ends > now
                {
                    let left = entry.ends.duration_since(now);
                    all.push(Known {
                        caller: Arc::clone(&caller),
                        id: *id,
                        content: entry.content,
                        value: value.clone(),
                        left,
                    });
                }
            }
        }
        all
    }

    /// How many ids are kept of a caller.
    #[must_use]
    pub fn len(&self, caller: &str) -> usize {
        let callers = self.callers.read();
        callers.get(caller).map_or(0, |ids| ids.lock().by_id.len())
    }

    fn ids_of(&self, caller: &str) -> Arc<Mutex<Ids<T>>> {
        if let Some(ids) = self.callers.read().get(caller) {
            return Arc::clone(ids);
        }
        let mut callers = self.callers.write();
        Arc::clone(callers.entry(Arc::from(caller)).or_default())
    }
}

impl<T: Clone> Waiting<T> {
    /// Waits for the end of the request: what is remembered of it, or `None` when it left nothing
    /// and the caller may begin anew.
    pub async fn ended(mut self) -> Option<T> {
        let word = self.word.wait_for(|word| !matches!(word, Word::None)).await;
        match word.as_deref() {
            Ok(Word::Remembered(earlier)) => Some(earlier.clone()),
            Ok(Word::Forgotten | Word::None) | Err(_) => None,
        }
    }
}

impl<T: Clone> Token<T> {
    /// Notes that a request is about to leave, and what is to be remembered if nobody ever says
    /// how it ended.
    pub fn sent(&mut self, outcome_unknown: T) {
        self.unknown = Some(outcome_unknown);
    }

    /// Ends the request: from now on its id is answered so.
    pub fn remember(mut self, value: T) {
        self.close(Some(value));
    }

    /// Ends the request without anything to remember: nothing was sent, or nobody ran it.
    pub fn forget(mut self) {
        self.close(None);
    }

    /// Takes the request back as if it had never begun: somebody else says what its id stands for.
    pub fn take_back(mut self) {
        self.open = false;
        let mut ids = self.ids.lock();
        ids.end(self.id, None);
        ids.take_out(&self.id);
    }

    fn close(&mut self, value: Option<T>) {
        self.open = false;
        self.ids.lock().end(self.id, value);
    }
}

impl<T: Clone> Drop for Token<T> {
    fn drop(&mut self) {
        if self.open {
            let unknown = self.unknown.take();
            self.close(unknown);
        }
    }
}

impl<T> Entry<T> {
    fn is_over(&self, now: Instant) -> bool {
        now >= self.ends && !matches!(self.state, State::Running(_))
    }
}

impl<T> Default for Ids<T> {
    fn default() -> Self {
        Self {
            by_id: HashMap::new(),
            remembered: BTreeSet::new(),
            forgotten: BTreeSet::new(),
        }
    }
}

impl<T: Clone> Ids<T> {
    /// Clears away some of the ids whose window is over.
    fn sweep(&mut self, now: Instant) {
        for _ in 0..SWEEP {
            let oldest = [self.remembered.first(), self.forgotten.first()];
            let Some((ends, id)) = oldest.into_iter().flatten().min().copied() else {
                return;
            };
            if ends > now {
                return;
            }
            self.take_out(&id);
        }
    }

    fn take_out(&mut self, id: &Uuid) {
        if let Some(entry) = self.by_id.remove(id) {
            self.remembered.remove(&(entry.ends, *id));
            self.forgotten.remove(&(entry.ends, *id));
        }
    }

    /// Whether there is room for one more id, after a forgotten one has made some if need be.
    fn has_room(&mut self, most: usize) -> bool {
        if self.by_id.len() >= most
            && let Some((_, id)) = self.forgotten.first().copied()
        {
            self.take_out(&id);
        }
        self.by_id.len() < most
    }

    /// How long until an id makes room.
    fn room_in(&self, now: Instant) -> Option<Duration> {
        let (ends, _) = self.remembered.first()?;
        Some(ends.duration_since(now))
    }

    /// Ends what runs under an id, or forgets what is remembered of it.
    fn end(&mut self, id: Uuid, value: Option<T>) {
        let Some(entry) = self.by_id.get_mut(&id) else {
            return;
        };
        let place = (entry.ends, id);
        let (state, word) = match value {
            Some(value) => {
                self.remembered.insert(place);
                (State::Remembered(value.clone()), Word::Remembered(value))
            }
            None => {
                self.remembered.remove(&place);
                self.forgotten.insert(place);
                (State::Forgotten, Word::Forgotten)
            }
        };
        if let State::Running(waiting) = std::mem::replace(&mut entry.state, state) {
            waiting.send_replace(word);
        }
    }
}

#[cfg(test)]
mod tests;
