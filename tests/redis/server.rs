//! A Redis server of a test's own.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use cardproof::{
    cache::shared::{Address, Offset, RedisStore, Settings},
    config::secret::Secret,
};

/// A server that ends with its test.
pub struct Redis {
    child: Child,
    pub port: u16,
    _folder: tempfile::TempDir,
}

/// The server's program. Fails the test, with the command that installs it, when it is missing.
fn program() -> String {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/tool");
    let found = Command::new(tool)
        .args(["--installed", "redis-server"])
        .output()
        .expect("scripts/tool runs");
    let said = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "{said}");
    String::from_utf8_lossy(&found.stdout).trim_end().to_owned()
}

impl Redis {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    pub fn start_with(options: &[&str]) -> Self {
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        Self::start_at(port, options)
    }

    pub fn start_at(port: u16, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new(program())
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(folder.path())
            .args(options)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let redis = Self {
            child,
            port,
            _folder: folder,
        };
        let until = Instant::now() + Duration::from_secs(10);
        while redis.try_connection().is_none() {
            assert!(Instant::now() < until, "redis-server answers within 10 s");
            std::thread::sleep(Duration::from_millis(20));
        }
        redis
    }

    fn try_connection(&self) -> Option<redis::Connection> {
        let client = redis::Client::open(self.url()).ok()?;
        let mut connection = client.get_connection().ok()?;
        let pong: redis::RedisResult<String> = redis::cmd("PING").query(&mut connection);
        pong.is_ok().then_some(connection)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs a command by hand.
    pub fn command<T: redis::FromRedisValue>(&self, parts: &[&str]) -> T {
        let mut connection = self.try_connection().expect("the server is there");
        let mut command = redis::cmd(parts[0]);
        command.arg(&parts[1..]);
        command.query(&mut connection).unwrap()
    }

    /// Everything that is in it, as one text with whatever is no text left out.
    pub fn contents(&self) -> String {
        let keys: Vec<String> = self.command(&["KEYS", "*"]);
        let mut all = String::new();
        for key in keys {
            let dump: redis::Value = match self.command::<String>(&["TYPE", &key]).as_str() {
                "hash" => self.command(&["HGETALL", &key]),
                "string" => self.command(&["GET", &key]),
                "zset" => self.command(&["ZRANGE", &key, "0", "-1", "WITHSCORES"]),
                "list" => self.command(&["LRANGE", &key, "0", "-1"]),
                // its time came, or somebody took it away, since the keys were listed
                "none" => continue,
                other => panic!("{key} is a {other}"),
            };
            all.push_str(&key);
            append(&mut all, &dump);
        }
        all
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// A store of one replica in it.
    pub fn store(&self, timeout: Duration, offset_ms: Offset) -> RedisStore {
        let settings = Settings {
            address: Address {
                url: Secret::new(self.url()),
                authorities: None,
            },
            timeout,
            prefix: "cardproof".to_owned(),
            offset_ms,
        };
        RedisStore::new(settings).unwrap()
    }
}

fn append(text: &mut String, value: &redis::Value) {
    text.push('\n');
    match value {
        redis::Value::Array(items) => items.iter().for_each(|item| append(text, item)),
        redis::Value::Map(pairs) => pairs.iter().for_each(|(key, value)| {
            append(text, key);
            append(text, value);
        }),
        redis::Value::BulkString(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
        redis::Value::SimpleString(it) => text.push_str(it),
        redis::Value::Int(number) => text.push_str(&number.to_string()),
        redis::Value::Nil => {}
        other => panic!("{other:?}"),
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
