//! Redis is killed, frozen, filled and emptied while callers ask: nobody is refused an answer, each
//! connection pays one timeout at most, and everything mends by itself. What holds meanwhile is
//! counted: one charge for a question and replica, and the limits divided by the replicas.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use cardproof_emulator::Script;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::Instant,
};

use crate::{
    crowd::{ask, word},
    house::{House, Plan, VENDOR, asking, card, name, replicas},
};

const TIMEOUT: Duration = Duration::from_millis(400);
/// A replica that has lost Redis pays nothing for it; a busy machine may be slow all the same.
const ONE_TIMEOUT_AND_A_HALF: Duration = Duration::from_millis(600);

fn plan() -> Plan {
    let timeout = TIMEOUT.as_millis();
    replicas(3)
        .redis()
        .with("CACHE__REDIS__TIMEOUT_MS", timeout)
}

/// Callers who ask new and known questions all the time, until they are told to stop; each of them
/// must be answered.
struct Load {
    over: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    fn begin(house: &House) -> Self {
        let (over, asked) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let callers = house.clients(6).into_iter();
        let callers = callers.map(|client| {
            let (over, asked) = (over.clone(), asked.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let number = asked.fetch_add(1, Ordering::Relaxed);
                    // every other one was asked before
                    let number = 100_000 + number / 2;
                    let told = ask(&client, asking(&card(number), "张三")).await;
                    assert_eq!(word(&told), "MATCH", "{told:?}");
                    tokio::time::sleep(Duration::from_millis(4)).await;
                }
            })
        });
        Self {
            over: over.clone(),
            asked: asked.clone(),
            callers: callers.collect(),
        }
    }

    async fn end(self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
        self.asked.load(Ordering::Relaxed)
    }
}

/// No question was charged more often than once at each replica.
fn judge(house: &House, what: &str, asked: usize) {
    let summary = house.emulator.summary();
    println!(
        "{what}: {asked} questions under way, none refused; {} charged, at most {} for one",
        summary.charged, summary.most_charges_of_one_question
    );
    assert!(summary.most_charges_of_one_question <= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_whatever_happens_to_redis() {
    let mut house = plan().open().await;
    house.until_redis_is(true).await;
    let load = Load::begin(&house);
    let a_while = Duration::from_millis(1500);

    house.redis().kill();
    house.until_redis_is(false).await;
    tokio::time::sleep(a_while).await;
    house.redis().begin_anew();
    house.until_redis_is(true).await;

    house.redis().signal("STOP");
    house.until_redis_is(false).await;
    tokio::time::sleep(a_while).await;
    house.redis().signal("CONT");
    house.until_redis_is(true).await;

    assert_eq!(
        house.redis().say(&["CONFIG", "SET", "maxmemory", "1"]),
        "+OK"
    );
    house.until_redis_is(false).await;
    tokio::time::sleep(a_while).await;
    assert_eq!(
        house.redis().say(&["CONFIG", "SET", "maxmemory", "0"]),
        "+OK"
    );
    house.until_redis_is(true).await;

    for _ in 0..3 {
        assert_eq!(house.redis().say(&["FLUSHALL"]), "+OK");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    house.until_redis_is(true).await;
    tokio::time::sleep(a_while).await;
    let asked = load.end().await;
    judge(&house, "killed, frozen, filled, emptied", asked);
    assert!(
        house.metric("cardproof_redis_degraded_total", &[]) > 0.0,
        "and it was counted"
    );

    // mended: what one replica asks now, the others know
    let asked = asking(&card(1), "张三");
    for replica in [0, 1, 2, 0] {
        assert_eq!(
            word(&ask(&house.client(replica), asked.clone()).await),
            "MATCH"
        );
    }
    assert_eq!(house.calls(&asked).len(), 1);
}

/// Of the calls of a replica, those that took a timeout longer than they need.
async fn slow_calls(house: &House, from: usize, count: usize) -> Vec<usize> {
    let mut slow = Vec::new();
    for replica in 0..house.replicas.len() {
        let client = house.client(replica);
        let mut of_replica = 0;
        for number in 0..count {
            let number = from + replica * count + number;
            let begun = Instant::now();
            let told = ask(&client, asking(&card(number), "张三")).await;
            assert_eq!(word(&told), "MATCH");
            assert!(begun.elapsed() < 3 * TIMEOUT, "{:?}", begun.elapsed());
            of_replica += usize::from(begun.elapsed() >= TIMEOUT);
        }
        slow.push(of_replica);
    }
    slow
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_costs_one_timeout_and_then_nothing() {
    let house = &mut plan().open().await;
    house.until_redis_is(true).await;
    house.redis().signal("STOP");
    let slow = slow_calls(house, 0, 25).await;
    println!("calls that paid a timeout of {TIMEOUT:?}, by replica: {slow:?} of 25 each");
    assert!(slow.iter().all(|slow| *slow <= 1), "{slow:?}");
    let slow = slow_calls(house, 1000, 25).await;
    assert_eq!(slow, [0, 0, 0], "it is known to be lost");
    house.redis().signal("CONT");
    house.until_redis_is(true).await;
    let begun = Instant::now();
    assert_eq!(
        word(&ask(&house.client(0), asking(&card(5000), "张三")).await),
        "MATCH"
    );
    assert!(begun.elapsed() < ONE_TIMEOUT_AND_A_HALF);
}

/// Ten mismatches allowed in a row would be three for each of three replicas, and a pace of nine a
/// second three for each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_the_limits_are_divided() {
    let mut house = plan()
        .with("GUARD__MAX_MISMATCHES", 10)
        .with("GUARD__MAX_CALLS", 100)
        .open()
        .await;
    house.until_redis_is(true).await;
    house.redis().kill();
    house.until_redis_is(false).await;
    house.emulator.script(Script::new(VENDOR).delay_ms(50));
    let clients = house.clients(6);
    let mut crowd = JoinSet::new();
    for number in 0..60 {
        let client = clients[number % clients.len()].clone();
        crowd.spawn(async move { ask(&client, asking(&card(1), &name(number))).await });
    }
    let (mut mismatches, mut refused) = (0, 0);
    while let Some(told) = crowd.join_next().await {
        match word(&told.unwrap()).as_str() {
            "MISMATCH" => mismatches += 1,
            "CARD_ATTEMPTS_EXCEEDED" => refused += 1,
            other => panic!("{other}"),
        }
    }
    println!("without Redis: {mismatches} of 60 names were tried, three replicas of three each");
    assert_eq!((mismatches, refused), (9, 51));
    assert_eq!(house.emulator.summary().received, 9);

    // the same question, at each replica: paid for once there, and no more
    let asked = asking(&card(2), "张三");
    for replica in [0, 1, 2, 2, 1, 0] {
        assert_eq!(
            word(&ask(&house.client(replica), asked.clone()).await),
            "MATCH"
        );
    }
    assert_eq!(house.calls(&asked).len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_no_vendor_is_asked_where_the_operator_says_so() {
    let mut house = plan().with("CACHE__REDIS__ON_LOSS", "refuse").open().await;
    house.until_redis_is(true).await;
    let known = asking(&card(1), "张三");
    assert_eq!(word(&ask(&house.client(0), known.clone()).await), "MATCH");
    house.redis().kill();
    house.until_redis_is(false).await;
    for replica in 0..3 {
        let told = ask(&house.client(replica), asking(&card(2), "张三")).await;
        assert_eq!(word(&told), "SHARED_STATE_UNAVAILABLE");
    }
    assert_eq!(
        word(&ask(&house.client(0), known.clone()).await),
        "MATCH",
        "from memory"
    );
    assert_eq!(house.emulator.summary().received, 1);
    house.redis().begin_anew();
    house.until_redis_is(true).await;
    assert_eq!(
        word(&ask(&house.client(1), asking(&card(2), "张三")).await),
        "MATCH"
    );
    assert_eq!(house.emulator.summary().received, 2);
}
