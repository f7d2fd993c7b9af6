//! The control interface over HTTP.

use crate::client::{self, ace, ace_question};
use cardproof_emulator::{Emulator, Options};
use reqwest::{Client, Method};
use serde_json::{Value, json};

async fn control(
    http: &Client,
    url: &str,
    method: Method,
    path: &str,
    body: Value,
) -> (u16, Value) {
    let mut request = http.request(method, format!("{url}/_control/{path}"));
    if !body.is_null() {
        request = request.body(body.to_string());
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (
        status,
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap(),
    )
}

#[tokio::test]
async fn everything_can_be_steered_over_http() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let (url, http) = (emulator.url(), client::client(true));
    let ask = |method: Method, path: &'static str, body: Value| {
        let (http, url) = (http.clone(), url.clone());
        async move { control(&http, &url, method, path, body).await }
    };
    let ace = || {
        let request = ace(&http, &url, "check-2e", &ace_question(2));
        async {
            serde_json::from_slice::<Value>(&request.send().await.unwrap().bytes().await.unwrap())
                .unwrap()
        }
    };
    assert_eq!(ask(Method::GET, "health", Value::Null).await.0, 200);

    let script = json!([
        { "vendor": "ace", "times": 1, "reply": { "kind": "code", "code": "-12" } },
        { "vendor": "ace", "operation": "two", "times": 1, "delay_ms": 1,
          "reply": { "kind": "error", "code": "api_error" }, "fault": { "kind": "drip", "interval_ms": 1 } },
        { "vendor": "ace", "times": 1, "hold": "door" }
    ]);
    assert_eq!(
        ask(Method::POST, "scripts", script).await,
        (200, json!({ "ids": [1, 2, 3] }))
    );
    assert_eq!(ace().await["description"], "This card has expired");
    assert_eq!(ace().await["error"]["code"], "api_error");
    let held = tokio::spawn(ace());
    let (status, gate) = ask(Method::GET, "gates/door?waiting=1", Value::Null).await;
    assert_eq!(
        (status, gate),
        (200, json!({ "waiting": 1, "released": false }))
    );
    assert_eq!(
        ask(Method::POST, "gates/door/release", Value::Null).await.0,
        200
    );
    assert_eq!(held.await.unwrap()["result"], "0");

    let (_, ledger) = ask(Method::GET, "ledger?after=1", Value::Null).await;
    let results: Vec<_> = ledger
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["result"].clone())
        .collect();
    assert_eq!(results, ["api_error", "0"]);
    assert_eq!(ledger[1]["question"].as_str().unwrap().len(), 64);
    let (_, summary) = ask(Method::GET, "summary", Value::Null).await;
    assert_eq!(summary["received"], 3);
    assert_eq!(summary["charges"], json!({ "ace/two": 2 }));
    assert_eq!(ask(Method::DELETE, "ledger", Value::Null).await.0, 200);
    assert_eq!(ask(Method::DELETE, "scripts/1", Value::Null).await.0, 200);
    assert_eq!(ask(Method::DELETE, "scripts/1", Value::Null).await.0, 404);
    assert_eq!(ask(Method::DELETE, "scripts", Value::Null).await.0, 200);

    let (_, mut credentials) = ask(Method::GET, "credentials", Value::Null).await;
    credentials["ace"] = json!(["another"]);
    assert_eq!(ask(Method::PUT, "credentials", credentials).await.0, 200);
    assert_eq!(ace().await["error"]["code"], "invalid_token");
    assert_eq!(
        ask(Method::PUT, "clock", json!({ "offset_ms": 5 })).await.0,
        200
    );
    assert_eq!(
        ask(Method::GET, "clock", Value::Null).await.1,
        json!({ "offset_ms": 5 })
    );
    let limit = json!({ "vendor": "ace", "requests_per_second": 1 });
    assert_eq!(ask(Method::PUT, "limits", limit).await.0, 200);
    assert_eq!(ask(Method::POST, "reset", Value::Null).await.0, 200);
    assert_eq!(
        ask(Method::GET, "clock", Value::Null).await.1,
        json!({ "offset_ms": 0 })
    );
    let pem = http
        .get(format!("{url}/_control/keys/sm2.pem"))
        .send()
        .await
        .unwrap();
    assert!(
        pem.text()
            .await
            .unwrap()
            .starts_with("-----BEGIN PUBLIC KEY-----")
    );

    for (path, wrong) in [
        ("scripts", json!({ "vendor": "ace", "tmes": 1 })),
        (
            "scripts",
            json!({ "vendor": "ace", "reply": { "kind": "nothing" } }),
        ),
        (
            "scripts",
            json!({ "vendor": "ace", "card": "6", "fault": { "kind": "cut_before_body" } }),
        ),
    ] {
        let (status, body) = ask(Method::POST, path, wrong).await;
        assert_eq!(status, 400, "{body}");
    }
    assert_eq!(ask(Method::GET, "nothing", Value::Null).await.0, 404);
}
