//! The three vendors over real connections: accepted, refused, scripted, counted.

use std::collections::BTreeMap;

use crate::client::{self, CARD, ID, NAME, PHONE, ace, ace_question, alibaba, tencent};
use cardproof_emulator::{
    Charge, Credentials, Emulator, KeyPair, Operation, Options, Question, Reply, Script, Vendor,
};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

const TENCENT: (&str, &str, Option<&str>) = ("AKIDEMULATOR", "emulator-tencent-secret", None);
const TENCENT_TEMPORARY: (&str, &str, Option<&str>) = (
    "AKIDEMULATORTEMPORARY",
    "emulator-tencent-temporary-secret",
    Some("emulator-tencent-session-token"),
);
const ALIBABA: (&str, &str, Option<&str>) = ("LTAIEMULATOR", "emulator-alibaba-secret", None);
const ALIBABA_TEMPORARY: (&str, &str, Option<&str>) = (
    "STS.EMULATOR",
    "emulator-alibaba-temporary-secret",
    Some("emulator-alibaba-security-token"),
);
const INTL: (&str, &str) = ("BankMetaVerifyIntl", "2022-08-09");

fn four_factors() -> Value {
    json!({ "BankCard": CARD, "Name": NAME, "IdCard": ID, "Phone": PHONE })
}

fn two_factor_query() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("ProductCode", "BANK_CARD_N_META"),
        ("ProductType", "BANK_CARD_2_META"),
        ("VerifyMode", "VERIFY_BANK_CARD"),
        ("ParamType", "normal"),
        ("BankCard", CARD),
        ("UserName", NAME),
    ])
}

async fn send(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (
        status,
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap(),
    )
}

async fn start() -> (Emulator, String) {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let url = emulator.url();
    (emulator, url)
}

fn both() -> [Client; 2] {
    [client::client(false), client::client(true)]
}

#[tokio::test]
async fn the_holder_of_a_card_matches_at_every_vendor_over_both_protocols() {
    let (emulator, url) = start().await;
    for http in both() {
        for factors in 2..=4 {
            let path = format!("check-{factors}e");
            let (status, body) = send(ace(&http, &url, &path, &ace_question(factors))).await;
            assert_eq!((status, &body["result"]), (200, &json!("0")));
            assert_eq!(body["description"], "Authentication passed");
        }
        let (_, body) = send(ace(&http, &url, "check-1e", &ace_question(1))).await;
        assert_eq!(body["account_type"], 1);

        for pair in [TENCENT, TENCENT_TEMPORARY] {
            let asked = tencent(&http, &url, "BankCard4EVerification", &four_factors(), pair);
            let (status, body) = send(asked).await;
            assert_eq!(
                (status, &body["Response"]["Result"]),
                (200, &json!("0")),
                "{body}"
            );
        }
        for pair in [ALIBABA, ALIBABA_TEMPORARY] {
            let (status, body) = send(alibaba(&http, &url, INTL, &two_factor_query(), pair)).await;
            assert_eq!(status, 200, "{body}");
            assert_eq!(
                body["ResultObject"],
                json!({ "BizCode": "1", "SubCode": "101" })
            );
        }
        let probe = ("KeepaliveIntl", "2022-08-09");
        let (status, _) = send(alibaba(&http, &url, probe, &BTreeMap::new(), ALIBABA)).await;
        assert_eq!(status, 200);
    }
    let summary = emulator.summary();
    assert_eq!(
        (summary.received, summary.accepted, summary.answered),
        (18, 18, 18)
    );
    assert_eq!(summary.charged, 16, "all but the two probes");
    let two = Question::new(CARD, NAME);
    assert_eq!(
        emulator.charges_of(&two),
        6,
        "two of Ace and four of Alibaba"
    );
    assert_eq!(emulator.charges_of(&two.id_number(ID).phone(PHONE)), 6);
    let versions: Vec<_> = emulator
        .ledger()
        .iter()
        .map(|entry| entry.http_version)
        .collect();
    assert_eq!(
        versions.iter().filter(|version| **version == "2").count(),
        9
    );
    let temporary = emulator
        .ledger()
        .iter()
        .filter(|entry| entry.temporary_credentials)
        .count();
    assert_eq!(temporary, 4);
}

#[tokio::test]
async fn what_ace_refuses() {
    let (emulator, url) = start().await;
    let http = client::client(true);
    let good = || ace(&http, &url, "check-2e", &ace_question(2));
    let post = |path: &str| http.post(format!("{url}/identity/bankcard/{path}"));
    let cases = [
        (post("check-2e").body("{}"), 401, "no_token"),
        (
            post("check-2e").header("authorization", "x").body("{}"),
            400,
            "token_mismatched",
        ),
        (
            post("check-2e").bearer_auth("wrong").body("{}"),
            401,
            "invalid_token",
        ),
        (
            ace(&http, &url, "check-9e", &ace_question(2)),
            404,
            "no_api",
        ),
        (
            ace(&http, &url, "check-3e", &ace_question(2)),
            400,
            "bad_request",
        ),
        (
            ace(
                &http,
                &url,
                "check-2e",
                &json!({ "bank_card": 1, "name": "x" }),
            ),
            400,
            "bad_request",
        ),
        (good().body("[]"), 400, "bad_request"),
    ];
    for (request, status, code) in cases {
        let (got, body) = send(request).await;
        assert_eq!((got, &body["error"]["code"]), (status, &json!(code)));
        assert_eq!(body["success"], false);
        assert_eq!(body["trace_id"].as_str().unwrap().len(), 36);
    }
    let mut unknown_field = ace_question(2);
    unknown_field["anything"] = json!(1);
    assert_eq!(
        send(ace(&http, &url, "check-2e", &unknown_field)).await.0,
        200
    );
    assert_eq!(emulator.summary().charged, 1);
}

#[tokio::test]
async fn what_tencent_refuses_with_status_200() {
    let (emulator, url) = start().await;
    let http = client::client(true);
    let action = "BankCard4EVerification";
    let ask = |action: &str, body: &Value, pair| {
        let request = tencent(&http, &url, action, body, pair);
        async {
            let (status, body) = send(request).await;
            assert_eq!(status, 200);
            assert_eq!(body["Response"]["RequestId"].as_str().unwrap().len(), 36);
            body["Response"]["Error"]["Code"]
                .as_str()
                .unwrap_or("none")
                .to_owned()
        }
    };
    let body = four_factors();
    assert_eq!(ask(action, &body, TENCENT).await, "none");
    let (id, secret, _) = TENCENT;
    assert_eq!(
        ask(action, &body, (id, "x", None)).await,
        "AuthFailure.SignatureFailure"
    );
    assert_eq!(
        ask(action, &body, ("x", secret, None)).await,
        "AuthFailure.SecretIdNotFound"
    );
    assert_eq!(
        ask(action, &body, (id, secret, Some("x"))).await,
        "AuthFailure.TokenFailure"
    );
    assert_eq!(ask("DetectAuth", &body, TENCENT).await, "InvalidAction");
    assert_eq!(
        ask("BankCardVerification", &body, TENCENT).await,
        "UnknownParameter"
    );
    for (name, value, code) in [
        ("Phone", json!(1), "InvalidParameter"),
        ("CertType", json!("0"), "InvalidParameter"),
        ("CertType", json!(3), "InvalidParameterValue"),
        ("Name", json!(""), "InvalidParameterValue"),
        ("Whatever", json!(""), "UnknownParameter"),
    ] {
        let mut changed = body.clone();
        changed[name] = value;
        assert_eq!(ask(action, &changed, TENCENT).await, code, "{name}");
    }
    let missing = json!({ "BankCard": CARD, "Name": NAME, "IdCard": ID });
    assert_eq!(ask(action, &missing, TENCENT).await, "MissingParameter");
    emulator.set_clock_offset_ms(301_000);
    assert_eq!(
        ask(action, &body, TENCENT).await,
        "AuthFailure.SignatureExpire"
    );
    let late = tencent(&http, &url, action, &body, TENCENT)
        .send()
        .await
        .unwrap();
    let date = httpdate::parse_http_date(late.headers()["date"].to_str().unwrap()).unwrap();
    let ahead = date
        .duration_since(std::time::SystemTime::now())
        .unwrap()
        .as_secs();
    assert!(
        (299..=301).contains(&ahead),
        "the Date header shows the vendor's clock: {ahead}"
    );
    assert_eq!(emulator.summary().charged, 1);
}

#[tokio::test]
async fn what_alibaba_refuses() {
    let (emulator, url) = start().await;
    let http = client::client(true);
    let query = two_factor_query();
    let code = |request: RequestBuilder| async {
        let (_, body) = send(request).await;
        body["Code"].as_str().unwrap().to_owned()
    };
    let (id, secret, _) = ALIBABA;
    let ask = |pair| code(alibaba(&http, &url, INTL, &query, pair));
    assert_eq!(ask(ALIBABA).await, "Success");
    assert_eq!(ask((id, "x", None)).await, "SignatureDoesNotMatch");
    assert_eq!(
        ask(("x", secret, None)).await,
        "InvalidAccessKeyId.NotFound"
    );
    let refused = ask((id, secret, Some("x"))).await;
    assert_eq!(refused, "InvalidSecurityToken.MismatchWithAccessKey");
    let with_body = alibaba(&http, &url, INTL, &query, ALIBABA).body("x");
    assert_eq!(code(with_body).await, "SignatureDoesNotMatch");
    let unknown = alibaba(&http, &url, ("Other", "2022-08-09"), &query, ALIBABA);
    assert_eq!(code(unknown).await, "InvalidAction.NotFound");
    let mainland = alibaba(
        &http,
        &url,
        ("BankMetaVerify", "2019-03-07"),
        &query,
        ALIBABA,
    );
    assert_eq!(code(mainland).await, "200");

    let twice = alibaba(&http, &url, INTL, &query, ALIBABA);
    assert_eq!(code(twice.try_clone().unwrap()).await, "Success");
    assert_eq!(code(twice).await, "SignatureNonceUsed");
    for (name, value, expected) in [
        ("UserName", None, "MissingParameter"),
        ("ProductCode", Some("OTHER"), "InvalidParameter"),
        ("ProductType", Some("BANK_CARD_4_META"), "MissingParameter"),
        ("ProductType", Some("BANK_CARD_9_META"), "InvalidParameter"),
        ("ParamType", Some("md5"), "InvalidParameter"),
    ] {
        let mut changed = query.clone();
        match value {
            Some(value) => changed.insert(name, value),
            None => changed.remove(name),
        };
        let request = alibaba(&http, &url, INTL, &changed, ALIBABA);
        assert_eq!(code(request).await, expected, "{name}");
    }
    emulator.set_clock_offset_ms(-901_000);
    assert_eq!(ask(ALIBABA).await, "InvalidTimeStamp.Expired");
    assert_eq!(emulator.summary().charged, 3);
}

#[tokio::test]
async fn masked_questions_match_too() {
    let (emulator, url) = start().await;
    let http = client::client(true);
    let masked = Question::new(CARD, NAME)
        .id_number(ID)
        .phone(PHONE)
        .masked();
    let mut query = two_factor_query();
    query.extend([("ParamType", "md5"), ("ProductType", "BANK_CARD_4_META")]);
    query.insert("BankCard", masked.card.as_deref().unwrap());
    query.insert("UserName", masked.name.as_deref().unwrap());
    query.insert("IdentifyNum", masked.id_number.as_deref().unwrap());
    query.insert("Mobile", masked.phone.as_deref().unwrap());
    let (_, body) = send(alibaba(&http, &url, INTL, &query, ALIBABA)).await;
    assert_eq!(body["ResultObject"]["SubCode"], "101", "{body}");
    emulator.script(Script::new(Vendor::Alibaba).card(CARD).code("203"));
    let (_, body) = send(alibaba(&http, &url, INTL, &query, ALIBABA)).await;
    assert_eq!(
        body["ResultObject"],
        json!({ "BizCode": "2", "SubCode": "203" })
    );
    assert_eq!(emulator.charges_of(&masked), 2);
}

#[tokio::test]
async fn scripts_make_every_quirk() {
    let (emulator, url) = start().await;
    let http = client::client(true);
    let ask = || send(ace(&http, &url, "check-1e", &ace_question(1)));
    let once = || {
        Script::new(Vendor::Ace)
            .operation(Operation::CardInfo)
            .times(1)
    };
    let quirk = |patch: Value| once().code("0").patch(patch);

    emulator.script(quirk(
        json!({ "result": 0, "account_type": "2", "more": [1] }),
    ));
    let (_, body) = ask().await;
    assert_eq!(
        (&body["result"], &body["account_type"]),
        (&json!(0), &json!("2"))
    );
    assert_eq!(body["more"], json!([1]));
    emulator.script(quirk(json!({ "account_type": null })));
    assert!(ask().await.1.get("account_type").is_none());
    emulator.script(
        once()
            .error("api_error")
            .patch(json!({ "success": null, "error": "boom" })),
    );
    let (status, body) = ask().await;
    assert_eq!(
        (status, &body["error"], body.get("success")),
        (500, &json!("boom"), None)
    );
    emulator.script(once().error("used_up").status(200));
    assert_eq!(ask().await.0, 200);
    emulator.script(once().code("0").status(500).charge(Charge::Yes));
    let (status, body) = ask().await;
    assert_eq!((status, &body["result"]), (500, &json!("0")));
    emulator.script(once().raw(200, "text/html", b"\xff<html>"));
    let raw = ace(&http, &url, "check-1e", &ace_question(1))
        .send()
        .await
        .unwrap();
    assert_eq!(raw.headers()["content-type"], "text/html");
    assert_eq!(&raw.bytes().await.unwrap()[..], b"\xff<html>");
    emulator.script(once().reply(Reply::Throttled).header("retry-after", "7"));
    let throttled = ace(&http, &url, "check-1e", &ace_question(1))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            throttled.status().as_u16(),
            &throttled.headers()["retry-after"]
        ),
        (429, &"7".parse().unwrap())
    );
    emulator.script(once().code("-99"));
    assert_eq!(ask().await.1["result"], "-99");

    let charges: Vec<_> = emulator.ledger().iter().map(|entry| entry.charge).collect();
    use Charge::{No, Unknown, Yes};
    assert_eq!(charges, [Yes, Yes, Unknown, No, Yes, Unknown, No, Unknown]);
    assert!(emulator.scripts().iter().all(|entry| entry.used == 1));
}

#[tokio::test]
async fn limits_and_new_credentials() {
    let (emulator, url) = start().await;
    let http = client::client(true);
    let ask = || {
        tencent(
            &http,
            &url,
            "BankCard4EVerification",
            &four_factors(),
            TENCENT,
        )
    };
    emulator.set_limit(Vendor::Tencent, Some(2));
    let mut throttled = 0;
    for _ in 0..10 {
        let (_, body) = send(ask()).await;
        throttled += usize::from(body["Response"]["Error"]["Code"] == "RequestLimitExceeded");
    }
    assert!(throttled >= 6, "{throttled} of 10 throttled");
    let credentials = Credentials {
        tencent: vec![KeyPair::long_term("other", "other")],
        ..Credentials::default()
    };
    emulator.set_credentials(credentials);
    let (_, body) = send(ask()).await;
    assert_eq!(
        body["Response"]["Error"]["Code"],
        "AuthFailure.SecretIdNotFound"
    );
}
