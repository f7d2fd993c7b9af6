//! Calls of the admin port that change something, and the commands that make them.

use std::{
    fs,
    io::Write as _,
    process::{Output, Stdio},
};

use cardproof::{
    admin::Peer,
    proto::bankcard::v1::{CacheMode, CachePolicy, VerifyBankCardRequest},
};
use rstest::rstest;
use serde_json::{Value, json};
use tonic::Code;
use tower::ServiceExt as _;

use super::{
    net::admin::paths_with_controls,
    service_process::told,
    support::server::{HttpPage, Server, http, program},
};

const TOKEN: &str = "the-token-of-the-operator";
const CARD: &str = "6200000100000020";

fn server() -> Server {
    Server::start_with(
        "[admin]\ntoken = { env = \"OPERATOR_TOKEN\" }\n[telemetry]\nlog_format = \"json\"\n",
        &[("OPERATOR_TOKEN", TOKEN)],
    )
}

fn post(server: &Server, path: &str, authorization: &str, body: &str) -> HttpPage {
    let head = format!("POST {path} HTTP/1.1\r\n{authorization}");
    http(server.admin, &head, body).unwrap()
}

fn call(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    let page = post(server, path, &bearer, &body.to_string());
    let answer = serde_json::from_str(&page.body).unwrap_or(Value::Null);
    (page.code, answer)
}

fn ledger(server: &Server) -> Vec<Value> {
    let lines = server.log_lines().into_iter();
    let of_ledger = lines.filter(|line| line["target"] == "ledger");
    of_ledger
        .map(|line| serde_json::from_str(line["message"].as_str().unwrap()).unwrap())
        .collect()
}

/// Waits for that many lines: the log reaches us a little after the answer.
fn written(server: &mut Server, lines: usize) -> Vec<Value> {
    server.wait_for("lines of the ledger", |server| {
        let written = ledger(server);
        assert!(written.len() <= lines, "{written:?}");
        (written.len() == lines).then_some(written)
    })
}

#[test]
fn without_a_token_they_are_not_there() {
    let server = Server::start("");
    for path in [
        "/guard/show",
        "/guard/reset",
        "/erase",
        "/log-level",
        "/maintenance",
    ] {
        let bearer = format!("authorization: Bearer {TOKEN}\r\n");
        let page = post(&server, path, &bearer, "{}");
        assert_eq!(
            (page.code, page.body.as_str()),
            (404, "not found\n"),
            "{path}"
        );
    }
    assert_eq!(server.page("/status").unwrap().code, 200);
}

#[test]
fn only_the_token_opens_them() {
    let server = server();
    let body = json!({ "bank_card": CARD }).to_string();
    for wrong in [
        String::new(),
        "authorization: Bearer \r\n".to_owned(),
        "authorization: Bearer the-token-of-the-operato\r\n".to_owned(),
        format!("authorization: Basic {TOKEN}\r\n"),
        format!("authorization: {TOKEN}\r\n"),
        format!("authorization: Bearer {TOKEN}\r\nauthorization: Bearer {TOKEN}\r\n"),
    ] {
        let page = post(&server, "/guard/show", &wrong, &body);
        assert_eq!(page.code, 401, "{wrong}");
        assert!(page.all.to_lowercase().contains("www-authenticate: bearer"));
    }
    let page = post(
        &server,
        "/guard/show",
        &format!("authorization: bearer {TOKEN}\r\n"),
        &body,
    );
    assert_eq!(page.code, 200);
    // read only, whoever asks
    for path in ["/status", "/", "/metrics", "/livez"] {
        assert_eq!(call(&server, path, &json!({})).0, 405, "{path}");
    }
    assert!(!server.stdout.text().contains(TOKEN) && !server.stdout.text().contains(CARD));
}

#[rstest]
#[case(Some("127.0.0.1:5"), 200)]
#[case(Some("[::1]:5"), 200)]
#[case(Some("[::ffff:127.0.0.1]:5"), 200)]
#[case(Some("10.0.0.1:5"), 403)]
#[case(Some("[::ffff:10.0.0.1]:5"), 403)]
#[case(Some("[fe80::1]:5"), 403)]
#[case(None, 403)]
#[tokio::test]
async fn only_this_machine_reaches_them(#[case] peer: Option<&str>, #[case] code: u16) {
    let asked = |path: &str, body: &'static str| {
        let mut request = ::http::Request::post(path)
            .header("authorization", "Bearer any")
            .body(axum::body::Body::from(body))
            .unwrap();
        if let Some(peer) = peer {
            let peer = Peer(peer.parse().unwrap());
            request.extensions_mut().insert(peer);
        }
        paths_with_controls().oneshot(request)
    };
    let card = "{\"bank_card\": \"6200000100000020\"}";
    for (path, body) in [
        ("/guard/show", card),
        ("/guard/reset", card),
        ("/erase", card),
        ("/log-level", "{\"log_level\": \"info\"}"),
        (
            "/maintenance",
            "{\"provider\": \"bin\", \"maintenance\": true}",
        ),
    ] {
        assert_eq!(asked(path, body).await.unwrap().status(), code, "{path}");
    }
}

#[rstest]
#[case("/guard/show", "")]
#[case("/guard/show", "{}")]
#[case("/guard/show", "6222020000000000")]
#[case("/guard/reset", "{\"bank_card\": 6222020000000000}")]
#[case("/erase", "{\"bank_card\": \"6222020000000000x\"}")]
#[case("/erase", "{\"bank_card\": \"6222020000000000\", \"name\": \"x\"}")]
#[case("/log-level", "{\"log_level\": \"6222020000000000\"}")]
#[case(
    "/maintenance",
    "{\"provider\": \"6222020000000000\", \"maintenance\": true}"
)]
#[case("/maintenance", "{\"provider\": \"bin\"}")]
fn what_cannot_be_done_is_refused_without_a_quotation(#[case] path: &str, #[case] body: &str) {
    let server = server();
    let page = post(
        &server,
        path,
        &format!("authorization: Bearer {TOKEN}\r\n"),
        body,
    );
    assert_eq!(page.code, 400, "{}", page.all);
    assert!(page.body.starts_with("{\"error\":\""));
    assert!(!page.all.contains("6222020"));
    let long = "x".repeat(5_000);
    let page = post(
        &server,
        path,
        &format!("authorization: Bearer {TOKEN}\r\n"),
        &long,
    );
    assert_eq!(page.code, 400);
    assert!(ledger(&server).is_empty() && !server.stdout.text().contains("6222020"));
}

#[tokio::test(flavor = "multi_thread")]
async fn erased_answers_are_asked_for_anew() {
    let server = server();
    let mut client = server.client().await;
    let question = VerifyBankCardRequest {
        bank_card: CARD.to_owned(),
        name: "\u{5f20}\u{4e09}".to_owned(),
        ..VerifyBankCardRequest::default()
    };
    let mut known = question.clone();
    known.cache = Some(CachePolicy {
        mode: CacheMode::OnlyIfCached.into(),
        max_age: None,
    });
    assert!(client.verify_bank_card(question.clone()).await.is_ok());
    assert!(client.verify_bank_card(known.clone()).await.is_ok());
    let (code, done) = call(
        &server,
        "/erase",
        &json!({ "bank_card": "6200 0001 0000 0020" }),
    );
    assert_eq!((code, &done["answers"]), (200, &json!(1)));
    let (code, reason) = told(client.verify_bank_card(known).await);
    assert_eq!((code, reason.as_str()), (Code::NotFound, "NOT_CACHED"));
    let (_, done) = call(&server, "/erase", &json!({ "bank_card": CARD }));
    assert_eq!(done["answers"], 0);
}

#[test]
fn level_and_maintenance_change_at_once_and_every_change_is_in_the_ledger() {
    let mut server = server();
    let (code, done) = call(
        &server,
        "/maintenance",
        &json!({ "provider": "bin", "maintenance": true }),
    );
    assert_eq!((code, &done["before"]), (200, &json!(false)));
    let providers = server.status()["providers"].clone();
    let bin = providers
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "bin");
    assert_eq!(bin.unwrap()["maintenance"], true);
    for (path, body) in [
        ("/guard/show", json!({ "bank_card": CARD })),
        ("/guard/reset", json!({ "bank_card": CARD })),
        ("/erase", json!({ "bank_card": CARD })),
        ("/log-level", json!({ "log_level": "debug" })),
    ] {
        assert_eq!(call(&server, path, &body).0, 200, "{path}");
    }
    let events = written(&mut server, 5);
    let told: Vec<_> = events
        .iter()
        .map(|it| {
            (
                it["event"].as_str().unwrap(),
                it["result"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        "maintenance_on",
        "guard_show",
        "guard_reset",
        "erase",
        "log_level",
    ];
    assert_eq!(told, expected.map(|what| ("admin", what)));
    assert_eq!(events[0]["provider"], "bin");
    let tags: Vec<_> = events[1..4]
        .iter()
        .map(|it| it["card_tag"].as_str())
        .collect();
    assert!(tags.iter().all(|tag| tag.is_some() && *tag == tags[0]));
    assert!(events.iter().all(|it| it["caller"] == "admin"));
    // at one level a refusal is heard, at the other not
    for level in ["error", "info"] {
        let (code, _) = call(&server, "/log-level", &json!({ "log_level": level }));
        assert_eq!(code, 200);
        assert_eq!(post(&server, "/erase", "", "{}").code, 401);
    }
    written(&mut server, 7);
    let refused = "a call of the admin port was refused";
    server.wait_for("the one line", |server| {
        (server.count_logged(refused) == 1).then_some(())
    });
    assert!(!server.stdout.text().contains(CARD));
}

/// A command beside the server, with the operator's configuration.
fn command(server: &Server, arguments: &[&str], typed: &str) -> Output {
    let config = server.folder.path().join("cardproof.toml");
    let mut child = program(&[&["--config", config.to_str().unwrap()], arguments].concat())
        .env("CARDPROOF__SERVER__ADMIN_LISTEN", server.admin.to_string())
        .env("OPERATOR_TOKEN", TOKEN)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // a command that fails before it reads has said why
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn the_commands_find_port_and_token_in_the_configuration() {
    let mut server = server();
    let text = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    let shown = command(&server, &["guard", "show"], CARD);
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    assert_eq!(text(&shown), "nothing is counted about this card\n");
    let json = command(
        &server,
        &["guard", "reset", "--json"],
        "{\"bank_card\": \"6200000100000020\"}",
    );
    assert_eq!(text(&json), "{\"known\":false}\n");
    let erased = command(&server, &["erase"], CARD);
    assert_eq!(text(&erased), "forgotten: 0 answers, 0 request ids\n");
    written(&mut server, 3);

    let token = server.folder.path().join("token");
    fs::write(&token, "another token\n").unwrap();
    let url = format!("http://{}", server.admin);
    let refused = [
        (
            vec![
                "erase",
                "--addr",
                &url,
                "--token-file",
                token.to_str().unwrap(),
            ],
            CARD,
        ),
        (vec!["erase"], "no number"),
        (vec!["erase"], ""),
        (vec!["erase", CARD], ""),
        (vec!["guard", "show", "--card", CARD], ""),
        (vec!["guard"], ""),
    ];
    for (arguments, typed) in refused {
        let output = command(&server, &arguments, typed);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !said.contains(CARD) && !said.contains("another token"),
            "{said}"
        );
    }
    assert_eq!(ledger(&server).len(), 3);
}
