//! How a question was answered, what of it is remembered under a request id, and who gets what of it.

use std::sync::Arc;

use super::{ask::Reply, denial::Denial, flight::Outcome, idempotency::Token, routing};
use crate::domain::{
    Answer, Attempt, Charge, FailOver, Field, InvalidInput, ProviderName, Reason, Source, Violation,
};

/// How a question was answered: what everybody gets who asked it at that time.
pub struct Conclusion {
    /// The answer.
    pub answer: Arc<Answer>,
    /// Who gave it.
    pub provider: ProviderName,
    /// Where it came from.
    pub source: Source,
    /// Every vendor that was tried.
    pub attempts: Vec<Attempt>,
}

/// What is remembered of a request id.
#[derive(Clone)]
pub enum Remembered {
    /// How it was answered.
    Answer(Arc<Conclusion>),
    /// That its outcome is not known.
    Unknown(Arc<Denial>),
}

impl Remembered {
    /// What of an outcome is worth remembering: nothing of what ended before anything was sent,
    /// nor of a vendor that was busy, because neither cost anything.
    pub(super) fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Ok(conclusion) if conclusion.answer.finding.fail_over() == FailOver::Always => None,
            Ok(conclusion) if conclusion.is_a_stopgap() => None,
            Ok(conclusion) => Some(Self::Answer(conclusion.storable())),
            Err(denial) if denial.reason_name() == Reason::OutcomeUnknown.as_str() => {
                Some(Self::Unknown(Arc::clone(denial)))
            }
            Err(_) => None,
        }
    }

    pub(super) fn reply(&self) -> Result<Reply, Denial> {
        match self {
            Self::Answer(conclusion) => Ok(conclusion.reply_to_follower()),
            Self::Unknown(denial) => Err(Denial::clone(denial)),
        }
    }
}

/// Remembers an answer that needed no vendor under its request id, if it has one.
pub(super) fn remembered(token: Option<Token<Remembered>>, conclusion: Conclusion) -> Reply {
    let reply = conclusion.reply_to_follower();
    if let Some(token) = token {
        token.remember(Remembered::Answer(Arc::new(conclusion)));
    }
    reply
}

pub(super) fn reused() -> Denial {
    Denial::Invalid(vec![Violation::new(
        Field::RequestId,
        InvalidInput::RequestIdReused,
        "was used before for another question",
    )])
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
