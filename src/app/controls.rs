//! What an operator may change on the admin port. Every change is a line of the ledger.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::admin_token::AdminToken;
use crate::{
    admin::{Controls, Done},
    cache::{key::CardTag, shared::Lost},
    config::LogLevel,
    domain::{CardNumber, ProviderName},
    service::{
        Service,
        guard::Counts,
        ledger::{Event, EventKind},
    },
    telemetry::LevelHandle,
};

/// Whom the ledger names for what an operator did.
const OPERATOR: &str = "admin";

/// The parts of the service that an operator may change.
pub(super) struct Operator {
    pub(super) service: Service,
    pub(super) token: Arc<AdminToken>,
    pub(super) levels: LevelHandle,
}

impl Operator {
    fn wrote(&self, what: &'static str, card: Option<CardTag>, provider: Option<ProviderName>) {
        let now = self.service.clock().now();
        self.service.safeguards().ledger.admin(&Event {
            result: what,
            card_tag: card,
            provider,
            ..Event::new(EventKind::Admin, Arc::from(OPERATOR), now)
        });
    }
}

#[async_trait]
impl Controls for Operator {
    fn are_there(&self) -> bool {
        self.token.is_set()
    }

    fn are_open_to(&self, token: &[u8]) -> bool {
        self.token.is(token)
    }

    async fn guard_show(&self, card: CardNumber) -> Done {
        let state = self.service.guard_show(&card).await;
        self.wrote("guard_show", Some(self.service.ledger_tag(&card)), None);
        let counts = |counts: Option<Counts>| counts.as_ref().map(counted);
        Ok(json!({
            "known": state.is_some(),
            "verification": state.map(|state| counts(state.verification)),
            "card_information": state.map(|state| counts(state.card_information)),
        }))
    }

    async fn guard_reset(&self, card: CardNumber) -> Done {
        let known = self.service.guard_reset(&card).await;
        self.wrote("guard_reset", Some(self.service.ledger_tag(&card)), None);
        match known {
            Ok(known) => Ok(json!({ "known": known })),
            Err(Lost) => Err("the shared store is lost: only this replica has forgotten"),
        }
    }

    async fn erase(&self, card: CardNumber) -> Done {
        let erased = self.service.erase(&card).await;
        self.wrote("erase", Some(self.service.ledger_tag(&card)), None);
        Ok(json!({
            "answers": erased.answers,
            "request_ids": erased.request_ids,
            "everywhere": erased.everywhere,
        }))
    }

    fn log_level(&self, level: &str) -> Done {
        const NONE_OF: &str = "log_level is none of error, warn, info, debug, trace";
        self.levels.set(LogLevel::named(level).ok_or(NONE_OF)?);
        self.wrote("log_level", None, None);
        Ok(json!({ "log_level": level }))
    }

    fn maintenance(&self, provider: &str, maintenance: bool) -> Done {
        let mut lanes = self.service.lanes();
        let lane = lanes.find(|lane| lane.name().as_str() == provider);
        let lane = lane.ok_or("no provider of that name is configured")?;
        let before = lane.in_maintenance();
        lane.set_maintenance(maintenance);
        let what = if maintenance {
            "maintenance_on"
        } else {
            "maintenance_off"
        };
        self.wrote(what, None, Some(lane.name().clone()));
        Ok(json!({ "provider": provider, "maintenance": maintenance, "before": before }))
    }
}

fn counted(counts: &Counts) -> Value {
    let time = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string());
    json!({
        "calls": counts.calls,
        "mismatches": counts.mismatches,
        "in_flight": counts.in_flight,
        "calls_until": time(counts.calls_until),
        "mismatches_until": time(counts.mismatches_until),
        "closed_until": time(counts.closed_until),
    })
}
