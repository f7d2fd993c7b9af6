//! Answers and errors as one JSON object, for programs.
//!
//! Field names and enum values are those of protobuf's JSON mapping, as grpcurl prints them. Texts
//! and enums without a value are left out; `attempts` and `luhnValid` of a verification are always
//! there.

use std::{collections::BTreeMap, time::Duration};

use serde::{Serialize, Serializer};

use crate::grpc::client::{
    AttemptLine, CallFailure, CardInfoAnswer, ClientError, Symbol, VerifyAnswer,
};

/// The answer to a verification.
pub(super) fn verify(answer: &VerifyAnswer) -> Vec<u8> {
    line(&verify_fields(answer))
}

/// The answer to a row of a file, without the vendor's own words.
pub(super) fn verify_row(row: u64, answer: &VerifyAnswer) -> Vec<u8> {
    line(&Answer {
        row: Some(row),
        provider_message: "",
        ..verify_fields(answer)
    })
}

/// Why a row of a file has no answer.
pub(super) fn error_row(row: u64, failure: &CallFailure) -> Vec<u8> {
    line(&error_object(Some(row), failure, failure.message.clone()))
}

fn verify_fields(answer: &VerifyAnswer) -> Answer<'_> {
    Answer {
        verdict: Enum(answer.verdict),
        result: Enum(answer.result),
        factors: Enum(answer.factors),
        luhn_valid: Some(answer.luhn_valid),
        charge: Enum(answer.charge),
        source: Enum(answer.source),
        provider: &answer.provider,
        provider_code: &answer.provider_code,
        provider_message: &answer.provider_message,
        provider_request_id: &answer.provider_request_id,
        answered_at: answer.answered_at.map(|at| at.to_string()),
        attempts: attempts(&answer.attempts),
        ..Answer::default()
    }
}

/// The answer to a question for card information.
pub(super) fn card_info(answer: &CardInfoAnswer) -> Vec<u8> {
    line(&Answer {
        result: Enum(answer.result),
        bank_name: &answer.bank_name,
        bank_code: &answer.bank_code,
        card_type: Enum(answer.card_type),
        network: Enum(answer.network),
        bin: &answer.bin,
        luhn_valid: answer.luhn_valid,
        charge: Enum(answer.charge),
        source: Enum(answer.source),
        provider: &answer.provider,
        provider_code: &answer.provider_code,
        provider_message: &answer.provider_message,
        provider_request_id: &answer.provider_request_id,
        data_version: &answer.data_version,
        answered_at: answer.answered_at.map(|at| at.to_string()),
        attempts: attempts(&answer.attempts),
        bank_name_en: &answer.bank_name_en,
        ..Answer::default()
    })
}

/// Why there is no answer. An error of this program itself has a message alone.
pub(super) fn error(error: &anyhow::Error) -> Vec<u8> {
    let none = CallFailure::default();
    let failure = match error.downcast_ref::<ClientError>() {
        Some(ClientError::Call(failure)) => failure,
        _ => &none,
    };
    line(&error_object(None, failure, format!("{error:#}")))
}

fn error_object(row: Option<u64>, failure: &CallFailure, message: String) -> ErrorObject<'_> {
    ErrorObject {
        row,
        error: ErrorFields {
            code: failure.code,
            reason: &failure.reason,
            message,
            metadata: &failure.metadata,
            violations: failure
                .violations
                .iter()
                .map(|violation| ViolationFields {
                    field: &violation.field,
                    description: &violation.description,
                    reason: &violation.reason,
                })
                .collect(),
            quota: failure
                .quota
                .iter()
                .map(|violation| QuotaFields {
                    subject: &violation.subject,
                    description: &violation.description,
                })
                .collect(),
            retry_delay: failure.retry_after.map(duration),
        },
    }
}

/// A value of an enum: its name, or its number where it has no name.
#[derive(Default, Clone, Copy)]
struct Enum(Symbol);

impl Enum {
    fn is_unset(&self) -> bool {
        self.0.is_unspecified()
    }
}

impl Serialize for Enum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.full_name() {
            Some(name) => serializer.serialize_str(name),
            None => serializer.serialize_i32(self.0.number()),
        }
    }
}

/// Both answers: their common fields have the same names.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    /// The row of a file that is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    #[serde(skip_serializing_if = "Enum::is_unset")]
    verdict: Enum,
    #[serde(skip_serializing_if = "Enum::is_unset")]
    result: Enum,
    #[serde(skip_serializing_if = "Enum::is_unset")]
    factors: Enum,
    #[serde(skip_serializing_if = "str::is_empty")]
    bank_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    bank_name_en: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    bank_code: &'a str,
    #[serde(skip_serializing_if = "Enum::is_unset")]
    card_type: Enum,
    #[serde(skip_serializing_if = "Enum::is_unset")]
    network: Enum,
    #[serde(skip_serializing_if = "str::is_empty")]
    bin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    luhn_valid: Option<bool>,
    #[serde(skip_serializing_if = "Enum::is_unset")]
    charge: Enum,
    #[serde(skip_serializing_if = "Enum::is_unset")]
    source: Enum,
    #[serde(skip_serializing_if = "str::is_empty")]
    provider: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    provider_code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    provider_message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    provider_request_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    data_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_at: Option<String>,
    attempts: Vec<AttemptFields<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptFields<'a> {
    provider: &'a str,
    outcome: Enum,
    charge: Enum,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    error_reason: &'a str,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    error: ErrorFields<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorFields<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    message: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<ViolationFields<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quota: Vec<QuotaFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_delay: Option<String>,
}

#[derive(Serialize)]
struct ViolationFields<'a> {
    field: &'a str,
    description: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct QuotaFields<'a> {
    subject: &'a str,
    description: &'a str,
}

fn attempts(lines: &[AttemptLine]) -> Vec<AttemptFields<'_>> {
    lines
        .iter()
        .map(|line| AttemptFields {
            provider: &line.provider,
            outcome: Enum(line.outcome),
            charge: Enum(line.charge),
            latency: line.latency.map(duration),
            error_reason: &line.error_reason,
        })
        .collect()
}

/// Protobuf's JSON mapping of a duration: seconds with 0, 3, 6 or 9 digits after the point.
fn duration(span: Duration) -> String {
    let (seconds, nanos) = (span.as_secs(), span.subsec_nanos());
    if nanos == 0 {
        format!("{seconds}s")
    } else if nanos % 1_000_000 == 0 {
        format!("{seconds}.{:03}s", nanos / 1_000_000)
    } else if nanos % 1_000 == 0 {
        format!("{seconds}.{:06}s", nanos / 1_000)
    } else {
        format!("{seconds}.{nanos:09}s")
    }
}

fn line(object: &impl Serialize) -> Vec<u8> {
    // texts, numbers and maps with text keys: there is nothing in it that could fail
    let mut bytes = serde_json::to_vec(object).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_protobuf_writes_them() {
        for (nanos, text) in [
            (0, "0s"),
            (2_000_000_000, "2s"),
            (1_500_000_000, "1.500s"),
            (312_000, "0.000312s"),
            (1, "0.000000001s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }
}
