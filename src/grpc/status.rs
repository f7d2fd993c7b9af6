//! From denials to `google.rpc.Status`: one closed table from reason to gRPC code, one `ErrorInfo`
//! of the domain `cardproof`, and never a value of a request in any text.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{
    domain::{Field, InvalidInput, Reason, Violation},
    service::denial::{Denial, Refusal},
};

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "cardproof";
/// Tells clients and meshes that a call must not be repeated by itself.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The gRPC code of a reason.
#[must_use]
pub const fn code(reason: Reason) -> Code {
    match reason {
        Reason::CredentialsMissing | Reason::CredentialsInvalid => Code::Unauthenticated,
        Reason::MethodNotAllowed | Reason::ProviderNotAllowed | Reason::BypassNotAllowed => {
            Code::PermissionDenied
        }
        Reason::CallerRateLimited
        | Reason::CallerBudgetSpent
        | Reason::CardAttemptsExceeded
        | Reason::ProviderBudgetSpent
        | Reason::RequestIdsExhausted => Code::ResourceExhausted,
        Reason::ProvidersUnavailable
        | Reason::Draining
        | Reason::Overloaded
        | Reason::SharedStateUnavailable
        | Reason::LedgerUnavailable => Code::Unavailable,
        // never UNAVAILABLE: meshes repeat that, and this may have been paid for
        Reason::OutcomeUnknown => Code::Unknown,
        Reason::DeadlineExceeded => Code::DeadlineExceeded,
        Reason::NoProvider | Reason::ProviderMisconfigured | Reason::ProviderRefused => {
            Code::FailedPrecondition
        }
        Reason::NotCached => Code::NotFound,
        Reason::Internal => Code::Internal,
    }
}

/// What a reason means, in a sentence for people.
#[must_use]
pub const fn message(reason: Reason) -> &'static str {
    match reason {
        Reason::CredentialsMissing => "no credentials were shown",
        Reason::CredentialsInvalid => "the credentials are not known",
        Reason::MethodNotAllowed => "this caller may not use this method",
        Reason::ProviderNotAllowed => "this caller may not use this provider",
        Reason::BypassNotAllowed => "this caller may not bypass the cache",
        Reason::CallerRateLimited => "this caller asks too often, or has too many calls open",
        Reason::CallerBudgetSpent => "this caller's budget for today is spent",
        Reason::CardAttemptsExceeded => {
            "asking about this card once more could lock it at its bank"
        }
        Reason::ProviderBudgetSpent => {
            "every vendor that could answer has spent its budget for today"
        }
        Reason::RequestIdsExhausted => "this caller's store of request ids is full",
        Reason::ProvidersUnavailable => "no vendor could be asked",
        Reason::Draining => "this replica is about to stop",
        Reason::Overloaded => "too many calls at once",
        Reason::SharedStateUnavailable => "the shared state is out of reach, so no vendor is asked",
        Reason::LedgerUnavailable => "the ledger cannot be written, so no vendor is asked",
        Reason::OutcomeUnknown => {
            "a vendor was asked and gave no usable answer; the call may have been charged"
        }
        Reason::DeadlineExceeded => "the deadline passed first",
        Reason::NoProvider => "no configured provider can answer this",
        Reason::ProviderMisconfigured => {
            "every vendor that could answer refuses our credentials, settings or credit"
        }
        Reason::ProviderRefused => "the vendor called our request invalid",
        Reason::NotCached => "the answer is not cached",
        Reason::Internal => "a defect of this service; no vendor was asked",
    }
}

/// The status of a denial.
#[must_use]
pub fn status(denial: &Denial) -> Status {
    match denial {
        Denial::Invalid(violations) => invalid(violations),
        Denial::Refused(refusal) => refused(refusal),
    }
}

/// The status of a reason that needs no further word.
#[must_use]
pub fn plain(reason: Reason) -> Status {
    refused(&Refusal::new(reason))
}

fn invalid(violations: &[Violation]) -> Status {
    let first = violations
        .first()
        .map_or(InvalidInput::Factors, |violation| violation.reason);
    let mut details = ErrorDetails::with_error_info(first.as_str(), DOMAIN, HashMap::new());
    details.set_bad_request(
        violations
            .iter()
            .map(|violation| FieldViolation {
                field: violation.field.path().to_owned(),
                description: violation.detail.to_owned(),
                reason: violation.reason.as_str().to_owned(),
                localized_message: None,
            })
            .collect::<Vec<_>>(),
    );
    let message = violations
        .iter()
        .map(|violation| match violation.field {
            Field::Message => violation.detail.to_owned(),
            field => format!("{}: {}", field.path(), violation.detail),
        })
        .collect::<Vec<_>>()
        .join("; ");
    Status::with_error_details(Code::InvalidArgument, message, details)
}

fn refused(refusal: &Refusal) -> Status {
    let reason = refusal.reason;
    let mut details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, metadata(refusal));
    let code = code(reason);
    if let Some(after) = retry_after(code, refusal) {
        details.set_retry_info(Some(after));
    }
    if let (Code::ResourceExhausted, Some(caller)) = (code, &refusal.caller) {
        details.add_quota_failure_violation(format!("caller:{caller}"), message(reason));
    }
    let mut status = Status::with_error_details(code, message(reason), details);
    if reason == Reason::OutcomeUnknown {
        status
            .metadata_mut()
            .insert(PUSHBACK, MetadataValue::from_static("-1"));
    }
    status
}

/// Every error that may be repeated says when.
fn retry_after(code: Code, refusal: &Refusal) -> Option<Duration> {
    const USUAL: Duration = Duration::from_secs(1);
    match code {
        Code::Unavailable => Some(refusal.retry_after.unwrap_or(USUAL)),
        Code::ResourceExhausted => refusal.retry_after,
        _ => None,
    }
}

fn metadata(refusal: &Refusal) -> HashMap<String, String> {
    let mut metadata = HashMap::new();
    if let Some(stage) = refusal.stage {
        metadata.insert("stage".to_owned(), stage.as_str().to_owned());
    }
    if refusal.reason == Reason::OutcomeUnknown {
        if let Some((provider, _)) = refusal.providers.first() {
            metadata.insert("provider".to_owned(), provider.to_string());
        }
        let id = refusal.provider_request_id.as_str();
        if !id.is_empty() {
            metadata.insert("provider_request_id".to_owned(), id.to_owned());
        }
    } else {
        for (provider, reason) in &refusal.providers {
            metadata.insert(provider.to_string(), (*reason).to_owned());
        }
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_surely_not_asked_is_unavailable() {
        let unavailable: Vec<_> = Reason::ALL
            .iter()
            .filter(|reason| code(**reason) == Code::Unavailable)
            .map(|reason| reason.as_str())
            .collect();
        assert_eq!(
            unavailable,
            [
                "PROVIDERS_UNAVAILABLE",
                "DRAINING",
                "OVERLOADED",
                "SHARED_STATE_UNAVAILABLE",
                "LEDGER_UNAVAILABLE",
            ]
        );
    }

    #[test]
    fn an_unknown_outcome_forbids_repetition() {
        let status = plain(Reason::OutcomeUnknown);
        assert_eq!(status.code(), Code::Unknown);
        assert_eq!(status.metadata().get(PUSHBACK).unwrap(), "-1");
        assert!(status.get_details_retry_info().is_none());
    }
}
