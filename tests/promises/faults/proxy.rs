//! A TCP proxy on loopback that breaks what it is told to break. It knows nothing of what it carries.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use socket2::SockRef;

/// What happens to a connection. One that is being carried keeps to what was in force when it came.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Nothing: it is carried both ways.
    None,
    /// It is accepted; nothing ever comes back, and nothing goes on.
    Silence,
    /// What is asked goes on; what is answered never comes back.
    LostReply,
    /// What is answered comes back a byte at a time, with this pause before each.
    Drip(Duration),
    /// What is answered breaks off with a reset after so many bytes.
    ResetAfter(usize),
}

/// The proxy; it listens until the tests end.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: Mutex<Option<SocketAddr>>,
    fault: Mutex<Fault>,
    connections: AtomicUsize,
}

impl Proxy {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: Mutex::new(None),
            fault: Mutex::new(Fault::None),
            connections: AtomicUsize::new(0),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                of_thread.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&of_thread);
                // a peer that goes away is part of the play
                thread::spawn(move || shared.carry(stream));
            }
        });
        Self { address, shared }
    }

    /// Where connections lead to from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.shared.target.lock() = Some(target);
    }

    /// What happens to connections from now on.
    pub fn play(&self, fault: Fault) {
        *self.shared.fault.lock() = fault;
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn carry(&self, caller: TcpStream) -> io::Result<()> {
        let fault = *self.fault.lock();
        if matches!(fault, Fault::Silence) {
            return swallow(&caller);
        }
        let target = self.target.lock().expect("it leads somewhere");
        let vendor = TcpStream::connect(target)?;
        vendor.set_nodelay(true)?;
        let (asks, asked) = (caller.try_clone()?, vendor.try_clone()?);
        let onward = thread::spawn(move || copy(&asks, &asked));
        let back = match fault {
            Fault::None => copy(&vendor, &caller),
            Fault::Silence | Fault::LostReply => swallow(&vendor),
            Fault::Drip(pause) => drip(&vendor, &caller, pause),
            Fault::ResetAfter(bytes) => reset_after(&vendor, &caller, bytes),
        };
        if let Fault::LostReply = fault {
            // the connection stays, as one does whose packets are lost
            let _ = onward.join();
        }
        back
    }
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    let mut part = [0; 4096];
    loop {
        let read = from.read(&mut part)?;
        if read == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&part[..read])?;
    }
}

fn swallow(mut from: &TcpStream) -> io::Result<()> {
    let mut part = [0; 4096];
    while from.read(&mut part)? > 0 {}
    Ok(())
}

fn drip(mut from: &TcpStream, mut to: &TcpStream, pause: Duration) -> io::Result<()> {
    let mut byte = [0];
    while from.read(&mut byte)? > 0 {
        thread::sleep(pause);
        to.write_all(&byte)?;
    }
    Ok(())
}

fn reset_after(mut from: &TcpStream, mut to: &TcpStream, bytes: usize) -> io::Result<()> {
    let mut part = vec![0; bytes];
    from.read_exact(&mut part)?;
    to.write_all(&part)?;
    // what was written is under way before the reset overtakes it
    thread::sleep(Duration::from_millis(50));
    SockRef::from(to).set_linger(Some(Duration::ZERO))?;
    // closed for good: both directions have a copy of the socket
    let _ = from.shutdown(Shutdown::Both);
    to.shutdown(Shutdown::Read)
}
