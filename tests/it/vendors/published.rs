//! What the vendors publish, read from `tests/data/result_codes.json`, and what the contract makes of
//! it: the expectations of these tests, none of which come from the program.

use std::collections::BTreeMap;

use cardproof_emulator::Operation;
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Published {
    pub tencent: BTreeMap<String, BTreeMap<String, TencentRow>>,
    pub ace: BTreeMap<String, BTreeMap<String, AceRow>>,
}

#[derive(Deserialize, Clone)]
pub struct TencentRow {
    pub result: String,
    pub zh: String,
    pub en: String,
    pub charged: bool,
}

#[derive(Deserialize, Clone)]
pub struct AceRow {
    pub result: String,
    pub text: String,
    pub charged: bool,
}

pub const VERIFICATIONS: [Operation; 3] = [Operation::Two, Operation::Three, Operation::Four];

pub fn published() -> Published {
    serde_json::from_str(include_str!("../../data/result_codes.json")).unwrap()
}

impl Published {
    pub fn tencent(&self, operation: Operation) -> &BTreeMap<String, TencentRow> {
        &self.tencent[match operation {
            Operation::Two => "2E",
            Operation::Three => "3E",
            Operation::Four => "4E",
            _ => "INFO",
        }]
    }

    pub fn ace(&self, operation: Operation) -> &BTreeMap<String, AceRow> {
        let path = match operation {
            Operation::CardInfo => "check-1e",
            _ => "check-2e",
        };
        let table = self.ace.iter().find(|(name, _)| name.contains(path));
        table.unwrap().1
    }
}

/// The verdict of a result, from the contract's table.
pub fn verdict(result: &str) -> &'static str {
    match result {
        "MATCH" => "MATCH",
        "MISMATCH"
        | "CARDHOLDER_INFO_INCORRECT"
        | "PHONE_NOT_REGISTERED"
        | "CARD_CREDENTIALS_INCORRECT" => "MISMATCH",
        "CARDLESS_PAYMENT_NOT_ENABLED"
        | "CARD_CONFISCATED"
        | "CARD_NUMBER_INVALID"
        | "NO_ISSUING_BANK"
        | "CARD_UNINITIALIZED_OR_DORMANT"
        | "CARD_FRAUDULENT_OR_RETAINED"
        | "CARD_REPORTED_LOST"
        | "CARD_EXPIRED"
        | "CARD_RESTRICTED"
        | "PIN_ATTEMPTS_EXCEEDED"
        | "CARD_STATUS_ABNORMAL"
        | "CARD_OTHER_EXCEPTION" => "CARD_PROBLEM",
        "NAME_INVALID"
        | "ID_NUMBER_INVALID"
        | "CARD_NUMBER_FORMAT_INVALID"
        | "PHONE_INVALID"
        | "IDENTITY_TYPE_UNSUPPORTED" => "INPUT_REJECTED",
        "ISSUER_UNSUPPORTED"
        | "CARD_UNSUPPORTED"
        | "BANK_REFUSED"
        | "PHONE_VERIFICATION_UNSUPPORTED"
        | "UNVERIFIABLE"
        | "SERVICE_BUSY"
        | "ATTEMPTS_EXCEEDED"
        | "UNKNOWN_PROVIDER_CODE" => "INCONCLUSIVE",
        other => panic!("{other} is no result of the contract"),
    }
}

pub fn charge(charged: bool) -> &'static str {
    if charged { "CHARGED" } else { "NOT_CHARGED" }
}
