//! Where the guard keeps its records: bounded, and evicted from by its own rules alone.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use parking_lot::RwLock;

use super::{
    Family,
    card::{CallerId, Card},
};
use crate::cache::key::CardTag;

/// The part of a full shard that makes room at once.
pub(super) const ROOM_PART: usize = 16;
/// After a search for room that found none, the next one is this much later, unless a call ends.
const FUTILE_SECONDS: i64 = 1;

/// What a record is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub card: CardTag,
    pub family: Family,
}

/// A part of all records.
#[derive(Default)]
pub(super) struct Shard {
    pub cards: HashMap<Key, Card>,
    /// No search for room before this second.
    futile_until: i64,
}

/// Names of callers, each with a small number. They come from the configuration, so there are few.
#[derive(Default)]
pub(super) struct Callers {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    ids: HashMap<Arc<str>, CallerId>,
    names: Vec<Arc<str>>,
}

impl Shard {
    /// Changes a record that exists and lets it go when nothing stands in it any more.
    pub(super) fn change(&mut self, key: &Key, now: Timestamp, change: impl FnOnce(&mut Card)) {
        let Some(card) = self.cards.get_mut(key) else {
            return;
        };
        change(card);
        if card.is_blank(now) {
            self.cards.remove(key);
        }
        self.futile_until = 0;
    }

    /// Whether there is room for one more record, after making some if need be.
    pub(super) fn make_room(&mut self, capacity: usize, now: Timestamp) -> bool {
        if self.cards.len() < capacity {
            return true;
        }
        if now.as_second() < self.futile_until {
            return false;
        }
        self.cards.retain(|_, card| !card.is_blank(now));
        if self.cards.len() < capacity {
            return true;
        }
        let mut may_go: Vec<(u16, Key)> = self
            .cards
            .iter_mut()
            .filter_map(|(key, card)| card.may_make_room(now).then(|| (card.calls(), *key)))
            .collect();
        let wanted = (capacity / ROOM_PART).max(1).min(may_go.len());
        let Some(last) = wanted.checked_sub(1) else {
            self.futile_until = now.as_second() + FUTILE_SECONDS;
            return false;
        };
        may_go.select_nth_unstable_by_key(last, |(calls, _)| *calls);
        for (_, key) in may_go.iter().take(wanted) {
            self.cards.remove(key);
        }
        true
    }
}

impl Callers {
    /// The number of a name.
    pub(super) fn id(&self, name: &str) -> CallerId {
        if let Some(id) = self.known.read().ids.get(name) {
            return *id;
        }
        let mut known = self.known.write();
        if let Some(id) = known.ids.get(name) {
            return *id;
        }
        // more callers than numbers share the last one: together they get one share
        let Ok(id) = CallerId::try_from(known.names.len()) else {
            return CallerId::MAX;
        };
        let name: Arc<str> = Arc::from(name);
        known.names.push(Arc::clone(&name));
        known.ids.insert(name, id);
        id
    }

    /// The name of a number.
    pub(super) fn name(&self, id: CallerId) -> Option<Arc<str>> {
        self.known.read().names.get(usize::from(id)).cloned()
    }
}
