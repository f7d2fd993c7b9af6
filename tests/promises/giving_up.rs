//! A caller that gives up costs nothing more: what was sent runs to its end and is kept.

use std::time::Duration;

use cardproof::proto::bankcard::v1::Source;
use cardproof_emulator::Script;
use tonic::Code;

use crate::{
    crowd::{ask, ask_within, is_remembered_match, reason, until_known, word},
    house::{House, VENDOR, asking, card, replicas},
};

/// How a caller gives up.
#[derive(Clone, Copy, Debug)]
enum By {
    /// Its connection drops the call.
    HangingUp,
    /// Its deadline passes.
    Deadline,
}

const BOTH: [By; 2] = [By::HangingUp, By::Deadline];
/// Time enough for a call to arrive, and longer than `min_attempt_ms`.
const A_WHILE: Duration = Duration::from_millis(800);

/// Asks and gives up after a while.
async fn ask_and_give_up(house: &House, number: usize, by: By) {
    let client = house.client(0);
    let asked = asking(&card(number), "张三");
    match by {
        By::HangingUp => {
            let call = tokio::time::timeout(A_WHILE, ask(&client, asked));
            assert!(call.await.is_err(), "it was answered too early");
        }
        By::Deadline => {
            let status = ask_within(&client, asked, A_WHILE).await.unwrap_err();
            // the client's own watch may be the first to see it
            assert!(
                status.code() == Code::Cancelled || reason(&status) == "DEADLINE_EXCEEDED",
                "{status:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_sending() {
    let house = replicas(1).open().await;
    for (number, by) in BOTH.into_iter().enumerate() {
        let gate = format!("after-{number}");
        let asked = asking(&card(number), "张三");
        house
            .emulator
            .script(Script::new(VENDOR).card(card(number)).hold(&*gate));
        ask_and_give_up(&house, number, by).await;
        house.at_the_gate(&gate, 1).await;
        house.emulator.release(&gate);
        let known = until_known(&house.client(0), &asked).await;
        assert!(is_remembered_match(&known), "{by:?}: {known:?}");
        let later = ask(&house.client(0), asked.clone()).await.unwrap();
        assert!(is_remembered_match(&later), "{by:?}: {later:?}");
        assert_eq!(house.calls(&asked).len(), 1, "{by:?}");
    }
}

/// The vendor's only place is taken by another call, so the question waits for its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_sending() {
    let house = replicas(1)
        .with("PROVIDERS__ACE__CONCURRENT", 1)
        .with("SERVER__MAX_QUEUE_MS", 20_000)
        .open()
        .await;
    for (number, by) in BOTH.into_iter().enumerate() {
        let gate = format!("before-{number}");
        let (other, asked) = (card(1000 + number), asking(&card(number), "张三"));
        house
            .emulator
            .script(Script::new(VENDOR).card(&*other).hold(&*gate));
        let client = house.client(0);
        let first = tokio::spawn(async move { ask(&client, asking(&other, "张三")).await });
        house.at_the_gate(&gate, 1).await;
        ask_and_give_up(&house, number, by).await;
        assert_eq!(
            house.calls(&asked).len(),
            0,
            "{by:?}: it waits for its turn"
        );
        house.emulator.release(&gate);
        assert_eq!(word(&first.await.unwrap()), "MATCH");
        if matches!(by, By::HangingUp) {
            // its deadline was far away, so its call was made for it
            until_known(&house.client(0), &asked).await;
        }
        let later = ask(&house.client(0), asked.clone()).await;
        assert_eq!(word(&later), "MATCH");
        let known = until_known(&house.client(0), &asked).await;
        assert!(is_remembered_match(&known), "{by:?}: {known:?}");
        assert_eq!(house.calls(&asked).len(), 1, "{by:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_one_of_several_who_wait() {
    let house = replicas(1).open().await;
    for (number, (by, the_first)) in BOTH
        .into_iter()
        .flat_map(|by| [(by, true), (by, false)])
        .enumerate()
    {
        let gate = format!("both-{number}");
        let asked = asking(&card(number), "张三");
        house
            .emulator
            .script(Script::new(VENDOR).card(card(number)).hold(&*gate));
        let stays = {
            let (client, asked) = (house.client(0), asked.clone());
            async move {
                if the_first {
                    // behind the one that gives up
                    tokio::time::sleep(A_WHILE / 2).await;
                }
                ask(&client, asked).await
            }
        };
        let stays = tokio::spawn(stays);
        if !the_first {
            house.at_the_gate(&gate, 1).await;
        }
        ask_and_give_up(&house, number, by).await;
        house.at_the_gate(&gate, 1).await;
        house.emulator.release(&gate);
        assert_eq!(
            word(&stays.await.unwrap()),
            "MATCH",
            "{by:?}, first: {the_first}"
        );
        let known = until_known(&house.client(0), &asked).await;
        assert!(is_remembered_match(&known), "{by:?}: {known:?}");
        assert_eq!(house.calls(&asked).len(), 1, "{by:?}, first: {the_first}");
    }
}

/// The order to stop ends no call that was sent, and its caller is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_to_stop() {
    let mut house = replicas(1).open().await;
    let asked = asking(&card(1), "张三");
    house.emulator.script(Script::new(VENDOR).hold("stop"));
    let (client, question) = (house.client(0), asked.clone());
    let caller = tokio::spawn(async move { ask(&client, question).await });
    house.at_the_gate("stop", 1).await;
    house.replicas[0].signal("TERM");
    tokio::time::sleep(A_WHILE).await;
    house.emulator.release("stop");
    assert_eq!(word(&caller.await.unwrap()), "MATCH");
    house.replicas[0].ended().await;
    assert_eq!(house.calls(&asked).len(), 1);
}

/// Nor one whose caller has gone, though no connection is left: its answer is paid for. Whether
/// vendors are asked on the worker's thread or on one of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_to_stop_when_nobody_waits() {
    for stopped in [0, 1] {
        let mut house = replicas(2).redis().open().await;
        let asked = asking(&card(1), "张三");
        house.emulator.script(Script::new(VENDOR).hold("stop"));
        let (client, question) = (house.client(stopped), asked.clone());
        let caller = tokio::spawn(async move { ask(&client, question).await });
        house.at_the_gate("stop", 1).await;
        caller.abort();
        let _ = caller.await;
        house.replicas[stopped].signal("TERM");
        tokio::time::sleep(A_WHILE).await;
        house.emulator.release("stop");
        house.replicas[stopped].ended().await;
        let known = until_known(&house.client(1 - stopped), &asked).await;
        assert_eq!(known.source(), Source::SharedCache, "replica {stopped}");
        assert_eq!(house.calls(&asked).len(), 1, "replica {stopped}");
    }
}
