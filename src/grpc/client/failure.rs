//! Why there is no answer, in plain types.

use std::{collections::BTreeMap, error::Error, time::Duration};

use tonic::{Code, ConnectError, Status};
use tonic_types::StatusExt;

use super::AddressError;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address cannot be used.
    #[error("the address {0}")]
    Address(#[from] AddressError),
    /// Certificates were given for a connection without TLS.
    #[error("certificates need an https address")]
    TlsWithoutHttps,
    /// A certificate or key cannot be used.
    #[error("certificate or key cannot be used: {0}")]
    Tls(String),
    /// The token has characters that no header can carry.
    #[error("the token has characters other than printable ASCII")]
    TokenMalformed,
    /// There is no connection.
    #[error("cannot connect to {address}: {why}")]
    CannotConnect {
        /// The server's address.
        address: String,
        /// The reason of the lowest layer.
        why: String,
    },
    /// The time was up before an answer came. The question may go on at the server.
    #[error("no answer within {timeout:?}; the question may still be under way")]
    TooLate {
        /// The time that was given.
        timeout: Duration,
    },
    /// The server answered with an error.
    #[error("{}", .0.message)]
    Call(Box<CallFailure>),
}

/// An error that came over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallFailure {
    /// The gRPC code, `INVALID_ARGUMENT` for example.
    pub code: &'static str,
    /// `ErrorInfo.reason`; empty where the error is not the service's own.
    pub reason: String,
    /// The error in words.
    pub message: String,
    /// `ErrorInfo.metadata`
    pub metadata: BTreeMap<String, String>,
    /// What is wrong with the request.
    pub violations: Vec<Violation>,
    /// Which limits were met.
    pub quota: Vec<QuotaViolation>,
    /// How long to wait before asking again.
    pub retry_after: Option<Duration>,
    /// Whether the request surely never left: there was no connection, or it ended first.
    pub never_sent: bool,
}

/// What is wrong with one field of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's path.
    pub field: String,
    /// What is wrong, in words.
    pub description: String,
    /// What is wrong, in one word.
    pub reason: String,
}

/// A limit that was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaViolation {
    /// Whose limit it is.
    pub subject: String,
    /// Which limit it is.
    pub description: String,
}

impl CallFailure {
    pub(super) fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let (reason, metadata) = details
            .error_info()
            .map(|info| {
                let metadata = info.metadata.clone().into_iter().collect();
                (info.reason.clone(), metadata)
            })
            .unwrap_or_default();
        let violations = details.bad_request().map(|bad| {
            bad.field_violations.iter().map(|violation| Violation {
                field: violation.field.clone(),
                description: violation.description.clone(),
                reason: violation.reason.clone(),
            })
        });
        let quota = details.quota_failure().map(|failure| {
            failure.violations.iter().map(|violation| QuotaViolation {
                subject: violation.subject.clone(),
                description: violation.description.clone(),
            })
        });
        Self {
            code: code_name(status.code()),
            reason,
            message: status.message().to_owned(),
            metadata,
            violations: violations.into_iter().flatten().collect(),
            quota: quota.into_iter().flatten().collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            never_sent: never_sent(status),
        }
    }
}

/// A status with a cause was made on this side. Of the causes two say that the request stayed here:
/// no connection could be made, or it ended while the request was still waiting for its turn.
fn never_sent(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_canceled();
        }
        cause = error.source();
    }
    false
}

/// The innermost cause: the layers above it say no more than "transport error".
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

pub(in crate::grpc) const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
