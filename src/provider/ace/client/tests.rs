//! Requests as they leave, and everything that may come back.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    config::{providers::Endpoint, secret::SecretRef},
    domain::{
        CardInfoResult, CardRef, CardType, Certainty, Charge, IdentityType, ResultCode, Verdict,
    },
    provider::testing::{
        CARD, CONTEXT, ID_NUMBER, NAME, PHONE, endpoint, mutated_reply, question, question_with,
        reply, serve_once, vendor_settings,
    },
};

const PERMIT: &str = "H1234567890";

fn ace_at(endpoint: Endpoint, identity_types: &[(IdentityType, &str)]) -> Result<Ace, SetupError> {
    let settings = AceSettings {
        endpoint,
        token: SecretRef::Env("TOKEN".into()),
        code_table: AceCodeTable::Documented,
    };
    let env = |name: &str| (name == "TOKEN").then(|| "t0ken".to_owned());
    let name = ProviderName::new("ace").unwrap();
    Ace::new(name, &settings, &vendor_settings(identity_types), &env)
}

fn ace() -> Ace {
    ace_at(Endpoint::parse("http://127.0.0.1:9", false).unwrap(), &[]).unwrap()
}

fn verified(status: u16, body: impl AsRef<[u8]>) -> Result<Answer, ProviderError> {
    let question = Question::Verify(question(Factors::Four));
    ace().read(&question, &reply(status, body))
}

fn looked_up(body: &Value) -> Answer {
    let question = Question::CardInfo(CardInquiry {
        card: CardRef::parse(CARD).unwrap(),
    });
    ace()
        .read(&question, &reply(200, body.to_string()))
        .unwrap()
}

fn kind(outcome: Result<Answer, ProviderError>) -> ProviderErrorKind {
    outcome.unwrap_err().kind
}

#[rstest]
#[case(Factors::Two, "check-2e", json!({"bank_card": CARD, "name": NAME}))]
#[case(Factors::Three, "check-3e", json!({"bank_card": CARD, "name": NAME, "id_card": ID_NUMBER}))]
#[case(
    Factors::Four,
    "check-4e",
    json!({"bank_card": CARD, "name": NAME, "id_card": ID_NUMBER, "phone": PHONE})
)]
#[tokio::test]
async fn verifications_leave_as_the_page_wants_them(
    #[case] factors: Factors,
    #[case] path: &str,
    #[case] body: Value,
) {
    let (address, served) =
        serve_once(r#"{"result":"0","description":"Authentication passed","trace_id":"t-1"}"#)
            .await;
    let ace = ace_at(endpoint(address), &[]).unwrap();
    let answer = ace.verify(&question(factors), &CONTEXT).await.unwrap();
    assert_eq!(answer.finding, Finding::verified(ResultCode::Match));
    assert_eq!(answer.charge, Charge::Charged);
    assert_eq!(answer.provider_code.as_str(), "0");
    assert_eq!(answer.provider_message.as_str(), "Authentication passed");
    assert_eq!(answer.provider_request_id.as_str(), "t-1");
    let request = served.await.unwrap();
    assert_request(&request, path, &body);
}

fn assert_request(request: &str, path: &str, body: &Value) {
    let (head, sent) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let line = format!("POST /identity/bankcard/{path} HTTP/1.1");
    assert_eq!(lines.next(), Some(line.as_str()));
    let headers: Vec<_> = lines.collect();
    for header in [
        "authorization: Bearer t0ken",
        "accept: application/json",
        "content-type: application/json",
    ] {
        assert!(headers.contains(&header), "{header} in {headers:?}");
    }
    assert_eq!(&serde_json::from_str::<Value>(sent).unwrap(), body);
}

#[tokio::test]
async fn card_information_leaves_and_comes_back() {
    let (address, served) = serve_once(
        r#"{"result":"0","description":"查询成功","account_bank":"招商银行","account_type":1}"#,
    )
    .await;
    let ace = ace_at(endpoint(address), &[]).unwrap();
    let full = CardInquiry {
        card: CardRef::parse(CARD).unwrap(),
    };
    let answer = ace.card_info(&full, &CONTEXT).await.unwrap();
    let Finding::CardInfo { result, facts } = answer.finding else {
        panic!("not card information");
    };
    assert_eq!(result, CardInfoResult::Found);
    assert_eq!(facts.bank_name, "招商银行");
    assert_eq!(facts.card_type, Some(CardType::Debit));
    assert_request(
        &served.await.unwrap(),
        "check-1e",
        &json!({"bank_card": CARD}),
    );

    let prefix = CardInquiry {
        card: CardRef::parse("622202").unwrap(),
    };
    assert!(!ace.capabilities().card_prefix);
    assert!(ace.card_info(&prefix, &CONTEXT).await.is_err());
}

#[tokio::test]
async fn other_documents_are_sent_with_the_mapped_number_or_not_at_all() {
    let (address, served) = serve_once(r#"{"result":"-1","description":"x"}"#).await;
    let mapped = [
        (IdentityType::HkMacaoPermit, "5"),
        (IdentityType::ResidentId, "0"),
    ];
    let ace = ace_at(endpoint(address), &mapped).unwrap();
    let capabilities = ace.capabilities();
    assert!(capabilities.accepts(IdentityType::HkMacaoPermit));
    assert!(capabilities.accepts(IdentityType::ResidentId));
    assert!(!capabilities.accepts(IdentityType::Passport));

    let passport = question_with(Factors::Three, IdentityType::Passport, "E12345678");
    let refused = ace.verify(&passport, &CONTEXT).await.unwrap_err();
    assert_eq!(refused.kind, ProviderErrorKind::Misconfigured);

    let permit = question_with(Factors::Three, IdentityType::HkMacaoPermit, PERMIT);
    ace.verify(&permit, &CONTEXT).await.unwrap();
    let body = json!({"bank_card": CARD, "name": NAME, "id_card": PERMIT, "cert_type": 5});
    assert_request(&served.await.unwrap(), "check-3e", &body);
}

#[test]
fn settings_that_do_not_fit_are_told_by_their_key() {
    let endpoint = Endpoint::parse("http://127.0.0.1:9", false).unwrap();
    let error = ace_at(endpoint.clone(), &[(IdentityType::Passport, "03x")])
        .err()
        .unwrap();
    assert_eq!(error.problems()[0].0, "identity_types");
    let settings = AceSettings {
        endpoint,
        token: SecretRef::Env("TOKEN".into()),
        code_table: AceCodeTable::Native,
    };
    let name = ProviderName::new("ace").unwrap();
    let error = Ace::new(name, &settings, &vendor_settings(&[]), &|_| None)
        .err()
        .unwrap();
    assert_eq!(error.problems()[0].0, "token");
}

#[rstest]
#[case(r#"{"result":0}"#, ResultCode::Match)]
#[case(
    r#"{"result":"0","description":"认证通过","success":true}"#,
    ResultCode::Match
)]
#[case(
    r#"{"result":"0","description":null,"extra":[1,{"a":2}]}"#,
    ResultCode::Match
)]
#[case(r#"{"result":-1,"description":"认证未通过"}"#, ResultCode::Mismatch)]
#[case(r#"{"result":"-99"}"#, ResultCode::UnknownProviderCode)]
#[case(r#"{"result":""}"#, ResultCode::UnknownProviderCode)]
fn lenient_where_nothing_is_decided(#[case] body: &str, #[case] result: ResultCode) {
    assert_eq!(
        verified(200, body).unwrap().finding,
        Finding::verified(result)
    );
}

#[rstest]
#[case(500, r#"{"result":"0"}"#)]
#[case(201, r#"{"result":"0","description":"Authentication passed"}"#)]
#[case(401, r#"{"result":"0"}"#)]
#[case(200, r#"{"result":"0","error":{"code":"token_mismatched"}}"#)]
#[case(200, r#"{"result":"0","error":null}"#)]
#[case(200, r#"{"result":"0","success":false}"#)]
#[case(200, r#"{"result":"0","result":"0"}"#)]
#[case(200, r#"{"result":"-1","result":"0"}"#)]
#[case(
    200,
    r#"{"result":"0","description":"认证通过","description":"认证未通过"}"#
)]
#[case(200, r#"{"result":"0","description":5}"#)]
#[case(200, r#"{"result":0.0}"#)]
#[case(200, r#"{"result":-0}"#)]
#[case(200, r#"{"result":null}"#)]
#[case(200, r#"{"result":true}"#)]
#[case(200, r#"{"result":["0"]}"#)]
#[case(200, r#"{"data":{"result":"0"}}"#)]
#[case(200, r#"{"Result":"0"}"#)]
#[case(200, r#"{"result":"0""#)]
#[case(200, r#"[{"result":"0"}]"#)]
#[case(200, "<html>0</html>")]
#[case(200, "0")]
#[case(200, "")]
#[case(
    200,
    r#"{"error":{"code":"token_mismatched","code":"token_mismatched"}}"#
)]
#[case(200, r#"{"success":false}"#)]
#[case(502, "<html>bad gateway</html>")]
#[case(302, "")]
fn what_nobody_can_read_is_of_unknown_outcome(#[case] status: u16, #[case] body: &str) {
    assert_eq!(
        kind(verified(status, body)),
        ProviderErrorKind::OutcomeUnknown
    );
}

#[test]
fn other_encodings_are_of_unknown_outcome() {
    let gbk = b"{\"result\":\"0\",\"description\":\"\xc8\xcf\xd6\xa4\xcd\xa8\xb9\xfd\"}";
    assert_eq!(kind(verified(200, gbk)), ProviderErrorKind::OutcomeUnknown);
}

#[test]
fn errors_carry_what_the_vendor_said_about_them() {
    let body = r#"{"success":false,"error":{"code":"rate_limited","message":"m"},
                   "trace_id":"2cf86e86-22a4-46e1-ac2f-032c0f2a4e89"}"#;
    let error = verified(400, body).unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Throttled);
    assert_eq!(error.provider_code.as_str(), "rate_limited");
    let trace_id = "2cf86e86-22a4-46e1-ac2f-032c0f2a4e89";
    assert_eq!(error.provider_request_id.as_str(), trace_id);
    assert_eq!(error.retry_after.unwrap().as_secs(), 7);
    assert_eq!(error.clock_skew_seconds, Some(-1000));
    // without `success`, as a bare string, and as html
    let bare = r#"{"error":"used_up"}"#;
    assert_eq!(kind(verified(403, bare)), ProviderErrorKind::OutOfCredit);
    assert_eq!(
        kind(verified(401, "<html>")),
        ProviderErrorKind::Misconfigured
    );
    assert_eq!(kind(verified(429, "")), ProviderErrorKind::Throttled);
}

#[test]
fn a_doubtful_code_is_inconclusive() {
    let answer = verified(200, r#"{"result":"-17","description":"busy?"}"#).unwrap();
    assert_eq!(answer.finding.verdict(), Some(Verdict::Inconclusive));
    assert_eq!(answer.finding.result_name(), "ATTEMPTS_EXCEEDED");
    assert_eq!(answer.charge, Charge::Unknown);
    let certainty = Certainty::Doubtful;
    let result = ResultCode::AttemptsExceeded;
    assert_eq!(answer.finding, Finding::Verification { result, certainty });
}

#[test]
fn text_that_echoes_the_question_is_dropped() {
    let body = json!({
        "result": "-1",
        "description": format!("card {CARD} is not of {NAME}"),
        "trace_id": CARD,
    });
    let answer = verified(200, body.to_string()).unwrap();
    assert_eq!(answer.finding, Finding::verified(ResultCode::Mismatch));
    assert_eq!(answer.provider_message, ProviderMessage::None);
    assert_eq!(answer.provider_request_id.as_str(), "");
    let body = json!({"error": {"code": PHONE}, "trace_id": ID_NUMBER});
    let error = verified(500, body.to_string()).unwrap_err();
    let shown = format!("{error:?} {error}");
    assert!(
        !shown.contains(PHONE) && !shown.contains(ID_NUMBER),
        "{shown}"
    );
}

#[rstest]
#[case(json!(1), Some(CardType::Debit))]
#[case(json!("2"), Some(CardType::Credit))]
#[case(json!(3), Some(CardType::Prepaid))]
#[case(json!("4"), Some(CardType::QuasiCredit))]
#[case(json!(-1), None)]
#[case(json!("-1"), None)]
#[case(json!(9), None)]
#[case(json!(1.5), None)]
#[case(json!(null), None)]
fn account_types(#[case] kind: Value, #[case] expected: Option<CardType>) {
    let body = json!({"result": "0", "account_bank": "ABC", "account_type": kind});
    let Finding::CardInfo { facts, .. } = looked_up(&body).finding else {
        panic!("not card information");
    };
    assert_eq!(facts.card_type, expected);
    assert_eq!(facts.bank_name, "ABC");
}

#[test]
fn only_a_found_card_has_facts() {
    let body = json!({"result": "-1", "account_bank": "ABC", "account_type": 1});
    let answer = looked_up(&body);
    let Finding::CardInfo { result, facts } = answer.finding else {
        panic!("not card information");
    };
    assert_eq!(
        (result, facts),
        (CardInfoResult::NoInformation, CardFacts::default())
    );
    assert_eq!(answer.charge, Charge::Charged);
}

#[test]
fn a_conflict_is_told_once_for_each_operation_and_code() {
    let ace = ace();
    let body = r#"{"result":"-7","description":"此卡已挂失"}"#;
    for factors in [Factors::Two, Factors::Two, Factors::Three] {
        let question = Question::Verify(question(factors));
        ace.read(&question, &reply(200, body)).unwrap();
    }
    let told = ace.conflicts_told.lock();
    let expected = [(Operation::VerifyTwo, "-7"), (Operation::VerifyThree, "-7")];
    assert_eq!(*told, HashSet::from(expected));
}

/// Whether a body says "match" beyond doubt, by another reader than the client's.
fn says_match(body: &[u8]) -> bool {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
        return false;
    };
    let zero = [json!("0"), json!(0)].contains(&object["result"]);
    let once = String::from_utf8_lossy(body).matches("result").count() == 1;
    let description = object.get("description").and_then(Value::as_str);
    let contradicted = description.is_some_and(|text| {
        wording_of(text).is_some_and(|text| !["Authentication passed", "认证通过"].contains(&text))
    });
    zero && once && !contradicted && !object.contains_key("error")
}

fn assert_harmless(status: u16, body: &[u8]) {
    let Ok(answer) = verified(status, body) else {
        return;
    };
    let verdict = answer.finding.verdict();
    assert!(verdict != Some(Verdict::Match) || (status == 200 && says_match(body)));
}

const SEEDS: [&str; 5] = [
    r#"{"result":"0","description":"Authentication passed"}"#,
    r#"{"result":"-1","description":"认证未通过","trace_id":"a-b"}"#,
    r#"{"result":"-10","description":"Fraudulent card, card swallowed"}"#,
    r#"{"success":false,"error":{"code":"api_error","message":"x"},"trace_id":"a"}"#,
    r#"{"result":0,"description":"","account_bank":"x","account_type":1}"#,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn random_bytes_never_match(status in 100..600u16, body in prop::collection::vec(any::<u8>(), 0..200)) {
        assert_harmless(status, &body);
        assert_harmless(200, &body);
    }

    #[test]
    fn mutated_replies_match_only_if_they_say_so(body in mutated_reply(&SEEDS)) {
        assert_harmless(200, &body);
    }
}
