//! What asks a vendor without the service: a plain HTTP client that makes the same signed calls as
//! the service does for Tencent with four factors, or the service's own client. Prints one JSON
//! object.

#![expect(clippy::print_stdout, reason = "the result is what it is run for")]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cardproof_rig::{client, questions::card_at, vendor::Vendor};
use clap::Parser;
use parking_lot::Mutex;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// The service's own client, not a plain one.
    #[arg(long)]
    own: bool,
}

enum Asked {
    Plainly(Vendor),
    AsByTheService(Box<client::Client>),
}

struct Client {
    vendor: Asked,
    next: AtomicU64,
    latencies: Mutex<Vec<Duration>>,
}

impl Client {
    async fn call(&self, place: u64) -> Result<Duration, Box<dyn Error + Send + Sync>> {
        let begun = Instant::now();
        match &self.vendor {
            Asked::Plainly(vendor) => vendor.verify(&card_at(place)).await?,
            Asked::AsByTheService(vendor) => vendor.verify(&card_at(place)).await?,
        }
        Ok(begun.elapsed())
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

/// Seconds of CPU that this process has used.
fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments = Arguments::parse();
    let (url, at_once) = (arguments.url, arguments.at_once);
    let client = Arc::new(Client {
        vendor: if arguments.own {
            Asked::AsByTheService(Box::new(client::Client::at(&url, at_once)?))
        } else {
            Asked::Plainly(Vendor::at(url, at_once)?)
        },
        next: AtomicU64::new(arguments.first),
        latencies: Mutex::default(),
    });
    let warm = arguments.first + arguments.warm_up;
    client.run(arguments.at_once, warm).await?;
    client.latencies.lock().clear();
    client.next.store(warm, Ordering::Relaxed);
    let (begun, used) = (Instant::now(), cpu_seconds());
    client
        .run(arguments.at_once, warm + arguments.requests)
        .await?;
    let (seconds, used) = (begun.elapsed().as_secs_f64(), cpu_seconds() - used);
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
        "cpu_us": used * 1e6 / latencies.len() as f64,
    });
    println!("{report}");
    Ok(())
}
