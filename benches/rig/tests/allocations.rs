//! What a cached verification allocates, beside a server that does nothing. A binary of its own:
//! counting needs the global allocator, and other tests would be counted too.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "the figures are worth seeing")]

use std::{
    alloc::System,
    net::{SocketAddr, TcpListener},
    thread,
    time::Instant,
};

use cardproof::proto::bankcard::v1::{
    Source, VerifyBankCardResponse, bank_card_service_server::BankCardServiceServer,
};
use cardproof_rig::{
    answers::Echo,
    frames::{Came, Connection},
    full::{Full, TOKEN},
    questions::{Kind, Questions},
    sockets::serve,
};
use hyper_util::service::TowerToHyperService;
use prost::Message;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// More than a server that does nothing.
const MOST: f64 = 5.0;
const REQUESTS: usize = 4_000;
const AT_ONCE: usize = 16;

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Asks so often and returns the last answer.
fn ask(connection: &mut Connection, body: &[u8], requests: usize) -> Vec<u8> {
    let mut last = Vec::with_capacity(1024);
    let (mut asked, mut answered) = (0, 0);
    while answered < requests {
        while asked < requests && asked - answered < AT_ONCE {
            connection.ask(body, Instant::now());
            asked += 1;
        }
        connection.flush().unwrap();
        connection
            .read(|came| match came {
                Came::Message(message) => {
                    last.clear();
                    last.extend_from_slice(message);
                }
                Came::End(_) => answered += 1,
            })
            .unwrap();
    }
    last
}

/// Allocations of one request, and the answer.
fn measured(server: SocketAddr) -> (f64, VerifyBankCardResponse) {
    let bearer = format!("Bearer {TOKEN}");
    let authority = server.to_string();
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", Kind::Verify.path()),
        (":authority", &authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("authorization", &bearer),
    ];
    let mut connection = Connection::open(server, &fields).unwrap();
    let body = Questions::of(Kind::Verify).body(0).to_vec();
    // buffers grow, series are tied, tasks of the past end
    ask(&mut connection, &body, REQUESTS);
    let region = Region::new(ALLOCATOR);
    let answer = ask(&mut connection, &body, REQUESTS);
    let stats = region.change();
    let allocations = stats.allocations + stats.reallocations;
    let answer = VerifyBankCardResponse::decode(&answer[..]).unwrap();
    (allocations as f64 / REQUESTS as f64, answer)
}

#[test]
fn a_cached_verification_allocates_little_more_than_a_server_that_does_nothing() {
    let (listener, ours) = listen();
    let full = Full::new(64).unwrap();
    full.fill(1).unwrap();
    thread::spawn(move || full.serve(listener).unwrap());
    let (ours, answer) = measured(ours);
    assert_eq!(answer.source(), Source::Cache);

    let (listener, echo) = listen();
    let service = TowerToHyperService::new(BankCardServiceServer::new(Echo::with(answer.clone())));
    thread::spawn(move || serve(&listener, service).unwrap());
    let (echo, echoed) = measured(echo);
    assert_eq!(echoed, answer);

    println!("allocations of a request: {ours:.2}, of an empty server's {echo:.2}");
    assert!(ours <= echo + MOST, "{ours:.2} and {echo:.2}");
}
