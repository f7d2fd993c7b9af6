//! The port for operators.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use cardproof::{
    admin::{self, Admin, Controls, Done, MetricsSource, StatusSource},
    domain::CardNumber,
    grpc::health::HealthService,
    health::HealthSwitch,
    listener,
};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

struct Fixed;

impl StatusSource for Fixed {
    fn status(&self) -> Value {
        json!({"phase": "serving", "version": "<script>alert(1)</script>"})
    }
}

impl MetricsSource for Fixed {
    fn metrics(&self) -> String {
        "cardproof_redis_up 1\n".to_owned()
    }
}

/// Everything is open to everybody and does nothing.
struct Open;

#[async_trait]
impl Controls for Open {
    fn are_there(&self) -> bool {
        true
    }

    fn are_open_to(&self, _token: &[u8]) -> bool {
        true
    }

    async fn guard_show(&self, _card: CardNumber) -> Done {
        Ok(json!({}))
    }

    async fn guard_reset(&self, _card: CardNumber) -> Done {
        Ok(json!({}))
    }

    async fn erase(&self, _card: CardNumber) -> Done {
        Ok(json!({}))
    }

    fn log_level(&self, _level: &str) -> Done {
        Ok(json!({}))
    }

    fn maintenance(&self, _provider: &str, _maintenance: bool) -> Done {
        Ok(json!({}))
    }
}

/// All paths, without a socket.
pub fn paths_with_controls() -> axum::Router {
    let health = HealthSwitch::new();
    Admin {
        status: Arc::new(Fixed),
        metrics: None,
        grpc_health: HealthService::router(health.clone()),
        health,
        controls: Some(Arc::new(Open)),
    }
    .router()
}

pub struct AdminPort {
    pub address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
}

pub struct Page {
    pub code: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl AdminPort {
    pub async fn open(health: HealthSwitch) -> Self {
        Self::open_with(health, None).await
    }

    async fn open_with(health: HealthSwitch, metrics: Option<Arc<dyn MetricsSource>>) -> Self {
        let socket = listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let router = Admin {
            status: Arc::new(Fixed),
            metrics,
            grpc_health: HealthService::router(health.clone()),
            health,
            controls: None,
        }
        .router();
        let stop = CancellationToken::new();
        let served = tokio::spawn(admin::serve(socket, router, stop.clone()));
        Self {
            address,
            stop,
            served,
        }
    }

    pub async fn get(&self, path: &str) -> Page {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
        ))
        .await
    }

    async fn send(&self, request: &str) -> Page {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let code = lines.next().unwrap().split(' ').nth(1).unwrap();
        Page {
            code: code.parse().unwrap(),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_follow_the_life_of_the_process() {
    let health = HealthSwitch::new();
    let port = AdminPort::open(health.clone()).await;
    type Step = fn(&HealthSwitch);
    let states: [(Step, u16, &str); 4] = [
        (|_| (), 503, "starting\n"),
        (HealthSwitch::serving, 200, "serving\n"),
        (HealthSwitch::draining, 503, "draining\n"),
        (HealthSwitch::stopping, 503, "stopping\n"),
    ];
    for (step, code, word) in states {
        step(&health);
        let ready = port.get("/readyz").await;
        assert_eq!((ready.code, ready.body.as_str()), (code, word));
        let live = port.get("/livez").await;
        assert_eq!((live.code, live.body.as_str()), (200, "ok\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_json_for_programs_and_a_page_for_people() {
    let port = AdminPort::open(HealthSwitch::new()).await;
    let status = port.get("/status").await;
    assert_eq!(status.code, 200);
    assert_eq!(status.headers["content-type"], "application/json");
    assert_eq!(status.headers["x-content-type-options"], "nosniff");
    let parsed: Value = serde_json::from_str(&status.body).unwrap();
    assert_eq!(parsed["phase"], "serving");

    let page = port.get("/").await;
    assert_eq!(page.code, 200);
    assert!(page.headers["content-type"].starts_with("text/html"));
    let policy = &page.headers["content-security-policy"];
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    assert!(!policy.contains("unsafe"));
    assert!(page.body.contains(">serving</span>"));
    assert!(page.body.contains("&lt;script&gt;"));
    assert!(!page.body.contains("<script"));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_there_as_soon_as_somebody_has_them() {
    let without = AdminPort::open(HealthSwitch::new()).await;
    assert_eq!(without.get("/metrics").await.code, 404);
    let with = AdminPort::open_with(HealthSwitch::new(), Some(Arc::new(Fixed))).await;
    let metrics = with.get("/metrics").await;
    assert_eq!(metrics.code, 200);
    assert_eq!(metrics.body, "cardproof_redis_up 1\n");
    assert!(metrics.headers["content-type"].contains("version=0.0.4"));
}

#[rstest]
#[case("GET /nothing HTTP/1.1", 404)]
#[case("GET /status/ HTTP/1.1", 404)]
#[case("GET /livez/../status HTTP/1.1", 404)]
#[case("POST /status HTTP/1.1", 405)]
#[case("DELETE / HTTP/1.1", 405)]
#[case("PUT /readyz HTTP/1.1", 405)]
#[case("HEAD /livez HTTP/1.1", 200)]
#[tokio::test(flavor = "multi_thread")]
async fn anything_else_is_refused(#[case] line: &str, #[case] code: u16) {
    let port = AdminPort::open(HealthSwitch::new()).await;
    let page = port
        .send(&format!(
            "{line}\r\nhost: test\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        ))
        .await;
    assert_eq!(page.code, code);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_a_limit() {
    let port = AdminPort::open(HealthSwitch::new()).await;
    let long = "x".repeat(20 * 1024);
    let page = port
        .send(&format!(
            "GET /livez HTTP/1.1\r\nhost: test\r\nx-long: {long}\r\nconnection: close\r\n\r\n"
        ))
        .await;
    assert_eq!(page.code, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_time_whoever_is_connected() {
    let port = AdminPort::open(HealthSwitch::new()).await;
    let _silent = TcpStream::connect(port.address).await.unwrap();
    let mut kept_alive = TcpStream::connect(port.address).await.unwrap();
    kept_alive
        .write_all(b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    assert!(kept_alive.read(&mut [0; 64]).await.unwrap() > 0);
    let begun = Instant::now();
    port.stop.cancel();
    port.served.await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(TcpStream::connect(port.address).await.is_err());
}

#[rstest]
#[case::says_nothing(b"", 10)]
#[case::stops_in_its_head(b"GET /livez HTTP/1.1\r\nhos", 20)]
#[case::may_be_of_either_version(b"PRI", 602)]
#[case::sends_no_settings(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 602)]
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_cut(#[case] hello: &[u8], #[case] within_seconds: u64) {
    let port = AdminPort::open(HealthSwitch::new()).await;
    let mut peer = TcpStream::connect(port.address).await.unwrap();
    peer.write_all(hello).await.unwrap();
    let begun = tokio::time::Instant::now();
    // an answer, a reset and a plain end are all right, but not a connection for ever
    let _ = peer.read_to_end(&mut Vec::new()).await;
    let took = begun.elapsed().as_secs();
    assert!((9..=within_seconds).contains(&took), "{took} s");
}
