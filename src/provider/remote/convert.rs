//! Between the words of the house and those of `bankcard.provider.v1`.
//!
//! Values pass by name: both vocabularies have the same names but for the prefix of the enum, and a
//! name that this side does not know means nothing.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    domain::{
        Answer, CardFacts, CardInfoResult, CardNetwork, CardType, Charge, Factors, Finding,
        IdentityType, Operation, ProviderMessage, Question, ResultCode, VendorToken,
        vendor_text::bank_name,
    },
    proto::bankcard::{
        provider::v1::{
            CardInformation, DescribeProviderResponse, Failure, FailureKind, VendorReference,
            Verification,
        },
        v1,
    },
    provider::{Capabilities, ProviderError, ProviderErrorKind, codes::wording_of},
};

/// The value of a vocabulary whose name follows a prefix.
macro_rules! by_name {
    ($raw:expr, $generated:ty, $prefix:literal, $ours:ty) => {
        <$generated>::try_from($raw)
            .ok()
            .and_then(|value| value.as_str_name().strip_prefix($prefix))
            .and_then(|name| <$ours>::ALL.iter().find(|value| value.as_str() == name))
            .copied()
    };
}

pub(super) fn charge(raw: i32) -> Charge {
    by_name!(raw, v1::Charge, "CHARGE_", Charge).unwrap_or(Charge::Unknown)
}

pub(super) fn result_code(raw: i32) -> ResultCode {
    by_name!(raw, v1::ResultCode, "RESULT_CODE_", ResultCode)
        .unwrap_or(ResultCode::UnknownProviderCode)
}

pub(super) fn card_info_result(raw: i32) -> CardInfoResult {
    by_name!(raw, v1::CardInfoResult, "CARD_INFO_RESULT_", CardInfoResult)
        .unwrap_or(CardInfoResult::UnknownProviderCode)
}

pub(super) fn card_type(raw: i32) -> Option<CardType> {
    by_name!(raw, v1::CardType, "CARD_TYPE_", CardType)
}

pub(super) fn card_network(raw: i32) -> Option<CardNetwork> {
    by_name!(raw, v1::CardNetwork, "CARD_NETWORK_", CardNetwork)
}

fn factors(raw: i32) -> Option<Factors> {
    by_name!(raw, v1::Factors, "FACTORS_", Factors)
}

fn identity_type(raw: i32) -> Option<IdentityType> {
    if raw == v1::IdentityType::Unspecified as i32 {
        return Some(IdentityType::ResidentId);
    }
    by_name!(raw, v1::IdentityType, "IDENTITY_TYPE_", IdentityType)
}

/// The generated value for a kind of document.
pub(super) fn identity_type_value(kind: IdentityType) -> v1::IdentityType {
    v1::IdentityType::from_str_name(&format!("IDENTITY_TYPE_{}", kind.as_str()))
        .unwrap_or(v1::IdentityType::Other)
}

/// What a server says that it can do.
pub(super) fn capabilities(description: &DescribeProviderResponse) -> Capabilities {
    let mut capabilities = Capabilities::none();
    for factors in description.factors.iter().copied().filter_map(factors) {
        capabilities = capabilities.with_factors(factors);
    }
    if description.card_info {
        capabilities = capabilities.with(Operation::CardInfo);
    }
    if description.identity_types.is_empty() {
        return capabilities.with_identity(IdentityType::ResidentId);
    }
    let kinds = description.identity_types.iter().copied();
    kinds
        .filter_map(identity_type)
        .fold(capabilities, Capabilities::with_identity)
}

/// Everything that a server could turn out to do.
pub(super) fn all_capabilities() -> Capabilities {
    let operations = Operation::ALL.iter().copied();
    let identities = IdentityType::ALL.iter().copied();
    let capabilities = operations.fold(Capabilities::none(), Capabilities::with);
    identities.fold(capabilities, Capabilities::with_identity)
}

/// A server's answer to a verification.
pub(super) fn verification(said: Verification, question: &Question, now: Timestamp) -> Answer {
    let finding = Finding::verified(result_code(said.result));
    answer(finding, said.charge, said.reference, question, now)
}

/// A server's answer to a question for card information.
pub(super) fn card_information(
    said: CardInformation,
    question: &Question,
    now: Timestamp,
) -> Answer {
    let result = card_info_result(said.result);
    let network = card_network(said.network);
    let facts = match result {
        CardInfoResult::Found => CardFacts {
            bank_name: bank_name(&said.bank_name, question).into(),
            bank_name_en: bank_name(&said.bank_name_en, question).into(),
            bank_code: VendorToken::<16>::screened(&said.bank_code, question)
                .as_str()
                .to_owned()
                .into(),
            card_type: card_type(said.card_type),
            network,
            ..CardFacts::default()
        },
        CardInfoResult::NoInformation => CardFacts {
            network,
            ..CardFacts::default()
        },
        CardInfoResult::CardNotFound
        | CardInfoResult::CardNumberInvalid
        | CardInfoResult::CardTypeUnsupported
        | CardInfoResult::ServiceBusy
        | CardInfoResult::AttemptsExceeded
        | CardInfoResult::UnknownProviderCode => CardFacts::default(),
    };
    let finding = Finding::CardInfo { result, facts };
    answer(finding, said.charge, said.reference, question, now)
}

fn answer(
    finding: Finding,
    raw_charge: i32,
    reference: Option<VendorReference>,
    question: &Question,
    answered_at: Timestamp,
) -> Answer {
    let reference = reference.unwrap_or_default();
    Answer {
        finding,
        charge: charge(raw_charge),
        provider_code: VendorToken::screened(&reference.code, question),
        provider_message: ProviderMessage::screened(&reference.message, question, wording_of),
        provider_request_id: VendorToken::screened(&reference.request_id, question),
        answered_at,
    }
}

/// What a server says about a request that brought no answer.
pub(super) fn failure(said: &Failure, question: &Question) -> ProviderError {
    let (kind, detail) = match said.kind() {
        FailureKind::NotSent => (
            ProviderErrorKind::NotSent,
            "the provider did not reach its vendor",
        ),
        FailureKind::Throttled => (
            ProviderErrorKind::Throttled,
            "the provider's vendor had no room",
        ),
        FailureKind::Misconfigured => (
            ProviderErrorKind::Misconfigured,
            "the provider's vendor does not accept its credentials or settings",
        ),
        FailureKind::OutOfCredit => (
            ProviderErrorKind::OutOfCredit,
            "the provider's account has no credit",
        ),
        FailureKind::Refused => (
            ProviderErrorKind::Refused,
            "the provider's vendor called the request invalid",
        ),
        FailureKind::OutcomeUnknown | FailureKind::Unspecified => (
            ProviderErrorKind::OutcomeUnknown,
            "the provider does not know what its vendor did",
        ),
    };
    let mut error = ProviderError::new(kind, detail);
    error.retry_after = said
        .retry_after
        .and_then(|after| Duration::try_from(after).ok());
    error.provider_request_id = VendorToken::screened(&said.request_id, question);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value of a generated enum but the unspecified one.
    fn values<T: TryFrom<i32>>() -> Vec<T> {
        (1..100).map_while(|raw| T::try_from(raw).ok()).collect()
    }

    #[test]
    fn every_word_of_the_contract_is_known_and_none_twice() {
        let codes: Vec<_> = values::<v1::ResultCode>()
            .into_iter()
            .map(|value| result_code(value as i32))
            .collect();
        assert_eq!(codes, ResultCode::ALL);
        let results: Vec<_> = values::<v1::CardInfoResult>()
            .into_iter()
            .map(|value| card_info_result(value as i32))
            .collect();
        assert_eq!(results, CardInfoResult::ALL);
        let charges: Vec<_> = values::<v1::Charge>()
            .into_iter()
            .map(|value| charge(value as i32))
            .collect();
        assert_eq!(charges, Charge::ALL);
        let types: Vec<_> = values::<v1::CardType>()
            .into_iter()
            .filter_map(|value| card_type(value as i32))
            .collect();
        assert_eq!(types, CardType::ALL);
        let networks: Vec<_> = values::<v1::CardNetwork>()
            .into_iter()
            .filter_map(|value| card_network(value as i32))
            .collect();
        assert_eq!(networks, CardNetwork::ALL);
        let counts: Vec<_> = values::<v1::Factors>()
            .into_iter()
            .filter_map(|value| factors(value as i32))
            .collect();
        assert_eq!(counts, Factors::ALL);
        for kind in IdentityType::ALL {
            assert_eq!(
                identity_type(identity_type_value(*kind) as i32),
                Some(*kind)
            );
        }
    }

    #[test]
    fn what_is_not_known_is_never_good_news() {
        for raw in [0, -1, 1000, i32::MAX] {
            assert_eq!(result_code(raw), ResultCode::UnknownProviderCode);
            assert_eq!(card_info_result(raw), CardInfoResult::UnknownProviderCode);
            assert_eq!(charge(raw), Charge::Unknown);
            assert_eq!(card_type(raw), None);
        }
    }
}
