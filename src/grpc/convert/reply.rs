//! From answers to replies.

use jiff::Timestamp;

use crate::{
    domain::{
        Answer, Attempt, AttemptOutcome, CardInfoResult, CardNetwork, CardType, Charge, Factors,
        Finding, ResultCode, Source, Verdict,
    },
    proto::bankcard::v1,
    service::ask::Reply,
};

/// The reply to a verification. `None` when the answer is of another kind, which no provider gives.
#[must_use]
pub fn verification_reply(
    reply: Reply,
    factors: Factors,
    luhn_valid: bool,
) -> Option<v1::VerifyBankCardResponse> {
    let answer: &Answer = &reply.answer;
    let Finding::Verification { result, .. } = &answer.finding else {
        return None;
    };
    Some(v1::VerifyBankCardResponse {
        verdict: verdict(answer.finding.verdict()?).into(),
        result: result_code(*result).into(),
        factors: self::factors(factors).into(),
        charge: charge(reply.charge).into(),
        source: source(reply.source).into(),
        provider: reply.provider.as_str().to_owned(),
        provider_code: answer.provider_code.as_str().to_owned(),
        provider_message: answer.provider_message.as_str().to_owned(),
        provider_request_id: answer.provider_request_id.as_str().to_owned(),
        answered_at: Some(timestamp(answer.answered_at)),
        attempts: reply.attempts.iter().map(attempt).collect(),
        luhn_valid,
    })
}

/// The reply to a question for card information. `None` when the answer is of another kind, which
/// no provider gives.
#[must_use]
pub fn card_info_reply(
    reply: Reply,
    luhn_valid: Option<bool>,
) -> Option<v1::QueryCardInfoResponse> {
    let answer: &Answer = &reply.answer;
    let Finding::CardInfo { result, facts } = &answer.finding else {
        return None;
    };
    Some(v1::QueryCardInfoResponse {
        result: card_info_result(*result).into(),
        bank_name: facts.bank_name.clone().into_owned(),
        bank_code: facts.bank_code.clone().into_owned(),
        card_type: facts
            .card_type
            .map_or(v1::CardType::Unspecified, card_type)
            .into(),
        network: facts
            .network
            .map_or(v1::CardNetwork::Unspecified, network)
            .into(),
        bin: facts.bin.clone().into_owned(),
        luhn_valid,
        charge: charge(reply.charge).into(),
        source: source(reply.source).into(),
        provider: reply.provider.as_str().to_owned(),
        provider_code: answer.provider_code.as_str().to_owned(),
        provider_message: answer.provider_message.as_str().to_owned(),
        provider_request_id: answer.provider_request_id.as_str().to_owned(),
        data_version: facts.data_version.clone().into_owned(),
        answered_at: Some(timestamp(answer.answered_at)),
        attempts: reply.attempts.iter().map(attempt).collect(),
        bank_name_en: facts.bank_name_en.clone().into_owned(),
    })
}

fn attempt(attempt: &Attempt) -> v1::Attempt {
    v1::Attempt {
        provider: attempt.provider.as_str().to_owned(),
        outcome: outcome(attempt.outcome).into(),
        charge: charge(attempt.charge).into(),
        latency: prost_types::Duration::try_from(attempt.latency).ok(),
        error_reason: attempt.error_reason.to_owned(),
    }
}

fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

const fn verdict(value: Verdict) -> v1::Verdict {
    use v1::Verdict as Wire;
    match value {
        Verdict::Match => Wire::Match,
        Verdict::Mismatch => Wire::Mismatch,
        Verdict::CardProblem => Wire::CardProblem,
        Verdict::InputRejected => Wire::InputRejected,
        Verdict::Inconclusive => Wire::Inconclusive,
    }
}

const fn result_code(value: ResultCode) -> v1::ResultCode {
    use v1::ResultCode as Wire;
    match value {
        ResultCode::Match => Wire::Match,
        ResultCode::Mismatch => Wire::Mismatch,
        ResultCode::CardholderInfoIncorrect => Wire::CardholderInfoIncorrect,
        ResultCode::PhoneNotRegistered => Wire::PhoneNotRegistered,
        ResultCode::CardCredentialsIncorrect => Wire::CardCredentialsIncorrect,
        ResultCode::CardlessPaymentNotEnabled => Wire::CardlessPaymentNotEnabled,
        ResultCode::CardConfiscated => Wire::CardConfiscated,
        ResultCode::CardNumberInvalid => Wire::CardNumberInvalid,
        ResultCode::NoIssuingBank => Wire::NoIssuingBank,
        ResultCode::CardUninitializedOrDormant => Wire::CardUninitializedOrDormant,
        ResultCode::CardFraudulentOrRetained => Wire::CardFraudulentOrRetained,
        ResultCode::CardReportedLost => Wire::CardReportedLost,
        ResultCode::CardExpired => Wire::CardExpired,
        ResultCode::CardRestricted => Wire::CardRestricted,
        ResultCode::PinAttemptsExceeded => Wire::PinAttemptsExceeded,
        ResultCode::CardStatusAbnormal => Wire::CardStatusAbnormal,
        ResultCode::CardOtherException => Wire::CardOtherException,
        ResultCode::NameInvalid => Wire::NameInvalid,
        ResultCode::IdNumberInvalid => Wire::IdNumberInvalid,
        ResultCode::CardNumberFormatInvalid => Wire::CardNumberFormatInvalid,
        ResultCode::PhoneInvalid => Wire::PhoneInvalid,
        ResultCode::IdentityTypeUnsupported => Wire::IdentityTypeUnsupported,
        ResultCode::IssuerUnsupported => Wire::IssuerUnsupported,
        ResultCode::CardUnsupported => Wire::CardUnsupported,
        ResultCode::BankRefused => Wire::BankRefused,
        ResultCode::PhoneVerificationUnsupported => Wire::PhoneVerificationUnsupported,
        ResultCode::Unverifiable => Wire::Unverifiable,
        ResultCode::ServiceBusy => Wire::ServiceBusy,
        ResultCode::AttemptsExceeded => Wire::AttemptsExceeded,
        ResultCode::UnknownProviderCode => Wire::UnknownProviderCode,
    }
}

const fn card_info_result(value: CardInfoResult) -> v1::CardInfoResult {
    use v1::CardInfoResult as Wire;
    match value {
        CardInfoResult::Found => Wire::Found,
        CardInfoResult::NoInformation => Wire::NoInformation,
        CardInfoResult::CardNotFound => Wire::CardNotFound,
        CardInfoResult::CardNumberInvalid => Wire::CardNumberInvalid,
        CardInfoResult::CardTypeUnsupported => Wire::CardTypeUnsupported,
        CardInfoResult::ServiceBusy => Wire::ServiceBusy,
        CardInfoResult::AttemptsExceeded => Wire::AttemptsExceeded,
        CardInfoResult::UnknownProviderCode => Wire::UnknownProviderCode,
    }
}

const fn factors(value: Factors) -> v1::Factors {
    use v1::Factors as Wire;
    match value {
        Factors::Two => Wire::Two,
        Factors::Three => Wire::Three,
        Factors::Four => Wire::Four,
    }
}

const fn charge(value: Charge) -> v1::Charge {
    use v1::Charge as Wire;
    match value {
        Charge::Charged => Wire::Charged,
        Charge::NotCharged => Wire::NotCharged,
        Charge::Unknown => Wire::Unknown,
    }
}

const fn source(value: Source) -> v1::Source {
    use v1::Source as Wire;
    match value {
        Source::Provider => Wire::Provider,
        Source::Cache => Wire::Cache,
        Source::SharedCache => Wire::SharedCache,
        Source::Embedded => Wire::Embedded,
    }
}

const fn outcome(value: AttemptOutcome) -> v1::AttemptOutcome {
    use v1::AttemptOutcome as Wire;
    match value {
        AttemptOutcome::Answered => Wire::Answered,
        AttemptOutcome::NotSent => Wire::NotSent,
        AttemptOutcome::Throttled => Wire::Throttled,
        AttemptOutcome::BreakerOpen => Wire::BreakerOpen,
        AttemptOutcome::Misconfigured => Wire::Misconfigured,
        AttemptOutcome::OutOfCredit => Wire::OutOfCredit,
        AttemptOutcome::BudgetSpent => Wire::BudgetSpent,
        AttemptOutcome::Refused => Wire::Refused,
        AttemptOutcome::OutcomeUnknown => Wire::OutcomeUnknown,
    }
}

const fn card_type(value: CardType) -> v1::CardType {
    use v1::CardType as Wire;
    match value {
        CardType::Debit => Wire::Debit,
        CardType::Credit => Wire::Credit,
        CardType::Prepaid => Wire::Prepaid,
        CardType::QuasiCredit => Wire::QuasiCredit,
    }
}

const fn network(value: CardNetwork) -> v1::CardNetwork {
    use v1::CardNetwork as Wire;
    match value {
        CardNetwork::UnionPay => Wire::Unionpay,
        CardNetwork::Visa => Wire::Visa,
        CardNetwork::Mastercard => Wire::Mastercard,
        CardNetwork::AmericanExpress => Wire::AmericanExpress,
        CardNetwork::Jcb => Wire::Jcb,
        CardNetwork::Discover => Wire::Discover,
        CardNetwork::DinersClub => Wire::DinersClub,
        CardNetwork::Maestro => Wire::Maestro,
        CardNetwork::Mir => Wire::Mir,
        CardNetwork::RuPay => Wire::Rupay,
        CardNetwork::Elo => Wire::Elo,
        CardNetwork::Hipercard => Wire::Hipercard,
        CardNetwork::Verve => Wire::Verve,
        CardNetwork::Troy => Wire::Troy,
        CardNetwork::Dankort => Wire::Dankort,
        CardNetwork::Uatp => Wire::Uatp,
        CardNetwork::LankaPay => Wire::Lankapay,
        CardNetwork::Gpn => Wire::Gpn,
        CardNetwork::Napas => Wire::Napas,
        CardNetwork::Uzcard => Wire::Uzcard,
        CardNetwork::Humo => Wire::Humo,
        CardNetwork::TUnion => Wire::TUnion,
        CardNetwork::Mada => Wire::Mada,
        CardNetwork::Carnet => Wire::Carnet,
        CardNetwork::Cabal => Wire::Cabal,
        CardNetwork::Naranja => Wire::Naranja,
        CardNetwork::UkrCard => Wire::Ukrcard,
    }
}
