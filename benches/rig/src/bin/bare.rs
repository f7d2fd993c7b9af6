//! What asks a vendor without the service: a plain HTTP client that makes the same signed calls as
//! the service does for Tencent with four factors. Prints one JSON object.

#![expect(clippy::print_stdout, reason = "the result is what it is run for")]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cardproof::provider::tencent::sign::Tc3;
use cardproof_rig::questions::card_at;
use clap::Parser;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONTENT_TYPE: &str = "application/json";

/// Asks a vendor as often as it answers.
#[derive(Parser)]
struct Arguments {
    /// The vendor.
    #[arg(long)]
    url: String,
    /// The first question's place in line.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Calls before those that count.
    #[arg(long, default_value_t = 0)]
    warm_up: u64,
    /// Calls that count.
    #[arg(long)]
    requests: u64,
    /// Calls at once.
    #[arg(long, default_value_t = 16)]
    at_once: usize,
}

struct Client {
    http: reqwest::Client,
    url: String,
    next: AtomicU64,
    latencies: Mutex<Vec<Duration>>,
}

impl Client {
    async fn call(&self, place: u64) -> Result<Duration, Box<dyn Error + Send + Sync>> {
        let begun = Instant::now();
        let body = format!(
            r#"{{"IdCard":"11010519491231002X","Name":"张三","BankCard":"{}","Phone":"13800138000"}}"#,
            card_at(place)
        );
        let at = Timestamp::now();
        let authorization = Tc3 {
            secret_id: "AKIDEMULATOR",
            secret_key: "emulator-tencent-secret",
            service: "faceid",
            host: self.url.trim_start_matches("http://"),
            content_type: CONTENT_TYPE,
            at,
        }
        .authorization(body.as_bytes());
        let reply = self
            .http
            .post(&self.url)
            .header("authorization", authorization)
            .header("content-type", CONTENT_TYPE)
            .header("x-tc-action", "BankCard4EVerification")
            .header("x-tc-version", "2018-03-01")
            .header("x-tc-timestamp", at.as_second().to_string())
            .body(body)
            .send()
            .await?;
        let reply = reply.bytes().await?;
        // a match, as every question of the benchmark
        let matched = br#""Result":"0""#;
        if reply.windows(matched.len()).any(|window| window == matched) {
            Ok(begun.elapsed())
        } else {
            Err(String::from_utf8_lossy(&reply).into())
        }
    }

    async fn run(
        self: &Arc<Self>,
        at_once: usize,
        until: u64,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let callers: Vec<_> = (0..at_once)
            .map(|_| {
                let client = Arc::clone(self);
                tokio::spawn(async move {
                    loop {
                        let place = client.next.fetch_add(1, Ordering::Relaxed);
                        if place >= until {
                            return Ok::<_, Box<dyn Error + Send + Sync>>(());
                        }
                        let latency = client.call(place).await?;
                        client.latencies.lock().push(latency);
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await??;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments = Arguments::parse();
    let client = Arc::new(Client {
        http: reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .pool_max_idle_per_host(arguments.at_once)
            .build()?,
        url: arguments.url,
        next: AtomicU64::new(arguments.first),
        latencies: Mutex::default(),
    });
    let warm = arguments.first + arguments.warm_up;
    client.run(arguments.at_once, warm).await?;
    client.latencies.lock().clear();
    client.next.store(warm, Ordering::Relaxed);
    let begun = Instant::now();
    client
        .run(arguments.at_once, warm + arguments.requests)
        .await?;
    let seconds = begun.elapsed().as_secs_f64();
    let mut latencies = client.latencies.lock();
    latencies.sort_unstable();
    let median = latencies
        .get(latencies.len() / 2)
        .copied()
        .unwrap_or_default();
    let report = json!({
        "requests": latencies.len(),
        "failed": 0,
        "per_second": latencies.len() as f64 / seconds,
        "p50_us": median.as_secs_f64() * 1e6,
    });
    println!("{report}");
    Ok(())
}
