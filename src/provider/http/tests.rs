//! Against raw sockets: what is on the wire, and what is believed about it.

mod http2;
mod server;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::server::Server;
use super::*;
use crate::config::providers::ProxyUrl;

const SOON: Duration = Duration::from_millis(500);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

fn settings() -> VendorSettings {
    VendorSettings {
        requests_per_second: None,
        concurrent: 4,
        connect_timeout: SOON,
        timeout: SOON,
        ca_file: None,
        proxy: None,
        identity_types: BTreeMap::new(),
        maintenance: false,
        misconfigured_skip: Duration::from_secs(60),
        daily_budget: None,
        price: None,
    }
}

fn name() -> ProviderName {
    ProviderName::new("vendor").unwrap()
}

fn endpoint(scheme: &str, address: SocketAddr) -> Endpoint {
    Endpoint::parse(&format!("{scheme}://{address}"), false).unwrap()
}

fn client(address: SocketAddr) -> HttpClient {
    HttpClient::new(&name(), &endpoint("http", address), &settings()).unwrap()
}

fn call(path_and_query: &str, body: &str) -> HttpCall {
    HttpCall {
        path_and_query: path_and_query.to_owned(),
        headers: vec![("authorization", "Bearer s3cret".to_owned().into())],
        body: body.as_bytes().to_vec(),
        operation: Some(Operation::VerifyTwo),
        url_template: "/",
    }
}

fn kind<T: fmt::Debug>(outcome: Result<T, ProviderError>) -> ProviderErrorKind {
    outcome.unwrap_err().kind
}

#[tokio::test]
async fn the_query_is_on_the_wire_byte_for_byte() {
    let server = Server::start().await;
    let target = "/?BankCard=6222020000000000000&Name=%E5%BC%A0%E4%B8%89%20a%2Bb%2A~-._&Empty=";
    let client = client(server.address);
    let (outcome, text) = tokio::join!(client.post(call(target, ""), SOON), async {
        let received = server.next().await;
        let text = received.text.clone();
        received.answer(OK.as_bytes()).await;
        text
    });
    assert_eq!(outcome.unwrap().status, 200);
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some(format!("POST {target} HTTP/1.1").as_str())
    );
    let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    assert!(headers.contains(&format!("host: {}", server.address).as_str()));
    assert!(headers.contains(&"content-length: 0"));
    assert!(headers.contains(&"authorization: Bearer s3cret"));
    for unwanted in ["referer", "cookie", "transfer-encoding"] {
        assert!(!headers.iter().any(|line| line.starts_with(unwanted)));
    }
}

#[tokio::test]
async fn a_query_that_the_url_parser_would_change_is_not_sent() {
    let server = Server::start().await;
    let client = client(server.address);
    for target in ["/?a=b c", "/?a='x'", "/?a=张", "/a/../b", "no-slash"] {
        let outcome = client.post(call(target, ""), SOON).await;
        assert_eq!(kind(outcome), ProviderErrorKind::NotSent, "{target}");
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn one_warm_connection_serves_call_after_call() {
    let server = Server::start().await;
    let client = client(server.address);
    let serve = async {
        let first = server.next().await;
        assert!(first.text.ends_with("{\"a\":1}"), "{}", first.text);
        let stream = first.answer(OK.as_bytes()).await;
        let second = server.next_on(stream).await.unwrap();
        second.answer(OK.as_bytes()).await
    };
    let ask = async {
        for _ in 0..2 {
            client.post(call("/x", "{\"a\":1}"), SOON).await.unwrap();
        }
    };
    tokio::join!(serve, ask);
    assert_eq!(server.requests(), 2);
}

#[rstest]
#[case("")]
#[case("{\"bank_card\":\"6222\"}")]
#[tokio::test]
async fn cut_after_reading_is_unknown_and_never_sent_again(#[case] body: &str) {
    let server = Server::start().await;
    let client = client(server.address);
    let cut = async {
        drop(server.next().await);
        // a second connection would be a second request
        tokio::time::timeout(SOON, server.listener.accept()).await
    };
    let (outcome, again) = tokio::join!(client.post(call("/", body), SOON), cut);
    assert_eq!(kind(outcome), ProviderErrorKind::OutcomeUnknown);
    assert!(again.is_err());
    assert_eq!(server.requests(), 1);
}

#[rstest]
#[case("")]
#[case("{\"bank_card\":\"6222\"}")]
#[tokio::test]
async fn a_warm_connection_cut_after_reading_is_unknown_and_never_sent_again(#[case] body: &str) {
    let server = Server::start().await;
    let client = client(server.address);
    let cut = async {
        let stream = server.next().await.answer(OK.as_bytes()).await;
        drop(server.next_on(stream).await.unwrap());
        tokio::time::timeout(SOON, server.listener.accept()).await
    };
    let ask = async {
        client.post(call("/", body), SOON).await.unwrap();
        client.post(call("/", body), SOON).await
    };
    let (outcome, again) = tokio::join!(ask, cut);
    assert_eq!(kind(outcome), ProviderErrorKind::OutcomeUnknown);
    assert!(again.is_err());
    assert_eq!(server.requests(), 2);
}

#[rstest]
#[case("")]
#[case("{\"bank_card\":\"6222\"}")]
#[tokio::test]
async fn a_server_that_never_answers_is_unknown(#[case] body: &str) {
    let server = Server::start().await;
    let client = client(server.address);
    let hold = async {
        let received = server.next().await;
        tokio::time::sleep(SOON * 3).await;
        drop(received);
    };
    let started = Instant::now();
    let ask = async {
        let outcome = client.post(call("/", body), SOON).await;
        (kind(outcome), started.elapsed())
    };
    let ((kind, took), ()) = tokio::join!(ask, hold);
    assert_eq!(kind, ProviderErrorKind::OutcomeUnknown);
    assert!(took >= SOON && took < SOON * 2, "{took:?}");
}

// a reply may take longer than a connection, and a connection longer than a reply
#[rstest]
#[case(SOON / 4, SOON * 4, None)]
#[case(SOON * 8, SOON / 4, Some(ProviderErrorKind::OutcomeUnknown))]
#[tokio::test]
async fn from_the_departure_on_the_whole_timeout_counts(
    #[case] connect_timeout: Duration,
    #[case] timeout: Duration,
    #[case] expected: Option<ProviderErrorKind>,
) {
    let server = Server::start().await;
    let settings = VendorSettings {
        connect_timeout,
        ..settings()
    };
    let client = HttpClient::new(&name(), &endpoint("http", server.address), &settings).unwrap();
    let started = Instant::now();
    let ask = async {
        let outcome = client.post(call("/", "{}"), timeout).await;
        (outcome.err().map(|error| error.kind), started.elapsed())
    };
    let answer = async {
        let mut received = server.next().await;
        tokio::time::sleep(SOON).await;
        // nobody may be there any more
        let _ = received.stream.write_all(OK.as_bytes()).await;
    };
    let ((outcome, took), ()) = tokio::join!(ask, answer);
    assert_eq!(outcome, expected);
    assert!(took < SOON * 3, "{took:?}");
}

#[tokio::test]
async fn nobody_listening_is_not_sent() {
    let server = Server::start().await;
    let address = server.address;
    drop(server);
    let outcome = client(address).post(call("/", "{}"), SOON).await;
    assert_eq!(kind(outcome), ProviderErrorKind::NotSent);
}

#[tokio::test]
async fn a_failed_handshake_is_not_sent() {
    for greeting in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
        let server = Server::start().await;
        let mut settings = settings();
        settings.ca_file = Some("tests/data/authority.pem".into());
        let endpoint = endpoint("https", server.address);
        let client = HttpClient::new(&name(), &endpoint, &settings).unwrap();
        let refuse = async {
            let (mut stream, _) = server.listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            assert_eq!(buffer[..read].first(), Some(&0x16), "a TLS handshake");
            stream.write_all(greeting).await.unwrap();
        };
        let (outcome, ()) = tokio::join!(client.post(call("/", "{}"), SOON), refuse);
        assert_eq!(kind(outcome), ProviderErrorKind::NotSent);
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_is_not_sent() {
    let server = Server::start().await;
    let mut settings = settings();
    settings.ca_file = Some("tests/data/authority.pem".into());
    let endpoint = endpoint("https", server.address);
    let client = HttpClient::new(&name(), &endpoint, &settings).unwrap();
    let started = Instant::now();
    let hold = async {
        let connection = server.listener.accept().await.unwrap();
        tokio::time::sleep(SOON * 2).await;
        drop(connection);
    };
    let (outcome, ()) = tokio::join!(client.post(call("/", "{}"), SOON * 20), hold);
    assert_eq!(kind(outcome), ProviderErrorKind::NotSent);
    assert!(started.elapsed() < SOON * 4);
}

#[tokio::test]
async fn a_certificate_file_that_is_none_is_told_without_its_path() {
    for path in ["tests/data/result_codes.json", "tests/data/missing.pem"] {
        let mut settings = settings();
        settings.ca_file = Some(path.into());
        let endpoint = Endpoint::parse("https://vendor.example", false).unwrap();
        let error = HttpClient::new(&name(), &endpoint, &settings).unwrap_err();
        assert_eq!(error, HttpClientError::CaFile);
        assert!(!error.to_string().contains("tests"));
    }
}

#[tokio::test]
async fn redirects_are_replies() {
    let server = Server::start().await;
    let elsewhere = Server::start().await;
    for status in [301, 302, 303, 307, 308] {
        let client = client(server.address);
        let reply = format!(
            "HTTP/1.1 {status} Elsewhere\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
            elsewhere.address
        );
        let serve = async { server.next().await.answer(reply.as_bytes()).await };
        let (outcome, _stream) = tokio::join!(client.post(call("/", "{}"), SOON), serve);
        assert_eq!(outcome.unwrap().status, status);
    }
    assert_eq!((server.requests(), elsewhere.requests()), (5, 0));
}

#[rstest]
#[case::exactly(MAX_REPLY_BYTES, true)]
#[case::one_more(MAX_REPLY_BYTES + 1, false)]
#[tokio::test]
async fn replies_are_capped(#[case] length: usize, #[case] fits: bool) {
    let announced = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let streamed = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n");
    for (head, tail) in [(announced, ""), (streamed, "\r\n0\r\n\r\n")] {
        let server = Server::start().await;
        let client = client(server.address);
        let reply = [head.as_bytes(), &vec![b' '; length], tail.as_bytes()].concat();
        Arc::clone(&server).answer_all(reply);
        let outcome = client.post(call("/", "{}"), SOON * 10).await;
        if fits {
            assert_eq!(outcome.unwrap().body.len(), length);
        } else {
            assert_eq!(kind(outcome), ProviderErrorKind::OutcomeUnknown);
        }
        assert_eq!(server.requests(), 1);
    }
}

/// Gzip of `zeros` blanks, made by hand: stored blocks for a small text, else a run of one
/// character as `gzip` writes it.
fn gzip_of_blanks(mebibytes: usize) -> Vec<u8> {
    let mut gzip = std::process::Command::new("sh")
        .args([
            "-c",
            &format!("head -c {mebibytes}M /dev/zero | tr '\\0' ' ' | gzip -9"),
        ])
        .output()
        .unwrap();
    assert!(gzip.status.success());
    std::mem::take(&mut gzip.stdout)
}

#[tokio::test]
async fn a_gzip_bomb_is_cut_off() {
    let bomb = gzip_of_blanks(30);
    assert!(bomb.len() < MAX_REPLY_BYTES, "passes the cap while packed");
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    );
    let server = Server::start().await;
    Arc::clone(&server).answer_all([head.as_bytes(), &bomb].concat());
    let outcome = client(server.address)
        .post(call("/", "{}"), SOON * 10)
        .await;
    assert_eq!(kind(outcome), ProviderErrorKind::OutcomeUnknown);
}

#[tokio::test]
async fn gzip_is_unpacked_and_broken_gzip_is_unknown() {
    // "{}" in a stored block, with its CRC-32 and length
    let packed: &[u8] = &[
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1, 2, 0, 253, 255, b'{', b'}', 0x43, 0xbf, 0xa6,
        0xa3, 2, 0, 0, 0,
    ];
    let mut broken = packed.to_vec();
    broken[17] ^= 1;
    for (body, good) in [(packed, true), (&broken, false)] {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let server = Server::start().await;
        Arc::clone(&server).answer_all([head.as_bytes(), body].concat());
        let outcome = client(server.address).post(call("/", "{}"), SOON).await;
        if good {
            assert_eq!(outcome.unwrap().body.as_slice(), b"{}");
        } else {
            assert_eq!(kind(outcome), ProviderErrorKind::OutcomeUnknown);
        }
    }
}

#[tokio::test]
async fn a_slow_drip_ends_with_the_timeout() {
    let server = Server::start().await;
    let client = client(server.address);
    let drip = async {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
        let mut stream = server.next().await.answer(head.as_bytes()).await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let started = Instant::now();
    let (outcome, ()) = tokio::join!(client.post(call("/", "{}"), SOON), drip);
    assert_eq!(kind(outcome), ProviderErrorKind::OutcomeUnknown);
    assert!(started.elapsed() < SOON * 3, "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_configured_proxy_is_used_and_none_else() {
    let proxy = Server::start().await;
    Arc::clone(&proxy).answer_all(OK.as_bytes().to_vec());
    let mut settings = settings();
    settings.proxy = Some(ProxyUrl::parse(&format!("http://{}", proxy.address)).unwrap());
    let endpoint = Endpoint::parse("http://127.0.0.1:9", false).unwrap();
    let client = HttpClient::new(&name(), &endpoint, &settings).unwrap();
    assert_eq!(
        client.post(call("/", "{}"), SOON).await.unwrap().status,
        200
    );
    assert_eq!(proxy.requests(), 1);
}

/// Runs another test of this file in a process of its own, with another environment.
async fn run_alone(test: &'static str, environment: Vec<(&'static str, String)>) {
    let run = tokio::task::spawn_blocking(move || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .envs(environment)
            .env_remove("no_proxy")
            .env_remove("NO_PROXY")
            .args(["--exact", &format!("provider::http::tests::{test}")])
            .output()
            .unwrap()
    });
    let output = run.await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[tokio::test]
async fn proxies_of_the_environment_are_ignored() {
    let proxy = Server::start().await;
    Arc::clone(&proxy).answer_all(OK.as_bytes().to_vec());
    let url = format!("http://{}", proxy.address);
    let names = [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ];
    let environment = names.map(|name| (name, url.clone())).to_vec();
    run_alone("asks_a_server_of_its_own", environment).await;
    assert_eq!(proxy.requests(), 0);
}

#[tokio::test]
async fn plain_http_to_loopback_needs_no_certificates_of_the_system() {
    let empty = tempfile::tempdir().unwrap();
    let folder = empty.path().to_str().unwrap();
    let file = format!("{folder}/none.pem");
    let environment = vec![("SSL_CERT_DIR", folder.to_owned()), ("SSL_CERT_FILE", file)];
    run_alone("asks_a_server_of_its_own", environment.clone()).await;
    run_alone("https_needs_certificates_to_trust", environment).await;
}

/// The operator's own authorities will do anywhere; in the process without the system's, nothing
/// else will.
#[tokio::test]
async fn https_needs_certificates_to_trust() {
    let endpoint = Endpoint::parse("https://vendor.example", false).unwrap();
    let mut own = settings();
    own.ca_file = Some("tests/data/authority.pem".into());
    assert!(HttpClient::new(&name(), &endpoint, &own).is_ok());
    if std::env::var("SSL_CERT_FILE").is_ok_and(|file| file.ends_with("/none.pem")) {
        let outcome = HttpClient::new(&name(), &endpoint, &settings());
        assert_eq!(outcome.unwrap_err(), HttpClientError::Tls);
    }
}

#[tokio::test]
async fn asks_a_server_of_its_own() {
    let server = Server::start().await;
    Arc::clone(&server).answer_all(OK.as_bytes().to_vec());
    client(server.address)
        .post(call("/", "{}"), SOON * 3)
        .await
        .unwrap();
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn nothing_shows_itself() {
    let call = call("/?BankCard=6222020000000000000", "{\"name\":\"张三\"}");
    let mut shown = format!("{call:?}");
    let server = Server::start().await;
    let address = server.address;
    let client = client(address);
    drop(server);
    let error = client.post(call, SOON).await.unwrap_err();
    shown.push_str(&format!("{client:?} {error:?} {error}"));
    for secret in [
        "6222020000000000000",
        "张三",
        "s3cret",
        "http://",
        "127.0.0.1",
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn a_credential_that_no_header_can_carry_is_misconfigured() {
    let server = Server::start().await;
    let mut call = call("/", "{}");
    call.headers = vec![("authorization", "Bearer a\nb".to_owned().into())];
    let outcome = client(server.address).post(call, SOON).await;
    assert_eq!(kind(outcome), ProviderErrorKind::Misconfigured);
}
