//! Requests as they leave, and everything that may come back.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::{
    config::{providers::Endpoint, secret::SecretRef},
    domain::{CardRef, IdentityType, Verdict},
    provider::testing::{
        CARD, CONTEXT, NAME, PHONE, endpoint, mutated_reply, question, question_with, reply,
        serve_once, vendor_settings,
    },
};

const MATCH: &str = r#"{"RequestId":"130A2C10-B9EE-4D84-88E3-5384FF0000AA","Code":"Success",
    "Message":"success","ResultObject":{"BizCode":"1","SubCode":"101"}}"#;

struct Account {
    product: AlibabaProduct,
    param_type: AlibabaParamType,
    temporary: bool,
}

const INTL: Account = Account {
    product: AlibabaProduct::Intl,
    param_type: AlibabaParamType::Normal,
    temporary: false,
};

fn alibaba_at(
    endpoint: Endpoint,
    account: &Account,
    identity_types: &[(IdentityType, &str)],
) -> Result<Alibaba, SetupError> {
    let settings = AlibabaSettings {
        endpoint,
        product: account.product,
        access_key_id: SecretRef::Env("ID".into()),
        access_key_secret: SecretRef::Env("SECRET".into()),
        security_token: account.temporary.then(|| SecretRef::Env("TOKEN".into())),
        param_type: account.param_type,
    };
    let env = |name: &str| Some(format!("the-{}", name.to_lowercase()));
    let name = ProviderName::new("alibaba").unwrap();
    Alibaba::new(name, &settings, &vendor_settings(identity_types), &env)
}

fn alibaba(product: AlibabaProduct) -> Alibaba {
    let account = Account { product, ..INTL };
    alibaba_at(
        Endpoint::parse("http://127.0.0.1:9", false).unwrap(),
        &account,
        &[],
    )
    .unwrap()
}

fn verified_by(
    product: AlibabaProduct,
    status: u16,
    body: impl AsRef<[u8]>,
) -> Result<Answer, ProviderError> {
    let question = Question::Verify(question(Factors::Four));
    read_reply(&reply(status, body), &question, product, Timestamp::now())
}

fn verified(status: u16, body: impl AsRef<[u8]>) -> Result<Answer, ProviderError> {
    verified_by(AlibabaProduct::Intl, status, body)
}

fn kind(outcome: Result<Answer, ProviderError>) -> ProviderErrorKind {
    outcome.unwrap_err().kind
}

/// A request taken apart, its signature checked by the vendor's description of it.
struct Received {
    target: String,
    headers: BTreeMap<String, String>,
}

impl Received {
    fn new(raw: &str) -> Self {
        let (head, body) = raw.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "");
        let (line, headers) = head.split_once("\r\n").unwrap();
        let target = line
            .strip_prefix("POST ")
            .unwrap()
            .strip_suffix(" HTTP/1.1")
            .unwrap();
        let headers = headers.lines().map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        });
        Self {
            target: target.to_owned(),
            headers: headers.collect(),
        }
    }

    fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    fn assert_signed(&self) {
        let names: Vec<_> = self
            .headers
            .keys()
            .filter(|name| *name == "host" || name.starts_with("x-acs-"))
            .map(String::as_str)
            .collect();
        let lines: String = names
            .iter()
            .map(|name| format!("{name}:{}\n", self.headers[*name]))
            .collect();
        let names = names.join(";");
        let body_hash = hex::encode(Sha256::digest(b""));
        let canonical = format!("POST\n/\n{}\n{lines}\n{names}\n{body_hash}", self.query());
        let to_sign = format!(
            "ACS3-HMAC-SHA256\n{}",
            hex::encode(Sha256::digest(canonical))
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(b"the-secret").unwrap();
        mac.update(to_sign.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let expected = format!(
            "ACS3-HMAC-SHA256 Credential=the-id,SignedHeaders={names},Signature={signature}"
        );
        assert_eq!(self.headers["authorization"], expected);
        assert_eq!(self.headers["x-acs-content-sha256"], body_hash);
    }
}

#[rstest]
#[case(AlibabaProduct::Intl, "BankMetaVerifyIntl", "2022-08-09")]
#[case(AlibabaProduct::Mainland, "BankMetaVerify", "2019-03-07")]
#[tokio::test]
async fn verifications_leave_signed(
    #[case] product: AlibabaProduct,
    #[case] action: &str,
    #[case] version: &str,
    #[values(false, true)] temporary: bool,
    #[values(Factors::Two, Factors::Three, Factors::Four)] factors: Factors,
) {
    let (address, served) = serve_once(MATCH).await;
    let account = Account {
        product,
        temporary,
        ..INTL
    };
    let alibaba = alibaba_at(endpoint(address), &account, &[]).unwrap();
    let answer = alibaba.verify(&question(factors), &CONTEXT).await.unwrap();
    assert_eq!(answer.finding, Finding::verified(ResultCode::Match));
    assert_eq!(answer.charge, Charge::Charged);
    assert_eq!(answer.provider_code.as_str(), "101");
    assert_eq!(answer.provider_message, ProviderMessage::None);
    let request_id = "130A2C10-B9EE-4D84-88E3-5384FF0000AA";
    assert_eq!(answer.provider_request_id.as_str(), request_id);

    let received = Received::new(&served.await.unwrap());
    received.assert_signed();
    let header = |name: &str| received.headers.get(name).map(String::as_str);
    assert_eq!(header("x-acs-action"), Some(action));
    assert_eq!(header("x-acs-version"), Some(version));
    assert_eq!(header("host"), Some(address.to_string().as_str()));
    assert_eq!(
        header("x-acs-security-token"),
        temporary.then_some("the-token")
    );
    assert_eq!(header("x-acs-accesskey-id"), temporary.then_some("the-id"));
    assert_eq!(header("content-type"), None);
    let plain = AlibabaParamType::Normal;
    let query = wire::verification_query(&question(factors), product, plain, None);
    assert_eq!(received.query(), *query);
}

#[test]
fn every_attempt_is_stamped_anew() {
    let (one, two) = (AttemptStamp::now(), AttemptStamp::now());
    assert_ne!(one.nonce, two.nonce);
    assert_eq!(one.nonce.len(), 32);
    let parsed: Timestamp = one.date.parse().unwrap();
    assert!((Timestamp::now().as_second() - parsed.as_second()).abs() < 5);
    assert_eq!(one.date.len(), "2026-01-02T03:04:05Z".len());
}

#[tokio::test]
async fn other_documents_are_sent_with_the_mapped_code_or_not_at_all() {
    let (address, served) = serve_once(MATCH).await;
    let mapped = [(IdentityType::HkMacaoPermit, "03")];
    let alibaba = alibaba_at(endpoint(address), &INTL, &mapped).unwrap();
    let capabilities = alibaba.capabilities();
    assert!(capabilities.accepts(IdentityType::HkMacaoPermit));
    assert!(capabilities.accepts(IdentityType::ResidentId));
    assert!(!capabilities.accepts(IdentityType::Passport));
    assert!(!capabilities.can(Operation::CardInfo));

    let passport = question_with(Factors::Three, IdentityType::Passport, "E12345678");
    let refused = alibaba.verify(&passport, &CONTEXT).await.unwrap_err();
    assert_eq!(refused.kind, ProviderErrorKind::Misconfigured);
    let inquiry = CardInquiry {
        card: CardRef::parse(CARD).unwrap(),
    };
    assert!(alibaba.card_info(&inquiry, &CONTEXT).await.is_err());

    let permit = question_with(Factors::Three, IdentityType::HkMacaoPermit, "H1234567890");
    alibaba.verify(&permit, &CONTEXT).await.unwrap();
    let received = Received::new(&served.await.unwrap());
    received.assert_signed();
    assert!(received.query().contains("&IdentityType=03&"));
}

#[test]
fn settings_that_do_not_fit_are_told_by_their_key() {
    let endpoint = Endpoint::parse("http://127.0.0.1:9", false).unwrap();
    for code in ["", "0 3", "证"] {
        let mapped = [(IdentityType::Passport, code)];
        let error = alibaba_at(endpoint.clone(), &INTL, &mapped).err().unwrap();
        assert_eq!(error.problems()[0].0, "identity_types");
    }
}

#[tokio::test]
async fn the_probe_names_no_card_and_costs_nothing() {
    let (address, served) = serve_once(r#"{"RequestId":"r-1","Code":"Success"}"#).await;
    let alibaba_there = alibaba_at(endpoint(address), &INTL, &[]).unwrap();
    assert_eq!(
        alibaba_there.probe(&CONTEXT).await.unwrap(),
        Probe::Accepted
    );
    let received = Received::new(&served.await.unwrap());
    received.assert_signed();
    assert_eq!(received.target, "/");
    assert_eq!(received.headers["x-acs-action"], "KeepaliveIntl");

    let mainland = alibaba(AlibabaProduct::Mainland);
    assert_eq!(mainland.probe(&CONTEXT).await.unwrap(), Probe::NotOffered);
}

#[test]
fn a_refused_probe_says_why() {
    let probed = |status, body: &str| {
        let outcome = alibaba(AlibabaProduct::Intl).probed(&reply(status, body));
        outcome.map_err(|error| (error.kind, error.provider_code.as_str().to_owned()))
    };
    assert_eq!(probed(200, r#"{"RequestId":"r-1"}"#), Ok(Probe::Accepted));
    let wrong = r#"{"RequestId":"r-1","Code":"SignatureDoesNotMatch"}"#;
    let expected = (
        ProviderErrorKind::Misconfigured,
        "SignatureDoesNotMatch".to_owned(),
    );
    assert_eq!(probed(400, wrong), Err(expected));
    let unknown = (ProviderErrorKind::OutcomeUnknown, String::new());
    assert_eq!(probed(502, "<html>"), Err(unknown.clone()));
    assert_eq!(probed(500, "{}"), Err(unknown));
}

#[rstest]
#[case("200")]
#[case("Success")]
#[case("success")]
#[case("SUCCESS")]
fn success_in_every_spelling(#[case] code: &str) {
    let body = json!({"Code": code, "ResultObject": {"BizCode": "1", "SubCode": "101"}});
    let answer = verified(200, body.to_string()).unwrap();
    assert_eq!(answer.finding, Finding::verified(ResultCode::Match));
}

#[rstest]
#[case(json!({"BizCode": "1"}), ResultCode::Match, "1")]
#[case(json!({"BizCode": "1", "SubCode": ""}), ResultCode::Match, "1")]
#[case(json!({"BizCode": "1", "SubCode": null}), ResultCode::Match, "1")]
#[case(json!({"BizCode": "2", "SubCode": "214"}), ResultCode::PhoneNotRegistered, "214")]
#[case(json!({"BizCode": "2", "SubCode": "101"}), ResultCode::UnknownProviderCode, "101")]
#[case(json!({"BizCode": "9"}), ResultCode::UnknownProviderCode, "9")]
fn results(#[case] object: Value, #[case] result: ResultCode, #[case] code: &str) {
    let body = json!({"Code": "200", "ResultObject": object, "Message": "认证通过"});
    let answer = verified(200, body.to_string()).unwrap();
    assert_eq!(answer.finding, Finding::verified(result));
    assert_eq!(answer.provider_code.as_str(), code);
    assert_eq!(answer.provider_message, ProviderMessage::None);
}

const OBJECT: &str = r#""ResultObject":{"BizCode":"1","SubCode":"101"}"#;

#[rstest]
#[case(500, r#""Code":"Success",OBJECT"#)]
#[case(201, r#""Code":"Success",OBJECT"#)]
#[case(200, r#""Code":200,OBJECT"#)]
#[case(200, r#""code":"Success",OBJECT"#)]
#[case(200, "OBJECT")]
#[case(200, r#""Code":null,OBJECT"#)]
#[case(200, r#""Code":"Success ",OBJECT"#)]
#[case(429, r#""Code":"Throttling.Api",OBJECT"#)]
#[case(200, r#""Code":"Throttling.Api",OBJECT"#)]
#[case(200, r#""Code":"Success","Code":"Success",OBJECT"#)]
#[case(200, r#""Code":"Success","code":"Throttling",OBJECT"#)]
#[case(200, r#""Code":"Success",OBJECT,OBJECT"#)]
#[case(200, r#""Code":"Success""#)]
#[case(200, r#""Code":"Success","ResultObject":null"#)]
#[case(200, r#""Code":"Success","ResultObject":{}"#)]
#[case(200, r#""Code":"Success","ResultObject":[]"#)]
#[case(200, r#""Code":"Success","ResultObject":"1""#)]
#[case(200, r#""Code":"Success","ResultObject":{"SubCode":"101"}"#)]
#[case(
    200,
    r#""Code":"Success","ResultObject":{"BizCode":1,"SubCode":"101"}"#
)]
#[case(
    200,
    r#""Code":"Success","ResultObject":{"BizCode":"1","SubCode":101}"#
)]
#[case(
    200,
    r#""Code":"Success","ResultObject":{"BizCode":"1","BizCode":"1"}"#
)]
#[case(
    200,
    r#""Code":"Success","ResultObject":{"BizCode":"1","SubCode":"101","SubCode":"201"}"#
)]
#[case(
    200,
    r#""Code":"Success","ResultObject":{"bizCode":"1","SubCode":"101"}"#
)]
#[case(
    200,
    r#""Code":"Success","resultObject":{"BizCode":"1","SubCode":"101"}"#
)]
fn what_nobody_can_read_is_of_unknown_outcome(#[case] status: u16, #[case] members: &str) {
    let body = format!("{{{}}}", members.replace("OBJECT", OBJECT));
    assert_eq!(
        kind(verified(status, body)),
        ProviderErrorKind::OutcomeUnknown
    );
}

#[test]
fn what_is_no_json_is_of_unknown_outcome_whatever_the_status() {
    let gbk = b"{\"Code\":\"Success\",\"Message\":\"\xb3\xc9\xb9\xa6\"}";
    for status in [200, 400, 401, 403, 429, 500, 503] {
        for body in [
            &gbk[..],
            b"",
            b"<html>Throttling</html>",
            b"Success",
            &MATCH.as_bytes()[..90],
        ] {
            assert_eq!(
                kind(verified(status, body)),
                ProviderErrorKind::OutcomeUnknown
            );
        }
    }
}

#[test]
fn errors_in_either_spelling_carry_what_the_vendor_said() {
    for (code, request_id) in [("Code", "RequestId"), ("code", "requestId")] {
        let body = json!({code: "Throttling.User", request_id: "r-1", "Message": "m"});
        let error = verified(400, body.to_string()).unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::Throttled);
        assert_eq!(error.provider_code.as_str(), "Throttling.User");
        assert_eq!(error.provider_request_id.as_str(), "r-1");
        assert_eq!(error.retry_after.unwrap().as_secs(), 7);
    }
    let skewed = verified(400, r#"{"Code":"InvalidTimeStamp.Expired"}"#).unwrap_err();
    assert_eq!(skewed.kind, ProviderErrorKind::ClockSkewed);
    assert_eq!(skewed.clock_skew_seconds, Some(-1000));
    let nonce = r#"{"Code":"SignatureNonceUsed"}"#;
    assert_eq!(kind(verified(400, nonce)), ProviderErrorKind::NonceReused);
}

#[test]
fn a_card_asked_about_too_often_is_an_answer_without_charge() {
    let repeated = r#"{"RequestId":"r-1","Code":"Forbidden.ExceptionRepeatedInvoke"}"#;
    let mainland = r#"{"RequestId":"r-1","Code":"403","ResultObject":null}"#;
    for (product, status, body, code) in [
        (AlibabaProduct::Intl, 403, repeated, ""),
        (AlibabaProduct::Mainland, 200, mainland, "403"),
        (
            AlibabaProduct::Mainland,
            200,
            r#"{"RequestId":"r-1","Code":403}"#,
            "403",
        ),
    ] {
        let answer = verified_by(product, status, body).unwrap();
        assert_eq!(
            answer.finding,
            Finding::verified(ResultCode::AttemptsExceeded)
        );
        assert_eq!(answer.charge, Charge::NotCharged);
        assert_eq!(answer.provider_code.as_str(), code);
        assert_eq!(answer.provider_request_id.as_str(), "r-1");
    }
}

#[test]
fn nothing_of_the_question_comes_back() {
    let body = json!({
        "Code": "Success", "RequestId": CARD, "Message": NAME,
        "ResultObject": {"BizCode": "2", "SubCode": PHONE},
    });
    let answer = verified(200, body.to_string()).unwrap();
    let error = verified(500, json!({"Code": PHONE, "RequestId": CARD}).to_string()).unwrap_err();
    let shown = format!("{answer:?} {error:?} {error}");
    for secret in [CARD, NAME, PHONE, "127.0.0.1", "the-secret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// Whether a body says "match" beyond doubt, by another reader than the client's.
fn says_match(body: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    let code = value["Code"].as_str().unwrap_or_default().to_lowercase();
    let object = &value["ResultObject"];
    let sub_code = &object["SubCode"];
    ["200", "success"].contains(&code.as_str())
        && object["BizCode"] == "1"
        && (sub_code == "101" || sub_code == "" || sub_code.is_null())
}

fn assert_harmless(status: u16, body: &[u8]) {
    for product in [AlibabaProduct::Intl, AlibabaProduct::Mainland] {
        let Ok(answer) = verified_by(product, status, body) else {
            continue;
        };
        let verdict = answer.finding.verdict();
        assert!(verdict != Some(Verdict::Match) || (status == 200 && says_match(body)));
    }
}

const SEEDS: [&str; 5] = [
    MATCH,
    r#"{"Code":"200","ResultObject":{"BizCode":"2","SubCode":"201"}}"#,
    r#"{"Code":"200","ResultObject":{"BizCode":"3","SubCode":"301"}}"#,
    r#"{"RequestId":"r","HostId":"h","Code":"Throttling.Api","Message":"m"}"#,
    r#"{"requestId":"r","code":"403"}"#,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn random_bytes_never_match(
        status in 100..600u16,
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        assert_harmless(status, &body);
        assert_harmless(200, &body);
    }

    #[test]
    fn mutated_replies_match_only_if_they_say_so(body in mutated_reply(&SEEDS)) {
        assert_harmless(200, &body);
    }
}
