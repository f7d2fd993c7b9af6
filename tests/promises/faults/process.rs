//! The process is stopped, frozen, killed, or runs out of descriptors.

use std::{
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use cardproof_emulator::Script;
use tokio::{task::JoinHandle, time::sleep};

use super::{VENDOR_TIMEOUT_MS, charges, question, told};
use crate::{
    crowd::{ask, word},
    house::{House, VENDOR, replicas},
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
    // who is connected is served from memory; a vendor that cannot be reached was not asked
    assert_eq!(word(&ask(&client, known.clone()).await), "MATCH");
    let mut refused = 0;
    for number in 1..CALLS {
        let told = word(&ask(&client, question(number)).await);
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
