//! Every answer of the sandbox, as its documentation promises it.

use std::{collections::BTreeSet, ops::RangeInclusive};

use cardproof::proto::bankcard::v1::{
    CardInfoResult, CardNetwork, CardType, Charge, Factors, ResultCode, Source, Verdict,
    VerifyBankCardRequest,
};
use rstest::rstest;

use super::{card_info, verify};
use crate::support::server::Server;

/// Every result code with its test card and what a caller is to do about it, by hand.
const RESULTS: &[(&str, ResultCode, Verdict)] = &[
    ("6200000100000012", ResultCode::Match, Verdict::Match),
    ("6200000100000020", ResultCode::Mismatch, Verdict::Mismatch),
    (
        "6200000100000038",
        ResultCode::CardholderInfoIncorrect,
        Verdict::Mismatch,
    ),
    (
        "6200000100000046",
        ResultCode::PhoneNotRegistered,
        Verdict::Mismatch,
    ),
    (
        "6200000100000053",
        ResultCode::CardCredentialsIncorrect,
        Verdict::Mismatch,
    ),
    (
        "6200000100000061",
        ResultCode::CardlessPaymentNotEnabled,
        Verdict::CardProblem,
    ),
    (
        "6200000100000079",
        ResultCode::CardConfiscated,
        Verdict::CardProblem,
    ),
    (
        "6200000100000087",
        ResultCode::CardNumberInvalid,
        Verdict::CardProblem,
    ),
    (
        "6200000100000095",
        ResultCode::NoIssuingBank,
        Verdict::CardProblem,
    ),
    (
        "6200000100000103",
        ResultCode::CardUninitializedOrDormant,
        Verdict::CardProblem,
    ),
    (
        "6200000100000111",
        ResultCode::CardFraudulentOrRetained,
        Verdict::CardProblem,
    ),
    (
        "6200000100000129",
        ResultCode::CardReportedLost,
        Verdict::CardProblem,
    ),
    (
        "6200000100000137",
        ResultCode::CardExpired,
        Verdict::CardProblem,
    ),
    (
        "6200000100000145",
        ResultCode::CardRestricted,
        Verdict::CardProblem,
    ),
    (
        "6200000100000152",
        ResultCode::PinAttemptsExceeded,
        Verdict::CardProblem,
    ),
    (
        "6200000100000160",
        ResultCode::CardStatusAbnormal,
        Verdict::CardProblem,
    ),
    (
        "6200000100000178",
        ResultCode::CardOtherException,
        Verdict::CardProblem,
    ),
    (
        "6200000100000186",
        ResultCode::NameInvalid,
        Verdict::InputRejected,
    ),
    (
        "6200000100000194",
        ResultCode::IdNumberInvalid,
        Verdict::InputRejected,
    ),
    (
        "6200000100000202",
        ResultCode::CardNumberFormatInvalid,
        Verdict::InputRejected,
    ),
    (
        "6200000100000210",
        ResultCode::PhoneInvalid,
        Verdict::InputRejected,
    ),
    (
        "6200000100000228",
        ResultCode::IdentityTypeUnsupported,
        Verdict::InputRejected,
    ),
    (
        "6200000100000236",
        ResultCode::IssuerUnsupported,
        Verdict::Inconclusive,
    ),
    (
        "6200000100000244",
        ResultCode::CardUnsupported,
        Verdict::Inconclusive,
    ),
    (
        "6200000100000251",
        ResultCode::BankRefused,
        Verdict::Inconclusive,
    ),
    (
        "6200000100000269",
        ResultCode::PhoneVerificationUnsupported,
        Verdict::Inconclusive,
    ),
    (
        "6200000100000277",
        ResultCode::Unverifiable,
        Verdict::Inconclusive,
    ),
    (
        "6200000100000285",
        ResultCode::ServiceBusy,
        Verdict::Inconclusive,
    ),
    (
        "6200000100000293",
        ResultCode::AttemptsExceeded,
        Verdict::Inconclusive,
    ),
    (
        "6200000100000301",
        ResultCode::UnknownProviderCode,
        Verdict::Inconclusive,
    ),
];

/// Every card information with its test card, by hand.
const CARD_INFO: &[(&str, CardInfoResult, CardType)] = &[
    ("6200000200000011", CardInfoResult::Found, CardType::Debit),
    ("6200000200000029", CardInfoResult::Found, CardType::Credit),
    ("6200000200000037", CardInfoResult::Found, CardType::Prepaid),
    (
        "6200000200000045",
        CardInfoResult::Found,
        CardType::QuasiCredit,
    ),
    (
        "6200000200000052",
        CardInfoResult::NoInformation,
        CardType::Unspecified,
    ),
    (
        "6200000200000060",
        CardInfoResult::CardNotFound,
        CardType::Unspecified,
    ),
    (
        "6200000200000078",
        CardInfoResult::CardNumberInvalid,
        CardType::Unspecified,
    ),
    (
        "6200000200000086",
        CardInfoResult::CardTypeUnsupported,
        CardType::Unspecified,
    ),
    (
        "6200000200000094",
        CardInfoResult::ServiceBusy,
        CardType::Unspecified,
    ),
    (
        "6200000200000102",
        CardInfoResult::AttemptsExceeded,
        CardType::Unspecified,
    ),
    (
        "6200000200000110",
        CardInfoResult::UnknownProviderCode,
        CardType::Unspecified,
    ),
];

/// The values of a generated enum but for UNSPECIFIED, which is 0.
fn values<E: TryFrom<i32>>() -> RangeInclusive<i32> {
    let count = (1..)
        .take_while(|value| E::try_from(*value).is_ok())
        .count();
    1..=i32::try_from(count).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_result_code_comes_with_its_verdict() {
    let server = Server::start("");
    let mut client = server.client().await;
    for (card, result, verdict) in RESULTS {
        let reply = client.verify_bank_card(verify(card)).await.unwrap();
        let reply = reply.into_inner();
        assert_eq!(reply.result(), *result, "{card}");
        assert_eq!(reply.verdict(), *verdict, "{card}");
        assert_eq!(reply.charge(), Charge::NotCharged, "{card}");
        assert_eq!(reply.source(), Source::Embedded, "{card}");
        assert_eq!(reply.provider, "sandbox", "{card}");
        assert!(reply.luhn_valid && reply.answered_at.is_some(), "{card}");
        assert_eq!(reply.attempts.len(), 1, "{card}");
    }
    let shown: BTreeSet<_> = RESULTS.iter().map(|row| row.1 as i32).collect();
    assert_eq!(
        shown,
        values::<ResultCode>().collect(),
        "one has no test card"
    );
    let verdicts: BTreeSet<_> = RESULTS.iter().map(|row| row.2 as i32).collect();
    assert_eq!(verdicts, values::<Verdict>().collect());
    assert_eq!(RESULTS.len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_card_information_comes_with_its_facts() {
    let server = Server::start("");
    let mut client = server.client().await;
    for (card, result, card_type) in CARD_INFO {
        let mut request = card_info(card);
        request.provider = "sandbox".to_owned();
        let reply = client.query_card_info(request).await.unwrap().into_inner();
        assert_eq!(reply.result(), *result, "{card}");
        assert_eq!(reply.card_type(), *card_type, "{card}");
        let found = *result == CardInfoResult::Found;
        assert_eq!(
            reply.bank_code,
            if found { "SANDBOX" } else { "" },
            "{card}"
        );
        assert_eq!(reply.network() == CardNetwork::Unionpay, found, "{card}");
        assert_eq!(reply.charge(), Charge::NotCharged, "{card}");
        assert_eq!(reply.source(), Source::Embedded, "{card}");
        assert_eq!(reply.luhn_valid, Some(true), "{card}");
        assert_eq!(reply.attempts.len(), 1, "{card}");
    }
    let shown: BTreeSet<_> = CARD_INFO.iter().map(|row| row.1 as i32).collect();
    assert_eq!(
        shown,
        values::<CardInfoResult>().collect(),
        "one has no test card"
    );
    let types: BTreeSet<_> = CARD_INFO.iter().map(|row| row.2 as i32).collect();
    assert!(types.is_superset(&values::<CardType>().collect()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fields_decide_how_many_factors_there_are() {
    let server = Server::start("");
    let mut client = server.client().await;
    let two = verify("6200000100000012");
    let three = VerifyBankCardRequest {
        id_number: "11010519491231002X".to_owned(),
        ..two.clone()
    };
    let four = VerifyBankCardRequest {
        phone: "+86 139 1278 3465".to_owned(),
        ..three.clone()
    };
    let asked = [
        (two, Factors::Two),
        (three, Factors::Three),
        (four, Factors::Four),
    ];
    for (request, factors) in asked {
        let reply = client.verify_bank_card(request).await.unwrap().into_inner();
        assert_eq!(
            (reply.factors(), reply.verdict()),
            (factors, Verdict::Match)
        );
        // each is a question of its own
        assert_eq!(reply.source(), Source::Embedded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_never_answers_a_real_question() {
    let server = Server::start("");
    let mut client = server.client().await;
    let reply = client
        .verify_bank_card(verify("6222020000000000000"))
        .await
        .unwrap();
    assert_eq!(reply.get_ref().result(), ResultCode::Unverifiable);
    assert_eq!(reply.get_ref().verdict(), Verdict::Inconclusive);

    let server = Server::start("mode = \"production\"\n[routes]\nverify = []\n");
    let mut pinned = verify("6200000100000012");
    pinned.provider = "sandbox".to_owned();
    let outcome = server.client().await.verify_bank_card(pinned).await;
    let refused = super::refused(outcome);
    assert_eq!(refused.reason, "PROVIDER_UNKNOWN", "it is not even there");
}

/// A UnionPay number that fails the Luhn check, with its last digit one too high.
const FAILS_LUHN: &str = "6222020000000000001";

#[rstest]
#[case::usual("", true)]
#[case::warn("luhn = \"warn\"", true)]
#[case::off("luhn = \"off\"", true)]
#[case::enforce("luhn = \"enforce\"", false)]
#[tokio::test(flavor = "multi_thread")]
async fn the_luhn_check_is_what_the_operator_makes_of_it(#[case] key: &str, #[case] taken: bool) {
    let server = Server::start(&format!("[input]\n{key}\n"));
    let mut client = server.client().await;
    let verified = client.verify_bank_card(verify(FAILS_LUHN)).await;
    let informed = client.query_card_info(card_info(FAILS_LUHN)).await;
    if taken {
        let (verified, informed) = (
            verified.unwrap().into_inner(),
            informed.unwrap().into_inner(),
        );
        assert!(!verified.luhn_valid);
        assert_eq!(informed.luhn_valid, Some(false));
        assert_eq!(informed.bank_code, "ICBC", "it is found all the same");
    } else {
        let violation = [("bank_card".to_owned(), "CARD_NUMBER_INVALID".to_owned())];
        assert_eq!(super::refused(verified).violations, violation);
        assert_eq!(super::refused(informed).violations, violation);
    }
    // the number without the defect, and a prefix, pass under every setting
    let sound = client
        .query_card_info(card_info("6222020000000000000"))
        .await
        .unwrap();
    assert_eq!(sound.get_ref().luhn_valid, Some(true));
    let prefix = client.query_card_info(card_info("622202")).await.unwrap();
    assert_eq!(prefix.get_ref().luhn_valid, None);
}
