//! One running program: started with a configuration, stopped, continued and killed.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use cardproof::proto::bankcard::v1::bank_card_service_client::BankCardServiceClient;
use tonic::transport::{Channel, Endpoint};

/// Longer than any start and any end takes, on a busy machine as well.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one connection.
pub type Client = BankCardServiceClient<Channel>;

/// How a program is started.
#[derive(Clone)]
pub struct Launch {
    /// The folder for its configuration and its log.
    pub folder: PathBuf,
    /// What tells its files from those of others.
    pub name: String,
    /// Its configuration.
    pub toml: String,
    /// Variables of its environment.
    pub variables: BTreeMap<String, String>,
    /// Where it is served, the same over all its lives.
    pub grpc: SocketAddr,
    /// The same of its admin port.
    pub admin: SocketAddr,
    /// How many descriptors it may have open; `None`: as many as this process may have.
    pub descriptors: Option<u64>,
}

impl Launch {
    fn command(&self) -> Command {
        let Some(descriptors) = self.descriptors else {
            return Command::new(program());
        };
        let mut command = Command::new("sh");
        let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        command.args(["-c", &script]).arg(program());
        command
    }
}

/// A running program, killed when dropped.
pub struct Replica {
    launch: Launch,
    child: Child,
}

/// An address that nobody listens on at this moment.
pub fn free_address() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

/// The program that is tested.
fn program() -> PathBuf {
    let built_beside = || env!("CARGO_BIN_EXE_cardproof").into();
    std::env::var_os("CARDPROOF_BIN").map_or_else(built_beside, PathBuf::from)
}

impl Replica {
    /// Starts it without waiting until it serves.
    pub fn launch(launch: Launch) -> Self {
        let config = launch.folder.join(format!("{}.toml", launch.name));
        fs::write(&config, &launch.toml).unwrap();
        let log = launch.folder.join(format!("{}.log", launch.name));
        let log = fs::OpenOptions::new().create(true).append(true).open(log);
        let log = log.unwrap();
        let mut command = launch.command();
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARDPROOF") || text == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        let child = command
            .args(["serve", "--config"])
            .arg(config)
            .env("CARDPROOF__SERVER__LISTEN", launch.grpc.to_string())
            .env("CARDPROOF__SERVER__ADMIN_LISTEN", launch.admin.to_string())
            .envs(&launch.variables)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { launch, child }
    }

    /// Waits until it serves.
    pub async fn ready(&mut self) {
        let begun = Instant::now();
        while self
            .page("/readyz")
            .is_none_or(|page| !page.0.contains(" 200 "))
        {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "{} does not serve: {ended:?}\n{}",
                self.launch.name,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Everything that it has logged in all its lives.
    pub fn log(&self) -> String {
        let log = self.launch.folder.join(format!("{}.log", self.launch.name));
        fs::read_to_string(log).unwrap()
    }

    /// Head and body of a page of the admin port; `None` while nobody answers there.
    pub fn page(&self, path: &str) -> Option<(String, String)> {
        let mut stream = TcpStream::connect(self.launch.admin).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        .ok()?;
        let mut all = String::new();
        stream.read_to_string(&mut all).ok()?;
        let (head, body) = all.split_once("\r\n\r\n")?;
        Some((head.to_owned(), body.to_owned()))
    }

    /// `/status` as it is now.
    pub fn status(&self) -> serde_json::Value {
        let (_, body) = self.page("/status").expect("the admin port answers");
        serde_json::from_str(&body).unwrap()
    }

    /// Bytes of memory that it takes.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kilobytes * 1024
    }

    /// Where it is served.
    pub fn address(&self) -> SocketAddr {
        self.launch.grpc
    }

    /// The sum of a metric over all its series that have every one of these labels.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (_, text) = self.page("/metrics").expect("the admin port answers");
        let of_it = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        let values = text.lines().filter(of_it).map(|line| {
            let value = line.rsplit(' ').next().unwrap();
            value.parse::<f64>().unwrap()
        });
        values.sum()
    }

    /// A client on a connection of its own.
    pub fn client(&self) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.launch.grpc)).unwrap();
        BankCardServiceClient::new(endpoint.connect_lazy())
    }

    /// Where it is served.
    pub fn grpc(&self) -> SocketAddr {
        self.launch.grpc
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(folder).unwrap().count()
    }

    /// How many it may have open, softly and at most.
    pub fn descriptor_limits(&self) -> (u64, u64) {
        let (mut soft, mut hard) = (0, 0);
        let told = Some((&mut soft, &mut hard));
        rlimit::prlimit(self.child.id() as i32, rlimit::Resource::NOFILE, None, told).unwrap();
        (soft, hard)
    }

    /// Changes how many it may have open, while it runs.
    pub fn limit_descriptors(&self, to: (u64, u64)) {
        let pid = self.child.id() as i32;
        rlimit::prlimit(pid, rlimit::Resource::NOFILE, Some(to), None).unwrap();
    }

    /// Sends a signal by its name, as `kill` knows it.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Begins a new life where the last one was, with other variables laid over its own.
    pub async fn begin_anew(&mut self, variables: &[(&str, &str)]) {
        let mut launch = self.launch.clone();
        for (name, value) in variables {
            launch
                .variables
                .insert((*name).to_owned(), (*value).to_owned());
        }
        // the last life ends first: two cannot listen at one place
        let _ = self.child.kill();
        let _ = self.child.wait();
        *self = Self::launch(launch);
        self.ready().await;
    }

    /// In its next life it is not told this any more.
    pub fn forget(&mut self, variable: &str) {
        self.launch.variables.remove(variable);
    }

    /// Waits for its end after it was told to stop.
    pub async fn ended(&mut self) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}\n{}", self.log());
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // it may have ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let telling = |line: &&str| {
                let dull = ["\"answered\"", "recv_reset", "connection broke"];
                !dull.iter().any(|word| line.contains(word))
            };
            let lines: Vec<_> = log.lines().filter(telling).take(60).collect();
            println!(
                "from the log of {}:\n{}",
                self.launch.name,
                lines.join("\n")
            );
        }
    }
}
