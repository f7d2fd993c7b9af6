//! A real Redis of the test's own, and a way to it that a test may hold up.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{replica::free_address, tools};

const PATIENCE: Duration = Duration::from_secs(10);
/// What it asks of whoever connects.
pub const PASSWORD: &str = "a-password-of-the-tests-c41a";

/// A running server; it keeps nothing on disk.
pub struct Redis {
    program: PathBuf,
    folder: TempDir,
    pub address: SocketAddr,
    child: Child,
}

impl Redis {
    pub fn start() -> Self {
        let program = PathBuf::from(tools::path("redis-server"));
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let child = Self::launch(&program, &folder, address);
        let redis = Self {
            program,
            folder,
            address,
            child,
        };
        redis.until_it_answers();
        redis
    }

    fn launch(program: &PathBuf, folder: &TempDir, address: SocketAddr) -> Child {
        Command::new(program)
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .args([
                "--maxmemory-policy",
                "noeviction",
                "--requirepass",
                PASSWORD,
            ])
            .arg("--dir")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn until_it_answers(&self) {
        let begun = Instant::now();
        while self
            .try_say(&["PING"])
            .is_none_or(|said| !said.starts_with("+PONG"))
        {
            assert!(begun.elapsed() < PATIENCE, "the server does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends one command over a connection of its own; the first line of the reply.
    pub fn say(&self, words: &[&str]) -> String {
        self.try_say(words).expect("the server answers")
    }

    fn try_say(&self, words: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut sent = command(&["AUTH", PASSWORD]);
        sent += &command(words);
        stream.write_all(sent.as_bytes()).ok()?;
        let (mut said, mut chunk) = (Vec::new(), [0; 1024]);
        while said.iter().filter(|byte| **byte == b'\n').count() < 2 {
            let count = stream.read(&mut chunk).ok()?;
            if count == 0 {
                return None;
            }
            said.extend_from_slice(&chunk[..count]);
        }
        let said = String::from_utf8_lossy(&said).into_owned();
        let mut lines = said.lines();
        lines.next().filter(|line| *line == "+OK")?;
        lines.next().map(str::to_owned)
    }

    /// Sends a signal by its name, as `kill` knows it.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Ends it at once; all that it held is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Begins anew, empty, where it was.
    pub fn begin_anew(&mut self) {
        self.child = Self::launch(&self.program, &self.folder, self.address);
        self.until_it_answers();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(words: &[&str]) -> String {
    let words = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()));
    let words: Vec<_> = words.collect();
    format!("*{}\r\n{}", words.len(), words.concat())
}
