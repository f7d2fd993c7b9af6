//! What `BizCode`, `SubCode` and error codes mean. Both products and all factor counts share one
//! operation and one published table.

use crate::{
    domain::{
        Charge,
        ResultCode::{
            self, AttemptsExceeded, BankRefused, CardConfiscated, CardCredentialsIncorrect,
            CardExpired, CardFraudulentOrRetained, CardNumberFormatInvalid, CardNumberInvalid,
            CardOtherException, CardReportedLost, CardRestricted, CardStatusAbnormal,
            CardUninitializedOrDormant, CardUnsupported, CardholderInfoIncorrect,
            CardlessPaymentNotEnabled, IssuerUnsupported, Match, Mismatch, NoIssuingBank,
            PhoneNotRegistered, PhoneVerificationUnsupported, PinAttemptsExceeded,
            UnknownProviderCode, Unverifiable,
        },
    },
    provider::{
        ProviderErrorKind,
        codes::{CodeRow, row_of},
    },
};

use crate::config::providers::AlibabaProduct;

/// One `BizCode` with its `SubCode`s.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// The code.
    pub biz_code: &'static str,
    /// Whether the vendor charges for it; the `SubCode` has no say in that.
    pub charge: Charge,
    /// What it means without a `SubCode`.
    pub without_sub_code: ResultCode,
    /// What it means with one that is in no group.
    pub with_unknown_sub_code: ResultCode,
    /// Its `SubCode`s.
    pub rows: &'static [CodeRow<ResultCode>],
}

/// Every known `BizCode`.
pub const GROUPS: &[Group] = &[
    Group {
        biz_code: "1",
        charge: Charge::Charged,
        without_sub_code: Match,
        with_unknown_sub_code: UnknownProviderCode,
        rows: CONSISTENT,
    },
    Group {
        biz_code: "2",
        charge: Charge::Charged,
        without_sub_code: Mismatch,
        with_unknown_sub_code: Mismatch,
        rows: INCONSISTENT,
    },
    Group {
        biz_code: "3",
        charge: Charge::NotCharged,
        without_sub_code: Unverifiable,
        with_unknown_sub_code: Unverifiable,
        rows: NO_RECORD,
    },
];

/// The `SubCode`s of `BizCode` 1: consistent.
pub const CONSISTENT: &[CodeRow<ResultCode>] = &[CodeRow::charged("101", Match, "", "")];

/// The `SubCode`s of `BizCode` 2: inconsistent.
pub const INCONSISTENT: &[CodeRow<ResultCode>] = &[
    CodeRow::charged("201", CardholderInfoIncorrect, "", ""),
    CodeRow::charged("202", CardlessPaymentNotEnabled, "", ""),
    CodeRow::charged("203", CardExpired, "", ""),
    CodeRow::charged("204", CardRestricted, "", ""),
    CodeRow::charged("205", CardConfiscated, "", ""),
    CodeRow::charged("206", CardNumberInvalid, "", ""),
    CodeRow::charged("207", NoIssuingBank, "", ""),
    CodeRow::charged("208", CardUninitializedOrDormant, "", ""),
    CodeRow::charged("209", CardFraudulentOrRetained, "", ""),
    CodeRow::charged("210", CardReportedLost, "", ""),
    CodeRow::charged("211", PinAttemptsExceeded, "", ""),
    CodeRow::charged("212", IssuerUnsupported, "", ""),
    CodeRow::charged("213", CardStatusAbnormal, "", ""),
    CodeRow::charged("214", PhoneNotRegistered, "", ""),
    CodeRow::charged("215", CardCredentialsIncorrect, "", ""),
    CodeRow::charged("216", CardOtherException, "", ""),
];

/// The `SubCode`s of `BizCode` 3: no record, or not verifiable.
pub const NO_RECORD: &[CodeRow<ResultCode>] = &[
    CodeRow::free("301", CardUnsupported, "", ""),
    CodeRow::free("302", BankRefused, "", ""),
    CodeRow::free("303", PhoneVerificationUnsupported, "", ""),
    CodeRow::free("304", CardNumberFormatInvalid, "", ""),
    CodeRow::free("305", Unverifiable, "", ""),
    CodeRow::free("306", AttemptsExceeded, "", ""),
];

/// Reads a result: what it says, and what the call cost.
#[must_use]
pub fn verification(biz_code: &str, sub_code: Option<&str>) -> (ResultCode, Charge) {
    let Some(group) = GROUPS.iter().find(|group| group.biz_code == biz_code) else {
        return (UnknownProviderCode, Charge::Unknown);
    };
    let result = match sub_code {
        None => group.without_sub_code,
        Some(code) => match row_of(group.rows, code) {
            Some(row) => row.result,
            None if is_of_another_group(code) => UnknownProviderCode,
            None => group.with_unknown_sub_code,
        },
    };
    (result, group.charge)
}

/// Whether a `SubCode` that is not of the group at hand is of one at all.
fn is_of_another_group(sub_code: &str) -> bool {
    GROUPS
        .iter()
        .any(|group| row_of(group.rows, sub_code).is_some())
}

/// What an error code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// There is no answer.
    Error(ProviderErrorKind),
    /// An answer after all: the card was asked about too often. Not charged.
    AttemptsExceeded,
}

/// One known error code.
#[derive(Debug, Clone, Copy)]
pub struct ErrorRow {
    /// The code, or the beginning of a family of codes.
    pub code: &'static str,
    /// Whether any code that begins so belongs to it; otherwise a dot must follow.
    pub is_prefix: bool,
    /// What it says.
    pub class: ErrorClass,
}

const fn exactly(code: &'static str, kind: ProviderErrorKind) -> ErrorRow {
    ErrorRow {
        code,
        is_prefix: false,
        class: ErrorClass::Error(kind),
    }
}

const fn all_of(code: &'static str, kind: ProviderErrorKind) -> ErrorRow {
    ErrorRow {
        code,
        is_prefix: true,
        class: ErrorClass::Error(kind),
    }
}

const fn too_often(code: &'static str) -> ErrorRow {
    ErrorRow {
        code,
        is_prefix: false,
        class: ErrorClass::AttemptsExceeded,
    }
}

/// Every known error code of either product.
pub const ERRORS: &[ErrorRow] = &[
    all_of("Throttling", ProviderErrorKind::Throttled),
    exactly("ServiceUnavailable", ProviderErrorKind::OutcomeUnknown),
    exactly("InternalError", ProviderErrorKind::OutcomeUnknown),
    too_often("Forbidden.ExceptionRepeatedInvoke"),
    exactly("MissingParameter", ProviderErrorKind::Refused),
    all_of("InvalidParameter", ProviderErrorKind::Refused),
    exactly(
        "Forbidden.RAMUserAccessDenied",
        ProviderErrorKind::Misconfigured,
    ),
    exactly(
        "Forbidden.AccountAccessDenied",
        ProviderErrorKind::Misconfigured,
    ),
    exactly("InvalidAccessKeyId", ProviderErrorKind::Misconfigured),
    exactly("SignatureDoesNotMatch", ProviderErrorKind::Misconfigured),
    exactly("InvalidTimeStamp", ProviderErrorKind::ClockSkewed),
    exactly("SignatureNonceUsed", ProviderErrorKind::NonceReused),
];

/// The mainland product's own codes, which arrive in the body like any other.
pub const MAINLAND_ERRORS: &[ErrorRow] = &[
    exactly("400", ProviderErrorKind::Refused),
    exactly("401", ProviderErrorKind::Refused),
    // the authoritative source or a permission: not told apart
    exactly("402", ProviderErrorKind::OutcomeUnknown),
    too_often("403"),
    exactly("410", ProviderErrorKind::Misconfigured),
    exactly("411", ProviderErrorKind::Misconfigured),
    exactly("412", ProviderErrorKind::OutOfCredit),
    exactly("500", ProviderErrorKind::OutcomeUnknown),
];

/// What an error says: by its exact code, else its longest known beginning, else the HTTP status,
/// of which only 401 and 429 say that the request was not run.
#[must_use]
pub fn error_class(product: AlibabaProduct, code: Option<&str>, status: u16) -> ErrorClass {
    let mainland = match product {
        AlibabaProduct::Mainland => MAINLAND_ERRORS,
        AlibabaProduct::Intl => &[],
    };
    let known = code.and_then(|code| {
        let own = mainland.iter().find(|row| row.code == code);
        own.or_else(|| longest_beginning(code))
    });
    match (known, status) {
        (Some(row), _) => row.class,
        (None, 401) => ErrorClass::Error(ProviderErrorKind::Misconfigured),
        (None, 429) => ErrorClass::Error(ProviderErrorKind::Throttled),
        (None, _) => ErrorClass::Error(ProviderErrorKind::OutcomeUnknown),
    }
}

fn longest_beginning(code: &str) -> Option<&'static ErrorRow> {
    let begins = |row: &&ErrorRow| {
        code.strip_prefix(row.code)
            .is_some_and(|rest| rest.is_empty() || row.is_prefix || rest.starts_with('.'))
    };
    ERRORS
        .iter()
        .filter(begins)
        .max_by_key(|row| row.code.len())
}

#[cfg(test)]
mod tests;
