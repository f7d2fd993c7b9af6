use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
};

use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::{
    cache::Digests,
    config::providers::Money,
    domain::{Operation, ProviderName},
};

const KEYS: [&str; 15] = [
    "time",
    "event",
    "call_id",
    "caller",
    "provider",
    "operation",
    "factors",
    "result",
    "charge",
    "price_micros",
    "currency",
    "provider_request_id",
    "request_id",
    "consent_reference",
    "card_tag",
];

fn now() -> Timestamp {
    "2026-06-01T02:03:04.5Z".parse().unwrap()
}

fn call(number: u128) -> Call {
    Call {
        call_id: Uuid::from_u128(number),
        caller: Arc::from("checkout"),
        provider: ProviderName::new("ace").unwrap(),
        operation: Operation::VerifyThree,
        price: Some(Money {
            currency: String::from("CNY"),
            micros: 1_000_000,
        }),
        request_id: None,
        consent_reference: Some("a \"b\" \\ c".into()),
        card_tag: Digests::new(b"key").ledger_card("6222020000000000000"),
    }
}

fn matched() -> Settlement {
    Settlement {
        result: "MATCH",
        charge: Charge::Charged,
        provider_request_id: VendorToken::trusted("r-1"),
    }
}

/// Event and call of every line of a file.
fn lines(path: &Path) -> Vec<(String, u128)> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap();
        let id = value["call_id"].as_str().unwrap();
        let id = Uuid::parse_str(id).unwrap().as_u128();
        (value["event"].as_str().unwrap().to_owned(), id)
    });
    lines.collect()
}

fn expected(lines: &[(&str, u128)]) -> Vec<(String, u128)> {
    lines
        .iter()
        .map(|(event, id)| ((*event).to_owned(), *id))
        .collect()
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    (folder, path)
}

const SOON: Duration = Duration::from_secs(20);

/// As the service makes it, with the patience that a busy machine needs.
fn ledger_in(path: &Path) -> Ledger {
    Ledger {
        patience: SOON,
        ..Ledger::in_file(path).unwrap()
    }
}

#[test]
fn a_line_has_all_keys_in_their_order_and_null_for_what_is_not_known() {
    let intent = call(7).intent(now()).line();
    assert!(intent.ends_with("}\n") && intent.matches('\n').count() == 1);
    let mut at = 0;
    for key in KEYS {
        let found = intent.find(&format!("\"{key}\":")).unwrap();
        assert!(found > at, "{key}");
        at = found;
    }
    let value: Value = serde_json::from_str(&intent).unwrap();
    assert_eq!(value.as_object().unwrap().len(), KEYS.len());
    assert_eq!(value["time"], "2026-06-01T02:03:04.500Z");
    assert_eq!(value["event"], "intent");
    assert_eq!(value["call_id"], "00000000-0000-0000-0000-000000000007");
    assert_eq!(value["operation"], "verify_three");
    assert_eq!(value["factors"], "THREE");
    assert_eq!(value["price_micros"], 1_000_000);
    assert_eq!(value["consent_reference"], "a \"b\" \\ c");
    assert_eq!(value["card_tag"].as_str().unwrap().len(), 16);
    for unknown in ["result", "charge", "provider_request_id", "request_id"] {
        assert!(value[unknown].is_null(), "{unknown}");
    }
    let settled: Value = serde_json::from_str(&call(7).settled(&matched(), now()).line()).unwrap();
    assert_eq!(settled["event"], "settled");
    assert_eq!(settled["call_id"], value["call_id"]);
    assert_eq!(settled["result"], "MATCH");
    assert_eq!(settled["charge"], "CHARGED");
    assert_eq!(settled["provider_request_id"], "r-1");

    let event = Event::new(EventKind::Admin, Arc::from("operator"), now());
    let value: Value = serde_json::from_str(&event.line()).unwrap();
    assert_eq!(value.as_object().unwrap().len(), KEYS.len());
    assert_eq!(value["event"], "admin");
}

#[tokio::test]
async fn an_intent_is_in_the_file_before_the_call_may_be_sent() {
    let (_folder, path) = folder();
    let ledger = ledger_in(&path);
    ledger.intent(&call(1), now()).await.unwrap();
    assert_eq!(lines(&path), expected(&[("intent", 1)]));
    ledger.settled(&call(1), &matched(), now());
    assert!(ledger.flush(SOON).await);
    assert_eq!(lines(&path), expected(&[("intent", 1), ("settled", 1)]));
    assert_eq!((ledger.errors(), ledger.unwritten()), (0, 0));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn what_is_sent_before_the_end_is_written() {
    let (_folder, path) = folder();
    let ledger = ledger_in(&path);
    for number in 0..500 {
        ledger.settled(&call(number), &matched(), now());
    }
    drop(ledger);
    let begun = std::time::Instant::now();
    while fs::read_to_string(&path).unwrap().lines().count() < 500 {
        assert!(begun.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_file_that_is_moved_away_or_removed_gets_a_successor() {
    let (folder, path) = folder();
    let moved = folder.path().join("ledger.1");
    let ledger = ledger_in(&path);
    ledger.intent(&call(1), now()).await.unwrap();
    fs::rename(&path, &moved).unwrap();
    ledger.intent(&call(2), now()).await.unwrap();
    assert_eq!(lines(&moved), expected(&[("intent", 1)]));
    assert_eq!(lines(&path), expected(&[("intent", 2)]));
    fs::remove_file(&path).unwrap();
    ledger.intent(&call(3), now()).await.unwrap();
    assert_eq!(lines(&path), expected(&[("intent", 3)]));
}

#[tokio::test]
async fn two_processes_write_whole_lines_into_one_file() {
    let (_folder, path) = folder();
    let ledgers = [ledger_in(&path), ledger_in(&path)];
    let mut tasks = Vec::new();
    for number in 0..400 {
        let ledger = ledgers[usize::from(number % 2 == 0)].clone();
        tasks.push(tokio::spawn(async move {
            ledger.intent(&call(number), now()).await.unwrap();
            ledger.settled(&call(number), &matched(), now());
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(ledgers[0].flush(SOON).await && ledgers[1].flush(SOON).await);
    let mut found = lines(&path);
    assert_eq!(found.len(), 800);
    for number in 0..400 {
        let at = |event: &str| {
            found
                .iter()
                .position(|it| *it == (event.to_owned(), number))
        };
        assert!(at("intent").unwrap() < at("settled").unwrap());
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 800);
}

#[tokio::test]
async fn a_full_disk_lets_no_call_out_and_loses_no_settlement() {
    let (folder, path) = folder();
    let real = folder.path().join("real");
    symlink(&real, &path).unwrap();
    let ledger = ledger_in(&path);
    ledger.intent(&call(1), now()).await.unwrap();
    ledger.intent(&call(2), now()).await.unwrap();

    fs::remove_file(&path).unwrap();
    symlink("/dev/full", &path).unwrap();
    assert_eq!(ledger.intent(&call(3), now()).await, Err(Unavailable));
    assert_eq!(ledger.errors(), 1);
    ledger.settled(&call(1), &matched(), now());
    ledger.settled(&call(2), &matched(), now());
    ledger.refused(&Event::new(
        EventKind::Refused,
        Arc::from("checkout"),
        now(),
    ));
    assert!(!ledger.flush(SOON).await);
    assert_eq!((ledger.errors(), ledger.unwritten()), (4, 2));
    assert_eq!(ledger.intent(&call(4), now()).await, Err(Unavailable));
    assert_eq!(lines(&real), expected(&[("intent", 1), ("intent", 2)]));

    fs::remove_file(&path).unwrap();
    symlink(&real, &path).unwrap();
    ledger.intent(&call(5), now()).await.unwrap();
    assert_eq!(ledger.unwritten(), 0);
    let all = [
        ("intent", 1),
        ("intent", 2),
        ("settled", 1),
        ("settled", 2),
        ("intent", 5),
    ];
    assert_eq!(lines(&real), expected(&all));
}

#[tokio::test]
async fn what_is_kept_is_written_without_further_calls() {
    let (folder, path) = folder();
    let real = folder.path().join("real");
    symlink("/dev/full", &path).unwrap();
    let ledger = ledger_in(&path);
    ledger.settled(&call(1), &matched(), now());
    assert!(!ledger.flush(SOON).await);
    fs::remove_file(&path).unwrap();
    symlink(&real, &path).unwrap();
    let begun = std::time::Instant::now();
    while ledger.unwritten() > 0 {
        assert!(begun.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(lines(&real), expected(&[("settled", 1)]));
}

#[tokio::test]
async fn after_a_torn_line_the_next_one_stands_by_itself() {
    let (_folder, path) = folder();
    fs::write(&path, "{\"time\":\"2026-").unwrap();
    let ledger = ledger_in(&path);
    ledger.intent(&call(1), now()).await.unwrap();
    ledger.intent(&call(2), now()).await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let (torn, rest) = text.split_once('\n').unwrap();
    assert_eq!(torn, "{\"time\":\"2026-");
    assert_eq!(rest.lines().count(), 2);
    for line in rest.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_made_is_an_error_at_once() {
    let (folder, _path) = folder();
    assert!(Ledger::in_file(&folder.path().join("missing/ledger")).is_err());
}

/// A disk that stands still before each line until it is told to go on.
struct Stuck {
    begun: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl writer::Sink for Stuck {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.begun.send(()).map_err(io::Error::other)?;
        self.go_on.recv().map_err(io::Error::other)?;
        self.written.lock().extend_from_slice(line);
        Ok(())
    }
}

#[tokio::test]
async fn a_disk_that_stands_still_holds_up_neither_the_runtime_nor_the_call_for_long() {
    let (began, begun) = mpsc::channel();
    let (go, go_on) = mpsc::channel();
    let written = Arc::new(Mutex::new(Vec::new()));
    let stuck = Stuck {
        begun: began,
        go_on,
        written: Arc::clone(&written),
    };
    let ledger = Ledger::on(stuck, Duration::from_millis(300)).unwrap();

    // the first line is being written when its caller gives up; the second has not begun, and can
    // only be sent because the first holds up nobody
    let (first, second) = (call(1), call(2));
    let (one, two) = tokio::join!(ledger.intent(&first, now()), async {
        let begun = tokio::task::spawn_blocking(move || {
            begun.recv().unwrap();
            begun
        });
        let begun = begun.await.unwrap();
        (ledger.intent(&second, now()).await, begun)
    });
    let (two, _begun) = two;
    assert_eq!((one, two), (Err(Unavailable), Err(Unavailable)));
    assert_eq!(ledger.errors(), 2);

    for _ in 0..8 {
        go.send(()).unwrap();
    }
    assert!(ledger.flush(SOON).await);
    let text = String::from_utf8(written.lock().clone()).unwrap();
    let told: Vec<(String, String)> = text
        .lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["call_id"], Uuid::from_u128(1).to_string());
            let field = |key: &str| value[key].as_str().unwrap_or("null").to_owned();
            (field("event"), field("charge"))
        })
        .collect();
    let pair = |event: &str, charge: &str| (event.to_owned(), charge.to_owned());
    assert_eq!(
        told,
        [pair("intent", "null"), pair("settled", "NOT_CHARGED")]
    );
}

/// A disk that does not take one line until it is told to.
struct Choosy {
    refused: String,
    relents: Arc<AtomicBool>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl writer::Sink for Choosy {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let refused = String::from_utf8_lossy(line).contains(&self.refused);
        if refused && !self.relents.load(SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.written.lock().extend_from_slice(line);
        Ok(())
    }
}

#[tokio::test]
async fn nothing_newer_is_written_before_what_is_kept() {
    let relents = Arc::new(AtomicBool::new(false));
    let written = Arc::new(Mutex::new(Vec::new()));
    let choosy = Choosy {
        refused: Uuid::from_u128(1).to_string(),
        relents: Arc::clone(&relents),
        written: Arc::clone(&written),
    };
    let ledger = Ledger::on(choosy, SOON).unwrap();
    ledger.settled(&call(1), &matched(), now());
    ledger.settled(&call(2), &matched(), now());
    assert_eq!(ledger.intent(&call(3), now()).await, Err(Unavailable));
    assert_eq!(ledger.unwritten(), 2);
    assert!(written.lock().is_empty());

    relents.store(true, SeqCst);
    ledger.intent(&call(4), now()).await.unwrap();
    let text = String::from_utf8(written.lock().clone()).unwrap();
    let order: Vec<u128> = text
        .lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            let id = value["call_id"].as_str().unwrap();
            Uuid::parse_str(id).unwrap().as_u128()
        })
        .collect();
    assert_eq!(order, [1, 2, 4]);
}
