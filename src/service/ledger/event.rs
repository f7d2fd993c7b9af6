//! One line of the ledger.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    cache::key::CardTag,
    config::providers::Money,
    domain::{Charge, Operation, ProviderName, VendorToken, reason::vocabulary},
};

vocabulary! {
    /// What a line tells.
    EventKind {
        /// A call is about to be sent to a vendor.
        Intent = "intent",
        /// It has ended.
        Settled = "settled",
        /// A call was not made, to spare a card or a budget.
        Refused = "refused",
        /// An operator changed something.
        Admin = "admin",
    }
}

/// One event. Holds names, ids and a card's keyed pseudonym; nothing about a person.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Joins the two lines of one call.
    pub call_id: Option<Uuid>,
    /// Who asked.
    pub caller: Arc<str>,
    /// Which vendor is or was to be asked.
    pub provider: Option<ProviderName>,
    /// What for; the factor count follows from it.
    pub operation: Option<Operation>,
    /// How it ended: a result, a reason, or the name of what an operator did; empty before.
    pub result: &'static str,
    /// What the vendor charged; `None` before that is known, and where no call is told of.
    pub charge: Option<Charge>,
    /// What the call costs if it is charged.
    pub price: Option<Money>,
    /// The vendor's id of the request.
    pub provider_request_id: VendorToken<64>,
    /// The caller's id of the request.
    pub request_id: Option<Uuid>,
    /// The caller's reference to the card holder's consent.
    pub consent_reference: Option<Box<str>>,
    /// The card's pseudonym in the ledger.
    pub card_tag: Option<CardTag>,
}

/// What both lines of one call have in common.
#[derive(Debug, Clone)]
pub struct Call {
    /// Joins the two lines.
    pub call_id: Uuid,
    /// Who asked.
    pub caller: Arc<str>,
    /// Which vendor.
    pub provider: ProviderName,
    /// What for.
    pub operation: Operation,
    /// What it costs if it is charged.
    pub price: Option<Money>,
    /// The caller's id of the request.
    pub request_id: Option<Uuid>,
    /// The caller's reference to the card holder's consent.
    pub consent_reference: Option<Box<str>>,
    /// The card's pseudonym in the ledger.
    pub card_tag: CardTag,
}

/// How a call ended.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// A result, or what kind of error it was.
    pub result: &'static str,
    /// What it cost.
    pub charge: Charge,
    /// The vendor's id of the request.
    pub provider_request_id: VendorToken<64>,
}

impl Event {
    /// An event of which nothing is known but the kind, the time and who caused it.
    #[must_use]
    pub fn new(kind: EventKind, caller: Arc<str>, time: Timestamp) -> Self {
        Self {
            time,
            kind,
            call_id: None,
            caller,
            provider: None,
            operation: None,
            result: "",
            charge: None,
            price: None,
            provider_request_id: VendorToken::default(),
            request_id: None,
            consent_reference: None,
            card_tag: None,
        }
    }

    /// The line, with its end. All keys are always there; what is not known is null.
    #[must_use]
    pub fn line(&self) -> String {
        let line = Line {
            time: format!("{:.3}", self.time),
            event: self.kind.as_str(),
            call_id: self.call_id.map(|id| id.to_string()),
            caller: &self.caller,
            provider: self.provider.as_ref().map(ProviderName::as_str),
            operation: self.operation.map(Operation::as_str),
            factors: self
                .operation
                .and_then(Operation::factors)
                .map(|factors| factors.as_str()),
            result: non_empty(self.result),
            charge: self.charge.map(Charge::as_str),
            price_micros: self.price.as_ref().map(|price| price.micros),
            currency: self.price.as_ref().map(|price| price.currency.as_str()),
            provider_request_id: non_empty(self.provider_request_id.as_str()),
            request_id: self.request_id.map(|id| id.to_string()),
            consent_reference: self.consent_reference.as_deref(),
            card_tag: self.card_tag.map(|tag| hex::encode(tag.as_bytes())),
        };
        let mut text = serde_json::to_string(&line).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl Call {
    /// The line before the call is sent.
    #[must_use]
    pub fn intent(&self, time: Timestamp) -> Event {
        Event {
            call_id: Some(self.call_id),
            provider: Some(self.provider.clone()),
            operation: Some(self.operation),
            price: self.price.clone(),
            request_id: self.request_id,
            consent_reference: self.consent_reference.clone(),
            card_tag: Some(self.card_tag),
            ..Event::new(EventKind::Intent, Arc::clone(&self.caller), time)
        }
    }

    /// The line after it has ended.
    #[must_use]
    pub fn settled(&self, settlement: &Settlement, time: Timestamp) -> Event {
        Event {
            kind: EventKind::Settled,
            result: settlement.result,
            charge: Some(settlement.charge),
            provider_request_id: settlement.provider_request_id.clone(),
            ..self.intent(time)
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    event: &'static str,
    call_id: Option<String>,
    caller: &'a str,
    provider: Option<&'a str>,
    operation: Option<&'static str>,
    factors: Option<&'static str>,
    result: Option<&'a str>,
    charge: Option<&'static str>,
    price_micros: Option<u64>,
    currency: Option<&'a str>,
    provider_request_id: Option<&'a str>,
    request_id: Option<String>,
    consent_reference: Option<&'a str>,
    card_tag: Option<String>,
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
