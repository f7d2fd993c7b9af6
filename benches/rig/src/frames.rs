//! As much HTTP/2 as a generator of load needs: it writes requests that are all alike, and of what
//! comes back it looks at the frames. That costs a tenth of what a client library does, so that one
//! core is enough to keep a server busy on another.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The number of the first entry of HPACK's dynamic table.
const DYNAMIC: u8 = 62;
/// After so many bytes received the windows are opened anew.
const WINDOW_STEP: u32 = 16 * 1024 * 1024;

/// What came back for one request.
pub enum Came<'a> {
    /// A message.
    Message(&'a [u8]),
    /// The answer's end, with the time that the request was noted down with.
    End(Instant),
}

/// One connection.
pub struct Connection {
    socket: TcpStream,
    out: Vec<u8>,
    written: usize,
    inbox: Vec<u8>,
    filled: usize,
    headers: Headers,
    next_stream: u32,
    unacknowledged: u32,
    /// Streams without an answer, and when their requests were due. What they receive is not
    /// counted for each: no answer is as long as a window.
    open: VecDeque<(u32, Instant)>,
}

/// The block of headers: spelled out once, by their numbers in the peer's table from then on.
struct Headers {
    spelled: Option<Vec<u8>>,
    by_number: Vec<u8>,
}

impl Headers {
    fn new(fields: &[(&str, &str)]) -> Self {
        let mut spelled = Vec::new();
        for (name, value) in fields {
            // a literal with incremental indexing and a new name, neither of them Huffman coded
            spelled.push(0x40);
            for text in [name, value] {
                // lengths up to 126 fit into the first byte
                assert!(text.len() < 127, "a header is too long");
                spelled.push(u8::try_from(text.len()).unwrap_or_default());
                spelled.extend_from_slice(text.as_bytes());
            }
        }
        let count = u8::try_from(fields.len()).unwrap_or(u8::MAX);
        Self {
            spelled: Some(spelled),
            // the latest entry has the lowest number
            by_number: (0..count).rev().map(|at| 0x80 | (DYNAMIC + at)).collect(),
        }
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When the server does not take it.
    pub fn open(to: SocketAddr, fields: &[(&str, &str)]) -> io::Result<Self> {
        let socket = TcpStream::connect(to)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut out = PREFACE.to_vec();
        // SETTINGS_INITIAL_WINDOW_SIZE
        frame(&mut out, SETTINGS, 0, 0, &[0, 4, 0, 0x10, 0, 0]);
        frame(
            &mut out,
            WINDOW_UPDATE,
            0,
            0,
            &(4 * WINDOW_STEP).to_be_bytes(),
        );
        Ok(Self {
            socket,
            out,
            written: 0,
            inbox: vec![0; 256 * 1024],
            filled: 0,
            headers: Headers::new(fields),
            next_stream: 1,
            unacknowledged: 0,
            open: VecDeque::new(),
        })
    }

    /// The socket, to wait for.
    #[must_use]
    pub const fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Whether something waits to be written.
    #[must_use]
    pub fn wants_to_write(&self) -> bool {
        self.written < self.out.len()
    }

    /// Requests without an answer.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.open.len()
    }

    /// Notes a request down that is due at a time; [`Self::flush`] sends it.
    pub fn ask(&mut self, body: &[u8], due: Instant) {
        let stream = self.next_stream;
        self.next_stream += 2;
        let block = self.headers.spelled.take();
        let block = block.as_ref().unwrap_or(&self.headers.by_number);
        frame(&mut self.out, HEADERS, END_HEADERS, stream, block);
        frame(&mut self.out, DATA, END_STREAM, stream, body);
        self.open.push_back((stream, due));
    }

    /// Writes as much as the socket takes.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.wants_to_write() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads what is there and tells of it. `false`: there was nothing.
    ///
    /// # Errors
    /// When the connection is broken or the server ends it.
    pub fn read(&mut self, mut tell: impl FnMut(Came<'_>)) -> io::Result<bool> {
        let count = match self.socket.read(&mut self.inbox[self.filled..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        self.filled += count;
        let mut at = 0;
        while let Some(head) = self.inbox[at..self.filled].first_chunk::<HEAD>() {
            let [a, b, c, kind, flags, stream @ ..] = *head;
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            let end = at + HEAD + length;
            if end > self.filled {
                break;
            }
            let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
            let payload = &self.inbox[at + HEAD..end];
            at = end;
            match kind {
                DATA => {
                    self.unacknowledged += u32::try_from(length).unwrap_or_default();
                    if length > 5 {
                        tell(Came::Message(&payload[5..]));
                    }
                }
                SETTINGS if flags & ACK == 0 => frame(&mut self.out, SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => frame(&mut self.out, PING, ACK, 0, payload),
                GOAWAY => return Err(ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
            let ends = match kind {
                RST_STREAM => true,
                DATA | HEADERS => flags & END_STREAM != 0,
                _ => false,
            };
            let place = self
                .open
                .iter()
                .position(|(open, _)| ends && *open == stream);
            if let Some((_, due)) = place.and_then(|place| self.open.remove(place)) {
                tell(Came::End(due));
            }
        }
        self.inbox.copy_within(at..self.filled, 0);
        self.filled -= at;
        if self.unacknowledged >= WINDOW_STEP {
            let bytes = self.unacknowledged.to_be_bytes();
            frame(&mut self.out, WINDOW_UPDATE, 0, 0, &bytes);
            self.unacknowledged = 0;
        }
        Ok(true)
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len())
        .unwrap_or_default()
        .to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}
