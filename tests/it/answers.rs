//! What callers get: every answer and every error, through a real client from the running binary.

mod caching;
mod details;
mod process;
mod reasons;
mod results;
mod table;
mod unreadable;
mod vendors;

use std::{collections::BTreeMap, time::Duration};

use cardproof::proto::bankcard::v1::{QueryCardInfoRequest, VerifyBankCardRequest};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// A card of the sandbox that matches.
const MATCHING: &str = "6200000100000012";
/// One that matches after three seconds.
const SLOW: &str = "6200000300000010";
/// One whose vendor takes the request and never answers.
const NEVER_ANSWERED: &str = "6200000400000076";

fn verify(card: &str) -> VerifyBankCardRequest {
    VerifyBankCardRequest {
        bank_card: card.to_owned(),
        name: "张三".to_owned(),
        ..VerifyBankCardRequest::default()
    }
}

fn card_info(card: &str) -> QueryCardInfoRequest {
    QueryCardInfoRequest {
        bank_card: card.to_owned(),
        ..QueryCardInfoRequest::default()
    }
}

/// An error, taken apart.
#[derive(Debug)]
struct Refused {
    code: Code,
    reason: String,
    metadata: BTreeMap<String, String>,
    /// Field and reason of each violation, in the order in which they came.
    violations: Vec<(String, String)>,
    retry_after: Option<Duration>,
    pushback: Option<String>,
}

impl Refused {
    /// Checks what all errors have in common.
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().expect("one ErrorInfo");
        assert_eq!(info.domain, "cardproof");
        let violations = details.bad_request().map(|it| &it.field_violations);
        let violations = violations.into_iter().flatten();
        for violation in violations.clone() {
            assert!(!violation.description.is_empty(), "{}", violation.field);
            assert!(status.message().contains(&violation.description));
        }
        assert!(!status.message().is_empty());
        assert_eq!(details.bad_request().is_some(), is_invalid(status));
        let pushback = status.metadata().get("grpc-retry-pushback-ms");
        Self {
            code: status.code(),
            reason: info.reason.clone(),
            metadata: info.metadata.clone().into_iter().collect(),
            violations: violations
                .map(|it| (it.field.clone(), it.reason.clone()))
                .collect(),
            retry_after: details.retry_info().and_then(|it| it.retry_delay),
            pushback: pushback.map(|it| it.to_str().unwrap().to_owned()),
        }
    }

    /// Code, reason and metadata of an error that must have no hint about repeating it.
    fn final_answer(&self) -> (Code, &str, Vec<(&str, &str)>) {
        assert_eq!(self.retry_after, None);
        (self.code, &self.reason, self.metadata())
    }

    fn metadata(&self) -> Vec<(&str, &str)> {
        let pairs = self.metadata.iter();
        pairs.map(|(key, value)| (&**key, &**value)).collect()
    }
}

fn is_invalid(status: &Status) -> bool {
    status.code() == Code::InvalidArgument
}

/// The error that a call must have ended with.
fn refused<T>(outcome: Result<tonic::Response<T>, Status>) -> Refused {
    match outcome {
        Ok(_) => panic!("the call was answered"),
        Err(status) => Refused::from(&status),
    }
}
