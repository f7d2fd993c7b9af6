//! Requests as they stand on the wire, and every reply that the vendor is known to give.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

mod loopback;

use super::{client::read_reply, config::TencentConfig, encryption::FieldEncryptor, wire};
use crate::{
    config::providers::FieldCipher,
    domain::{
        Answer, CardInquiry, CardRef, Charge, Factors, Finding, IdentityType, Operation, Question,
        ResultCode, Verification,
    },
    provider::{
        ProviderError, ProviderErrorKind,
        http::HttpReply,
        testing::{self, CARD, ID_NUMBER, NAME, PHONE, mutated_reply, reply},
    },
};

const REQUEST_ID: &str = "f904f4cf-75db-4f8f-a5ec-dc4f942c7f7a";

fn question(operation: Operation) -> Question {
    match operation.factors() {
        Some(factors) => Question::Verify(testing::question(factors)),
        None => {
            let card = CardRef::parse(CARD).unwrap();
            Question::CardInfo(CardInquiry { card })
        }
    }
}

fn passport() -> Verification {
    testing::question_with(Factors::Three, IdentityType::Passport, "E12345678")
}

fn config(encryptor: Option<FieldEncryptor>) -> TencentConfig {
    TencentConfig {
        authority: "faceid.intl.tencentcloudapi.com".to_owned(),
        cert_types: BTreeMap::from([(IdentityType::Passport, 2)]),
        encryptor,
    }
}

fn body_of(question: &Question, config: &TencentConfig) -> Value {
    let body = match question {
        Question::Verify(verification) => wire::verification_body(verification, config),
        Question::CardInfo(inquiry) => wire::card_info_body(inquiry.card.full().unwrap(), config),
    };
    serde_json::from_slice(&body.unwrap()).unwrap()
}

fn read(status: u16, body: &Value, operation: Operation) -> Result<Answer, ProviderError> {
    read_bytes(status, body.to_string().as_bytes(), operation)
}

fn read_bytes(status: u16, body: &[u8], operation: Operation) -> Result<Answer, ProviderError> {
    read_reply(
        &reply(status, body),
        &question(operation),
        Timestamp::UNIX_EPOCH,
    )
}

#[rstest]
#[case(Operation::VerifyTwo, json!({"Name": NAME, "BankCard": CARD}))]
#[case(Operation::VerifyThree, json!({"IdCard": ID_NUMBER, "Name": NAME, "BankCard": CARD}))]
#[case(
    Operation::VerifyFour,
    json!({"IdCard": ID_NUMBER, "Name": NAME, "BankCard": CARD, "Phone": PHONE})
)]
#[case(Operation::CardInfo, json!({"BankCard": CARD}))]
fn an_action_is_sent_its_own_parameters_and_nothing_else(
    #[case] operation: Operation,
    #[case] body: Value,
) {
    assert_eq!(body_of(&question(operation), &config(None)), body);
}

#[test]
fn a_mapped_document_is_sent_with_its_code() {
    let passport = Question::Verify(passport());
    let body = body_of(&passport, &config(None));
    assert_eq!(
        body,
        json!({"IdCard": "E12345678", "Name": NAME, "BankCard": CARD, "CertType": 2})
    );
}

#[test]
fn an_encrypted_request_names_its_fields_and_shows_none() {
    use rsa::pkcs8::{EncodePublicKey, LineEnding};
    let private = rsa::PrivateKey::new(&mut rand::rng(), 1024).unwrap();
    let pem = rsa::PublicKey::from(&private)
        .to_public_key_pem(LineEnding::LF)
        .unwrap();
    let encryptor = FieldEncryptor::from_pem(FieldCipher::Aes256Cbc, &pem).unwrap();
    let body = body_of(&question(Operation::VerifyFour), &config(Some(encryptor)));
    let encryption = body.get("Encryption").unwrap();
    assert_eq!(
        encryption.get("EncryptList").unwrap(),
        &json!(["IdCard", "Name", "BankCard", "Phone"])
    );
    assert_eq!(encryption.get("Algorithm").unwrap(), "AES-256-CBC");
    assert_eq!(encryption.get("TagList").unwrap(), &json!([]));
    let shown = body.to_string();
    for value in [CARD, NAME, ID_NUMBER, PHONE] {
        assert!(!shown.contains(value));
    }
    let members: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["BankCard", "Encryption", "IdCard", "Name", "Phone"]
    );
}

/// The vendor's tables, from a file that no part of the program was made from.
fn fixture(table: &str) -> BTreeMap<String, Value> {
    let file = include_str!("../../../tests/data/result_codes.json");
    let all: Value = serde_json::from_str(file).unwrap();
    let table = all.pointer(&format!("/tencent/{table}")).unwrap();
    serde_json::from_value(table.clone()).unwrap()
}

#[rstest]
#[case(Operation::VerifyTwo, "2E", 19)]
#[case(Operation::VerifyThree, "3E", 21)]
#[case(Operation::VerifyFour, "4E", 22)]
#[case(Operation::CardInfo, "INFO", 7)]
fn every_code_of_every_action(
    #[case] operation: Operation,
    #[case] table: &str,
    #[case] codes: usize,
) {
    let rows = fixture(table);
    assert_eq!(rows.len(), codes);
    for (code, row) in rows {
        for language in ["zh", "en"] {
            let description = row.get(language).unwrap().as_str().unwrap();
            let body = json!({"Response": {
                "Result": code, "Description": description, "RequestId": REQUEST_ID,
            }});
            let answer = read(200, &body, operation).unwrap();
            let charged = row.get("charged").unwrap() == &json!(true);
            let charge = if charged {
                Charge::Charged
            } else {
                Charge::NotCharged
            };
            let case = format!("{table} {code}");
            assert_eq!(
                answer.finding.result_name(),
                row.get("result").unwrap().as_str().unwrap(),
                "{case}"
            );
            assert_eq!(answer.charge, charge, "{case}");
            assert_eq!(answer.provider_code.as_str(), code, "{case}");
            assert_eq!(answer.provider_message.as_str(), description, "{case}");
            assert_eq!(
                answer.provider_message.storable(),
                answer.provider_message,
                "{case}: a phrase of the table may be stored"
            );
            assert_eq!(answer.provider_request_id.as_str(), REQUEST_ID, "{case}");
        }
    }
}

#[rstest]
#[case(Operation::VerifyTwo, "-19")]
#[case(Operation::VerifyThree, "-21")]
#[case(Operation::VerifyFour, "-22")]
#[case(Operation::CardInfo, "-7")]
#[case(Operation::VerifyTwo, "")]
#[case(Operation::VerifyTwo, "00")]
#[case(Operation::VerifyTwo, " 0")]
#[case(Operation::VerifyTwo, "+0")]
#[case(Operation::VerifyTwo, "success")]
fn an_unknown_code_is_nothing_else(#[case] operation: Operation, #[case] code: &str) {
    let body = json!({"Response": {"Result": code, "Description": "认证通过"}});
    let answer = read(200, &body, operation).unwrap();
    assert_eq!(answer.finding.result_name(), "UNKNOWN_PROVIDER_CODE");
    assert_eq!(answer.charge, Charge::Unknown);
}

#[rstest]
#[case("认证未通过", "UNKNOWN_PROVIDER_CODE")]
#[case("Authentication failed", "UNKNOWN_PROVIDER_CODE")]
#[case("认证通过", "MATCH")]
#[case("a wording of tomorrow", "MATCH")]
#[case("", "MATCH")]
fn a_match_is_not_contradicted_by_the_vendors_own_text(
    #[case] description: &str,
    #[case] result: &str,
) {
    let body = json!({"Response": {"Result": "0", "Description": description}});
    let answer = read(200, &body, Operation::VerifyThree).unwrap();
    assert_eq!(answer.finding.result_name(), result);
}

#[test]
fn card_information_carries_bank_and_type() {
    for (number, shown) in [
        (json!(1), Some("DEBIT")),
        (json!(2), Some("CREDIT")),
        (json!(3), Some("PREPAID")),
        (json!(4), Some("QUASI_CREDIT")),
        (json!("2"), Some("CREDIT")),
        (json!(-1), None),
        (json!(5), None),
        (json!(null), None),
        (json!({"a": [1]}), None),
    ] {
        let body = json!({"Response": {
            "AccountBank": "中国工商银行", "AccountType": number, "Result": "0",
            "Description": "查询成功", "RequestId": REQUEST_ID,
        }});
        let answer = read(200, &body, Operation::CardInfo).unwrap();
        let Finding::CardInfo { facts, .. } = answer.finding else {
            panic!("not card information");
        };
        assert_eq!(facts.bank_name, "中国工商银行");
        assert_eq!(facts.bank_code, "");
        assert_eq!(facts.card_type.map(|it| it.as_str()), shown);
    }
}

#[test]
fn the_published_miss_is_read() {
    let body = json!({"Response": {
        "AccountBank": "", "AccountType": -1, "Description": "未查到信息", "Result": "-1",
        "RequestId": REQUEST_ID,
    }});
    let answer = read(200, &body, Operation::CardInfo).unwrap();
    assert_eq!(answer.finding.result_name(), "NO_INFORMATION");
    assert_eq!(answer.charge, Charge::Charged);
}

#[test]
fn vendor_text_that_echoes_the_question_is_dropped() {
    let body = json!({"Response": {
        "Result": "-1", "Description": format!("{NAME} is unknown"), "RequestId": CARD,
        "AccountBank": format!("bank of {CARD}"),
    }});
    for operation in [Operation::VerifyTwo, Operation::CardInfo] {
        let shown = format!("{:?}", read(200, &body, operation).unwrap());
        assert!(!shown.contains(CARD));
        assert!(operation == Operation::CardInfo || !shown.contains(NAME));
    }
}

#[rstest]
#[case("AuthFailure.SignatureFailure", ProviderErrorKind::Misconfigured)]
#[case("RequestLimitExceeded", ProviderErrorKind::Throttled)]
#[case("UnauthorizedOperation.Arrears", ProviderErrorKind::OutOfCredit)]
#[case("InvalidParameterValue", ProviderErrorKind::Refused)]
#[case("FailedOperation.UnKnown", ProviderErrorKind::OutcomeUnknown)]
#[case("Something.New", ProviderErrorKind::OutcomeUnknown)]
fn errors_arrive_with_status_200(#[case] code: &str, #[case] kind: ProviderErrorKind) {
    let body = json!({"Response": {
        "Error": {"Code": code, "Message": format!("card {CARD}")}, "RequestId": REQUEST_ID,
    }});
    let error = read(200, &body, Operation::VerifyThree).unwrap_err();
    assert_eq!(error.kind, kind);
    assert_eq!(error.provider_code.as_str(), code);
    assert_eq!(error.provider_request_id.as_str(), REQUEST_ID);
    assert!(!format!("{error} {error:?}").contains(CARD));
    // beside a result it proves nothing
    let mut both = body;
    both["Response"]["Result"] = json!("0");
    let error = read(200, &both, Operation::VerifyThree).unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::OutcomeUnknown);
    // and with another status it is not the vendor's
    let error = read(403, &both, Operation::VerifyThree).unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::OutcomeUnknown);
}

#[test]
fn an_expired_signature_shows_the_clocks_difference() {
    let body = json!({"Response": {"Error": {"Code": "AuthFailure.SignatureExpire"}}});
    let reply = HttpReply {
        clock_skew_seconds: Some(-420),
        ..reply(200, body.to_string().as_bytes())
    };
    let question = question(Operation::VerifyTwo);
    let error = read_reply(&reply, &question, Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::ClockSkewed);
    assert_eq!(error.clock_skew_seconds, Some(-420));
}

const MATCH: &str = r#"{"Response":{"Result":"0","Description":"认证通过","RequestId":"r"}}"#;

#[rstest]
#[case(b"")]
#[case(b"{}")]
#[case(b"null")]
#[case(b"[]")]
#[case(b"<html><body>502 Bad Gateway</body></html>")]
#[case(br#"{"Response":{"Result":"0","Desc"#)] // truncated
#[case(br#"{"Response":{"Result":0}}"#)] // a number for a text
#[case(br#"{"Response":{"Result":null}}"#)]
#[case(br#"{"Response":{"Result":["0"]}}"#)]
#[case(br#"{"Response":{"Result":"-1","Result":"0"}}"#)] // twice
#[case(br#"{"Response":{"Result":"0"},"Response":{"Result":"0"}}"#)]
#[case(br#"{"Response":{"Result":"0","Error":null}}"#)]
#[case(br#"{"Response":{"Result":"0","Error":"AuthFailure"}}"#)]
#[case(br#"{"Response":{"Result":"0","Error":{"Code":"InternalError","Code":"AuthFailure.X"}}}"#)]
#[case(br#"{"Response":{"Result":"0"},"error":{"message":"no"}}"#)]
#[case(br#"{"Response":{"Result":"0"}} {"Response":{"Result":"0"}}"#)]
#[case(b"{\"Response\":{\"Result\":\"0\",\"Description\":\"\xc8\xcf\xd6\xa4\"}}")] // GBK
#[case(b"{\"Response\":{\"Result\":\"0\",\"Unknown\":\"\xc8\xcf\"}}")]
#[case(b"\xef\xbb\xbf{\"Response\":{\"Result\":\"0\"}}")] // a byte order mark
#[case(br#"{"result":"0"}"#)]
fn garbage_is_no_answer(#[case] body: &[u8]) {
    for operation in Operation::ALL {
        let error = read_bytes(200, body, *operation).unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::OutcomeUnknown);
    }
}

#[rstest]
#[case(100)]
#[case(201)]
#[case(204)]
#[case(302)]
#[case(401)]
#[case(429)]
#[case(500)]
fn another_status_is_no_answer(#[case] status: u16) {
    let error = read_bytes(status, MATCH.as_bytes(), Operation::VerifyTwo).unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::OutcomeUnknown);
}

const SEEDS: &[&str] = &[
    MATCH,
    r#"{"Response":{"Result":"-1","Description":"认证未通过","RequestId":"r"}}"#,
    r#"{"Response":{"Error":{"Code":"InternalError","Message":"m"},"RequestId":"r"}}"#,
];

/// Whether a body is a match, by a reading of its own that knows nothing of duplicates.
fn is_a_match(body: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    value.pointer("/Response/Result") == Some(&json!("0"))
        && value.pointer("/Response/Error").is_none()
}

fn result_of(body: &[u8]) -> Option<ResultCode> {
    match read_bytes(200, body, Operation::VerifyThree).ok()?.finding {
        Finding::Verification { result, .. } => Some(result),
        Finding::CardInfo { .. } => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn mutated_replies_match_only_if_they_say_so(body in mutated_reply(SEEDS)) {
        if result_of(&body) == Some(ResultCode::Match) {
            prop_assert!(is_a_match(&body));
        }
    }

    #[test]
    fn random_bytes_are_no_match(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_ne!(result_of(&body), Some(ResultCode::Match));
    }
}
