//! The canary: values that stand nowhere else go every way through the program, with the log at its
//! loudest, and are looked for, in many spellings, wherever something comes out.
//!
//! `scan` is the watch, and its own tests prove that it sees; the other files are the ways.

mod collector;
mod debug;
mod forms;
mod frames;
mod operator;
mod questions;
mod scan;
mod terminal;
mod values;
mod vendors;
mod watch_tests;

use std::{
    collections::BTreeMap,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use cardproof::proto::bankcard::v1::{
    CacheMode, CachePolicy, QueryCardInfoRequest, VerifyBankCardRequest,
};

use self::{
    collector::{Collector, WAYS},
    scan::{Sink, Watch},
    values::{CARD, CONSENT, ID_NUMBER, NAME, PHONE, PROXY_PASSWORD, REQUEST_IDS, SECRETS, secret},
};
use crate::support::server::Server;

/// The log at its loudest, and an end without delay.
const LOUD: &str = "[telemetry]\nlog_level = \"trace\"\nlog_requests = \"all\"\n";
const HASTY: &str = "[server]\ndrain_delay_ms = 0\n";

/// A name of its own for each way that a value takes through the program.
const FEWEST_PATHS: usize = 1600;

fn next_request_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{REQUEST_IDS}-{:012x}", NEXT.fetch_add(1, Ordering::SeqCst))
}

/// Asks a vendor whatever is known or held.
fn anew() -> Option<CachePolicy> {
    Some(CachePolicy {
        mode: CacheMode::Bypass.into(),
        max_age: None,
    })
}

/// A question with all values; fewer factors leave the last ones out.
fn verification(card: &str, factors: usize) -> VerifyBankCardRequest {
    let given = |from: usize, value: &str| match factors >= from {
        true => value.to_owned(),
        false => String::new(),
    };
    VerifyBankCardRequest {
        bank_card: card.to_owned(),
        name: NAME.to_owned(),
        id_number: given(3, ID_NUMBER),
        phone: given(4, PHONE),
        cache: anew(),
        request_id: next_request_id(),
        consent_reference: CONSENT.to_owned(),
        ..VerifyBankCardRequest::default()
    }
}

fn inquiry(card: &str) -> QueryCardInfoRequest {
    QueryCardInfoRequest {
        bank_card: card.to_owned(),
        cache: anew(),
        request_id: next_request_id(),
        ..QueryCardInfoRequest::default()
    }
}

/// Where all programs send their spans and metrics.
static COLLECTOR: LazyLock<Collector> = LazyLock::new(Collector::start);
/// Where every other program has its ledger; those between write it to their log.
static LEDGERS: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

fn start(toml: &str) -> Server {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let mut variables = vec![("RUST_LOG", "trace")];
    variables.extend(SECRETS);
    let sent = COLLECTOR.variables();
    variables.extend(sent.iter().map(|(name, value)| (*name, &**value)));
    let number = STARTED.fetch_add(1, Ordering::SeqCst);
    let ledger = LEDGERS.path().join(format!("{number}.ledger"));
    if number.is_multiple_of(2) {
        let name = "CARDPROOF__TELEMETRY__LEDGER_FILE";
        variables.push((name, ledger.to_str().unwrap()));
    }
    Server::start_with(&format!("{toml}\n{LOUD}"), &variables)
}

/// Looks at the pages of a server, ends it, and looks at all that it ever wrote.
fn finish(watch: &mut Watch, name: &str, mut server: Server) {
    for page in ["/status", "/", "/livez", "/readyz"] {
        let shown = server.page(page).expect("the page");
        watch.see(&format!("{name} {page}"), Sink::AdminPage, &shown.all);
    }
    // the last line of defence hides a leak from the watch, and counts it
    let metrics = server.page("/metrics").expect("the page");
    let without_sums: Vec<_> = metrics
        .all
        .lines()
        .filter(|line| !line.contains("_seconds_sum{"))
        .collect();
    // sums of seconds have digits enough for anything
    let shown = without_sums.join("\n");
    watch.see(&format!("{name} /metrics"), Sink::AdminPage, &shown);
    let mut lines = metrics.all.lines();
    let hits = lines.find_map(|line| line.strip_prefix("cardproof_redaction_hits_total "));
    let hits = hits.unwrap_or_else(|| panic!("{name}: only a part of /metrics came"));
    // what was blotted out is stars by now, so the lines may be shown
    let log = server.stdout.text();
    let blotted_out: Vec<_> = log.lines().filter(|line| line.contains("***")).collect();
    assert_eq!(
        hits, "0",
        "{name}: leaks were stopped by the filter: {blotted_out:#?}"
    );
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{}", server.stderr.text());
    let (log, errors) = (server.stdout.text(), server.stderr.text());
    watch.log(&format!("{name} log"), &log);
    watch.see(&format!("{name} standard error"), Sink::Stderr, &errors);
    exports(watch, name);
}

/// Looks at what was sent to the collector.
fn exports(watch: &mut Watch, name: &str) {
    for export in COLLECTOR.take() {
        let path = format!("{name} over {}", export.way);
        watch.see(&path, export.sink, &export.text);
    }
}

/// Looks at the ledgers that have files of their own, and at whether all was heard that should be.
fn last_look(watch: &mut Watch) {
    exports(watch, "the last ones");
    for (protocol, packing) in WAYS {
        let way = format!(" over {protocol} {packing}");
        for (sink, said) in [
            (Sink::OtlpTraces, "bankcard.v1.BankCardService/"),
            (Sink::OtlpMetrics, "rpc.server.call.duration"),
        ] {
            assert!(watch.heard_on(&way, sink, said), "{sink:?}{way}");
        }
    }
    let mut written = 0;
    for entry in std::fs::read_dir(LEDGERS.path()).unwrap() {
        let file = entry.unwrap().path();
        let path = format!("ledger in {}", file.file_name().unwrap().to_str().unwrap());
        written += usize::from(watch.ledger(&path, &std::fs::read_to_string(file).unwrap()));
    }
    assert!(written > 0, "no ledger has a file");
    assert!(watch.heard(Sink::Ledger, "\"intent\""), "no ledger");
    for loud in ["\"answered\"", "\"vendor call ended\""] {
        assert!(watch.heard(Sink::Stdout, loud), "the log is not loud");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_and_no_secret_comes_out_anywhere() {
    let mut watch = Watch::default();
    debug::all(&mut watch);
    questions::all(&mut watch).await;
    vendors::all(&mut watch).await;
    frames::all(&mut watch).await;
    terminal::all(&mut watch).await;
    operator::all(&mut watch).await;
    last_look(&mut watch);
    let leaks = watch.leaks();
    // one line for each place: a value that came out raw is found by several spellings
    let shown: BTreeMap<_, _> = leaks
        .iter()
        .rev()
        .map(|leak| ((&leak.path, leak.sink, leak.what), leak.to_string()))
        .collect();
    let lines: Vec<_> = shown.into_values().take(40).collect();
    assert!(
        leaks.is_empty(),
        "{} leaks\n{}",
        leaks.len(),
        lines.join("\n")
    );
    println!(
        "{} paths, {} texts, {} bytes",
        watch.paths(),
        watch.texts(),
        watch.bytes()
    );
    assert!(
        watch.paths() >= FEWEST_PATHS,
        "only {} paths",
        watch.paths()
    );
}
