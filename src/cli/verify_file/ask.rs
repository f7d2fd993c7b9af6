//! One row's question, until there is an answer, or none is to be had.
//!
//! Asked again by itself is only what surely reached no vendor: what the service itself calls
//! UNAVAILABLE, what it refuses for its pace, and what never left this machine. Everything else
//! may have been paid for, and waits for the next run.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use rand::RngExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::grpc::client::{
    CacheMode, CallFailure, Client, ClientError, Terms, VerifyAnswer, VerifyQuestion,
};

/// The first pause before asking again, where the service names none; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The connection broke, or somebody between answered: the question may be under way.
pub(super) const CONNECTION_LOST: &str = "CONNECTION_LOST";
/// The time of `--timeout` passed first: the question may be under way.
pub(super) const NO_ANSWER_IN_TIME: &str = "NO_ANSWER_IN_TIME";
/// With these the rest of the file would fare no better.
const ENDS_THE_RUN: &[&str] = &[
    "CREDENTIALS_MISSING",
    "CREDENTIALS_INVALID",
    "METHOD_NOT_ALLOWED",
    "PROVIDER_NOT_ALLOWED",
    "BYPASS_NOT_ALLOWED",
    "PROVIDER_UNKNOWN",
    "CALLER_BUDGET_SPENT",
    "PROVIDER_BUDGET_SPENT",
    "REQUEST_IDS_EXHAUSTED",
    "PROVIDER_MISCONFIGURED",
];

/// What came of a row.
pub(super) enum Outcome {
    /// An answer.
    Answer(Box<VerifyAnswer>),
    /// None, for now.
    NoAnswer(Box<CallFailure>),
    /// It was not asked, because the run is to end.
    NotAsked,
    /// It was not answered, and no other row would be.
    End(anyhow::Error),
}

/// Asks the rows of one job.
pub(super) struct Asker<'a> {
    client: &'a Client,
    job: Uuid,
    terms: Terms,
    give_up_after: Duration,
    heard_at: Cell<Instant>,
    stop: CancellationToken,
}

/// What to do after a failure.
enum Next {
    Again(Option<Duration>),
    Keep(CallFailure),
    End,
}

impl<'a> Asker<'a> {
    pub(super) fn new(
        client: &'a Client,
        job: Uuid,
        terms: Terms,
        give_up_after: Duration,
        stop: CancellationToken,
    ) -> Self {
        Self {
            client,
            job,
            terms,
            give_up_after,
            heard_at: Cell::new(Instant::now()),
            stop,
        }
    }

    /// Begin nothing new.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether nothing new is begun.
    pub(super) fn stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Asks the question of a row whose outcome was unknown so many times before.
    pub(super) async fn ask(
        &self,
        mut question: VerifyQuestion,
        row: u64,
        unknown_before: u32,
    ) -> Outcome {
        let consent_reference = std::mem::take(&mut question.terms.consent_reference);
        question.terms = Terms {
            consent_reference,
            request_id: request_id(self.job, row, unknown_before).to_string(),
            cache_mode: match unknown_before {
                0 => CacheMode::Use,
                _ => CacheMode::Bypass,
            },
            ..self.terms.clone()
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.client.verify(&question).await {
                Ok(answer) => {
                    self.heard_at.set(Instant::now());
                    return Outcome::Answer(Box::new(answer));
                }
                Err(error) => error,
            };
            let wanted = match next(&error) {
                Next::Again(wanted) => wanted,
                Next::Keep(failure) => {
                    self.heard_at.set(Instant::now());
                    return Outcome::NoAnswer(Box::new(failure));
                }
                Next::End => return Outcome::End(error.into()),
            };
            if self.heard_at.get().elapsed() > self.give_up_after {
                return Outcome::End(error.into());
            }
            // apart from each other, so that they do not all come back at once
            let apart = pause.mul_f64(rand::rng().random_range(0.5..1.0));
            tokio::select! {
                () = tokio::time::sleep(apart.max(wanted.unwrap_or_default())) => {}
                () = self.stop.cancelled() => return Outcome::NotAsked,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// The same for a row in every run of a job, so that a question that was cut off is not paid for
/// again; another one after each unknown outcome, so that it can be asked anew. Made of the row's
/// number, never of what is in it.
fn request_id(job: Uuid, row: u64, unknown_before: u32) -> Uuid {
    let name = match unknown_before {
        0 => row.to_string(),
        times => format!("{row}.{times}"),
    };
    Uuid::new_v5(&job, name.as_bytes())
}

fn next(error: &ClientError) -> Next {
    let failure = match error {
        ClientError::Call(failure) => failure,
        ClientError::TooLate { .. } => {
            return Next::Keep(CallFailure {
                reason: NO_ANSWER_IN_TIME.into(),
                message: error.to_string(),
                ..CallFailure::default()
            });
        }
        ClientError::CannotConnect { .. } => return Next::Again(None),
        ClientError::Address(_)
        | ClientError::TlsWithoutHttps
        | ClientError::Tls(_)
        | ClientError::TokenMalformed => return Next::End,
    };
    let by_the_service = !failure.reason.is_empty();
    if failure.never_sent || (by_the_service && failure.code == "UNAVAILABLE") {
        return Next::Again(failure.retry_after);
    }
    if failure.reason == "CALLER_RATE_LIMITED" {
        return Next::Again(failure.retry_after);
    }
    let ends = ENDS_THE_RUN.contains(&failure.reason.as_str());
    if ends || (!by_the_service && failure.code == "UNIMPLEMENTED") {
        return Next::End;
    }
    let mut failure = CallFailure::clone(failure);
    if !by_the_service {
        failure.reason = CONNECTION_LOST.into();
    }
    Next::Keep(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: &'static str, reason: &str) -> ClientError {
        ClientError::Call(Box::new(CallFailure {
            code,
            reason: reason.into(),
            ..CallFailure::default()
        }))
    }

    #[test]
    fn only_what_surely_reached_no_vendor_is_asked_again() {
        let again = |error: &ClientError| matches!(next(error), Next::Again(_));
        assert!(again(&failure("UNAVAILABLE", "PROVIDERS_UNAVAILABLE")));
        assert!(again(&failure("UNAVAILABLE", "DRAINING")));
        assert!(again(&failure("RESOURCE_EXHAUSTED", "CALLER_RATE_LIMITED")));
        // a proxy's word, and a connection that broke
        assert!(!again(&failure("UNAVAILABLE", "")));
        assert!(!again(&failure("UNKNOWN", "")));
        assert!(!again(&failure("UNKNOWN", "OUTCOME_UNKNOWN")));
        assert!(!again(&failure("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")));
        assert!(!again(&failure(
            "RESOURCE_EXHAUSTED",
            "CARD_ATTEMPTS_EXCEEDED"
        )));
        let late = ClientError::TooLate {
            timeout: Duration::from_secs(1),
        };
        assert!(!again(&late));
        let unsent = ClientError::Call(Box::new(CallFailure {
            code: "UNAVAILABLE",
            never_sent: true,
            ..CallFailure::default()
        }));
        assert!(again(&unsent));
    }

    #[test]
    fn what_would_befall_every_row_ends_the_run() {
        let ends = |error: &ClientError| matches!(next(error), Next::End);
        assert!(ends(&failure("UNAUTHENTICATED", "CREDENTIALS_INVALID")));
        assert!(ends(&failure("RESOURCE_EXHAUSTED", "CALLER_BUDGET_SPENT")));
        assert!(ends(&failure("UNIMPLEMENTED", "")));
        assert!(!ends(&failure("INVALID_ARGUMENT", "PHONE_INVALID")));
        assert!(!ends(&failure("FAILED_PRECONDITION", "NO_PROVIDER")));
        // every word is one of the service's
        let known = |name: &&str| {
            let reasons = crate::domain::Reason::ALL
                .iter()
                .map(|reason| reason.as_str());
            let inputs = crate::domain::InvalidInput::ALL
                .iter()
                .map(|reason| reason.as_str());
            reasons.chain(inputs).any(|reason| reason == *name)
        };
        assert!(ENDS_THE_RUN.iter().all(known));
    }

    /// The expected ids are Python's: `uuid.uuid5(job, "7")`, `uuid.uuid5(job, "7.1")`.
    #[test]
    fn ids_are_made_of_job_and_number_alone() {
        let job: Uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8".parse().unwrap();
        assert_eq!(
            request_id(job, 7, 0).to_string(),
            "a9f96b98-dd44-5216-ab0d-dbfc6b262edf"
        );
        assert_eq!(
            request_id(job, 7, 1).to_string(),
            "b71d1e7b-e0b9-530e-9ae9-5401122673ce"
        );
    }
}
