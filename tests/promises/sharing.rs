//! The same question is paid for once, however many ask it at once.

use std::time::Duration;

use cardproof::proto::bankcard::v1::{Charge, ResultCode, Source};
use cardproof_emulator::Script;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    crowd::{ask, ask_stubbornly, until_known, word},
    house::{House, Plan, VENDOR, asking, card, replicas},
};

const CROWD: usize = 10_000;
/// Streams of one connection at once are limited to 256.
const CONNECTIONS: usize = 60;
/// How long the vendor takes at least.
const VENDOR_TAKES: Duration = Duration::from_secs(2);

/// All callers are inside before the vendor answers: the count of followers says so.
async fn a_crowd_asks_the_same(house: &House) {
    house.emulator.script(Script::new(VENDOR).hold("door"));
    let asked = asking(&card(1), "张三");
    let clients = house.clients(CONNECTIONS);
    let begun = Instant::now();
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let client = clients[number % CONNECTIONS].clone();
        let asked = asked.clone();
        crowd.spawn(async move { ask(&client, asked).await });
    }
    house.at_the_gate("door", 1).await;
    let called = Instant::now();
    let leaders = house.replicas.len() as f64;
    house
        .until("everybody waits", |house| {
            let label = ["scope=\"local\""];
            house.metric("cardproof_flight_followers_total", &label) >= CROWD as f64 - leaders
        })
        .await;
    let inside = begun.elapsed();
    tokio::time::sleep_until(called + VENDOR_TAKES).await;
    house.emulator.release("door");
    let mut charged = 0;
    while let Some(told) = crowd.join_next().await {
        let told = told.unwrap();
        let answer = told.unwrap_or_else(|status| panic!("{status:?}"));
        assert_eq!(answer.result(), ResultCode::Match);
        let paid = answer.charge() == Charge::Charged;
        assert_eq!(
            paid,
            !answer.attempts.is_empty(),
            "attempts are of the payer"
        );
        charged += usize::from(paid);
    }
    let summary = house.emulator.summary();
    println!(
        "{CROWD} callers over {leaders} replicas were inside after {inside:.1?}, answered after \
         {:.1?}: {} vendor calls, {} charged",
        begun.elapsed(),
        summary.received,
        summary.charged
    );
    let degraded = house.metric("cardproof_redis_degraded_total", &[]);
    assert_eq!(
        degraded, 0.0,
        "a machine so busy that it takes Redis for lost proves nothing"
    );
    assert_eq!((summary.received, summary.charged, charged), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_at_once_pay_once() {
    a_crowd_asks_the_same(&replicas(1).open().await).await;
}

/// Three replicas with one Redis, which is given the time that a busy machine needs.
fn three() -> Plan {
    replicas(3).redis().with("CACHE__REDIS__TIMEOUT_MS", 5000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_at_once_over_three_replicas_pay_once() {
    a_crowd_asks_the_same(&three().open().await).await;
}

const CARDS: usize = 1000;
const CALLERS: usize = 20;

/// In random order, one after the other in close succession; a third of them gives up after a
/// random while, but of each card's callers one stays.
async fn many_cards_with_many_callers_each(house: &House, seed: u64) {
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    house.emulator.script(Script::new(VENDOR).delay_ms(30));
    let clients = house.clients(CONNECTIONS);
    let mut order: Vec<(usize, bool)> = (0..CARDS * CALLERS)
        .map(|number| (number / CALLERS, number % CALLERS == 0))
        .collect();
    for at in (1..order.len()).rev() {
        order.swap(at, random.random_range(0..=at));
    }
    let (mut crowd, mut gave_up) = (JoinSet::new(), 0);
    for (at, (number, stays)) in order.into_iter().enumerate() {
        let patience = (!stays && random.random_ratio(1, 3))
            .then(|| Duration::from_micros(random.random_range(0..60_000)));
        gave_up += usize::from(patience.is_some());
        let client = clients[random.random_range(0..CONNECTIONS)].clone();
        crowd.spawn(async move {
            let call = ask_stubbornly(&client, asking(&card(number), "张三"));
            match patience {
                None => Some(call.await),
                Some(patience) => tokio::time::timeout(patience, call).await.ok(),
            }
        });
        // a few at a time, so that early answers and late callers meet
        if at % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let (mut answered, mut charged) = (0, 0);
    while let Some(told) = crowd.join_next().await {
        let Some(told) = told.unwrap() else { continue };
        assert_eq!(word(&told), "MATCH", "{told:?}");
        answered += 1;
        charged += usize::from(told.unwrap().charge() == Charge::Charged);
    }
    let summary = house.emulator.summary();
    println!(
        "{CARDS} cards, {CALLERS} callers each, {gave_up} to give up, {answered} answered: {} \
         vendor calls, {} charged, at most {} for a question",
        summary.received, summary.charged, summary.most_charges_of_one_question
    );
    let expected = CARDS as u64;
    assert_eq!((summary.received, summary.charged), (expected, expected));
    assert_eq!(summary.most_charges_of_one_question, 1);
    assert!(charged <= CARDS, "nobody else is told of a charge");
    // whoever asks later finds all of them
    let known = until_known(&clients[0], &asking(&card(CARDS - 1), "张三")).await;
    assert_ne!(known.source(), Source::Provider);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_cards_are_paid_for_once_each() {
    many_cards_with_many_callers_each(&replicas(1).open().await, 20_260_601).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_cards_over_three_replicas_are_paid_for_once_each() {
    many_cards_with_many_callers_each(&three().open().await, 20_260_602).await;
}
