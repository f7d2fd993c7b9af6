//! Asks a server as often as it answers (`closed`) or as often as was said, however it answers
//! (`open`); `sample` asks once and keeps question and answer. Prints one JSON object.

#![expect(clippy::print_stdout, reason = "the result is what it is run for")]

use std::{
    fs, io,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use cardproof::proto::bankcard::v1::{QueryCardInfoResponse, Source, VerifyBankCardResponse};
use cardproof_rig::{
    frames::{Came, Connection},
    questions::{Kind, Questions},
};
use clap::{Parser, Subcommand, ValueEnum};
use prost::Message;
use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;

/// Asks a server.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    mode: Mode,
    /// The server.
    #[arg(long, global = true, default_value = "127.0.0.1:50051")]
    to: SocketAddr,
    /// What is asked.
    #[arg(long, global = true, default_value = "verify")]
    kind: Kind,
    /// The caller's token.
    #[arg(long, global = true)]
    token: Option<String>,
    /// Connections.
    #[arg(long, global = true, default_value_t = 8)]
    connections: usize,
    /// Calls before those that count.
    #[arg(long, global = true, default_value_t = 0)]
    warm_up: u64,
    /// The first question's place in line.
    #[arg(long, global = true, default_value_t = 0)]
    first: u64,
    /// How many questions there are.
    #[arg(long, global = true, default_value_t = 1)]
    questions: u64,
    /// Which of them is next.
    #[arg(long, global = true, default_value = "in-turn")]
    order: Order,
    /// Where every answer must come from.
    #[arg(long, global = true)]
    source: Option<From>,
}

#[derive(Subcommand)]
enum Mode {
    /// Asks again as soon as an answer is there.
    Closed {
        /// Requests of a connection at once.
        #[arg(long, default_value_t = 64)]
        streams: usize,
        /// Requests in all.
        #[arg(long)]
        requests: u64,
    },
    /// Asks at a rate. Latency counts from when a request was due, also if it could not be sent.
    Open {
        /// Requests per second.
        #[arg(long)]
        rate: u64,
        /// Requests in all.
        #[arg(long)]
        requests: u64,
    },
    /// Asks once, and writes the body of the request and the answer's message to a folder.
    Sample {
        /// The folder.
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Order {
    InTurn,
    Random,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    Provider,
    Cache,
    SharedCache,
    Embedded,
}

/// What came of it.
#[derive(Serialize)]
struct Report {
    requests: u64,
    /// Without a message, or with an answer from elsewhere.
    failed: u64,
    seconds: f64,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
}

/// A run.
struct Run {
    kind: Kind,
    questions: Questions,
    first: u64,
    count: u64,
    order: Order,
    source: Option<Source>,
    seed: u64,
    /// Goes on through the warm-up, so that no question is asked twice.
    asked: u64,
    ended: u64,
    usable: u64,
    latencies: Vec<Duration>,
    last: Vec<u8>,
}

impl Run {
    fn new(arguments: &Arguments) -> Self {
        Self {
            kind: arguments.kind,
            questions: Questions::of(arguments.kind),
            first: arguments.first,
            count: arguments.questions.max(1),
            order: arguments.order,
            source: arguments.source.map(|source| match source {
                From::Provider => Source::Provider,
                From::Cache => Source::Cache,
                From::SharedCache => Source::SharedCache,
                From::Embedded => Source::Embedded,
            }),
            seed: 0x9e37_79b9_7f4a_7c15,
            asked: 0,
            ended: 0,
            usable: 0,
            latencies: Vec::new(),
            last: Vec::new(),
        }
    }

    fn ask(&mut self, connection: &mut Connection, due: Instant) {
        let place = match self.order {
            Order::InTurn => self.asked % self.count,
            Order::Random => {
                // xorshift: even enough, and nothing to wait for
                self.seed ^= self.seed << 13;
                self.seed ^= self.seed >> 7;
                self.seed ^= self.seed << 17;
                self.seed % self.count
            }
        };
        self.asked += 1;
        connection.ask(self.questions.body(self.first + place), due);
    }

    /// Reads what is there; `false`: nothing.
    fn read(&mut self, connection: &mut Connection) -> io::Result<bool> {
        connection.read(|came| match came {
            Came::Message(message) => {
                let source = match self.kind {
                    Kind::Verify => {
                        VerifyBankCardResponse::decode(message).map(|answer| answer.source)
                    }
                    Kind::CardInfo => {
                        QueryCardInfoResponse::decode(message).map(|answer| answer.source)
                    }
                };
                let wanted = |source| self.source.is_none_or(|wanted| source == i32::from(wanted));
                self.usable += u64::from(source.is_ok_and(wanted));
                if self.last.is_empty() {
                    self.last.extend_from_slice(message);
                }
            }
            Came::End(due) => {
                self.ended += 1;
                self.latencies.push(due.elapsed());
            }
        })
    }

    /// Forgets what was so far.
    fn begin(&mut self) -> Instant {
        (self.ended, self.usable) = (0, 0);
        self.latencies.clear();
        Instant::now()
    }

    fn report(&mut self, begun: Instant) -> Report {
        let seconds = begun.elapsed().as_secs_f64();
        self.latencies.sort_unstable();
        let micros = |part: f64| {
            let at = (self.latencies.len() as f64 * part) as usize;
            let latency = self.latencies.get(at).or(self.latencies.last());
            latency.map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
        };
        Report {
            requests: self.ended,
            failed: self.ended - self.usable.min(self.ended),
            seconds,
            per_second: self.ended as f64 / seconds,
            p50_us: micros(0.5),
            p99_us: micros(0.99),
            p999_us: micros(0.999),
            max_us: micros(1.0),
        }
    }
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut connections = connect(&arguments)?;
    let mut run = Run::new(&arguments);
    let report = match &arguments.mode {
        Mode::Closed { streams, requests } => {
            closed(&mut run, &mut connections, *streams, arguments.warm_up)?;
            let begun = run.begin();
            closed(&mut run, &mut connections, *streams, *requests)?;
            run.report(begun)
        }
        Mode::Open { rate, requests } => {
            open(&mut run, &mut connections, *rate, arguments.warm_up)?;
            let begun = run.begin();
            open(&mut run, &mut connections, *rate, *requests)?;
            run.report(begun)
        }
        Mode::Sample { out } => {
            let begun = run.begin();
            closed(&mut run, &mut connections[..1], 1, 1)?;
            let name = match arguments.kind {
                Kind::Verify => "verify",
                Kind::CardInfo => "card-info",
            };
            let body = run.questions.body(arguments.first).to_vec();
            fs::write(out.join(format!("{name}.body")), body)?;
            fs::write(out.join(format!("{name}.answer")), &run.last)?;
            run.report(begun)
        }
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn connect(arguments: &Arguments) -> io::Result<Vec<Connection>> {
    let authority = arguments.to.to_string();
    let token = arguments
        .token
        .as_ref()
        .map(|token| format!("Bearer {token}"));
    let mut fields = vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":path", arguments.kind.path()),
        (":authority", &authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    fields.extend(token.as_deref().map(|token| ("authorization", token)));
    (0..arguments.connections)
        .map(|_| Connection::open(arguments.to, &fields))
        .collect()
}

/// Keeps so many requests under way on every connection until all have an answer.
fn closed(
    run: &mut Run,
    connections: &mut [Connection],
    streams: usize,
    requests: u64,
) -> io::Result<()> {
    let until = run.ended + requests;
    let mut left = requests;
    while run.ended < until {
        let mut idle = true;
        for connection in connections.iter_mut() {
            idle &= !run.read(connection)?;
            while left > 0 && connection.under_way() < streams {
                left -= 1;
                run.ask(connection, Instant::now());
                idle = false;
            }
            connection.flush()?;
        }
        if idle {
            wait(connections)?;
        }
    }
    Ok(())
}

/// Sends requests in turn over the connections when they are due, until all have an answer.
fn open(run: &mut Run, connections: &mut [Connection], rate: u64, requests: u64) -> io::Result<()> {
    let begun = Instant::now();
    let until = run.ended + requests;
    let mut sent = 0;
    // never sleeps: whoever sleeps wakes too late, and would blame the server for it
    while run.ended < until {
        let now = Instant::now();
        while sent < requests {
            let due = begun + Duration::from_nanos(sent * 1_000_000_000 / rate.max(1));
            if due > now {
                break;
            }
            let turn = usize::try_from(sent).unwrap_or_default() % connections.len();
            run.ask(&mut connections[turn], due);
            connections[turn].flush()?;
            sent += 1;
        }
        for connection in connections.iter_mut() {
            if connection.under_way() > 0 {
                run.read(connection)?;
            }
            connection.flush()?;
        }
    }
    Ok(())
}

fn wait(connections: &[Connection]) -> io::Result<()> {
    let mut sockets: Vec<_> = connections
        .iter()
        .map(|connection| {
            let mut flags = PollFlags::IN;
            flags.set(PollFlags::OUT, connection.wants_to_write());
            PollFd::new(connection.socket(), flags)
        })
        .collect();
    poll(&mut sockets, None)?;
    Ok(())
}
