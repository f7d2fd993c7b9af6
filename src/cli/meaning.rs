//! One sentence for everything that an answer can be.

use super::output::Colour;
use crate::{
    domain::{CardInfoResult, ResultCode},
    grpc::client::Symbol,
};

/// What a result means; empty for one of a newer server.
pub(super) fn of_result(result: Symbol) -> &'static str {
    let name = result.short_name();
    let known = ResultCode::ALL.iter();
    known
        .copied()
        .find(|code| Some(code.as_str()) == name)
        .map_or("", result_code)
}

/// What a result means; empty for one of a newer server.
pub(super) fn of_card_info(result: Symbol) -> &'static str {
    let name = result.short_name();
    let known = CardInfoResult::ALL.iter();
    known
        .copied()
        .find(|code| Some(code.as_str()) == name)
        .map_or("", card_info)
}

/// What was compared.
pub(super) fn of_factors(factors: Symbol) -> String {
    match factors.short_name() {
        Some("TWO") => "2 (card, name)".into(),
        Some("THREE") => "3 (card, name, ID number)".into(),
        Some("FOUR") => "4 (card, name, ID number, phone)".into(),
        _ => factors.to_string(),
    }
}

/// Green for yes, red for no, yellow for neither.
pub(super) fn colour_of_verdict(verdict: Symbol) -> Colour {
    match verdict.short_name() {
        Some("MATCH") => Colour::Green,
        Some("MISMATCH" | "CARD_PROBLEM") => Colour::Red,
        _ => Colour::Yellow,
    }
}

const fn result_code(code: ResultCode) -> &'static str {
    use ResultCode as R;
    match code {
        R::Match => "everything given belongs together",
        R::Mismatch => "at least one thing given does not belong to this card",
        R::CardholderInfoIncorrect => "the bank holds other data of the card holder",
        R::PhoneNotRegistered => "the phone is not the one registered for this card",
        R::CardCredentialsIncorrect => "the bank calls the card's data wrong",
        R::CardlessPaymentNotEnabled => "the card is not enabled for payments at a distance",
        R::CardConfiscated => "the bank has ordered the card to be confiscated",
        R::CardNumberInvalid => "the bank does not know this card number",
        R::NoIssuingBank => "the number leads to no bank",
        R::CardUninitializedOrDormant => "the card was never activated, or has gone dormant",
        R::CardFraudulentOrRetained => "the card is marked as fraudulent or was retained",
        R::CardReportedLost => "the card was reported lost",
        R::CardExpired => "the card has expired",
        R::CardRestricted => "the bank has restricted the card",
        R::PinAttemptsExceeded => "the card is locked after too many wrong PINs",
        R::CardStatusAbnormal => "the card's state is abnormal, or its number wrong",
        R::CardOtherException => "the card has a problem that the vendor does not name",
        R::NameInvalid => "the vendor refused the form of the name",
        R::IdNumberInvalid => "the vendor refused the form of the ID number",
        R::CardNumberFormatInvalid => "the vendor refused the form of the card number",
        R::PhoneInvalid => "the vendor refused the form of the phone number",
        R::IdentityTypeUnsupported => "the vendor does not verify this kind of document",
        R::IssuerUnsupported => "the bank does not take part in this kind of verification",
        R::CardUnsupported => "the vendor cannot verify this card",
        R::BankRefused => "the bank refused to answer",
        R::PhoneVerificationUnsupported => "the bank does not verify phone numbers",
        R::Unverifiable => "there is no record, or it cannot be verified",
        R::ServiceBusy => "the vendor was busy and did not ask the bank: ask again later",
        R::AttemptsExceeded => "this card was asked about too often: not before tomorrow",
        R::UnknownProviderCode => "the vendor's code is not known: treat as not verified",
    }
}

const fn card_info(result: CardInfoResult) -> &'static str {
    use CardInfoResult as R;
    match result {
        R::Found => "the card's bank is known",
        R::NoInformation => "nothing is known about this card's bank",
        R::CardNotFound => "the vendor says that there is no such card",
        R::CardNumberInvalid => "the vendor calls the card number invalid",
        R::CardTypeUnsupported => "the vendor does not answer for this kind of card",
        R::ServiceBusy => "the vendor was busy: ask again later",
        R::AttemptsExceeded => "this card was asked about too often: not before tomorrow",
        R::UnknownProviderCode => "the vendor's code is not known",
    }
}
