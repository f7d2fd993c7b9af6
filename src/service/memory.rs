//! What the service remembers: answers for as long as their kind is kept, and holds.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Inner, ask::Ask, conclusion::Conclusion, denial::Denial, flight::Outcome};
use crate::{
    cache::{QuestionTag, Stored, local::age},
    domain::{Attempt, CardInfoResult, Finding, Reason, Source, result_code::Keep},
    telemetry::events::{self, CacheOutcome, Tier},
};

impl Inner {
    pub(super) async fn cached(&self, tag: &QuestionTag, ask: &Ask) -> Option<Conclusion> {
        let stored = self.cache.get(tag).await?;
        let usable =
            stored.is_fresh(self.clock.now(), ask.max_age) && ask.caller.may_use(&stored.provider);
        usable.then(|| Conclusion {
            answer: Arc::clone(&stored.answer),
            provider: stored.provider.clone(),
            source: Source::Cache,
            attempts: Vec::new(),
        })
    }

    /// Card information that is too old to be given out freely, when every vendor has failed.
    pub(super) async fn stale(
        &self,
        tag: &QuestionTag,
        ask: &Ask,
        attempts: Vec<Attempt>,
    ) -> Option<Arc<Conclusion>> {
        let stored = self.cache.get(tag).await?;
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
                attempts,
            })
        })
    }

    pub(super) fn hold_if_unknown(&self, tag: &QuestionTag, denial: &Denial) {
        if let Denial::Refused(refusal) = denial
            && refusal.reason == Reason::OutcomeUnknown
        {
            let held = Arc::new(denial.clone());
            self.holds.put(*tag, self.hold, held);
        }
    }

    pub(super) async fn remember(&self, tag: &QuestionTag, outcome: &Outcome) {
        let Ok(conclusion) = outcome else { return };
        if conclusion.source == Source::Cache || conclusion.is_a_stopgap() {
            return;
        }
        self.holds.end(tag);
        if let Some(stored) = self.storable(conclusion, self.clock.now()) {
            self.cache.put(*tag, stored).await;
        }
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
