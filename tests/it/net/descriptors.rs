//! A process without descriptors left waits calmly and recovers.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use cardproof::{
    config::{LogFormat, LogLevel, LogRequests, TelemetrySettings},
    telemetry,
};

use super::fixture::{House, call, channel, limits};

/// What the helper may open in all; a runtime of tests needs some ten of them.
const DESCRIPTORS: usize = 64;

/// Serves until its standard input ends. Started by the test below.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a process of its own with few descriptors, started by the test beside it"]
async fn helper() {
    let settings = TelemetrySettings {
        log_level: LogLevel::Info,
        log_format: LogFormat::Json,
        log_requests: LogRequests::Problems,
        ledger_file: None,
    };
    let _guard = telemetry::init(&settings, None).unwrap();
    let mut limits = limits();
    limits.workers = 1;
    limits.max_connections = 10_000;
    limits.connection.hello_timeout = Duration::from_secs(60);
    let house = House::open(limits).await;
    writeln!(std::io::stdout(), "\nlistening {}", house.address).unwrap();
    let wait = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    wait.await.unwrap().unwrap();
}

/// Ends the helper however the test ends.
struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processor time of a process in hundredths of a second.
fn processor_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // the name in parentheses may contain blanks
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = fields.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn open_descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_it_waits_calmly_and_recovers() {
    let test = std::env::current_exe().unwrap();
    let mut helper = Helper(
        Command::new("sh")
            .arg("-c")
            .arg(format!(
                "ulimit -n {DESCRIPTORS} && exec \"$0\" --exact net::descriptors::helper \
                 --ignored --nocapture"
            ))
            .arg(&test)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let pid = helper.0.id();
    let mut lines = BufReader::new(helper.0.stdout.take().unwrap()).lines();
    let address: SocketAddr = lines
        .by_ref()
        .map(Result::unwrap)
        .find_map(|line| line.strip_prefix("listening ")?.parse().ok())
        .expect("the helper says where it listens");

    let crowd: Vec<_> = (0..2 * DESCRIPTORS)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let begun = Instant::now();
    while open_descriptors(pid) < DESCRIPTORS {
        assert!(begun.elapsed() < Duration::from_secs(5), "never full");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let before = processor_ticks(pid);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let spent = processor_ticks(pid) - before;
    assert!(
        open_descriptors(pid) >= DESCRIPTORS,
        "it was full all the time"
    );
    // spinning would take some 200
    assert!(spent < 20, "{spent} hundredths of a second in two seconds");

    drop(crowd);
    let answer = tokio::time::timeout(Duration::from_secs(5), async {
        call(&channel(address).await, "Echo").await
    });
    assert_eq!(answer.await.unwrap().unwrap(), "hello");

    drop(helper.0.stdin.take());
    let log: Vec<_> = lines.map(Result::unwrap).collect();
    let complaints = log
        .iter()
        .filter(|line| line.contains("connections cannot be accepted just now"))
        .count();
    assert_eq!(complaints, 1, "{log:?}");
}
