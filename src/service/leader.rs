//! The one call that is made for a question, on a task of its own: by whom, past the vendors, and
//! into memory, before anybody is told.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{
    Conclusion, Inner,
    ask::{Ask, CacheMode},
    attempt::CardTags,
    denial::{Denial, Stage},
    flight::Flight,
    lane::Lane,
    memory::Ended,
    routing::{Journey, Travelled},
    sharing::Seated,
};
use crate::{
    cache::shared::RequestId,
    domain::{Reason, Source},
    telemetry::events,
    telemetry::trace::Span,
};

impl Inner {
    /// Has a question asked, remembers what came of it, and tells everybody who waits.
    pub(super) async fn lead(
        &self,
        flight: &Flight,
        ask: &Ask,
        candidates: &[Arc<Lane>],
        asks_anew: bool,
    ) {
        let asking = AssertUnwindSafe(self.find_out(flight, ask, candidates, asks_anew));
        let ended = asking.catch_unwind().await.unwrap_or_else(|_panic| {
            let unknown = flight.was_sent();
            let denial = Denial::because(if unknown {
                Reason::OutcomeUnknown
            } else {
                Reason::Internal
            });
            Ended {
                hold: unknown.then(|| denial.clone()),
                was_flown: flight.seat().is_some(),
                ..Ended::known(Err(Arc::new(denial)), None)
            }
        });
        if let Some(denial) = &ended.hold {
            self.hold_if_unknown(flight.tags(), denial);
        }
        let outcome = ended.outcome.clone();
        Box::pin(self.remember(flight, ended)).await;
        events::flight_ended(match &outcome {
            Ok(conclusion) => conclusion.answer.finding.result_name(),
            Err(denial) => denial.reason_name(),
        });
        self.flights.land(flight, outcome);
    }

    async fn find_out(
        &self,
        flight: &Flight,
        ask: &Ask,
        candidates: &[Arc<Lane>],
        asks_anew: bool,
    ) -> Ended {
        // somebody else's call may have landed between our look into the cache and our boarding
        if ask.mode != CacheMode::Bypass
            && let Some(conclusion) = self.cached(flight.tags(), ask, self.clock.now())
        {
            return Ended::known(Ok(Arc::new(conclusion)), None);
        }
        let shares = candidates.iter().any(|lane| !lane.is_embedded());
        let mut attempts = Vec::new();
        loop {
            if let Some(sharing) = self.sharing.as_ref().filter(|_| shares) {
                let now = || self.clock.now();
                // boxed, here and below, so that what waits does not carry the size of what may come
                match Box::pin(sharing.seat(flight, ask, now, asks_anew)).await {
                    Seated::Ours | Seated::Alone => {}
                    Seated::Known(outcome, stored) => return Ended::known(outcome, stored),
                }
            }
            let mut travelled = self.travel(flight, ask, candidates, shares).await;
            attempts.append(&mut travelled.attempts);
            travelled.attempts = std::mem::take(&mut attempts);
            if !travelled.seat_lost {
                let ended = self.concluded(flight, ask, travelled);
                return Ended {
                    was_flown: shares,
                    ..ended
                };
            }
            // another replica took this call for abandoned and makes it now
            if let (Some(sharing), Some(settle)) = (&self.sharing, travelled.untold.take()) {
                sharing.settle(flight, settle).await;
            }
            attempts = travelled.attempts;
            flight.sit(None);
            if Instant::now() >= flight.deadline() {
                let denial = Denial::deadline(Stage::Waiting);
                return Ended::known(Err(Arc::new(denial)), None);
            }
        }
    }

    async fn travel(
        &self,
        flight: &Flight,
        ask: &Ask,
        candidates: &[Arc<Lane>],
        shares: bool,
    ) -> Travelled {
        let card = ask.question.expose_card();
        let card = CardTags {
            guard: flight.keys().each(|key| key.guard_card(card)),
            ledger: flight.keys().current.ledger_card(card),
        };
        let sharing = self.sharing.as_ref().filter(|_| shares);
        if sharing.is_some() {
            let caller = &ask.caller;
            let mut purses = self.purses.lock();
            let purse = purses.entry(Arc::clone(&caller.name));
            purse.or_insert_with(|| caller.budget.clone());
        }
        let mut journey = Journey::new(&self.policy, &self.safeguards, sharing, ask, flight, card);
        let span = Span::part("route");
        span.within(journey.travel(candidates)).await;
        journey.conclude()
    }

    /// What a way past the vendors came to.
    fn concluded(&self, flight: &Flight, ask: &Ask, travelled: Travelled) -> Ended {
        let (outcome, hold) = match travelled.result {
            Ok((answer, provider, source)) => {
                let conclusion = Conclusion {
                    answer,
                    provider,
                    source,
                    embedded: source == Source::Embedded,
                    attempts: travelled.attempts,
                };
                (Ok(Arc::new(conclusion)), None)
            }
            Err(denial) => {
                let stale = self.stale(flight.tags(), ask, travelled.attempts);
                let hold = Some(denial.clone()).filter(is_unknown);
                (stale.ok_or_else(|| Arc::new(denial)), hold)
            }
        };
        Ended {
            outcome,
            stored: None,
            hold,
            settle: travelled.untold,
            was_flown: true,
        }
    }

    /// A request id joins a call that was sent already: its outcome may be unknown too.
    pub(super) fn note_as_sent(&self, id: Option<RequestId>) {
        if let (Some(sharing), Some(id)) = (&self.sharing, id) {
            let store = Arc::clone(&sharing.store);
            let lasts = self.longest_call();
            // what cannot be noted ends with its lease, as a request that was not sent
            let _noting = self
                .outside
                .spawn(async move { store.ids_sent(&[id], lasts).await });
        }
    }

    fn longest_call(&self) -> std::time::Duration {
        let lanes = self.lanes.values().map(|lane| lane.longest_call());
        lanes.max().unwrap_or_default()
    }
}

fn is_unknown(denial: &Denial) -> bool {
    denial.reason_name() == Reason::OutcomeUnknown.as_str()
}
