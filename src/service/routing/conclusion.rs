//! What one question's way past the vendors came to.

use std::{sync::Arc, time::Duration};

use super::{
    super::{
        attempt::Stopped,
        day::next_midnight,
        denial::{Denial, Refusal},
    },
    Journey, says_nothing,
};
use crate::{
    cache::shared::Settle,
    domain::{Answer, Attempt, AttemptOutcome, FailOver, ProviderName, Reason, Source},
};

/// When to ask again where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How a way ended.
pub struct Travelled {
    /// The answer with who gave it and where it came from, or why there is none.
    pub result: Result<(Arc<Answer>, ProviderName, Source), Denial>,
    /// Every vendor that was tried.
    pub attempts: Vec<Attempt>,
    /// The last attempt, as far as the shared store has not been told of it yet.
    pub untold: Option<Settle>,
    /// Whether another replica makes this call by now.
    pub seat_lost: bool,
}

impl Journey<'_> {
    /// What the way came to: a definite answer; else that the outcome is unknown, if that of any
    /// attempt is; else the last answer; else that nobody answered, and why.
    pub fn conclude(self) -> Travelled {
        let definite = self.last_answer.as_ref().filter(|(answer, _, source)| {
            let finding = &answer.finding;
            let open = *source == Source::Embedded && says_nothing(finding);
            finding.fail_over() == FailOver::Never && !open
        });
        let result = if definite.is_none() && self.is_unknown() {
            Err(self.outcome_unknown())
        } else if let Some(last_answer) = self.last_answer {
            Ok(last_answer)
        } else if let Some(stopped) = self.stopped {
            Err(stopped.denial(&self.ask.caller.name))
        } else {
            Err(self.nobody_answered())
        };
        Travelled {
            result,
            attempts: self.attempts,
            untold: self.untold.map(|settle| *settle),
            seat_lost: self.stopped == Some(Stopped::SeatLost),
        }
    }

    fn is_unknown(&self) -> bool {
        self.unknown_attempt().is_some()
    }

    fn unknown_attempt(&self) -> Option<&Attempt> {
        let unknown = |it: &&Attempt| it.outcome == AttemptOutcome::OutcomeUnknown;
        self.attempts.iter().rfind(unknown)
    }

    fn outcome_unknown(&self) -> Denial {
        let mut refusal = Refusal::new(Reason::OutcomeUnknown);
        if let Some(last) = self.unknown_attempt() {
            refusal.providers = vec![(last.provider.clone(), last.error_reason)];
        }
        if let Some(error) = &self.last_error {
            refusal.provider_request_id = error.provider_request_id.clone();
        }
        Denial::Refused(Box::new(refusal))
    }

    fn nobody_answered(&self) -> Denial {
        let all = |wanted: &[AttemptOutcome]| {
            !self.attempts.is_empty()
                && self.passed_over.is_empty()
                && self.attempts.iter().all(|it| wanted.contains(&it.outcome))
        };
        let refused = self
            .attempts
            .last()
            .is_some_and(|it| it.outcome == AttemptOutcome::Refused);
        let reason = if refused {
            Reason::ProviderRefused
        } else if all(&[AttemptOutcome::Misconfigured, AttemptOutcome::OutOfCredit]) {
            Reason::ProviderMisconfigured
        } else if all(&[AttemptOutcome::BudgetSpent]) {
            Reason::ProviderBudgetSpent
        } else if self.last_error.is_none() && all(&[AttemptOutcome::Throttled]) {
            Reason::Overloaded
        } else {
            Reason::ProvidersUnavailable
        };
        let mut refusal = Refusal::new(reason);
        refusal.retry_after = match reason {
            Reason::ProvidersUnavailable | Reason::Overloaded => {
                let wait = self.last_error.as_ref().and_then(|error| error.retry_after);
                Some(wait.unwrap_or(RETRY_AFTER))
            }
            Reason::ProviderBudgetSpent => {
                let now = self.table.safeguards.guard.clock().now();
                // always ahead, so the difference is no negative time
                next_midnight(now).duration_since(now).try_into().ok()
            }
            _ => None,
        };
        refusal.providers = self
            .attempts
            .iter()
            .map(|attempt| (attempt.provider.clone(), attempt.error_reason))
            .chain(self.passed_over.iter().cloned())
            .collect();
        Denial::Refused(Box::new(refusal))
    }
}
