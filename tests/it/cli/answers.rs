//! Answers and errors of a server, for people and for programs, with their exit codes.

use std::{collections::HashMap, time::Duration};

use cardproof::proto::bankcard::v1::{
    Attempt, AttemptOutcome, CacheMode, CardInfoResult, CardNetwork, CardType, Charge, Factors,
    IdentityType, QueryCardInfoResponse, ResultCode, Source, Verdict, VerifyBankCardResponse,
};
use rstest::rstest;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::{
    CARD, run_with,
    server::{Script, Server},
};

/// 2026-01-02T03:04:05.678Z
const ANSWERED_AT: prost_types::Timestamp = prost_types::Timestamp {
    seconds: 1_767_323_045,
    nanos: 678_000_000,
};

fn question() -> String {
    json!({"bank_card": CARD, "name": "韦小宝"}).to_string()
}

fn matched() -> VerifyBankCardResponse {
    VerifyBankCardResponse {
        verdict: Verdict::Match.into(),
        result: ResultCode::Match.into(),
        factors: Factors::Three.into(),
        charge: Charge::Charged.into(),
        source: Source::Provider.into(),
        provider: "tencent".into(),
        provider_code: "0".into(),
        provider_message: "认证通过\u{1b}[2J".into(),
        provider_request_id: "ab-12".into(),
        answered_at: Some(ANSWERED_AT),
        attempts: vec![
            Attempt {
                provider: "ace".into(),
                outcome: AttemptOutcome::Throttled.into(),
                charge: Charge::NotCharged.into(),
                latency: Some(prost_types::Duration {
                    seconds: 0,
                    nanos: 400_000,
                }),
                error_reason: "THROTTLED".into(),
            },
            Attempt {
                provider: "tencent".into(),
                outcome: AttemptOutcome::Answered.into(),
                charge: Charge::Charged.into(),
                latency: Some(prost_types::Duration {
                    seconds: 1,
                    nanos: 540_000_000,
                }),
                error_reason: String::new(),
            },
        ],
        luhn_valid: true,
    }
}

fn answering(verify: VerifyBankCardResponse) -> Server {
    Server::start(Script {
        verify: Ok(verify),
        ..Script::default()
    })
}

fn refusing(status: Status) -> Server {
    Server::start(Script {
        verify: Err(status.clone()),
        card_info: Err(status),
        ..Script::default()
    })
}

#[test]
fn a_match_is_a_sheet_for_people_and_ends_with_0() {
    let server = answering(matched());
    let told = run_with(&["verify", "--addr", &server.url()], &question());
    let days = (jiff::Timestamp::now().as_second() - ANSWERED_AT.seconds) / 86_400;
    let expected = format!(
        "\
verdict       MATCH
result        MATCH: everything given belongs together
factors       3 (card, name, ID number)
card number   passes the Luhn check
charge        CHARGED
source        PROVIDER
provider      tencent
  code        0
  message     认证通过\u{fffd}[2J
  request id  ab-12
answered at   2026-01-02T03:04:05Z ({days} days ago)
attempts
  provider  outcome    charge       took    reason
  ace       THROTTLED  NOT_CHARGED  0.4 ms  THROTTLED
  tencent   ANSWERED   CHARGED      1.5 s
"
    );
    assert_eq!(told.stdout, expected);
    assert_eq!((told.code, told.stderr.as_str()), (0, ""));
}

#[test]
fn a_match_is_one_json_object_for_programs() {
    let server = answering(matched());
    let told = run_with(&["verify", "--json", "--addr", &server.url()], &question());
    let expected = json!({
        "verdict": "VERDICT_MATCH",
        "result": "RESULT_CODE_MATCH",
        "factors": "FACTORS_THREE",
        "luhnValid": true,
        "charge": "CHARGE_CHARGED",
        "source": "SOURCE_PROVIDER",
        "provider": "tencent",
        "providerCode": "0",
        "providerMessage": "认证通过\u{1b}[2J",
        "providerRequestId": "ab-12",
        "answeredAt": "2026-01-02T03:04:05.678Z",
        "attempts": [
            {
                "provider": "ace",
                "outcome": "ATTEMPT_OUTCOME_THROTTLED",
                "charge": "CHARGE_NOT_CHARGED",
                "latency": "0.000400s",
                "errorReason": "THROTTLED",
            },
            {
                "provider": "tencent",
                "outcome": "ATTEMPT_OUTCOME_ANSWERED",
                "charge": "CHARGE_CHARGED",
                "latency": "1.540s",
            },
        ],
    });
    assert_eq!(told.json(), expected);
    assert_eq!((told.code, told.stderr.as_str()), (0, ""));
}

#[rstest]
#[case(Verdict::Mismatch, ResultCode::Mismatch)]
#[case(Verdict::CardProblem, ResultCode::CardExpired)]
#[case(Verdict::InputRejected, ResultCode::NameInvalid)]
#[case(Verdict::Inconclusive, ResultCode::ServiceBusy)]
// whatever the result says, only the verdict is a yes
#[case(Verdict::Inconclusive, ResultCode::Match)]
#[case(Verdict::Unspecified, ResultCode::Match)]
fn every_other_verdict_ends_with_1(#[case] verdict: Verdict, #[case] result: ResultCode) {
    let server = answering(VerifyBankCardResponse {
        verdict: verdict.into(),
        result: result.into(),
        ..matched()
    });
    for form in [&["verify"][..], &["verify", "--json"]] {
        let told = run_with(&[form, &["--addr", &server.url()]].concat(), &question());
        assert_eq!(told.code, 1, "{}", told.stdout);
    }
}

#[test]
fn values_of_a_newer_server_are_numbers_and_no_match() {
    let server = answering(VerifyBankCardResponse {
        verdict: 77,
        result: 4_711,
        ..VerifyBankCardResponse::default()
    });
    let told = run_with(&["verify", "--addr", &server.url()], &question());
    assert_eq!(told.code, 1);
    assert!(
        told.stdout
            .starts_with("verdict      77\nresult       4711\n"),
        "{}",
        told.stdout
    );
    let told = run_with(&["verify", "--json", "--addr", &server.url()], &question());
    assert_eq!(told.code, 1);
    assert_eq!(
        told.json(),
        json!({"verdict": 77, "result": 4_711, "luhnValid": false, "attempts": []})
    );
}

#[test]
fn every_field_of_the_question_reaches_the_server() {
    let server = answering(matched());
    let question = json!({
        "bank_card": CARD, "name": "Wei", "id_number": "X1234567", "phone": "13800138000",
        "identity_type": "PASSPORT", "provider": "ace",
        "request_id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "consent_reference": "c-1",
        "cache": {"mode": "ONLY_IF_CACHED", "max_age": "90s"},
    });
    let told = run_with(
        &["verify", "--addr", &server.url(), "--timeout", "7s"],
        &question.to_string(),
    );
    assert_eq!(told.code, 0, "{}", told.stderr);
    told.assert_no_card();
    let asked = server.asked();
    let request = asked.verify.unwrap();
    assert_eq!(request.bank_card, CARD);
    assert_eq!(request.name, "Wei");
    assert_eq!(request.id_number, "X1234567");
    assert_eq!(request.phone, "13800138000");
    assert_eq!(request.identity_type(), IdentityType::Passport);
    assert_eq!(request.provider, "ace");
    assert_eq!(request.request_id, "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    assert_eq!(request.consent_reference, "c-1");
    let cache = request.cache.unwrap();
    assert_eq!(cache.mode(), CacheMode::OnlyIfCached);
    assert_eq!(cache.max_age.unwrap().seconds, 90);
    let deadline = asked
        .metadata
        .get("grpc-timeout")
        .unwrap()
        .to_str()
        .unwrap();
    assert_eq!(deadline, "7000000u");
}

#[test]
fn options_are_the_other_way_to_say_what_is_not_personal() {
    let server = answering(matched());
    let told = run_with(
        &[
            "verify",
            "--addr",
            &server.url(),
            "--bypass",
            "--max-age",
            "2m",
            "--provider",
            "ace",
            "--request-id",
            "r-1",
            "--consent-reference",
            "c-2",
        ],
        &question(),
    );
    assert_eq!(told.code, 0, "{}", told.stderr);
    let request = server.asked().verify.unwrap();
    let cache = request.cache.unwrap();
    assert_eq!(cache.mode(), CacheMode::Bypass);
    assert_eq!(cache.max_age.unwrap().seconds, 120);
    assert_eq!(request.provider, "ace");
    assert_eq!(request.request_id, "r-1");
    assert_eq!(request.consent_reference, "c-2");
    assert_eq!(request.identity_type(), IdentityType::Unspecified);
}

#[test]
fn card_information_is_shown_and_found_ends_with_0() {
    let server = Server::start(Script {
        card_info: Ok(QueryCardInfoResponse {
            result: CardInfoResult::Found.into(),
            bank_name: "中国工商银行".into(),
            bank_name_en: "Industrial and Commercial Bank of China".into(),
            bank_code: "ICBC".into(),
            card_type: CardType::Debit.into(),
            network: CardNetwork::Unionpay.into(),
            bin: "622202".into(),
            luhn_valid: Some(false),
            charge: Charge::NotCharged.into(),
            source: Source::Embedded.into(),
            provider: "bin".into(),
            data_version: "v1".into(),
            ..QueryCardInfoResponse::default()
        }),
        ..Script::default()
    });
    let question = json!({"bank_card": "6222-02"}).to_string();
    let told = run_with(&["card-info", "--addr", &server.url()], &question);
    let expected = "\
result           FOUND: the card's bank is known
bank             中国工商银行
bank in English  Industrial and Commercial Bank of China
bank code        ICBC
card type        DEBIT
network          UNIONPAY
decided by       622202
card number      fails the Luhn check (a hint only: some banks issue such numbers)
charge           NOT_CHARGED
source           EMBEDDED
provider         bin
data version     v1
";
    assert_eq!((told.code, told.stdout.as_str()), (0, expected));
    assert_eq!(server.asked().card_info.unwrap().bank_card, "6222-02");

    let told = run_with(&["card-info", "--json", "--addr", &server.url()], &question);
    let expected = json!({
        "result": "CARD_INFO_RESULT_FOUND", "bankName": "中国工商银行",
        "bankNameEn": "Industrial and Commercial Bank of China", "bankCode": "ICBC",
        "cardType": "CARD_TYPE_DEBIT", "network": "CARD_NETWORK_UNIONPAY", "bin": "622202",
        "luhnValid": false, "charge": "CHARGE_NOT_CHARGED", "source": "SOURCE_EMBEDDED",
        "provider": "bin", "dataVersion": "v1", "attempts": [],
    });
    assert_eq!((told.code, told.json()), (0, expected));
}

#[test]
fn card_information_that_was_not_found_ends_with_1() {
    let server = Server::start(Script {
        card_info: Ok(QueryCardInfoResponse {
            result: CardInfoResult::NoInformation.into(),
            network: CardNetwork::Visa.into(),
            ..QueryCardInfoResponse::default()
        }),
        ..Script::default()
    });
    let told = run_with(
        &["card-info", "--addr", &server.url()],
        r#"{"bankCard": "4111"}"#,
    );
    assert_eq!(told.code, 1);
    assert!(
        told.stdout.contains("NO_INFORMATION: nothing is known"),
        "{}",
        told.stdout
    );
}

fn invalid() -> Status {
    let mut details = ErrorDetails::new();
    details
        .set_error_info("CARD_NUMBER_INVALID", "cardproof", HashMap::new())
        .set_bad_request(vec![
            FieldViolation {
                field: "bank_card".into(),
                description: "must have 12 to 19 digits".into(),
                reason: "CARD_NUMBER_INVALID".into(),
                localized_message: None,
            },
            FieldViolation {
                field: "name".into(),
                description: "must not be empty".into(),
                reason: "NAME_INVALID".into(),
                localized_message: None,
            },
        ]);
    Status::with_error_details(Code::InvalidArgument, "two fields are invalid", details)
}

#[test]
fn every_violation_is_told_and_an_error_ends_with_2() {
    let server = refusing(invalid());
    let told = run_with(&["verify", "--addr", &server.url()], &question());
    let expected = "\
error: CARD_NUMBER_INVALID: two fields are invalid (INVALID_ARGUMENT)
  bank_card: must have 12 to 19 digits (CARD_NUMBER_INVALID)
  name: must not be empty (NAME_INVALID)
";
    assert_eq!((told.code, told.stdout.as_str()), (2, ""));
    assert_eq!(told.stderr, expected);

    let told = run_with(
        &["card-info", "--json", "--addr", &server.url()],
        r#"{"bankCard": "1"}"#,
    );
    let expected = json!({"error": {
        "code": "INVALID_ARGUMENT",
        "reason": "CARD_NUMBER_INVALID",
        "message": "two fields are invalid",
        "violations": [
            {
                "field": "bank_card",
                "description": "must have 12 to 19 digits",
                "reason": "CARD_NUMBER_INVALID",
            },
            {"field": "name", "description": "must not be empty", "reason": "NAME_INVALID"},
        ],
    }});
    assert_eq!((told.code, told.json()), (2, expected));
    assert_eq!(told.stderr, "");
}

#[test]
fn what_is_wrong_with_a_request_is_said_once() {
    let mut details = ErrorDetails::new();
    details
        .set_error_info("NAME_INVALID", "cardproof", HashMap::new())
        .add_bad_request_violation("name", "must not be empty");
    let text = "name: must not be empty";
    let server = refusing(Status::with_error_details(
        Code::InvalidArgument,
        text,
        details,
    ));
    let told = run_with(&["verify", "--addr", &server.url()], &question());
    assert!(
        told.stderr
            .starts_with("error: NAME_INVALID: the request cannot be used (INVALID_ARGUMENT)\n"),
        "{}",
        told.stderr
    );
    assert_eq!(told.stderr.matches("must not be empty").count(), 1);
}

#[test]
fn limits_say_when_to_come_again() {
    let mut details = ErrorDetails::new();
    details
        .set_error_info("CALLER_RATE_LIMITED", "cardproof", HashMap::new())
        .set_quota_failure(vec![tonic_types::QuotaViolation::new(
            "client:shop",
            "calls per second",
        )])
        .set_retry_info(Some(Duration::from_millis(1_500)));
    let server = refusing(Status::with_error_details(
        Code::ResourceExhausted,
        "too many calls",
        details,
    ));
    let told = run_with(&["verify", "--addr", &server.url()], &question());
    let expected = "\
error: CALLER_RATE_LIMITED: too many calls (RESOURCE_EXHAUSTED)
  client:shop: calls per second
  ask again in 2 s
";
    assert_eq!((told.code, told.stderr.as_str()), (2, expected));
    let told = run_with(&["verify", "--json", "--addr", &server.url()], &question());
    assert_eq!(told.json()["error"]["retryDelay"], "1.500s");
    assert_eq!(
        told.json()["error"]["quota"],
        json!([{"subject": "client:shop", "description": "calls per second"}])
    );
}

#[test]
fn an_unknown_outcome_says_that_it_may_have_cost() {
    let mut details = ErrorDetails::new();
    let metadata = HashMap::from([("provider".to_owned(), "ace".to_owned())]);
    details.set_error_info("OUTCOME_UNKNOWN", "cardproof", metadata);
    let server = refusing(Status::with_error_details(
        Code::Unknown,
        "no usable reply",
        details,
    ));
    let told = run_with(&["verify", "--addr", &server.url()], &question());
    let expected = "\
error: OUTCOME_UNKNOWN: no usable reply (UNKNOWN)
  provider: ace
  it may have been charged; asked again, this question gets the same reply for a while
";
    assert_eq!((told.code, told.stderr.as_str()), (2, expected));
}

#[test]
fn only_the_service_itself_can_say_that_asking_again_is_safe() {
    let mut details = ErrorDetails::new();
    details.set_error_info("DRAINING", "cardproof", HashMap::new());
    let server = refusing(Status::with_error_details(
        Code::Unavailable,
        "about to stop",
        details,
    ));
    let told = run_with(&["verify", "--addr", &server.url()], &question());
    let expected = "error: DRAINING: about to stop (UNAVAILABLE)\n  safe to ask again\n";
    assert_eq!((told.code, told.stderr.as_str()), (2, expected));
}

#[test]
fn an_error_of_somebody_between_has_no_reason() {
    let server = refusing(Status::unavailable("upstream\u{1b}[31m is gone"));
    let told = run_with(&["verify", "--addr", &server.url()], &question());
    let expected = "\
error: UNAVAILABLE: upstream\u{fffd}[31m is gone
";
    assert_eq!((told.code, told.stderr.as_str()), (2, expected));
}
