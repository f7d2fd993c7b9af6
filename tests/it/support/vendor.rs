//! A vendor over HTTP on loopback, as small as can be: it answers what the test says.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// One request as it came.
pub struct Received {
    /// Request line and headers.
    pub head: String,
    pub body: String,
    /// How many came before it.
    pub number: usize,
}

type Answering = dyn Fn(&Received) -> Vec<u8> + Send + Sync;

/// Listens until the tests end.
pub struct HttpVendor {
    pub address: SocketAddr,
    calls: Arc<AtomicUsize>,
}

impl HttpVendor {
    /// Answers each request with bytes, which are sent as they are; then the connection closes.
    pub fn start(answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let answer: Arc<Answering> = Arc::new(answer);
        let counted = Arc::clone(&calls);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, counted) = (Arc::clone(&answer), Arc::clone(&counted));
                thread::spawn(move || serve(stream, &*answer, &counted));
            }
        });
        Self { address, calls }
    }

    /// How many requests came.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, answer: &Answering, calls: &AtomicUsize) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if !matches!(reader.read_line(&mut head), Ok(1..)) {
            return;
        }
    }
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let received = Received {
        head,
        body: String::from_utf8_lossy(&body).into_owned(),
        number: calls.fetch_add(1, Ordering::SeqCst),
    };
    let _ = stream.write_all(&answer(&received));
}

/// A well-formed reply with a JSON body.
pub fn json_reply(status: u16, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
