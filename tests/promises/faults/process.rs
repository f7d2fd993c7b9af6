//! The process is stopped, frozen, killed, or runs out of descriptors.

use std::{
    io::Write,
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use cardproof_emulator::Script;
use tokio::{task::JoinHandle, time::sleep};

use super::{VENDOR_TIMEOUT_MS, charges, question, told};
use crate::{
    crowd::{ask, word},
    house::{House, VENDOR, asking, replicas},
};

const CALLS: usize = 20;
const GATE: &str = "door";

/// Callers whose questions wait at the vendor.
async fn callers_at_the_gate(house: &House, count: usize) -> Vec<JoinHandle<String>> {
    house.emulator.script(Script::new(VENDOR).hold(GATE));
    let callers = (0..count).map(|number| {
        let client = house.client(0);
        tokio::spawn(async move { word(&ask(&client, question(number)).await) })
    });
    let callers = callers.collect();
    house.at_the_gate(GATE, count).await;
    callers
}

async fn all_are_told(callers: Vec<JoinHandle<String>>, expected: &str) {
    for caller in callers {
        assert_eq!(caller.await.unwrap(), expected);
    }
}

fn each_is_paid_for_once(house: &House) {
    for number in 0..CALLS {
        assert_eq!(charges(house, &question(number)), 1, "question {number}");
    }
    assert_eq!(house.emulator.ledger().len(), CALLS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_sigterm_cuts_no_answer() {
    let mut house = replicas(1).open().await;
    let callers = callers_at_the_gate(&house, CALLS).await;
    for _ in 0..30 {
        house.replicas[0].signal("TERM");
        sleep(Duration::from_millis(20)).await;
    }
    house.emulator.release(GATE);
    all_are_told(callers, "MATCH").await;
    house.replicas[0].ended().await;
    each_is_paid_for_once(&house);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_process_goes_on_where_it_was() {
    let house = replicas(1).open().await;
    let callers = callers_at_the_gate(&house, CALLS).await;
    house.replicas[0].signal("STOP");
    house.emulator.release(GATE);
    sleep(Duration::from_secs(1)).await;
    house.replicas[0].signal("CONT");
    all_are_told(callers, "MATCH").await;
    each_is_paid_for_once(&house);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_frozen_beyond_every_timeout_pays_nothing_twice() {
    let house = replicas(1)
        .with("PROVIDERS__ACE__TIMEOUT_MS", VENDOR_TIMEOUT_MS)
        .open()
        .await;
    let callers = callers_at_the_gate(&house, CALLS).await;
    house.replicas[0].signal("STOP");
    house.emulator.release(GATE);
    sleep(Duration::from_millis(VENDOR_TIMEOUT_MS + 1500)).await;
    house.replicas[0].signal("CONT");
    for caller in callers {
        // the answer lies in the socket while the clock says that it is too late: either is honest
        let told = caller.await.unwrap();
        assert!(
            ["MATCH", "OUTCOME_UNKNOWN"].contains(&told.as_str()),
            "{told}"
        );
    }
    for number in 0..CALLS {
        let told = told(&house, &question(number)).await;
        assert!(
            ["MATCH", "OUTCOME_UNKNOWN"].contains(&told.as_str()),
            "{told}"
        );
    }
    each_is_paid_for_once(&house);
}

/// What `ledger summarize` says about a file, as JSON.
fn summary(file: &std::path::Path) -> serde_json::Value {
    let program =
        std::env::var_os("CARDPROOF_BIN").unwrap_or(env!("CARGO_BIN_EXE_cardproof").into());
    let said = Command::new(program)
        .args(["ledger", "summarize", "--json"])
        .arg(file)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    serde_json::from_slice(&said.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_its_open_calls_in_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger");
    let house = replicas(1)
        .with("TELEMETRY__LEDGER_FILE", file.display())
        .open()
        .await;
    for number in 100..105 {
        assert_eq!(told(&house, &question(number)).await, "MATCH");
    }
    let callers = callers_at_the_gate(&house, CALLS).await;
    house.replicas[0].signal("KILL");
    for caller in callers {
        // only these are lost: their connection broke
        assert!(caller.await.is_err_and(|error| error.is_panic()));
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let count = |event: &str| text.matches(&format!("\"event\":\"{event}\"")).count();
    assert_eq!(
        (count("intent"), count("settled")),
        (5 + CALLS, 5),
        "{text}"
    );
    let summary = summary(&file);
    assert_eq!(summary["unsettled"], CALLS, "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_descriptors_nothing_is_lost_or_paid_for_twice() {
    let house = replicas(1).open().await;
    let known = question(0);
    let client = house.client(0);
    assert_eq!(word(&ask(&client, known.clone()).await), "MATCH");
    let replica = &house.replicas[0];
    let limits = replica.descriptor_limits();
    replica.limit_descriptors((replica.descriptors() as u64 + 4, limits.1));
    let crowd: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(replica.grpc()))
        .collect();
    sleep(Duration::from_millis(300)).await;
    // who is connected is served from memory
    assert_eq!(word(&ask(&client, known.clone()).await), "MATCH");
    // one connection to the vendor is there; the others at once would each need one of their own
    house.emulator.script(Script::new(VENDOR).hold(GATE));
    let callers = (1..CALLS).map(|number| {
        let client = client.clone();
        tokio::spawn(async move { word(&ask(&client, question(number)).await) })
    });
    let callers: Vec<_> = callers.collect();
    house.at_the_gate(GATE, 1).await;
    sleep(Duration::from_millis(300)).await;
    house.emulator.release(GATE);
    let mut refused = 0;
    for (caller, number) in callers.into_iter().zip(1..) {
        // a vendor that cannot be reached was not asked
        let told = caller.await.unwrap();
        assert!(
            ["MATCH", "PROVIDERS_UNAVAILABLE"].contains(&told.as_str()),
            "{told}"
        );
        refused += usize::from(told != "MATCH");
        assert_eq!(
            charges(&house, &question(number)),
            u64::from(told == "MATCH")
        );
    }
    println!(
        "without descriptors: {refused} of {} could not be asked",
        CALLS - 1
    );
    assert!(refused > 0, "there were descriptors");
    drop(crowd);
    replica.limit_descriptors(limits);
    for number in 1..CALLS {
        let mut told = told(&house, &question(number)).await;
        // the listener may still be waiting out its pause
        for _ in 0..20 {
            if told == "MATCH" {
                break;
            }
            sleep(Duration::from_millis(200)).await;
            told = self::told(&house, &question(number)).await;
        }
        assert_eq!(told, "MATCH");
    }
    each_is_paid_for_once(&house);
}

/// Hello of HTTP/2, with SETTINGS that say nothing: who has said that may stay.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_merely_connects_leaves_descriptors_for_vendors_and_redis() {
    const DESCRIPTORS: u64 = 256;
    let mut house = replicas(1).redis().descriptors(DESCRIPTORS).open().await;
    let client = house.client(0);
    // connected, while no vendor has been asked: those sockets are still to be made
    assert_eq!(
        word(&ask(&client, asking("1", "张三")).await),
        "CARD_NUMBER_INVALID"
    );
    let crowd: Vec<_> = (0..2 * DESCRIPTORS)
        .filter_map(|_| {
            let mut stream = TcpStream::connect(house.replicas[0].grpc()).ok()?;
            // who is turned away may notice it here
            stream.write_all(HELLO).ok()?;
            Some(stream)
        })
        .collect();
    let open = |house: &House| house.replicas[0].status()["connections"]["open"].clone();
    house
        .until("there is no room for more", |house| {
            open(house) == DESCRIPTORS / 2
        })
        .await;
    // the connection to the store is lost, and has to be made anew
    house.redis().say(&["CLIENT", "KILL", "TYPE", "normal"]);
    house.emulator.script(Script::new(VENDOR).hold(GATE));
    let callers = (0..CALLS).map(|number| {
        let client = client.clone();
        tokio::spawn(async move { word(&ask(&client, question(number)).await) })
    });
    let callers: Vec<_> = callers.collect();
    house.at_the_gate(GATE, CALLS).await;
    assert_eq!(open(&house), DESCRIPTORS / 2, "the crowd has gone");
    house.emulator.release(GATE);
    all_are_told(callers, "MATCH").await;
    each_is_paid_for_once(&house);
    house.until_redis_is(true).await;
    assert_eq!(open(&house), DESCRIPTORS / 2, "the crowd has gone");
    let told = house.replicas[0].log();
    assert!(told.contains("room for fewer connections"), "{told}");
    drop(crowd);
    house
        .until("there is room again", |house| open(house) == 1)
        .await;
}
