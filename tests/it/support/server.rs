//! The binary itself: started with a configuration, watched, and ended.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use cardproof::proto::bankcard::v1::bank_card_service_client::BankCardServiceClient;
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// Longer than any start and any end of the process takes, on a busy machine as well.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command without what the environment of the tests says about the program.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardproof"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARDPROOF") || text == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What a stream of the process has brought so far.
#[derive(Clone, Default)]
pub struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    /// Reads on a thread of its own until the stream ends.
    pub fn follow(mut stream: impl Read + Send + 'static) -> (Self, thread::JoinHandle<()>) {
        let page = Self::default();
        let written = page.clone();
        let reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut chunk) {
                written.0.lock().extend_from_slice(&chunk[..count]);
            }
        });
        (page, reader)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

/// The running program.
pub struct Server {
    child: Child,
    pub stdout: Page,
    pub stderr: Page,
    readers: Vec<thread::JoinHandle<()>>,
    pub grpc: SocketAddr,
    pub admin: SocketAddr,
    pub folder: TempDir,
}

impl Server {
    /// Starts with a configuration over the embedded default, on ports that the system chooses.
    pub fn start(toml: &str) -> Self {
        Self::start_with(toml, &[])
    }

    /// The same with variables of the environment.
    pub fn start_with(toml: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cardproof.toml"), toml).unwrap();
        Self::start_in(folder, variables)
    }

    /// The same with what stands in `cardproof.toml` of a folder.
    pub fn start_in(folder: TempDir, variables: &[(&str, &str)]) -> Self {
        let file = folder.path().join("cardproof.toml");
        let mut child = program(&["serve", "--config", file.to_str().unwrap()])
            .env("CARDPROOF__SERVER__LISTEN", "127.0.0.1:0")
            .env("CARDPROOF__SERVER__ADMIN_LISTEN", "127.0.0.1:0")
            .env("CARDPROOF__SERVER__WORKERS", "2")
            .envs(variables.iter().copied())
            .spawn()
            .unwrap();
        let (stdout, out) = Page::follow(child.stdout.take().unwrap());
        let (stderr, err) = Page::follow(child.stderr.take().unwrap());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self {
            child,
            stdout,
            stderr,
            readers: vec![out, err],
            grpc: nowhere,
            admin: nowhere,
            folder,
        };
        let serving = server.wait_for("the line that it serves", Self::serving_line);
        let address = |key: &str| serving[key].as_str().unwrap().parse().unwrap();
        (server.grpc, server.admin) = (address("grpc"), address("admin"));
        server.wait_for("readiness", |server| {
            server.page("/readyz").filter(|page| page.code == 200)
        });
        server
    }

    fn serving_line(&self) -> Option<Value> {
        let lines = self.log_lines();
        lines.into_iter().find(|line| line["message"] == "serving")
    }

    /// The log so far, of lines that are complete.
    pub fn log_lines(&self) -> Vec<Value> {
        let text = self.stdout.text();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete
            .lines()
            .map(|line| serde_json::from_str(line).expect("a log line is one JSON object"))
            .collect()
    }

    /// How many lines of the log so far have this message at their beginning.
    pub fn count_logged(&self, beginning: &str) -> usize {
        let begins = |line: &Value| {
            let message = line["message"].as_str();
            message.is_some_and(|message| message.starts_with(beginning))
        };
        self.log_lines().iter().filter(|line| begins(line)).count()
    }

    /// Waits until something is there, as long as the process lives.
    pub fn wait_for<T>(&mut self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "waiting for {what}: {ended:?}\n{}{}",
                self.stdout.text(),
                self.stderr.text()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// A page of the admin port; `None` while nobody answers there.
    pub fn page(&self, path: &str) -> Option<HttpPage> {
        http(self.admin, &format!("GET {path} HTTP/1.1\r\n"), "")
    }

    /// `/status` as it is now.
    pub fn status(&self) -> Value {
        let page = self.page("/status").expect("a status");
        serde_json::from_str(&page.body).unwrap()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.grpc)
    }

    pub async fn client(&self) -> BankCardServiceClient<Channel> {
        let endpoint = Endpoint::from_shared(self.url()).unwrap();
        BankCardServiceClient::new(endpoint.connect().await.unwrap())
    }

    /// Sends a signal by its name, as `kill` knows it.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end of the process and of all that it writes.
    pub fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(5));
        };
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        status
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back over HTTP/1.1.
#[derive(Debug)]
pub struct HttpPage {
    pub code: u16,
    /// Status line, headers and body, as they came.
    pub all: String,
    pub body: String,
}

/// One exchange on a connection of its own; `None` when there is no answer of HTTP.
pub fn http(address: SocketAddr, head: &str, body: &str) -> Option<HttpPage> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = head.to_owned();
    write!(
        request,
        "host: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    stream.write_all(request.as_bytes()).ok()?;
    let mut all = Vec::new();
    // a peer that resets has said what it had to say
    let _ = stream.read_to_end(&mut all);
    let all = String::from_utf8_lossy(&all).into_owned();
    let code = all.split_whitespace().nth(1)?.parse().ok()?;
    let body = all.split_once("\r\n\r\n")?.1.to_owned();
    Some(HttpPage { code, all, body })
}
