//! The way of one replica to Redis: every command passes here, and one that a test waits for is
//! held back, before the server gets it or before its reply comes back.
//!
//! The test knows an operation by a word that only its arguments have; see `MARK` and `SEAT`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::AbortHandle,
};

/// In the arguments of the script that takes what an attempt needs and marks it as sent.
pub const MARK: &str = "\"call_ms\"";
/// In those of the script that asks for the seat of a question, and in no other one.
pub const SEAT: &str = "\"holds\":";

/// Where a command is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The server has not got it.
    Before,
    /// The server has done it, and its reply is not delivered.
    After,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// The next command with the word is held.
    Armed,
    /// It came and waits.
    Waiting,
    Released,
}

struct Wish {
    word: &'static str,
    held: Held,
}

#[derive(Clone)]
struct Shared {
    wish: Arc<Mutex<Option<Wish>>>,
    gate: Arc<watch::Sender<Gate>>,
}

/// A way to the server.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Shared,
    listener: AbortHandle,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Proxy {
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared {
            wish: Arc::default(),
            gate: Arc::new(watch::Sender::new(Gate::Open)),
        };
        let of_all = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // a server that is gone is told as it would be without us: the connection ends
                let Ok(upstream) = TcpStream::connect(server).await else {
                    continue;
                };
                client.set_nodelay(true).unwrap();
                upstream.set_nodelay(true).unwrap();
                tokio::spawn(carry(client, upstream, of_all.clone()));
            }
        });
        Self {
            address,
            shared,
            listener: accepting.abort_handle(),
        }
    }

    /// Holds the next command with this word.
    pub fn hold(&self, word: &'static str, held: Held) {
        *self.shared.wish.lock() = Some(Wish { word, held });
        self.shared.gate.send_replace(Gate::Armed);
    }

    /// Waits until it has come, and has been done if it is held after that.
    pub async fn until_held(&self) {
        let mut gate = self.shared.gate.subscribe();
        let waiting = gate.wait_for(|gate| *gate == Gate::Waiting);
        let came = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        assert!(came.is_ok(), "the command never came");
    }

    /// Lets it go on.
    pub fn release(&self) {
        self.shared.gate.send_replace(Gate::Released);
    }
}

impl Shared {
    /// Whether a command is the one that is waited for.
    fn wants(&self, command: &[u8]) -> Option<Held> {
        let mut wish = self.wish.lock();
        let word = wish.as_ref()?.word.as_bytes();
        let found = command.windows(word.len()).any(|part| part == word);
        found.then(|| wish.take().unwrap().held)
    }

    async fn wait(&self) {
        self.gate.send_replace(Gate::Waiting);
        let mut gate = self.gate.subscribe();
        let _ = gate.wait_for(|gate| *gate == Gate::Released).await;
    }
}

async fn carry(client: TcpStream, upstream: TcpStream, shared: Shared) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = upstream.into_split();
    let quiet = Arc::new(watch::Sender::new(false));
    let back = tokio::spawn(carry_back(from_server, to_client, quiet.subscribe()));
    let _ended = carry_on(from_client, to_server, &shared, &quiet).await;
    back.abort();
}

/// Commands, one by one. When the client is gone, what is held for it is never sent.
async fn carry_on(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    quiet: &watch::Sender<bool>,
) -> std::io::Result<()> {
    let (mut unread, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        while let Some(length) = whole_command(&unread) {
            let command: Vec<u8> = unread.drain(..length).collect();
            match shared.wants(&command) {
                None => to.write_all(&command).await?,
                Some(Held::Before) => {
                    tokio::select! {
                        () = shared.wait() => to.write_all(&command).await?,
                        () = gone(&mut from, &mut unread) => return Ok(()),
                    }
                }
                Some(Held::After) => {
                    quiet.send_replace(true);
                    to.write_all(&command).await?;
                    // the server is fast, and nothing tells when it has done it
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    shared.wait().await;
                    quiet.send_replace(false);
                }
            }
        }
        match from.read(&mut chunk).await? {
            0 => return Ok(()),
            count => unread.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Returns when the client has closed; what it sends meanwhile is kept.
async fn gone(from: &mut (impl AsyncRead + Unpin), unread: &mut Vec<u8>) {
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        unread.extend_from_slice(&chunk[..count]);
    }
}

/// Replies, as they come, but for times of quiet.
async fn carry_back(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut quiet: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut chunk = [0; 16 * 1024];
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        let _ = quiet.wait_for(|quiet| !quiet).await;
        to.write_all(&chunk[..count]).await?;
    }
}

/// The length of the first command, once all of it is there: an array of bulk strings.
fn whole_command(bytes: &[u8]) -> Option<usize> {
    let line = |from: usize| {
        let end = bytes
            .get(from..)?
            .windows(2)
            .position(|pair| pair == b"\r\n")?;
        let number = std::str::from_utf8(&bytes[from + 1..from + end]).ok()?;
        Some((number.parse::<usize>().ok()?, from + end + 2))
    };
    let (count, mut at) = line(0)?;
    for _ in 0..count {
        let (length, from) = line(at)?;
        at = from + length + 2;
    }
    (bytes.len() >= at).then_some(at)
}
