//! What the service remembers: answers for as long as their kind is kept, and holds.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Inner,
    ask::Ask,
    conclusion::{Conclusion, Remembered},
    denial::Denial,
    flight::{Flight, Outcome},
    packed,
    request_id::end_there,
    sharing::seat_of,
};
use crate::{
    cache::{
        KeyRing, QuestionTag, Stored, Tags,
        local::age,
        shared::{Landing, Lasting, Seat, Settle, token},
    },
    domain::{Attempt, CardInfoResult, Finding, ProviderName, Reason, Source, result_code::Keep},
    telemetry::events::{self, CacheOutcome, Tier},
};

/// How a call ended.
pub(super) struct Ended {
    /// What everybody is told.
    pub outcome: Outcome,
    /// What another replica keeps of it, if it came from there.
    pub stored: Option<Stored>,
    /// Why the question is held, also where something old is told instead.
    pub hold: Option<Denial>,
    /// The last attempt, as far as the shared store has not been told of it yet.
    pub settle: Option<Settle>,
    /// Whether this process made the call, and other replicas could have made it.
    pub was_flown: bool,
}

impl Ended {
    /// An outcome that needed no call of this process.
    pub fn known(outcome: Outcome, stored: Option<Stored>) -> Self {
        Self {
            outcome,
            stored,
            hold: None,
            settle: None,
            was_flown: false,
        }
    }
}

impl Inner {
    pub(super) fn cached(
        &self,
        tags: &Tags<QuestionTag>,
        ask: &Ask,
        now: Timestamp,
    ) -> Option<Conclusion> {
        let stored = self.cache.get(tags)?;
        let usable = stored.is_fresh(now, ask.max_age) && ask.caller.may_use(&stored.provider);
        usable.then(|| Conclusion {
            answer: Arc::clone(&stored.answer),
            provider: stored.provider.clone(),
            source: Source::Cache,
            embedded: self.is_embedded(&stored.provider),
            attempts: Vec::new(),
        })
    }

    /// An answer from the store that all replicas share: one look, and nothing more if it is there.
    pub(super) async fn shared(
        &self,
        keys: &KeyRing,
        tags: &Tags<QuestionTag>,
        ask: &Ask,
    ) -> Option<Conclusion> {
        let sharing = self.sharing.as_ref()?;
        let found = sharing.store.look(keys, tags).await.ok()?;
        let stored = found.as_deref().and_then(packed::read_stored);
        let stored = stored.map(|stored| sharing.as_we_count_time(&stored));
        let conclusion = stored
            .as_ref()
            .and_then(|stored| Conclusion::of_store(stored, ask, self.clock.now()));
        events::cache_lookup(Tier::Shared, CacheOutcome::of(conclusion.is_some()));
        if let Some(stored) = stored {
            self.cache.put(tags, &stored);
            if keys.is_being_exchanged() {
                self.keep_under_both_keys(keys, tags, &stored).await;
            }
        }
        conclusion
    }

    /// What was kept under one key only must be found when the other one alone is left: it was paid
    /// for once.
    async fn keep_under_both_keys(
        &self,
        keys: &KeyRing,
        tags: &Tags<QuestionTag>,
        stored: &Stored,
    ) {
        let Some(sharing) = &self.sharing else { return };
        let seat = Seat {
            keys: Arc::new(keys.clone()),
            question: *tags,
            owner: token(),
        };
        let answer = Lasting {
            value: packed::stored(&sharing.as_the_store_counts_time(stored)),
            lasts: age(self.clock.now(), stored.stale_until),
        };
        let landing = Landing {
            seat,
            was_seated: false,
            settle: None,
            ending: None,
            answer: Some(answer),
            hold: None,
            ids: Vec::new(),
        };
        sharing.store.land(landing).await;
    }

    fn is_embedded(&self, provider: &ProviderName) -> bool {
        // nobody else is told where nobody else listens
        let lane = || self.lanes.get(provider);
        self.sharing.is_some() && lane().is_some_and(|lane| lane.is_embedded())
    }

    /// Card information that is too old to be given out freely, when every vendor has failed.
    pub(super) fn stale(
        &self,
        tags: &Tags<QuestionTag>,
        ask: &Ask,
        attempts: Vec<Attempt>,
    ) -> Option<Arc<Conclusion>> {
        let stored = self.cache.get(tags)?;
        let now = self.clock.now();
        let usable = now < stored.stale_until
            && ask
                .max_age
                .is_none_or(|limit| age(stored.answer.answered_at, now) <= limit)
            && ask.caller.may_use(&stored.provider);
        (usable && stored.may_be_stale()).then(|| {
            events::cache_lookup(Tier::Local, CacheOutcome::Stale);
            Arc::new(Conclusion {
                answer: Arc::clone(&stored.answer),
                provider: stored.provider.clone(),
                source: Source::Cache,
                embedded: self.is_embedded(&stored.provider),
                attempts,
            })
        })
    }

    pub(super) fn hold_if_unknown(&self, tags: &Tags<QuestionTag>, denial: &Denial) {
        if denial.reason_name() == Reason::OutcomeUnknown.as_str() {
            let now = Instant::now();
            self.holds
                .put(tags, now + self.hold, &Arc::new(denial.clone()), now);
        }
    }

    /// Remembers how a call ended, here and for other replicas, and ends the request ids of those
    /// who wait for it. Only then may it be told.
    pub(super) async fn remember(&self, flight: &Flight, ended: Ended) {
        let tags = flight.tags();
        let kept = self.keep_here(flight, &ended);
        let mut runs = flight.take_runs();
        let card = tags.map(QuestionTag::card);
        let ids = end_there(&mut runs, &ended.outcome, card);
        if let Some(sharing) = &self.sharing
            && (ended.was_flown || !ids.is_empty())
        {
            let told = kept
                .as_deref()
                .map(|kept| sharing.as_the_store_counts_time(kept));
            let is_ours = ended.outcome.as_ref().is_ok_and(|it| it.embedded);
            let tell = ended.was_flown && !is_ours;
            let landing = Landing {
                was_seated: ended.was_flown && flight.seat().is_some(),
                seat: seat_of(flight),
                settle: ended.settle,
                ending: tell
                    .then(|| packed::ending(&ended.outcome, told.as_ref(), flight.candidates()))
                    .flatten(),
                answer: kept.as_deref().filter(|_| tell).map(|kept| Lasting {
                    value: told.as_ref().map(packed::stored).unwrap_or_default(),
                    lasts: age(self.clock.now(), kept.stale_until),
                }),
                hold: ended
                    .hold
                    .filter(|_| ended.was_flown)
                    .map(|denial| Lasting {
                        value: packed::hold(&denial),
                        lasts: self.hold,
                    }),
                ids,
            };
            sharing.store.land(landing).await;
        }
        let remembered = Remembered::of(&ended.outcome, card);
        for run in runs {
            run.end_here(remembered.clone());
        }
    }

    /// Keeps an answer in this process; says what is kept of a call that was made.
    fn keep_here(&self, flight: &Flight, ended: &Ended) -> Option<Arc<Stored>> {
        let tags = flight.tags();
        if let Some(stored) = &ended.stored {
            // it came from another replica, with its own time
            self.cache.put(tags, stored);
            return None;
        }
        let Ok(conclusion) = &ended.outcome else {
            return None;
        };
        if conclusion.source == Source::Cache || conclusion.is_a_stopgap() {
            return None;
        }
        self.holds.end(tags);
        // whoever had the card erased did not mean to have it kept again by a call under way
        if self.erased_since(flight) {
            return None;
        }
        let stored = Arc::new(self.storable(conclusion, self.clock.now())?);
        self.cache.put(tags, &stored);
        Some(stored)
    }

    fn storable(&self, conclusion: &Conclusion, now: Timestamp) -> Option<Stored> {
        let keep = conclusion.answer.finding.keep();
        let fresh = jittered(match keep {
            Keep::Match => self.ttl.matched,
            Keep::Mismatch => self.ttl.mismatch,
            Keep::CardProblem => self.ttl.card_problem,
            Keep::InputRejected => self.ttl.input_rejected,
            Keep::Inconclusive => self.ttl.inconclusive,
            Keep::CardInfo => self.ttl.card_info,
            Keep::Never => return None,
        });
        let found = matches!(
            conclusion.answer.finding,
            Finding::CardInfo {
                result: CardInfoResult::Found,
                ..
            }
        );
        let stale = if found {
            fresh.max(self.ttl.card_info_stale)
        } else {
            fresh
        };
        (!fresh.is_zero()).then(|| Stored {
            answer: conclusion.answer.storable(),
            provider: conclusion.provider.clone(),
            fresh_until: later(now, fresh),
            stale_until: later(now, stale),
        })
    }
}

/// ±10 %, so that answers stored together do not end together.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(rand::random_range(0.9..=1.1))
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}
