//! What the vendor's error codes say about a request: the exact code first, then the longest known
//! beginning; any other code leaves the outcome open.

use crate::provider::ProviderErrorKind::{
    self, ClockSkewed, Misconfigured, OutOfCredit, OutcomeUnknown, Refused, Throttled,
};

/// What one error code, or all that begin alike, says.
#[derive(Debug, Clone, Copy)]
pub struct ErrorRow {
    /// The code; with a star at its end, the beginning of one.
    pub code: &'static str,
    /// What is known about the request.
    pub kind: ProviderErrorKind,
    /// What happened, in words of our own.
    pub detail: &'static str,
}

const fn row(code: &'static str, kind: ProviderErrorKind, detail: &'static str) -> ErrorRow {
    ErrorRow { code, kind, detail }
}

const LIMIT: &str = "the vendor's request limit is reached";
const CREDENTIALS: &str = "the vendor does not accept the credentials";
const ACCOUNT: &str = "the vendor's account may not use this service";
const CREDIT: &str = "the vendor's account has no credit";
const FAILED: &str = "the vendor failed while it ran the request";
const INVALID: &str = "the vendor called the request invalid";
const NOT_OFFERED: &str = "the vendor does not offer this action at this endpoint";
const FIELD_ENCRYPTION: &str = "the vendor does not accept the field encryption";

/// Every error code with a known meaning.
pub const ERRORS: &[ErrorRow] = &[
    row("RequestLimitExceeded*", Throttled, LIMIT),
    row("FailedOperation.RequestLimitExceeded", Throttled, LIMIT),
    row("AuthFailure.*", Misconfigured, CREDENTIALS),
    row(
        "AuthFailure.SignatureExpire",
        ClockSkewed,
        "our clock is too far from the vendor's",
    ),
    row("UnauthorizedOperation", Misconfigured, ACCOUNT),
    row("UnauthorizedOperation.NonAuthorize", Misconfigured, ACCOUNT),
    row("UnauthorizedOperation.Nonactivated", Misconfigured, ACCOUNT),
    row("UnauthorizedOperation.Activat*", Misconfigured, ACCOUNT),
    row(
        "IpInBlacklist",
        Misconfigured,
        "the vendor blocks our address",
    ),
    row(
        "IpNotInWhitelist",
        Misconfigured,
        "the vendor does not allow our address",
    ),
    row("UnauthorizedOperation.Arrears", OutOfCredit, CREDIT),
    row(
        "UnauthorizedOperation.ChargeStatusException",
        OutOfCredit,
        CREDIT,
    ),
    row("LimitExceeded", OutOfCredit, CREDIT),
    row("InternalError*", OutcomeUnknown, FAILED),
    row("FailedOperation*", OutcomeUnknown, FAILED),
    row("ServiceUnavailable", OutcomeUnknown, FAILED),
    row("ResourceUnavailable", OutcomeUnknown, FAILED),
    row("ResourceInsufficient", OutcomeUnknown, FAILED),
    row("InvalidParameter*", Refused, INVALID),
    row("InvalidParameterValue*", Refused, INVALID),
    row("MissingParameter", Refused, INVALID),
    row("UnknownParameter", Refused, INVALID),
    row("InvalidRequest", Refused, INVALID),
    row("RequestSizeLimitExceeded", Refused, INVALID),
    row("InvalidAction", Misconfigured, NOT_OFFERED),
    row("NoSuchVersion", Misconfigured, NOT_OFFERED),
    row("NoSuchProduct", Misconfigured, NOT_OFFERED),
    row("ActionOffline", Misconfigured, NOT_OFFERED),
    row("Unsupported*", Misconfigured, NOT_OFFERED),
    row("OperationDenied", Misconfigured, NOT_OFFERED),
    row(
        "FailedOperation.DecryptSystemError",
        Misconfigured,
        FIELD_ENCRYPTION,
    ),
    row(
        "FailedOperation.StsUnAuthErrError",
        Misconfigured,
        FIELD_ENCRYPTION,
    ),
    row(
        "InvalidParameter.UnsupportEncryptField",
        Misconfigured,
        FIELD_ENCRYPTION,
    ),
];

/// What is known about a request that the vendor answered with this error code.
#[must_use]
pub fn classify(code: &str) -> ErrorRow {
    let unknown = row(
        "",
        OutcomeUnknown,
        "the vendor answered with an unknown error",
    );
    let exact = ERRORS.iter().find(|row| row.code == code);
    let longest_beginning = || {
        ERRORS
            .iter()
            .filter(|row| {
                let beginning = row.code.strip_suffix('*');
                beginning.is_some_and(|beginning| code.starts_with(beginning))
            })
            .max_by_key(|row| row.code.len())
    };
    exact.or_else(longest_beginning).copied().unwrap_or(unknown)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("RequestLimitExceeded", Throttled)]
    #[case("RequestLimitExceeded.UinLimitExceeded", Throttled)]
    #[case("FailedOperation.RequestLimitExceeded", Throttled)]
    #[case("AuthFailure.SignatureFailure", Misconfigured)]
    #[case("AuthFailure.SecretIdNotFound", Misconfigured)]
    #[case("AuthFailure.SignatureExpire", ClockSkewed)]
    #[case("UnauthorizedOperation", Misconfigured)]
    #[case("UnauthorizedOperation.NonAuthorize", Misconfigured)]
    #[case("UnauthorizedOperation.Nonactivated", Misconfigured)]
    #[case("UnauthorizedOperation.ActivateError", Misconfigured)]
    #[case("UnauthorizedOperation.Arrears", OutOfCredit)]
    #[case("UnauthorizedOperation.ChargeStatusException", OutOfCredit)]
    #[case("UnauthorizedOperation.SomethingNew", OutcomeUnknown)]
    #[case("IpInBlacklist", Misconfigured)]
    #[case("IpNotInWhitelist", Misconfigured)]
    #[case("LimitExceeded", OutOfCredit)]
    #[case("InternalError", OutcomeUnknown)]
    #[case("InternalError.EncryptSystemError", OutcomeUnknown)]
    #[case("FailedOperation", OutcomeUnknown)]
    #[case("FailedOperation.UnKnown", OutcomeUnknown)]
    #[case("FailedOperation.DecryptSystemError", Misconfigured)]
    #[case("FailedOperation.StsUnAuthErrError", Misconfigured)]
    #[case("ServiceUnavailable", OutcomeUnknown)]
    #[case("ResourceUnavailable", OutcomeUnknown)]
    #[case("ResourceInsufficient", OutcomeUnknown)]
    #[case("InvalidParameter", Refused)]
    #[case("InvalidParameter.UnsupportEncryptField", Misconfigured)]
    #[case("InvalidParameterValue.BankCard", Refused)]
    #[case("MissingParameter", Refused)]
    #[case("UnknownParameter", Refused)]
    #[case("InvalidRequest", Refused)]
    #[case("RequestSizeLimitExceeded", Refused)]
    #[case("InvalidAction", Misconfigured)]
    #[case("NoSuchVersion", Misconfigured)]
    #[case("NoSuchProduct", Misconfigured)]
    #[case("ActionOffline", Misconfigured)]
    #[case("UnsupportedOperation", Misconfigured)]
    #[case("UnsupportedRegion", Misconfigured)]
    #[case("OperationDenied", Misconfigured)]
    #[case("", OutcomeUnknown)]
    #[case("authfailure.signaturefailure", OutcomeUnknown)]
    #[case("SomethingElse", OutcomeUnknown)]
    fn error_classes(#[case] code: &str, #[case] kind: ProviderErrorKind) {
        assert_eq!(classify(code).kind, kind);
    }

    #[test]
    fn no_code_stands_in_the_table_twice() {
        for (place, row) in ERRORS.iter().enumerate() {
            assert!(
                ERRORS
                    .iter()
                    .skip(place + 1)
                    .all(|other| other.code != row.code)
            );
        }
    }
}
