//! `/metrics` of the running program.

mod text;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use cardproof::proto::bankcard::v1::{
    CacheMode, CachePolicy, QueryCardInfoRequest, VerifyBankCardRequest,
};
use http::Request;
use prost::Message;
use tonic::Code;

use self::text::Text;
use super::net::fixture::{Answer, Raw, path};

/// What is told, by hand from the public contract: name, type, labels.
const TOLD: [(&str, &str, &[&str]); 24] = [
    (
        "cardproof_breaker_state",
        "gauge",
        &["operation", "provider"],
    ),
    ("cardproof_budget_spent_ratio", "gauge", &["name", "scope"]),
    (
        "cardproof_build_info",
        "gauge",
        &["bin_data_version", "version"],
    ),
    ("cardproof_cache_entries", "gauge", &[]),
    (
        "cardproof_cache_lookups_total",
        "counter",
        &["outcome", "tier"],
    ),
    ("cardproof_cache_weight_bytes", "gauge", &[]),
    ("cardproof_card_testing_suspects", "gauge", &["caller"]),
    ("cardproof_config_reloads_total", "counter", &["outcome"]),
    ("cardproof_flight_followers_total", "counter", &["scope"]),
    ("cardproof_guard_refusals_total", "counter", &["reason"]),
    ("cardproof_ledger_errors_total", "counter", &[]),
    ("cardproof_otel_dropped_total", "counter", &["signal"]),
    ("cardproof_outcome_unknown_total", "counter", &["provider"]),
    (
        "cardproof_provider_calls_total",
        "counter",
        &["charge", "operation", "outcome", "provider"],
    ),
    (
        "cardproof_provider_clock_skew_seconds",
        "gauge",
        &["provider"],
    ),
    (
        "cardproof_provider_code_conflicts_total",
        "counter",
        &["operation", "provider"],
    ),
    (
        "cardproof_provider_cost_total",
        "counter",
        &["currency", "provider"],
    ),
    ("cardproof_provider_misconfigured", "gauge", &["provider"]),
    (
        "cardproof_provider_nonce_reused_total",
        "counter",
        &["provider"],
    ),
    ("cardproof_redaction_hits_total", "counter", &[]),
    ("cardproof_redis_degraded_total", "counter", &[]),
    (
        "cardproof_results_total",
        "counter",
        &["operation", "provider", "result"],
    ),
    (
        "http_client_request_duration_seconds",
        "histogram",
        &["http_response_status_code", "operation", "provider"],
    ),
    (
        "rpc_server_call_duration_seconds",
        "histogram",
        &["rpc_method", "rpc_response_status_code"],
    ),
];

// documented numbers of the sandbox
const MATCH: &str = "6200000100000012";
const MISMATCH: &str = "6200000100000020";
const SLOW: &str = "6200000300000010";
const MISCONFIGURED: &str = "6200000400000035";
const NEVER_ANSWERS: &str = "6200000400000076";
const SEEN_BEFORE: &str = "6200000400000084";

/// How far the clock of the vendor is ahead.
const SKEW_SECONDS: i64 = 600;

/// The program, and a vendor beside it that is out of order.
struct Running {
    child: Child,
    grpc: SocketAddr,
    admin: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

impl Running {
    fn start() -> Self {
        let vendor = broken_vendor();
        let folder = tempfile::tempdir().unwrap();
        let (grpc, admin) = (free_address(), free_address());
        let config = folder.path().join("cardproof.toml");
        let settings = format!(
            "[server]\nlisten = \"{grpc}\"\nadmin_listen = \"{admin}\"\nmax_connections = 100\n\
             [providers.ace]\nkind = \"ace\"\nendpoint = \"http://{vendor}\"\n\
             token = {{ env = \"TEST_ACE_TOKEN\" }}\n\
             daily_budget = {{ currency = \"CNY\", amount = 8.0 }}\n\
             [providers.ace.price]\ncurrency = \"CNY\"\ntwo = 2.0\n"
        );
        std::fs::write(&config, settings).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cardproof"))
            .arg("--config")
            .arg(&config)
            .env("TEST_ACE_TOKEN", "token-of-a-test")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let running = Self {
            child,
            grpc,
            admin,
            _folder: folder,
        };
        let begun = Instant::now();
        while TcpStream::connect(admin).is_err() || TcpStream::connect(grpc).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "not serving");
            thread::sleep(Duration::from_millis(20));
        }
        running
    }

    fn text(&self) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        body.to_owned()
    }

    async fn eventually(&self, series: &str, value: f64) {
        let begun = Instant::now();
        while Text::read(&self.text()).samples.get(series) != Some(&value) {
            assert!(begun.elapsed() < Duration::from_secs(20), "no {series}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A vendor that answers every request with 503 and a clock that is wrong.
fn broken_vendor() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim_end().to_ascii_lowercase();
                if let Some(bytes) = line.strip_prefix("content-length: ") {
                    length = bytes.parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let theirs = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(SKEW_SECONDS);
            let date = theirs.strftime("%a, %d %b %Y %H:%M:%S GMT");
            let reply = format!(
                "HTTP/1.1 503 Service Unavailable\r\ndate: {date}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            reader.get_mut().write_all(reply.as_bytes()).unwrap();
        }
    });
    address
}

fn framed(message: &impl Message) -> Bytes {
    let bytes = message.encode_to_vec();
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(bytes.len()).unwrap());
    framed.put_slice(&bytes);
    framed.freeze()
}

fn question(card: &str, name: &str) -> VerifyBankCardRequest {
    VerifyBankCardRequest {
        bank_card: card.to_owned(),
        name: name.to_owned(),
        ..VerifyBankCardRequest::default()
    }
}

async fn send(raw: &Raw, path: &str, patience: Option<&str>, message: &impl Message) -> Answer {
    let mut request = Request::post(format!("http://test{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(patience) = patience {
        request = request.header("grpc-timeout", patience);
    }
    raw.send(request.body(()).unwrap(), Some(framed(message)))
        .await
        .unwrap()
}

async fn verify(raw: &Raw, request: &VerifyBankCardRequest, expected: Code) {
    let answer = send(raw, &path("VerifyBankCard"), None, request).await;
    assert_eq!(answer.code(), i32::from(expected));
}

/// Everything that happens to the counts, once.
async fn scripted_series(running: &Running, raw: &Raw) {
    verify(raw, &question(MATCH, "张三"), Code::Ok).await;
    verify(raw, &question(MATCH, "张三"), Code::Ok).await;
    verify(raw, &question(MISMATCH, "张三"), Code::Ok).await;
    verify(raw, &question(NEVER_ANSWERS, "张三"), Code::Unknown).await;
    // held: no vendor is asked
    verify(raw, &question(NEVER_ANSWERS, "张三"), Code::Unknown).await;
    verify(raw, &question(SEEN_BEFORE, "张三"), Code::Unknown).await;
    verify(raw, &question("12", "张三"), Code::InvalidArgument).await;
    let slow = question(SLOW, "张三");
    let verify_path = path("VerifyBankCard");
    let late = send(raw, &verify_path, Some("400m"), &slow).await;
    assert_eq!(late.code(), i32::from(Code::DeadlineExceeded));
    // joins the call of the one that gave up
    verify(raw, &slow, Code::Ok).await;
    let passed = send(raw, &verify_path, Some("0m"), &slow).await;
    assert_eq!(passed.code(), i32::from(Code::DeadlineExceeded));
    let hung_up = question(SLOW, "李四");
    let call = send(raw, &verify_path, None, &hung_up);
    assert!(
        tokio::time::timeout(Duration::from_millis(400), call)
            .await
            .is_err()
    );
    let answered = r#"cardproof_provider_calls_total{charge="NOT_CHARGED",operation="verify_two",outcome="ANSWERED",provider="sandbox"}"#;
    running.eventually(answered, 4.0).await;
    let mut cached_only = question(MATCH, "王五");
    cached_only.cache = Some(CachePolicy {
        mode: CacheMode::OnlyIfCached.into(),
        max_age: None,
    });
    verify(raw, &cached_only, Code::NotFound).await;
    let mut pinned = question(MATCH, "张三");
    pinned.provider = "ace".to_owned();
    verify(raw, &pinned, Code::Unknown).await;
    let refused = question(MISCONFIGURED, "张三");
    verify(raw, &refused, Code::FailedPrecondition).await;
    let prefix = QueryCardInfoRequest {
        bank_card: "622202".to_owned(),
        ..QueryCardInfoRequest::default()
    };
    let info = send(raw, &path("QueryCardInfo"), None, &prefix).await;
    assert_eq!(info.code(), 0);
    for odd in [path("Nonsense"), "/some.Service/Method".to_owned()] {
        let answer = send(raw, &odd, None, &prefix).await;
        assert_eq!(answer.code(), i32::from(Code::Unimplemented));
    }
    let health = "/grpc.health.v1.Health/Check";
    let check = tonic_health::pb::HealthCheckRequest::default();
    assert_eq!(send(raw, health, None, &check).await.code(), 0);
}

/// What the series comes to, counted by hand.
fn expected_counts() -> BTreeMap<String, u64> {
    let calls = |method: &str, code: &str, count| {
        let series = format!(
            "rpc_server_call_duration_seconds_count{{rpc_method={method:?},rpc_response_status_code={code:?}}}"
        );
        (series, count)
    };
    let verify = "bankcard.v1.BankCardService/VerifyBankCard";
    let attempts = |provider: &str, outcome: &str, charge: &str, count| {
        let series = format!(
            "cardproof_provider_calls_total{{charge={charge:?},operation=\"verify_two\",outcome={outcome:?},provider={provider:?}}}"
        );
        (series, count)
    };
    let results = |operation: &str, provider: &str, result: &str, count| {
        let series = format!(
            "cardproof_results_total{{operation={operation:?},provider={provider:?},result={result:?}}}"
        );
        (series, count)
    };
    let other = |series: &str, count| (series.to_owned(), count);
    BTreeMap::from([
        calls(verify, "OK", 4),
        calls(verify, "UNKNOWN", 4),
        calls(verify, "INVALID_ARGUMENT", 1),
        calls(verify, "DEADLINE_EXCEEDED", 2),
        calls(verify, "CANCELLED", 1),
        calls(verify, "NOT_FOUND", 1),
        calls(verify, "FAILED_PRECONDITION", 1),
        calls("bankcard.v1.BankCardService/QueryCardInfo", "OK", 1),
        calls("grpc.health.v1.Health/Check", "OK", 1),
        calls("_OTHER", "UNIMPLEMENTED", 2),
        attempts("sandbox", "ANSWERED", "NOT_CHARGED", 4),
        attempts("sandbox", "OUTCOME_UNKNOWN", "UNKNOWN", 2),
        attempts("sandbox", "MISCONFIGURED", "NOT_CHARGED", 1),
        attempts("ace", "OUTCOME_UNKNOWN", "UNKNOWN", 1),
        results("verify_two", "sandbox", "MATCH", 3),
        results("verify_two", "sandbox", "MISMATCH", 1),
        results("card_info", "bin", "FOUND", 1),
        other(
            r#"cardproof_cache_lookups_total{outcome="hit",tier="local"}"#,
            1,
        ),
        other(
            r#"cardproof_cache_lookups_total{outcome="miss",tier="local"}"#,
            11,
        ),
        other(r#"cardproof_flight_followers_total{scope="local"}"#, 1),
        other(
            r#"cardproof_provider_cost_total{currency="CNY",provider="ace"}"#,
            2,
        ),
        other(r#"cardproof_outcome_unknown_total{provider="sandbox"}"#, 2),
        other(r#"cardproof_outcome_unknown_total{provider="ace"}"#, 1),
        other(
            r#"cardproof_provider_nonce_reused_total{provider="sandbox"}"#,
            1,
        ),
        other(
            r#"http_client_request_duration_seconds_count{http_response_status_code="503",operation="verify_two",provider="ace"}"#,
            1,
        ),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scripted_series_counts_exactly() {
    let running = Running::start();
    let raw = Raw::connect(running.grpc).await;
    scripted_series(&running, &raw).await;
    let text = running.text();
    let read = Text::read(&text);
    let told: Vec<_> = read
        .types
        .iter()
        .map(|(name, kind)| {
            let labels = read.labels[name].iter().map(String::as_str).collect();
            (name.as_str(), kind.as_str(), labels)
        })
        .collect();
    let wanted: Vec<(&str, &str, Vec<&str>)> = TOLD
        .iter()
        .map(|(name, kind, labels)| (*name, *kind, labels.to_vec()))
        .collect();
    assert_eq!(told, wanted);
    assert_eq!(read.counts(), expected_counts());
    let gauge = |series: &str| read.samples[series];
    let misconfigured = |provider: &str| {
        gauge(&format!(
            "cardproof_provider_misconfigured{{provider={provider:?}}}"
        ))
    };
    assert_eq!(misconfigured("sandbox"), 1.0);
    assert_eq!(misconfigured("ace"), 0.0);
    let spent = gauge(r#"cardproof_budget_spent_ratio{name="ace",scope="provider"}"#);
    assert_eq!(spent, 0.25);
    let breaker = gauge(r#"cardproof_breaker_state{operation="verify_two",provider="ace"}"#);
    assert_eq!(breaker, 0.0);
    let suspect = gauge(r#"cardproof_card_testing_suspects{caller="anonymous"}"#);
    assert_eq!(suspect, 0.0);
    let skew = gauge(r#"cardproof_provider_clock_skew_seconds{provider="ace"}"#);
    assert!((skew - SKEW_SECONDS as f64).abs() <= 2.0, "{skew}");
    assert_eq!(
        read.samples
            .keys()
            .filter(|series| series.starts_with("cardproof_provider_clock_skew"))
            .count(),
        1,
        "nothing is known about clocks that nobody has told"
    );
}

/// Outcome and charge of a call, as the contract has them; a provider that is passed over is not
/// called.
const ENDS: [(&str, &str); 9] = [
    ("ANSWERED", "CHARGED"),
    ("ANSWERED", "NOT_CHARGED"),
    ("ANSWERED", "UNKNOWN"),
    ("NOT_SENT", "NOT_CHARGED"),
    ("THROTTLED", "NOT_CHARGED"),
    ("MISCONFIGURED", "NOT_CHARGED"),
    ("OUT_OF_CREDIT", "NOT_CHARGED"),
    ("REFUSED", "NOT_CHARGED"),
    ("OUTCOME_UNKNOWN", "UNKNOWN"),
];

/// Otherwise the first failure of a kind would be no rise, and `increase` would not see it.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_can_become_of_a_call_stands_at_zero_from_the_start() {
    let running = Running::start();
    let all = ["verify_two", "verify_three", "verify_four", "card_info"];
    let mut asked = vec![("bin", "card_info")];
    asked.extend(all.map(|operation| ("sandbox", operation)));
    asked.extend(all.map(|operation| ("ace", operation)));
    let wanted: BTreeMap<String, f64> = asked
        .into_iter()
        .flat_map(|of| ENDS.map(|end| (of, end)))
        .map(|((provider, operation), (outcome, charge))| {
            let series = format!(
                "cardproof_provider_calls_total{{charge={charge:?},operation={operation:?},outcome={outcome:?},provider={provider:?}}}"
            );
            (series, 0.0)
        })
        .collect();
    let mut found = Text::read(&running.text()).samples;
    found.retain(|series, _| series.starts_with("cardproof_provider_calls_total"));
    assert_eq!(found, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_make_no_series_and_leave_no_trace() {
    let running = Running::start();
    let raw = Raw::connect(running.grpc).await;
    let one_round = async |from: u64, to: u64| {
        for at in from..to {
            let card = format!("62170012345{at:05}");
            let mut request = question(&card, "欧阳明月");
            let answer = match at % 5 {
                0 => {
                    request.provider = format!("pinned_{at}");
                    send(&raw, &path("VerifyBankCard"), None, &request).await
                }
                1 => {
                    send(
                        &raw,
                        &format!("/strange.path{at}/Method{at}"),
                        None,
                        &request,
                    )
                    .await
                }
                2 => send(&raw, &path(&format!("Verify{at}")), None, &request).await,
                3 => {
                    request.phone = format!("139{at:08}");
                    request.bank_card = format!("{card}x");
                    send(&raw, &path("VerifyBankCard"), None, &request).await
                }
                _ => send(&raw, &path("QueryCardInfo"), Some("1S"), &request).await,
            };
            assert_eq!(answer.http, 200);
        }
    };
    one_round(0, 50).await;
    let before: Vec<_> = Text::read(&running.text()).samples.into_keys().collect();
    one_round(50, 1050).await;
    let text = running.text();
    let after = Text::read(&text);
    let calls: u64 = after
        .counts()
        .iter()
        .filter(|(series, _)| series.starts_with("rpc_server_call_duration_seconds_count"))
        .map(|(_, count)| *count)
        .sum();
    assert_eq!(calls, 1050, "every one of them was counted");
    let after: Vec<_> = after.samples.into_keys().collect();
    assert_eq!(before, after);
    for trace in [
        "6217001",
        "欧阳",
        "pinned",
        "strange",
        "Verify1",
        "Method1",
        "1390000",
        "token-of",
        "127.0.0.1",
    ] {
        assert!(!text.contains(trace), "{trace}");
    }
}
