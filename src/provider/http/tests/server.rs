//! A server that speaks HTTP/1.1 by hand, so that nothing stands between a test and the wire.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request as it came over the wire.
pub(super) struct Received {
    pub(super) stream: TcpStream,
    pub(super) text: String,
}

impl Received {
    pub(super) async fn answer(mut self, reply: &[u8]) -> TcpStream {
        self.stream.write_all(reply).await.unwrap();
        self.stream
    }
}

/// A server that counts connections and whole requests, and leaves the rest to a script.
pub(super) struct Server {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
    requests: AtomicUsize,
}

impl Server {
    pub(super) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Arc::new(Self {
            listener,
            address,
            requests: AtomicUsize::new(0),
        })
    }

    pub(super) async fn next(&self) -> Received {
        let (stream, _) = self.listener.accept().await.unwrap();
        self.next_on(stream).await.unwrap()
    }

    /// Reads one request; `None` when the connection ends first.
    pub(super) async fn next_on(&self, mut stream: TcpStream) -> Option<Received> {
        let mut raw = Vec::new();
        loop {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.ok().filter(|it| *it > 0)?;
            raw.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&raw).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse().unwrap());
                if body.len() >= length {
                    self.requests.fetch_add(1, Ordering::SeqCst);
                    return Some(Received { stream, text });
                }
            }
        }
    }

    /// Answers every request the same way, on as many connections as come.
    pub(super) fn answer_all(self: Arc<Self>, reply: Vec<u8>) {
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = self.listener.accept().await.unwrap();
                let (server, reply) = (Arc::clone(&self), reply.clone());
                tokio::spawn(async move {
                    while let Some(received) = server.next_on(stream).await {
                        stream = received.answer(&reply).await;
                    }
                });
            }
        });
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}
