//! What result codes and error codes mean.
//!
//! Code and description of a result are read together:
//!
//! 1. Only the code `0` is a match, and only if the description is not a known wording of something
//!    else. A text never makes a match.
//! 2. Code and description that agree: that result, with its charge.
//! 3. A description that contradicts the code holds only if the other known table of this very
//!    operation gives that result for this code; otherwise nobody knows what was meant.
//! 4. Without a known description the table holds, but with 3 and 4 factors of the published table
//!    only for the codes that no further factor can shift; the others are shown and decide nothing.

use crate::{
    config::providers::AceCodeTable,
    domain::{CardInfoResult, Certainty, Charge, Operation, ResultCode},
    provider::{
        ProviderErrorKind,
        codes::{CodeRow, Phrase, phrase_of, row_of},
        tencent::codes as native,
    },
};

/// check-2e, check-3e and check-4e, as their pages document them: one table for all three.
pub const VERIFICATION: &[CodeRow<ResultCode>] = &[
    CodeRow::charged("0", ResultCode::Match, "", "Authentication passed"),
    CodeRow::charged("-1", ResultCode::Mismatch, "", "Authentication not passed"),
    CodeRow::free(
        "-2",
        ResultCode::NameInvalid,
        "",
        "Name verification not passed",
    ),
    CodeRow::free(
        "-3",
        ResultCode::CardNumberFormatInvalid,
        "",
        "Bank card number is incorrect",
    ),
    CodeRow::charged(
        "-4",
        ResultCode::CardholderInfoIncorrect,
        "",
        "Cardholder information is incorrect",
    ),
    CodeRow::charged(
        "-5",
        ResultCode::CardlessPaymentNotEnabled,
        "",
        "No card payment activated",
    ),
    CodeRow::charged(
        "-6",
        ResultCode::CardConfiscated,
        "",
        "This card has been confiscated",
    ),
    CodeRow::charged(
        "-7",
        ResultCode::CardNumberInvalid,
        "",
        "Invalid card number",
    ),
    CodeRow::charged(
        "-8",
        ResultCode::NoIssuingBank,
        "",
        "This card has no corresponding issuing bank",
    ),
    CodeRow::charged(
        "-9",
        ResultCode::CardUninitializedOrDormant,
        "",
        "The card is not initialized or is a dormant card",
    ),
    CodeRow::charged(
        "-10",
        ResultCode::CardFraudulentOrRetained,
        "",
        "Fraudulent card, card swallowed",
    ),
    CodeRow::charged(
        "-11",
        ResultCode::CardReportedLost,
        "",
        "This card has been reported lost",
    ),
    CodeRow::charged("-12", ResultCode::CardExpired, "", "This card has expired"),
    CodeRow::charged("-13", ResultCode::CardRestricted, "", "Restricted card"),
    CodeRow::charged(
        "-14",
        ResultCode::PinAttemptsExceeded,
        "",
        "Exceeded the limit of incorrect password attempts",
    ),
    CodeRow::charged(
        "-15",
        ResultCode::IssuerUnsupported,
        "",
        "The issuing bank does not support this transaction",
    ),
    CodeRow::free(
        "-16",
        ResultCode::ServiceBusy,
        "",
        "Verification center service busy",
    ),
    CodeRow::free(
        "-17",
        ResultCode::AttemptsExceeded,
        "",
        "Exceeded the limit of verification attempts, please try again the next day",
    ),
];

/// check-1e: as its page documents it down to `-3`; the others are newer codes of the operation
/// that stands behind it.
pub const CARD_INFO: &[CodeRow<CardInfoResult>] = &[
    CodeRow::charged("0", CardInfoResult::Found, "", "Query successful"),
    CodeRow::charged(
        "-1",
        CardInfoResult::NoInformation,
        "",
        "No information found",
    ),
    CodeRow::free(
        "-2",
        CardInfoResult::ServiceBusy,
        "",
        "Verification center service busy",
    ),
    CodeRow::free(
        "-3",
        CardInfoResult::CardNotFound,
        "",
        "Bank card does not exist",
    ),
    CodeRow::free(
        "-4",
        CardInfoResult::AttemptsExceeded,
        "认证次数超过当日限制，请次日重试",
        "Authentication attempts exceeded the daily limit. Retry the next day",
    ),
    CodeRow::charged(
        "-5",
        CardInfoResult::CardNumberInvalid,
        "卡号无效",
        "Invalid card number",
    ),
    CodeRow::free(
        "-6",
        CardInfoResult::CardTypeUnsupported,
        "暂不支持该银行卡种",
        "This bank card type is not currently supported",
    ),
];

/// Codes that mean the same with every factor count: no factor stands before the name.
const UNSHIFTED: [&str; 3] = ["0", "-1", "-2"];

/// What a reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading<R> {
    /// The result.
    pub result: R,
    /// Whether decisions may be based on it.
    pub certainty: Certainty,
    /// What the call cost.
    pub charge: Charge,
    /// The known code that the description contradicts, where it does.
    pub conflict: Option<&'static str>,
}

/// The vocabulary of one kind of answer.
trait Vocabulary: Copy + PartialEq + 'static {
    /// What `0` means, and no text alone.
    const POSITIVE: Self;
    const UNKNOWN: Self;
    fn said_by(phrase: &Phrase) -> Option<Self>;
}

impl Vocabulary for ResultCode {
    const POSITIVE: Self = Self::Match;
    const UNKNOWN: Self = Self::UnknownProviderCode;
    fn said_by(phrase: &Phrase) -> Option<Self> {
        phrase.verification
    }
}

impl Vocabulary for CardInfoResult {
    const POSITIVE: Self = Self::Found;
    const UNKNOWN: Self = Self::UnknownProviderCode;
    fn said_by(phrase: &Phrase) -> Option<Self> {
        phrase.card_info
    }
}

/// The tables that one operation is read with.
struct Tables<R: 'static> {
    chosen: &'static [CodeRow<R>],
    other: &'static [CodeRow<R>],
    /// Whether the chosen table may be that of another operation.
    may_be_shifted: bool,
}

/// Reads the result of check-2e, check-3e or check-4e.
#[must_use]
pub fn verification(
    table: AceCodeTable,
    operation: Operation,
    code: &str,
    description: &str,
) -> Reading<ResultCode> {
    let native = native::verification(operation);
    let tables = match table {
        AceCodeTable::Documented => Tables {
            chosen: VERIFICATION,
            other: native,
            may_be_shifted: operation != Operation::VerifyTwo,
        },
        AceCodeTable::Native => Tables {
            chosen: native,
            other: VERIFICATION,
            may_be_shifted: false,
        },
    };
    read(&tables, code, description)
}

/// Reads the result of check-1e.
#[must_use]
pub fn card_info(code: &str, description: &str) -> Reading<CardInfoResult> {
    let tables = Tables {
        chosen: CARD_INFO,
        other: native::CARD_INFO,
        may_be_shifted: false,
    };
    read(&tables, code, description)
}

fn read<R: Vocabulary>(tables: &Tables<R>, code: &str, description: &str) -> Reading<R> {
    let row = row_of(tables.chosen, code);
    let Some(phrase) = phrase_of(description) else {
        return match row {
            Some(row) if tables.may_be_shifted && !UNSHIFTED.contains(&row.code) => Reading {
                result: row.result,
                certainty: Certainty::Doubtful,
                charge: Charge::Unknown,
                conflict: None,
            },
            Some(row) => of_row(row, None),
            None => unknown(None),
        };
    };
    let said = R::said_by(&phrase);
    if let Some(row) = row.filter(|row| said == Some(row.result)) {
        return of_row(row, None);
    }
    let conflict = row.map(|row| row.code);
    match row_of(tables.other, code) {
        Some(row) if row.result != R::POSITIVE && said == Some(row.result) => of_row(row, conflict),
        _ => unknown(conflict),
    }
}

const fn of_row<R: Copy>(row: &CodeRow<R>, conflict: Option<&'static str>) -> Reading<R> {
    Reading {
        result: row.result,
        certainty: Certainty::Certain,
        charge: row.charge,
        conflict,
    }
}

const fn unknown<R: Vocabulary>(conflict: Option<&'static str>) -> Reading<R> {
    Reading {
        result: R::UNKNOWN,
        certainty: Certainty::Certain,
        charge: Charge::Unknown,
        conflict,
    }
}

/// Every known `error.code` and what it says about the request.
pub const ERRORS: &[(&str, ProviderErrorKind)] = &[
    ("token_mismatched", ProviderErrorKind::Misconfigured),
    ("invalid_token", ProviderErrorKind::Misconfigured),
    ("no_token", ProviderErrorKind::Misconfigured),
    ("token_expired", ProviderErrorKind::Misconfigured),
    ("disabled", ProviderErrorKind::Misconfigured),
    ("unauthorized", ProviderErrorKind::Misconfigured),
    ("api_not_implemented", ProviderErrorKind::Misconfigured),
    ("no_api", ProviderErrorKind::Misconfigured),
    ("bad_request", ProviderErrorKind::Refused),
    ("invalid_request", ProviderErrorKind::Refused),
    ("forbidden", ProviderErrorKind::Refused),
    ("used_up", ProviderErrorKind::OutOfCredit),
    ("insufficient_balance", ProviderErrorKind::OutOfCredit),
    ("too_many_requests", ProviderErrorKind::Throttled),
    ("rate_limited", ProviderErrorKind::Throttled),
    ("api_error", ProviderErrorKind::OutcomeUnknown),
    ("upstream_error", ProviderErrorKind::OutcomeUnknown),
    ("timeout", ProviderErrorKind::OutcomeUnknown),
    ("upstream_timeout", ProviderErrorKind::OutcomeUnknown),
];

/// What an error says about the request: by its code first, because the vendor's pages disagree
/// about the status; by the status alone, only 401 and 429 say that it was not run.
#[must_use]
pub fn error_kind(code: Option<&str>, status: u16) -> ProviderErrorKind {
    let known = code.and_then(|code| ERRORS.iter().find(|(known, _)| *known == code));
    match (known, status) {
        (Some((_, kind)), _) => *kind,
        (None, 401) => ProviderErrorKind::Misconfigured,
        (None, 429) => ProviderErrorKind::Throttled,
        (None, _) => ProviderErrorKind::OutcomeUnknown,
    }
}

#[cfg(test)]
mod tests;
