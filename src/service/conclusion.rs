//! How a question was answered, what of it is remembered under a request id, and who gets what of it.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    ask::{Ask, Reply},
    denial::Denial,
    flight::Outcome,
    routing,
};
use crate::{
    cache::{Stored, Tags, key::CardTag},
    domain::{Answer, Attempt, Charge, FailOver, ProviderName, Reason, Source},
};

/// How a question was answered: what everybody gets who asked it at that time.
pub struct Conclusion {
    /// The answer.
    pub answer: Arc<Answer>,
    /// Who gave it.
    pub provider: ProviderName,
    /// Where it came from.
    pub source: Source,
    /// Whether a provider gave it that is part of this process. Such an answer stays here.
    pub embedded: bool,
    /// Every vendor that was tried.
    pub attempts: Vec<Attempt>,
}

/// What is remembered of a request id.
#[derive(Clone)]
pub enum Remembered {
    /// How it was answered, and about which card, so that it can be erased.
    Answer(Arc<Conclusion>, Tags<CardTag>),
    /// That its outcome is not known.
    Unknown(Arc<Denial>),
}

impl Remembered {
    /// What of an outcome is worth remembering: nothing of what ended before anything was sent,
    /// nor of a vendor that was busy, because neither cost anything.
    pub(super) fn of(outcome: &Outcome, card: Tags<CardTag>) -> Option<Self> {
        match outcome {
            Ok(conclusion) if conclusion.answer.finding.fail_over() == FailOver::Always => None,
            Ok(conclusion) if conclusion.is_a_stopgap() => None,
            Ok(conclusion) => Some(Self::Answer(conclusion.storable(), card)),
            Err(denial) if denial.reason_name() == Reason::OutcomeUnknown.as_str() => {
                Some(Self::Unknown(Arc::clone(denial)))
            }
            Err(_) => None,
        }
    }

    pub(super) fn reply(&self) -> Result<Reply, Denial> {
        match self {
            Self::Answer(conclusion, _) => Ok(conclusion.reply_to_follower()),
            Self::Unknown(denial) => Err(Denial::clone(denial)),
        }
    }

    /// The card, where that matters.
    pub(super) fn card(&self) -> Tags<CardTag> {
        match self {
            Self::Answer(_, card) => *card,
            // it is not found by its card
            Self::Unknown(_) => CardTag::from_bytes([0; 8]).into(),
        }
    }

    /// Whether other replicas may know it.
    pub(super) fn is_from_a_vendor(&self) -> bool {
        match self {
            Self::Answer(conclusion, _) => !conclusion.embedded,
            Self::Unknown(_) => true,
        }
    }

    /// Whether it is an answer about one of these cards.
    pub(super) fn is_about(&self, cards: &[CardTag]) -> bool {
        match self {
            Self::Answer(_, card) => card.iter().any(|tag| cards.contains(tag)),
            Self::Unknown(_) => false,
        }
    }
}

impl Conclusion {
    /// What the caller gets whose question it was.
    pub(super) fn reply_to_leader(&self) -> Reply {
        Reply {
            charge: Charge::total(self.attempts.iter().map(|attempt| attempt.charge)),
            attempts: self.attempts.clone(),
            ..self.reply_to_follower()
        }
    }

    /// Whether an embedded table that knows nothing stands in for vendors that could not be asked.
    /// It is given out, and not kept: the next time a vendor may know.
    pub(super) fn is_a_stopgap(&self) -> bool {
        self.source == Source::Embedded
            && self.attempts.len() > 1
            && routing::says_nothing(&self.answer.finding)
    }

    /// The same without what only those may have who asked for it now.
    pub(super) fn storable(self: &Arc<Self>) -> Arc<Self> {
        let answer = self.answer.storable();
        if Arc::ptr_eq(&answer, &self.answer) {
            return Arc::clone(self);
        }
        Arc::new(Self {
            answer,
            provider: self.provider.clone(),
            source: self.source,
            embedded: self.embedded,
            attempts: Vec::new(),
        })
    }

    /// An answer that all replicas share, if it will do for a caller.
    pub(super) fn of_store(stored: &Stored, ask: &Ask, now: Timestamp) -> Option<Self> {
        let usable = stored.is_fresh(now, ask.max_age) && ask.caller.may_use(&stored.provider);
        usable.then(|| Self {
            answer: Arc::clone(&stored.answer),
            provider: stored.provider.clone(),
            source: Source::SharedCache,
            embedded: false,
            attempts: Vec::new(),
        })
    }

    /// What a caller gets who asked the same at the same time.
    pub(super) fn reply_to_follower(&self) -> Reply {
        Reply {
            answer: Arc::clone(&self.answer),
            provider: self.provider.clone(),
            source: self.source,
            charge: Charge::NotCharged,
            attempts: Vec::new(),
        }
    }
}
