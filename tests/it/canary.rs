//! The canary: values that stand nowhere else go every way through the program, with the log at its
//! loudest, and are looked for, in many spellings, wherever something comes out.
//!
//! `scan` is the watch, and its own tests prove that it sees; the other files are the ways.

mod debug;
mod forms;
mod frames;
mod operator;
mod questions;
mod scan;
mod terminal;
mod vendors;
mod watch_tests;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use cardproof::proto::bankcard::v1::{
    CacheMode, CachePolicy, QueryCardInfoRequest, VerifyBankCardRequest,
};

use self::scan::{Sink, Watch};
use crate::support::server::Server;

/// Valid by its Luhn digit.
const CARD: &str = "6222029137465028372";
const NAME: &str = "Zephyrine·欧阳卡娜";
/// Valid by its check character.
const ID_NUMBER: &str = "11010119850307273X";
const PHONE: &str = "13912783465";
const CONSENT: &str = "agreed-on-sheet-q7x93kd1w";
/// What all request ids of these tests begin with.
const REQUEST_IDS: &str = "9d1f4c7e-53ab-4e0c-8a6d";

/// Secrets by the variable that they are in.
const SECRETS: [(&str, &str); 7] = [
    ("ACE_TOKEN", "acetok-7hQ2vKx9LmZ4pTd8"),
    ("TENCENT_ID", "AKIDq83NfUw6YsLb51Rv"),
    ("TENCENT_KEY", "tk-Gm5yXe2BzQ8wJcV4hRk7"),
    ("ALIBABA_ID", "LTAI5tVq9ZkXc3MnWb7d"),
    ("ALIBABA_SECRET", "as-Ud6fPz1NqYt3LsHx8jWo"),
    ("CACHE_KEY", "ck-4jW9sBvE7rTgQ2mYzLxK8fHn"),
    ("ADMIN_TOKEN", "at-Xp5cMv8ZkTq2HdRw9yLj"),
];
const PROXY_PASSWORD: &str = "pw7Kq3Zt9VbXm2";

/// The log at its loudest, and an end without delay.
const LOUD: &str = "[telemetry]\nlog_level = \"trace\"\nlog_requests = \"all\"\n";
const HASTY: &str = "[server]\ndrain_delay_ms = 0\n";

/// A name of its own for each way that a value takes through the program.
const FEWEST_PATHS: usize = 1600;

fn secret(name: &str) -> &'static str {
    let found = SECRETS.iter().find(|(known, _)| *known == name);
    found.map_or_else(|| panic!("no secret {name}"), |(_, value)| value)
}

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

fn start(toml: &str) -> Server {
    let mut variables = vec![("RUST_LOG", "trace")];
    variables.extend(SECRETS);
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
    let nothing_blotted_out = "\ncardproof_redaction_hits_total 0\n";
    assert!(
        metrics.all.contains(nothing_blotted_out),
        "{name}: a leak was stopped by the filter"
    );
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{}", server.stderr.text());
    let (log, errors) = (server.stdout.text(), server.stderr.text());
    watch.log(&format!("{name} log"), &log);
    watch.see(&format!("{name} standard error"), Sink::Stderr, &errors);
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
    for loud in ["\"answered\"", "\"vendor call ended\""] {
        assert!(watch.heard(Sink::Stdout, loud), "the log is not loud");
    }
    assert!(watch.heard(Sink::Ledger, "\"intent\""), "no ledger");
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
