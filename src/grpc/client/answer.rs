//! Answers in plain types, as they came over the wire.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use crate::proto::bankcard::v1;

/// A value of an enum of the contract. A server may be newer than this program: a value that has
/// no name here keeps its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Symbol {
    number: i32,
    full_name: Option<&'static str>,
    prefix: &'static str,
}

impl Symbol {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.number
    }

    /// The name as the contract writes it, `VERDICT_MATCH` for example.
    #[must_use]
    pub const fn full_name(self) -> Option<&'static str> {
        self.full_name
    }

    /// The name without the enum's own, `MATCH` for example.
    #[must_use]
    pub fn short_name(self) -> Option<&'static str> {
        let full_name = self.full_name?;
        Some(full_name.strip_prefix(self.prefix).unwrap_or(full_name))
    }

    /// Whether it was never set.
    #[must_use]
    pub const fn is_unspecified(self) -> bool {
        self.number == 0
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.short_name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.number),
        }
    }
}

macro_rules! symbol {
    ($type:ident, $prefix:literal, $number:expr) => {{
        let number: i32 = $number;
        Symbol {
            number,
            full_name: v1::$type::try_from(number)
                .ok()
                .map(|value| value.as_str_name()),
            prefix: $prefix,
        }
    }};
}

/// One try at one vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptLine {
    /// The provider's name.
    pub provider: String,
    /// `AttemptOutcome`
    pub outcome: Symbol,
    /// `Charge`
    pub charge: Symbol,
    /// How long it took.
    pub latency: Option<Duration>,
    /// Why it brought no answer; empty when it did.
    pub error_reason: String,
}

/// The answer to a verification.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyAnswer {
    /// `Verdict`
    pub verdict: Symbol,
    /// `ResultCode`
    pub result: Symbol,
    /// `Factors`
    pub factors: Symbol,
    /// `Charge`
    pub charge: Symbol,
    /// `Source`
    pub source: Symbol,
    /// The provider's name.
    pub provider: String,
    /// The vendor's code.
    pub provider_code: String,
    /// The vendor's text.
    pub provider_message: String,
    /// The vendor's id of the request.
    pub provider_request_id: String,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// Every vendor that was tried.
    pub attempts: Vec<AttemptLine>,
    /// Whether the card number passes the Luhn check.
    pub luhn_valid: bool,
}

/// The answer to a question for card information.
#[derive(Clone, PartialEq, Eq)]
pub struct CardInfoAnswer {
    /// `CardInfoResult`
    pub result: Symbol,
    /// The bank's name.
    pub bank_name: String,
    /// The bank's name in English.
    pub bank_name_en: String,
    /// The bank's short code.
    pub bank_code: String,
    /// `CardType`
    pub card_type: Symbol,
    /// `CardNetwork`
    pub network: Symbol,
    /// The digits that decided.
    pub bin: String,
    /// Whether the number passes the Luhn check; absent for a part of a number.
    pub luhn_valid: Option<bool>,
    /// `Charge`
    pub charge: Symbol,
    /// `Source`
    pub source: Symbol,
    /// The provider's name.
    pub provider: String,
    /// The vendor's code.
    pub provider_code: String,
    /// The vendor's text.
    pub provider_message: String,
    /// The vendor's id of the request.
    pub provider_request_id: String,
    /// Which edition of the embedded table answered.
    pub data_version: String,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// Every vendor that was tried.
    pub attempts: Vec<AttemptLine>,
}

// vendor's texts are not for logs
impl fmt::Debug for VerifyAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyAnswer").finish_non_exhaustive()
    }
}

impl fmt::Debug for CardInfoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CardInfoAnswer").finish_non_exhaustive()
    }
}

impl From<v1::Attempt> for AttemptLine {
    fn from(attempt: v1::Attempt) -> Self {
        Self {
            provider: attempt.provider,
            outcome: symbol!(AttemptOutcome, "ATTEMPT_OUTCOME_", attempt.outcome),
            charge: symbol!(Charge, "CHARGE_", attempt.charge),
            latency: attempt.latency.and_then(|latency| latency.try_into().ok()),
            error_reason: attempt.error_reason,
        }
    }
}

impl From<v1::VerifyBankCardResponse> for VerifyAnswer {
    fn from(response: v1::VerifyBankCardResponse) -> Self {
        Self {
            verdict: symbol!(Verdict, "VERDICT_", response.verdict),
            result: symbol!(ResultCode, "RESULT_CODE_", response.result),
            factors: symbol!(Factors, "FACTORS_", response.factors),
            charge: symbol!(Charge, "CHARGE_", response.charge),
            source: symbol!(Source, "SOURCE_", response.source),
            provider: response.provider,
            provider_code: response.provider_code,
            provider_message: response.provider_message,
            provider_request_id: response.provider_request_id,
            answered_at: response.answered_at.and_then(timestamp),
            attempts: response.attempts.into_iter().map(Into::into).collect(),
            luhn_valid: response.luhn_valid,
        }
    }
}

impl From<v1::QueryCardInfoResponse> for CardInfoAnswer {
    fn from(response: v1::QueryCardInfoResponse) -> Self {
        Self {
            result: symbol!(CardInfoResult, "CARD_INFO_RESULT_", response.result),
            bank_name: response.bank_name,
            bank_name_en: response.bank_name_en,
            bank_code: response.bank_code,
            card_type: symbol!(CardType, "CARD_TYPE_", response.card_type),
            network: symbol!(CardNetwork, "CARD_NETWORK_", response.network),
            bin: response.bin,
            luhn_valid: response.luhn_valid,
            charge: symbol!(Charge, "CHARGE_", response.charge),
            source: symbol!(Source, "SOURCE_", response.source),
            provider: response.provider,
            provider_code: response.provider_code,
            provider_message: response.provider_message,
            provider_request_id: response.provider_request_id,
            data_version: response.data_version,
            answered_at: response.answered_at.and_then(timestamp),
            attempts: response.attempts.into_iter().map(Into::into).collect(),
        }
    }
}

fn timestamp(at: prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(at.seconds, at.nanos).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_have_the_contract_s_names_and_newer_ones_their_number() {
        let known = symbol!(ResultCode, "RESULT_CODE_", 13);
        assert_eq!(known.full_name(), Some("RESULT_CODE_CARD_EXPIRED"));
        assert_eq!(known.to_string(), "CARD_EXPIRED");
        let newer = symbol!(ResultCode, "RESULT_CODE_", 4711);
        assert_eq!(newer.full_name(), None);
        assert_eq!(newer.to_string(), "4711");
    }
}
