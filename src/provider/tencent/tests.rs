//! Requests as they stand on the wire, and every reply that the vendor is known to give.

use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, civil::date};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    client::{Tencent, read_reply},
    config::TencentConfig,
    encryption::FieldEncryptor,
    sign::Tc3,
    wire,
};
use crate::{
    config::providers::{Endpoint, FieldCipher, FieldEncryption, TencentSettings, VendorSettings},
    config::secret::SecretRef,
    domain::{
        Answer, CardInquiry, CardNumber, CardRef, Charge, Finding, Identity, IdentityType,
        Operation, PersonName, Phone, ProviderName, Question, ResultCode, Verification,
        question::Proof,
    },
    provider::{CallContext, Provider, ProviderError, ProviderErrorKind, http::HttpReply},
};

const CARD: &str = "6222020000000000000";
const NAME: &str = "韦小宝";
const ID: &str = "11010519491231002X";
const PHONE: &str = "13800138000";
const REQUEST_ID: &str = "f904f4cf-75db-4f8f-a5ec-dc4f942c7f7a";

fn identity(kind: IdentityType) -> Identity {
    Identity::parse(kind, ID, date(2026, 6, 1)).unwrap()
}

fn verification(proof: Proof) -> Verification {
    Verification {
        card: CardNumber::parse(CARD).unwrap(),
        name: PersonName::parse(NAME).unwrap(),
        proof,
    }
}

fn question(operation: Operation) -> Question {
    let identity = identity(IdentityType::ResidentId);
    let proof = match operation {
        Operation::VerifyTwo => Proof::NameOnly,
        Operation::VerifyThree => Proof::Identity(identity),
        Operation::VerifyFour => Proof::IdentityAndPhone(identity, Phone::parse(PHONE).unwrap()),
        Operation::CardInfo => {
            let card = CardRef::parse(CARD).unwrap();
            return Question::CardInfo(CardInquiry { card });
        }
    };
    Question::Verify(verification(proof))
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

fn reply(status: u16, body: &[u8]) -> HttpReply {
    HttpReply {
        status,
        body: Zeroizing::new(body.to_vec()),
        content_type: None,
        retry_after: None,
        clock_skew_seconds: None,
    }
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
#[case(Operation::VerifyThree, json!({"IdCard": ID, "Name": NAME, "BankCard": CARD}))]
#[case(
    Operation::VerifyFour,
    json!({"IdCard": ID, "Name": NAME, "BankCard": CARD, "Phone": PHONE})
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
    let passport = Question::Verify(verification(Proof::Identity(identity(
        IdentityType::Passport,
    ))));
    let body = body_of(&passport, &config(None));
    assert_eq!(
        body,
        json!({"IdCard": ID, "Name": NAME, "BankCard": CARD, "CertType": 2})
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
    for value in [CARD, NAME, ID, PHONE] {
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
    fn mutated_replies_match_only_if_they_say_so(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 0..6),
    ) {
        let mut body = MATCH.as_bytes().to_vec();
        for (place, byte, edit) in edits {
            let place = place.index(body.len());
            match edit {
                0 => body[place] = byte,
                1 => body.insert(place, byte),
                _ => { body.remove(place); }
            }
        }
        if result_of(&body) == Some(ResultCode::Match) {
            prop_assert!(is_a_match(&body));
        }
    }

    #[test]
    fn random_bytes_are_no_match(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_ne!(result_of(&body), Some(ResultCode::Match));
    }
}

fn settings(base: &str) -> (TencentSettings, VendorSettings) {
    let secret = |name: &str| SecretRef::Env(name.to_owned());
    let tencent = TencentSettings {
        endpoint: Endpoint::parse(base, false).unwrap(),
        secret_id: secret("ID"),
        secret_key: secret("KEY"),
        session_token: Some(secret("TOKEN")),
        field_encryption: None,
    };
    (tencent, vendor_settings())
}

fn vendor_settings() -> VendorSettings {
    VendorSettings {
        requests_per_second: None,
        concurrent: 4,
        connect_timeout: Duration::from_secs(1),
        timeout: Duration::from_secs(5),
        ca_file: None,
        proxy: None,
        identity_types: BTreeMap::new(),
        maintenance: false,
        misconfigured_skip: Duration::from_secs(60),
        daily_budget: None,
        price: None,
    }
}

/// What the vendor's side of the wire saw: headers by name, and the body.
type Seen = (BTreeMap<String, String>, Vec<u8>);

/// A vendor that answers everything with a match and tells what it was sent.
async fn vendor() -> (String, tokio::sync::mpsc::UnboundedReceiver<Seen>) {
    use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let handler = async move |headers: HeaderMap, body: Bytes| {
        let text = |value: &axum::http::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        sender.send((headers, body.to_vec())).unwrap();
        MATCH
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(handler));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (base, receiver)
}

#[tokio::test]
async fn what_is_signed_is_what_is_sent() {
    let (base, mut seen) = vendor().await;
    let (settings, vendor_settings) = settings(&base);
    let env = |name: &str| Some(format!("{name}-value"));
    let name = ProviderName::new("tencent").unwrap();
    let provider = Tencent::new(name.clone(), &settings, &vendor_settings, &env).unwrap();
    let context = CallContext {
        timeout: Duration::from_secs(5),
        attempt: 1,
    };
    let verification = verification(Proof::NameOnly);
    let answer = provider.verify(&verification, &context).await.unwrap();
    assert_eq!(answer.finding, Finding::verified(ResultCode::Match));

    let (headers, body) = seen.recv().await.unwrap();
    let header = |name: &str| headers.get(name).unwrap().as_str();
    assert_eq!(header("x-tc-action"), "BankCard2EVerification");
    assert_eq!(header("x-tc-version"), "2018-03-01");
    assert_eq!(header("x-tc-token"), "TOKEN-value");
    assert_eq!(header("host"), base.trim_start_matches("http://"));
    let at: i64 = header("x-tc-timestamp").parse().unwrap();
    assert!((Timestamp::now().as_second() - at).abs() < 5);
    let expected = Tc3 {
        secret_id: "ID-value",
        secret_key: "KEY-value",
        service: "faceid",
        host: header("host"),
        content_type: header("content-type"),
        at: Timestamp::from_second(at).unwrap(),
    };
    assert_eq!(header("authorization"), expected.authorization(&body));
}

#[tokio::test]
async fn a_document_without_a_code_and_a_prefix_are_refused_before_anything_is_sent() {
    let (base, mut seen) = vendor().await;
    let (settings, vendor_settings) = settings(&base);
    let env = |_: &str| Some("x".to_owned());
    let name = ProviderName::new("tencent").unwrap();
    let provider = Tencent::new(name.clone(), &settings, &vendor_settings, &env).unwrap();
    let context = CallContext {
        timeout: Duration::from_secs(5),
        attempt: 1,
    };
    let passport = verification(Proof::Identity(identity(IdentityType::Passport)));
    assert!(!provider.capabilities().accepts(IdentityType::Passport));
    assert!(provider.verify(&passport, &context).await.is_err());
    let prefix = CardInquiry {
        card: CardRef::parse("622202").unwrap(),
    };
    assert!(provider.card_info(&prefix, &context).await.is_err());
    assert!(seen.try_recv().is_err());
}

#[test]
fn settings_that_cannot_be_used_are_told_by_key() {
    let env = |_: &str| Some("x".to_owned());
    let name = ProviderName::new("tencent").unwrap();
    let (settings, mut vendor_settings) = settings("http://127.0.0.1:1");
    let codes = BTreeMap::from([(IdentityType::Passport, "03a".to_owned())]);
    vendor_settings.identity_types = codes;
    let problem = Tencent::new(name.clone(), &settings, &vendor_settings, &env).err();
    assert_eq!(problem.unwrap().problems()[0].0, "identity_types");
    vendor_settings.identity_types.clear();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    for content in [None, Some("no key")] {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let settings = TencentSettings {
            field_encryption: Some(FieldEncryption {
                algorithm: FieldCipher::Sm4Gcm,
                public_key_file: path.clone(),
            }),
            ..settings.clone()
        };
        let problem = Tencent::new(name.clone(), &settings, &vendor_settings, &env).err();
        let key = problem.unwrap().problems()[0].0;
        assert_eq!(key, "field_encryption.public_key_file");
    }
}
