//! What one card can bear, and what of it one caller may use.

use cardproof::proto::bankcard::v1::ResultCode;
use cardproof_emulator::Script;
use tokio::task::JoinSet;

use crate::{
    crowd::{ask, ask_as, word},
    house::{House, Plan, VENDOR, asking, card, name, replicas},
};

const NAMES: usize = 50;
/// The default of `guard.max_mismatches`.
const MAX_MISMATCHES: usize = 2;

/// Fifty people are tried on one card at once, while no answer has come yet.
async fn racing_names(house: &House) {
    house.emulator.script(Script::new(VENDOR).hold("names"));
    let clients = house.clients(house.replicas.len() * 2);
    let mut crowd = JoinSet::new();
    for number in 0..NAMES {
        let client = clients[number % clients.len()].clone();
        crowd.spawn(async move { ask(&client, asking(&card(7), &name(number))).await });
    }
    let mut words = Vec::new();
    while words.len() < NAMES - MAX_MISMATCHES {
        words.push(word(&crowd.join_next().await.unwrap().unwrap()));
    }
    assert!(
        words.iter().all(|word| word == "CARD_ATTEMPTS_EXCEEDED"),
        "{words:?}"
    );
    house.at_the_gate("names", MAX_MISMATCHES).await;
    house.emulator.release("names");
    while let Some(told) = crowd.join_next().await {
        assert_eq!(told.unwrap().unwrap().result(), ResultCode::Mismatch);
    }
    for replica in 0..house.replicas.len() {
        let one_more = ask(&house.client(replica), asking(&card(7), "Somebody Else")).await;
        assert_eq!(word(&one_more), "CARD_ATTEMPTS_EXCEEDED");
    }
    assert_eq!(house.emulator.summary().received, MAX_MISMATCHES as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_names_on_one_card_are_as_many_as_it_can_bear() {
    racing_names(&replicas(1).open().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_names_over_three_replicas_are_as_many_as_it_can_bear() {
    let plan = replicas(3).redis().with("CACHE__REDIS__TIMEOUT_MS", 5000);
    racing_names(&plan.open().await).await;
}

/// With a share of one half: one mismatch and five calls for each caller.
async fn one_caller_uses_its_share(house: &House) {
    let clients = house.clients(house.replicas.len());
    let try_out = async |caller: &str, card: &str, number: usize| {
        let client = &clients[number % clients.len()];
        word(&ask_as(client, caller, asking(card, &name(number))).await)
    };
    let mismatching = card(1);
    assert_eq!(try_out("greedy", &mismatching, 0).await, "MISMATCH");
    for number in 1..6 {
        let told = try_out("greedy", &mismatching, number).await;
        assert_eq!(told, "CARD_ATTEMPTS_EXCEEDED");
    }
    assert_eq!(try_out("modest", &mismatching, 6).await, "MISMATCH");
    let told = try_out("third", &mismatching, 7).await;
    assert_eq!(told, "CARD_ATTEMPTS_EXCEEDED", "the card's own limit");

    let expired = card(2);
    house
        .emulator
        .script(Script::new(VENDOR).card(&*expired).code("-12"));
    for number in 0..5 {
        assert_eq!(try_out("greedy", &expired, number).await, "CARD_EXPIRED");
    }
    for number in 5..10 {
        let told = try_out("greedy", &expired, number).await;
        assert_eq!(told, "CARD_ATTEMPTS_EXCEEDED");
    }
    for number in 10..15 {
        assert_eq!(try_out("modest", &expired, number).await, "CARD_EXPIRED");
    }
    let told = try_out("third", &expired, 15).await;
    assert_eq!(
        told, "CARD_ATTEMPTS_EXCEEDED",
        "ten calls are the card's own limit"
    );
    assert_eq!(house.emulator.summary().received, 2 + 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_that_is_used_up_leaves_the_others_theirs() {
    one_caller_uses_its_share(&with_shares(replicas(1)).open().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_is_one_over_three_replicas() {
    let plan = replicas(3).redis().with("CACHE__REDIS__TIMEOUT_MS", 5000);
    one_caller_uses_its_share(&with_shares(plan).open().await).await;
}

fn with_shares(plan: Plan) -> Plan {
    plan.with("GUARD__CALLER_SHARE", "0.5")
        .callers(&["greedy", "modest", "third"])
}
