//! The sandbox's documented card numbers.
//!
//! All of them begin with 620000, in UnionPay's range. No bank is known to issue there: the first
//! prefix of the embedded table that begins with 6200 is 620010. The two digits after it tell the kind of row
//! (01 verification, 02 card information, 03 a slow vendor, 04 a failing one), and the last digit
//! is the Luhn check digit, so that the numbers pass under every setting of `input.luhn`.

use crate::{
    domain::{CardInfoResult, CardType, ResultCode},
    provider::ProviderErrorKind,
};

/// What the sandbox does when it is asked about one of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers a verification so; knows nothing as card information.
    Verify(ResultCode),
    /// Answers a question for card information so; a verification is unverifiable.
    Info(CardInfoResult),
    /// Knows a card of this type, of the bank that the sandbox made up.
    Found(CardType),
    /// Matches, but only after [`super::SLOW`].
    Slow,
    /// Gives no answer to any question, for this reason.
    Fails(ProviderErrorKind),
}

/// One documented number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxRow {
    /// The card number.
    pub number: &'static str,
    /// What it does.
    pub behaviour: Behaviour,
}

impl SandboxRow {
    /// What it does, in a sentence for documentation.
    #[must_use]
    pub fn description(&self) -> String {
        match self.behaviour {
            Behaviour::Verify(result) => format!("verification: {}", result.as_str()),
            Behaviour::Info(result) => format!("card information: {}", result.as_str()),
            Behaviour::Found(card_type) => {
                format!("card information: FOUND, {}", card_type.as_str())
            }
            Behaviour::Slow => format!(
                "verification: MATCH, after {} seconds",
                super::SLOW.as_secs()
            ),
            Behaviour::Fails(kind) => format!("both: {}", failure(kind)),
        }
    }
}

/// What a failing vendor is like.
const fn failure(kind: ProviderErrorKind) -> &'static str {
    match kind {
        ProviderErrorKind::NotSent => "a broken vendor that no connection can be made to",
        ProviderErrorKind::Throttled => "a vendor that throttles",
        ProviderErrorKind::Misconfigured => "a vendor that does not accept the credentials",
        ProviderErrorKind::ClockSkewed => "a vendor that finds the clock wrong",
        ProviderErrorKind::OutOfCredit => "a vendor whose account has no credit",
        ProviderErrorKind::Refused => "a vendor that calls the request invalid",
        ProviderErrorKind::OutcomeUnknown => "a vendor that takes the request and never answers",
        ProviderErrorKind::NonceReused => "a vendor that has seen the signed request before",
    }
}

const fn row(number: &'static str, behaviour: Behaviour) -> SandboxRow {
    SandboxRow { number, behaviour }
}

const fn verify(number: &'static str, result: ResultCode) -> SandboxRow {
    row(number, Behaviour::Verify(result))
}

const fn info(number: &'static str, result: CardInfoResult) -> SandboxRow {
    row(number, Behaviour::Info(result))
}

const fn found(number: &'static str, card_type: CardType) -> SandboxRow {
    row(number, Behaviour::Found(card_type))
}

const fn fails(number: &'static str, kind: ProviderErrorKind) -> SandboxRow {
    row(number, Behaviour::Fails(kind))
}

/// Every documented number.
pub(super) const ROWS: &[SandboxRow] = &[
    verify("6200000100000012", ResultCode::Match),
    verify("6200000100000020", ResultCode::Mismatch),
    verify("6200000100000038", ResultCode::CardholderInfoIncorrect),
    verify("6200000100000046", ResultCode::PhoneNotRegistered),
    verify("6200000100000053", ResultCode::CardCredentialsIncorrect),
    verify("6200000100000061", ResultCode::CardlessPaymentNotEnabled),
    verify("6200000100000079", ResultCode::CardConfiscated),
    verify("6200000100000087", ResultCode::CardNumberInvalid),
    verify("6200000100000095", ResultCode::NoIssuingBank),
    verify("6200000100000103", ResultCode::CardUninitializedOrDormant),
    verify("6200000100000111", ResultCode::CardFraudulentOrRetained),
    verify("6200000100000129", ResultCode::CardReportedLost),
    verify("6200000100000137", ResultCode::CardExpired),
    verify("6200000100000145", ResultCode::CardRestricted),
    verify("6200000100000152", ResultCode::PinAttemptsExceeded),
    verify("6200000100000160", ResultCode::CardStatusAbnormal),
    verify("6200000100000178", ResultCode::CardOtherException),
    verify("6200000100000186", ResultCode::NameInvalid),
    verify("6200000100000194", ResultCode::IdNumberInvalid),
    verify("6200000100000202", ResultCode::CardNumberFormatInvalid),
    verify("6200000100000210", ResultCode::PhoneInvalid),
    verify("6200000100000228", ResultCode::IdentityTypeUnsupported),
    verify("6200000100000236", ResultCode::IssuerUnsupported),
    verify("6200000100000244", ResultCode::CardUnsupported),
    verify("6200000100000251", ResultCode::BankRefused),
    verify("6200000100000269", ResultCode::PhoneVerificationUnsupported),
    verify("6200000100000277", ResultCode::Unverifiable),
    verify("6200000100000285", ResultCode::ServiceBusy),
    verify("6200000100000293", ResultCode::AttemptsExceeded),
    verify("6200000100000301", ResultCode::UnknownProviderCode),
    found("6200000200000011", CardType::Debit),
    found("6200000200000029", CardType::Credit),
    found("6200000200000037", CardType::Prepaid),
    found("6200000200000045", CardType::QuasiCredit),
    info("6200000200000052", CardInfoResult::NoInformation),
    info("6200000200000060", CardInfoResult::CardNotFound),
    info("6200000200000078", CardInfoResult::CardNumberInvalid),
    info("6200000200000086", CardInfoResult::CardTypeUnsupported),
    info("6200000200000094", CardInfoResult::ServiceBusy),
    info("6200000200000102", CardInfoResult::AttemptsExceeded),
    info("6200000200000110", CardInfoResult::UnknownProviderCode),
    row("6200000300000010", Behaviour::Slow),
    fails("6200000400000019", ProviderErrorKind::NotSent),
    fails("6200000400000027", ProviderErrorKind::Throttled),
    fails("6200000400000035", ProviderErrorKind::Misconfigured),
    fails("6200000400000043", ProviderErrorKind::ClockSkewed),
    fails("6200000400000050", ProviderErrorKind::OutOfCredit),
    fails("6200000400000068", ProviderErrorKind::Refused),
    fails("6200000400000076", ProviderErrorKind::OutcomeUnknown),
    fails("6200000400000084", ProviderErrorKind::NonceReused),
];
