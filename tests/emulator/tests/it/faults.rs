//! Delays, gates and every fault, over real connections.

use std::time::{Duration, Instant};

use crate::client::{self, ace, ace_question};
use cardproof_emulator::{Charge, Emulator, Fault, Options, Script, Vendor};
use reqwest::{Client, RequestBuilder};

async fn start() -> (Emulator, String) {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let url = emulator.url();
    (emulator, url)
}

fn ask(http: &Client, url: &str) -> RequestBuilder {
    ace(http, url, "check-2e", &ace_question(2))
}

async fn text(request: RequestBuilder) -> Result<String, reqwest::Error> {
    request.send().await?.text().await
}

#[tokio::test]
async fn a_fault_ends_the_call_without_an_answer_and_is_in_the_ledger() {
    let faults = [
        (Fault::CutBeforeBody, "cut_before_body", Charge::No),
        (
            Fault::CutAfterRead { reset: false },
            "cut_after_read",
            Charge::Yes,
        ),
        (
            Fault::CutAfterRead { reset: true },
            "cut_after_read",
            Charge::Yes,
        ),
        (
            Fault::ResetMidBody { after_bytes: None },
            "reset_mid_body",
            Charge::Yes,
        ),
        (
            Fault::ResetMidBody {
                after_bytes: Some(0),
            },
            "reset_mid_body",
            Charge::Yes,
        ),
        (Fault::GoAwayUnprocessed, "go_away_unprocessed", Charge::Yes),
        (Fault::GoAwayGraceful, "go_away_graceful", Charge::Yes),
        (Fault::RefuseStream, "refuse_stream", Charge::No),
    ];
    for http2 in [false, true] {
        let (emulator, url) = start().await;
        let http = client::client(http2);
        for (fault, name, charge) in faults {
            emulator.reset_ledger();
            emulator.script(Script::new(Vendor::Ace).fault(fault).times(1));
            let began = Instant::now();
            let failed = text(ask(&http, &url)).await;
            assert!(failed.is_err(), "{fault:?} over HTTP/2: {http2}");
            assert!(
                began.elapsed() < Duration::from_secs(1),
                "{fault:?} took long"
            );
            let ledger = emulator.ledger();
            assert_eq!(ledger.len(), 1, "{fault:?} over HTTP/2: {http2}");
            if http2
                || !matches!(
                    name,
                    "go_away_unprocessed" | "go_away_graceful" | "refuse_stream"
                )
            {
                assert_eq!((ledger[0].fault, ledger[0].charge), (name, charge));
            } else {
                assert_eq!(
                    (ledger[0].fault, ledger[0].charge),
                    ("cut_after_read", Charge::Yes)
                );
            }
            assert!(text(ask(&http, &url)).await.unwrap().contains("passed"));
        }
    }
}

/// The trap that the faults exist for: a client that resends by itself pays twice.
#[tokio::test]
async fn reqwest_by_itself_resends_what_it_is_told_was_not_processed() {
    let (emulator, url) = start().await;
    for fault in [Fault::GoAwayUnprocessed, Fault::RefuseStream] {
        for (http, calls) in [
            (client::resending_client(true), 2),
            (client::client(true), 1),
        ] {
            emulator.reset_ledger();
            emulator.script(Script::new(Vendor::Ace).fault(fault).times(1));
            let answer = text(ask(&http, &url)).await;
            assert_eq!(answer.is_ok(), calls == 2, "{fault:?}");
            assert_eq!(emulator.ledger().len(), calls, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_stream_leaves_its_connection_alone() {
    let (emulator, url) = start().await;
    let http = client::client(true);
    assert!(text(ask(&http, &url)).await.is_ok());
    emulator.script(Script::new(Vendor::Ace).fault(Fault::RefuseStream).times(1));
    assert!(text(ask(&http, &url)).await.is_err());
    assert!(text(ask(&http, &url)).await.is_ok());
    assert_eq!(emulator.summary().connections, 1);
}

#[tokio::test]
async fn answers_are_delayed_and_dripped() {
    let (emulator, url) = start().await;
    for http2 in [false, true] {
        let http = client::client(http2);
        emulator.script(Script::new(Vendor::Ace).delay_ms(200).times(1));
        let began = Instant::now();
        assert!(text(ask(&http, &url)).await.is_ok());
        assert!(began.elapsed() >= Duration::from_millis(200));

        let whole = text(ask(&http, &url)).await.unwrap();
        emulator.script(
            Script::new(Vendor::Ace)
                .fault(Fault::Drip { interval_ms: 3 })
                .times(1),
        );
        let began = Instant::now();
        assert_eq!(text(ask(&http, &url)).await.unwrap(), whole);
        assert!(began.elapsed() >= Duration::from_millis(3 * whole.len() as u64));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_are_held_and_released() {
    const CALLS: usize = 10_000;
    let emulator = Emulator::start_on_thread(Options::default(), 1).unwrap();
    let url = emulator.url();
    let http = client::client(true);
    assert!(
        text(ask(&http, &url)).await.is_ok(),
        "one connection is open before the crowd"
    );
    emulator.reset_ledger();
    emulator.script(Script::new(Vendor::Ace).hold("door"));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..CALLS {
        calls.spawn(text(ask(&http, &url)));
    }
    assert!(
        emulator
            .wait_until_waiting("door", CALLS, Duration::from_secs(60))
            .await
    );
    assert_eq!(emulator.summary().answered, 0);
    assert_eq!(
        emulator.summary().most_charges_of_one_question,
        CALLS as u64
    );
    emulator.release("door");
    let mut answered = 0;
    while let Some(call) = calls.join_next().await {
        assert!(call.unwrap().unwrap().contains("passed"));
        answered += 1;
    }
    assert_eq!(answered, CALLS);
    assert_eq!(emulator.summary().answered, CALLS as u64);
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_its_gate() {
    let (emulator, url) = start().await;
    for http2 in [false, true] {
        let http = client::client(http2);
        emulator.script(Script::new(Vendor::Ace).hold("door").times(1));
        let given_up = ask(&http, &url).timeout(Duration::from_millis(200));
        let call = tokio::spawn(text(given_up));
        assert!(
            emulator
                .wait_until_waiting("door", 1, Duration::from_secs(5))
                .await
        );
        assert!(call.await.unwrap().is_err());
        let began = Instant::now();
        while emulator.gate("door").waiting > 0 {
            assert!(began.elapsed() < Duration::from_secs(5), "it still waits");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let summary = emulator.summary();
    assert_eq!(
        (summary.charged, summary.answered),
        (2, 0),
        "given up, but they ran"
    );
}
