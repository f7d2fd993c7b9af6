//! The key of all tags is exchanged while callers ask: in three steps, one replica after the other,
//! so that replicas of neighbouring steps work side by side all the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tonic::Code;

use crate::{
    crowd::{Told, ask, word},
    house::{asking, card, name, replicas},
    replica::Client,
};

const OLD: &str = "a-key-of-the-tests-1f3b9c77";
const NEW: &str = "another-key-of-the-tests-8e02d1";
/// Variables of each step: the key and the one before it.
const STEPS: [(&str, &str); 3] = [(OLD, NEW), (NEW, OLD), (NEW, "")];
const CARDS: usize = 40;
const CALLERS: usize = 6;
/// A card that is asked about by the test alone.
const COUNTED: usize = 9999;

/// Asks one replica after the other until one of them answers: some are just being restarted.
async fn ask_any(clients: &[Client], first: usize, card: &str, name: &str) -> Told {
    for turn in 0..200 {
        let client = &clients[(first + turn) % clients.len()];
        let told = ask(client, asking(card, name)).await;
        match &told {
            // a connection that broke; what a dead replica had sent is held or cached by now
            Err(status) if matches!(status.code(), Code::Unavailable) => {}
            Err(status) if status.source_is_transport() => {}
            _ => return told,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no replica answers");
}

trait SourceIsTransport {
    fn source_is_transport(&self) -> bool;
}

impl SourceIsTransport for tonic::Status {
    fn source_is_transport(&self) -> bool {
        use tonic_types::StatusExt as _;
        self.get_details_error_info().is_none()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_exchanged_under_load() {
    let mut house = replicas(3)
        .redis()
        .with("CACHE__REDIS__TIMEOUT_MS", 5000)
        .with("T_KEY", OLD)
        .open()
        .await;
    let clients = house.clients(3);
    let (over, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (clients, over, answered) = (clients.clone(), over.clone(), answered.clone());
            tokio::spawn(async move {
                let mut random = StdRng::seed_from_u64(caller as u64);
                while !over.load(Ordering::Relaxed) {
                    let number = random.random_range(0..CARDS);
                    let told = ask_any(&clients, caller, &card(number), "张三").await;
                    assert_eq!(word(&told), "MATCH");
                    answered.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    let counted = card(COUNTED);
    let told = ask_any(&clients, 0, &counted, &name(0)).await;
    assert_eq!(word(&told), "MISMATCH", "one of two");
    for (step, (key, previous)) in STEPS.into_iter().enumerate() {
        if previous.is_empty() {
            // what nobody asks for between the first step and the last goes with the old key
            for number in 0..CARDS {
                let told = ask_any(&clients, number, &card(number), "张三").await;
                assert_eq!(word(&told), "MATCH");
            }
        }
        for replica in 0..3 {
            let previous_key = match previous {
                "" => ("T_PREVIOUS", ""),
                _ => ("CARDPROOF__CACHE__PREVIOUS_KEY", "{ env = \"T_PREVIOUS\" }"),
            };
            let variables = [("T_KEY", key), ("T_PREVIOUS", previous), previous_key];
            house.replicas[replica].signal("TERM");
            house.replicas[replica].ended().await;
            if previous.is_empty() {
                house.replicas[replica].forget("CARDPROOF__CACHE__PREVIOUS_KEY");
            }
            house.replicas[replica].begin_anew(&variables).await;
            // the count is known to each of them, whatever keys it has
            if step == 1 && replica == 0 {
                let told = ask_any(&clients, 0, &counted, &name(1)).await;
                assert_eq!(word(&told), "MISMATCH", "two of two");
            }
            if step >= 1 {
                for from in 0..3 {
                    let told = ask_any(&clients, from, &counted, &name(2)).await;
                    assert_eq!(word(&told), "CARD_ATTEMPTS_EXCEEDED", "step {step}");
                }
            }
        }
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let summary = house.emulator.summary();
    println!(
        "{} questions answered over nine restarts: {} charged calls, at most {} for a question",
        answered.load(Ordering::Relaxed),
        summary.charged,
        summary.most_charges_of_one_question
    );
    assert_eq!(summary.most_charges_of_one_question, 1);
    assert_eq!(summary.charged, CARDS as u64 + 2);
}
