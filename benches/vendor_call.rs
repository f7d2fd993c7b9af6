//! What a call through the service to a vendor costs, next to a bare HTTP client that sends the same
//! body: `cargo build --release && cargo bench --bench vendor_call`.
//!
//! Both ask the emulator on loopback, which has a thread of its own. The service is the release
//! binary and is asked over gRPC with questions that nobody has asked before; CPU time is that of
//! its process alone. The bare client is a process of its own as well. Ends with exit code 1 if a
//! call through the service costs more than 1.3 times the CPU of a bare one.
//!
//! `CARDPROOF_BINARY` names another binary, `VENDOR_CALLS` another number of calls and
//! `VENDOR_CALLS_AT_ONCE` how many are under way at once.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark prints its result, and stops when it cannot run"
)]

use std::{
    env, fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use cardproof::proto::bankcard::v1::{
    VerifyBankCardRequest, bank_card_service_client::BankCardServiceClient,
};
use cardproof_emulator::{Emulator, Options};
use futures_util::{StreamExt, stream};
use tonic::transport::Channel;

/// At most this many times the CPU of a bare call.
const BAR: f64 = 1.3;
const ROUNDS: usize = 5;
const TOKEN: &str = "emulator-ace-token";
/// The clock of `/proc/PID/stat` on Linux, whatever the kernel's own.
const TICKS_PER_SECOND: f64 = 100.0;

fn calls() -> usize {
    env::var("VENDOR_CALLS").map_or(20_000, |text| text.parse().expect("a number"))
}

/// Calls that are under way at once.
fn at_once() -> usize {
    env::var("VENDOR_CALLS_AT_ONCE").map_or(16, |text| text.parse().expect("a number"))
}

/// Ends in zeros: other endings select special answers of the emulator.
fn card(number: usize) -> String {
    format!("6228{number:09}000")
}

/// Seconds of CPU that a process has used so far.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // the second field is a name in parentheses; user and system time are the 14th and 15th
    let rest = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// The bare client, in a process of its own: prints its microseconds of CPU per call.
fn bare(url: &str, first: usize, count: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .pool_max_idle_per_host(at_once())
            .build()
            .unwrap();
        let send = |number: usize| {
            let client = client.clone();
            async move {
                let body = format!(r#"{{"bank_card":"{}","name":"张三"}}"#, card(number));
                let reply = client
                    .post(format!("{url}/identity/bankcard/check-2e"))
                    .header("accept", "application/json")
                    .header("content-type", "application/json")
                    .header("authorization", format!("Bearer {TOKEN}"))
                    .body(body)
                    .send()
                    .await
                    .unwrap();
                assert_eq!(reply.status(), 200);
                assert!(reply.bytes().await.unwrap().starts_with(b"{"));
            }
        };
        let warm = count / 10;
        stream::iter(first..first + warm)
            .for_each_concurrent(at_once(), send)
            .await;
        let before = cpu_seconds(std::process::id());
        stream::iter(first + warm..first + warm + count)
            .for_each_concurrent(at_once(), send)
            .await;
        let used = cpu_seconds(std::process::id()) - before;
        println!("{}", used * 1e6 / count as f64);
    });
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(binary: &str, folder: &Path, url: &str) -> (Server, String) {
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [grpc, admin] = sockets
        .each_ref()
        .map(|socket| socket.local_addr().unwrap());
    drop(sockets);
    let config = format!(
        "[server]\nlisten = \"{grpc}\"\nadmin_listen = \"{admin}\"\n[routes]\nverify = [\"ace\"]\n\
         card_info = [\"bin\"]\n[providers.ace]\nkind = \"ace\"\nendpoint = \"{url}\"\n\
         token = {{ env = \"BENCH_TOKEN\" }}\n"
    );
    let file = folder.join("cardproof.toml");
    fs::write(&file, config).unwrap();
    let child = Command::new(binary)
        .args(["serve", "--config"])
        .arg(file)
        .env("BENCH_TOKEN", TOKEN)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{binary}: {error}; build it with cargo build --release"));
    (Server(child), format!("http://{grpc}"))
}

async fn connect(url: &str) -> BankCardServiceClient<Channel> {
    for _ in 0..200 {
        if let Ok(channel) = Channel::from_shared(url.to_owned())
            .unwrap()
            .connect()
            .await
        {
            return BankCardServiceClient::new(channel);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the server does not serve");
}

/// Microseconds of the service's CPU per call.
async fn through_service(
    client: &BankCardServiceClient<Channel>,
    pid: u32,
    first: usize,
    count: usize,
) -> f64 {
    let ask = |number: usize| {
        let mut client = client.clone();
        async move {
            let request = VerifyBankCardRequest {
                bank_card: card(number),
                name: "张三".to_owned(),
                ..VerifyBankCardRequest::default()
            };
            let answer = client.verify_bank_card(request).await.unwrap().into_inner();
            assert_eq!(answer.attempts.len(), 1, "asked before");
        }
    };
    let warm = count / 10;
    stream::iter(first..first + warm)
        .for_each_concurrent(at_once(), ask)
        .await;
    let before = cpu_seconds(pid);
    stream::iter(first + warm..first + warm + count)
        .for_each_concurrent(at_once(), ask)
        .await;
    (cpu_seconds(pid) - before) * 1e6 / count as f64
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    if let [_, mode, url, first, count] = &arguments[..]
        && mode == "bare"
    {
        bare(url, first.parse().unwrap(), count.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let emulator = Emulator::start_on_thread(Options::default(), 1).unwrap();
    let binary = env::var("CARDPROOF_BINARY").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/target/release/cardproof").into()
    });
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = start(&binary, folder.path(), &emulator.url());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = runtime.block_on(connect(&url));
    let count = calls();
    let (mut service, mut direct) = (Vec::new(), Vec::new());
    // in turn, so that a busy machine meets both alike
    for round in 0..ROUNDS {
        let first = round * 4 * count;
        let ours = through_service(&client, server.0.id(), first, count);
        service.push(runtime.block_on(ours));
        let bare = Command::new(&arguments[0])
            .args([
                "bare",
                &emulator.url(),
                &(first + 2 * count).to_string(),
                &count.to_string(),
            ])
            .output()
            .unwrap();
        direct.push(
            String::from_utf8(bare.stdout)
                .unwrap()
                .trim()
                .parse()
                .unwrap(),
        );
        emulator.reset_ledger();
    }
    let (service, direct) = (median(&mut service), median(&mut direct));
    let ratio = service / direct;
    let verdict = if ratio <= BAR { "within" } else { "MISSED" };
    println!("through the service {service:>7.1} µs of CPU per call");
    println!("bare HTTP client    {direct:>7.1} µs of CPU per call");
    println!("ratio               {ratio:>7.2}, {verdict} the bar of {BAR}");
    if ratio <= BAR {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
