//! What an operator may ask of the service, and what other replicas may ask of this one: forget a
//! card's answers, show and reset its counts, go over to other keys.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    Inner, Remembered, Service,
    flight::Flight,
    guard::{CardState, Counts},
    packed,
};
use crate::{
    cache::{
        Digests, KeyRing,
        key::CardTag,
        shared::{
            self, EndedId, Family, GuardCounts, Lasting, Local, Lost, Notice, Purse, RequestId,
            Seed, SeedCall,
        },
    },
    domain::CardNumber,
};

/// Longer than any call that was under way when a card was erased.
const ERASURES_KEPT: Duration = Duration::from_secs(300);

/// Cards that were erased lately, by their cache tags.
#[derive(Default)]
pub(super) struct ErasedLately {
    cards: Mutex<HashMap<CardTag, Instant>>,
}

/// What an erasure came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Answers that were forgotten: those of this process, or those of all replicas together
    /// where they share a store, whichever are more.
    pub answers: u64,
    /// Answers that this process remembered under request ids.
    pub request_ids: u64,
    /// Whether the word has been given to all replicas. If not, it is given as soon as the shared
    /// store is found.
    pub everywhere: bool,
}

impl Service {
    /// Forgets all answers about a card: of this process, of the shared store, and of every replica
    /// within a second. Holds and counts stay until they end.
    pub async fn erase(&self, card: &CardNumber) -> Erased {
        let inner = &self.inner;
        let tags = inner.keys.load().each(|key| key.cache_card(card.expose()));
        let cards: Vec<CardTag> = tags.iter().copied().collect();
        let (answers, request_ids) = inner.erase_here(&cards).await;
        let shared = match &inner.sharing {
            Some(sharing) => sharing.store.erase(&tags).await.map(Some),
            None => Ok(None),
        };
        Erased {
            answers: answers.max(shared.ok().flatten().unwrap_or_default()),
            request_ids,
            everywhere: shared.is_ok(),
        }
    }

    /// What is counted about a card, by all replicas if they share a store that is there.
    pub async fn guard_show(&self, card: &CardNumber) -> Option<CardState> {
        let inner = &self.inner;
        let tags = inner.keys.load().each(|key| key.guard_card(card.expose()));
        if let Some(sharing) = &inner.sharing {
            let show = |family| sharing.store.guard_show(&tags, family);
            let verification = show(Family::Verification).await;
            let card_information = show(Family::CardInformation).await;
            if let (Ok(verification), Ok(card_information)) = (verification, card_information) {
                let state = CardState {
                    verification: verification.as_ref().map(Counts::from),
                    card_information: card_information.as_ref().map(Counts::from),
                };
                return (verification.is_some() || card_information.is_some()).then_some(state);
            }
        }
        let guard = &inner.safeguards.guard;
        tags.iter().find_map(|tag| guard.show(*tag))
    }

    /// Opens a card: forgets everything that was counted about it, here and in every replica
    /// within a second. Slots in flight stay. Says whether there was anything to forget.
    ///
    /// # Errors
    /// When the shared store is lost: then only this process has forgotten.
    pub async fn guard_reset(&self, card: &CardNumber) -> Result<bool, Lost> {
        let inner = &self.inner;
        let tags = inner.keys.load().each(|key| key.guard_card(card.expose()));
        let guard = &inner.safeguards.guard;
        let here = tags.map(|tag| guard.reset(*tag));
        let here = here.current || here.previous == Some(true);
        match &inner.sharing {
            Some(sharing) => Ok(sharing.store.guard_reset(&tags).await? || here),
            None => Ok(here),
        }
    }

    /// The card's pseudonym in the ledger.
    #[must_use]
    pub fn ledger_tag(&self, card: &CardNumber) -> CardTag {
        self.inner.keys.load().current.ledger_card(card.expose())
    }

    /// Goes over to other keys. What is remembered stays reachable as long as the key that it was
    /// remembered under is one of the two.
    pub fn change_keys(&self, current: Digests, previous: Option<Digests>) {
        let keys = KeyRing { current, previous };
        self.inner.keys.store(Arc::new(keys));
    }

    /// Looks for the shared store, if there is to be one, for as long as `patience`; goes on
    /// looking after it by itself.
    pub async fn find_shared_store(&self, patience: Duration) {
        if let Some(sharing) = &self.inner.sharing {
            sharing.store.start(patience).await;
        }
    }

    /// Whether the shared store is there; `None` where there is none.
    #[must_use]
    pub fn shared_store_is_up(&self) -> Option<bool> {
        let sharing = self.inner.sharing.as_ref()?;
        Some(sharing.store.is_up())
    }
}

impl Inner {
    async fn erase_here(&self, cards: &[CardTag]) -> (u64, u64) {
        self.erased.note(cards);
        let mut answers = 0;
        for card in cards {
            answers += self.cache.erase(*card).await as u64;
        }
        let request_ids = self.request_ids.erase(|it| it.is_about(cards));
        (answers, request_ids as u64)
    }

    /// Whether a card was erased after a call about it had begun.
    pub(super) fn erased_since(&self, flight: &Flight) -> bool {
        let cards = self.erased.cards.lock();
        let card = flight.tags().map(|tag| cards.get(&tag.card()).copied());
        let erased = card.iter().flatten().max();
        erased.is_some_and(|at| *at >= flight.begun())
    }

    fn seed_ids(&self, keys: &Arc<KeyRing>) -> Vec<EndedId> {
        let remembered = self.request_ids.remembered(Instant::now()).into_iter();
        let from_vendors = remembered.filter(|known| known.value.is_from_a_vendor());
        let ended = from_vendors.map(|known| EndedId {
            keys: Arc::clone(keys),
            id: RequestId {
                caller: known.caller,
                id: known.id,
                owner: shared::token(),
            },
            content: known.content,
            card: known.value.card(),
            remembered: Some(packed::remembered(&known.value)),
            is_answer: matches!(known.value, Remembered::Answer(..)),
            window: known.left,
        });
        ended.collect()
    }

    fn seed_spent(&self) -> Vec<(Purse, u64)> {
        let now = self.clock.now();
        let providers = self.lanes.values().map(|lane| {
            let purse = Purse::Provider(lane.name().clone());
            (purse, lane.budget().taken_micros(now))
        });
        let callers = self.purses.lock();
        let callers = callers.iter().map(|(name, budget)| {
            let purse = Purse::Caller(Arc::clone(name));
            (purse, budget.taken_micros(now))
        });
        let spent = providers.chain(callers);
        spent.filter(|(_, micros)| *micros > 0).collect()
    }
}

#[async_trait]
impl Local for Inner {
    async fn heed(&self, notice: &Notice) {
        match notice {
            Notice::Erase(cards) => {
                let _forgotten = self.erase_here(cards).await;
            }
            Notice::ResetGuard(cards) => {
                for card in cards {
                    let _known = self.safeguards.guard.reset(*card);
                }
            }
            Notice::EraseAll => {
                self.cache.erase_all();
                let _forgotten = self
                    .request_ids
                    .erase(|it| matches!(it, Remembered::Answer(..)));
            }
        }
    }

    async fn seed(&self) -> Seed {
        let keys = self.keys.load_full();
        let now = Instant::now();
        let holds = self.holds.all(now).into_iter();
        let holds = holds.map(|(tag, until, denial)| {
            let hold = Lasting {
                value: packed::hold(&denial),
                lasts: until.duration_since(now),
            };
            (tag, hold)
        });
        let counted = || (self.safeguards.guard.seed(), self.seed_spent());
        let (number, calls, (cards, spent)) = match &self.sharing {
            Some(sharing) => sharing.under_way.seed(counted),
            None => (0, Vec::new(), counted()),
        };
        Seed {
            number,
            cards,
            calls,
            holds: holds.collect(),
            ids: self.seed_ids(&keys),
            spent,
            keys,
        }
    }

    fn alone(&self, all: bool) -> Vec<SeedCall> {
        let sharing = self.sharing.as_ref();
        sharing.map_or_else(Vec::new, |sharing| sharing.under_way.alone(all))
    }
}

impl ErasedLately {
    fn note(&self, cards: &[CardTag]) {
        let now = Instant::now();
        let mut erased = self.cards.lock();
        erased.retain(|_, at| now.duration_since(*at) < ERASURES_KEPT);
        erased.extend(cards.iter().map(|card| (*card, now)));
    }
}

impl From<&GuardCounts> for Counts {
    fn from(shared: &GuardCounts) -> Self {
        let time = |second: u32, counts: bool| {
            let time = Timestamp::from_second(second.into()).ok();
            time.filter(|_| counts)
        };
        Self {
            calls: shared.calls,
            mismatches: shared.mismatches,
            in_flight: shared.in_flight,
            calls_until: time(shared.calls_end, shared.calls > 0),
            mismatches_until: time(shared.mismatches_end, shared.mismatches > 0),
            closed_until: time(shared.closed_end, shared.closed_end > 0),
        }
    }
}
