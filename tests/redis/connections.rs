//! Connections to the store: one for everybody, and one for each thread with a runtime to itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
    time::Duration,
};

use cardproof::cache::shared::{RedisStore, Shared};
use tokio::runtime::{Builder, Runtime};

use crate::{by_hand::ByHand, server::Redis};

/// All open connections but that of the test itself: the server's number, and the last command.
fn open(redis: &Redis) -> BTreeMap<String, String> {
    let clients: String = redis.command(&["CLIENT", "LIST", "TYPE", "normal"]);
    let value = |line: &str, name: &str| {
        let mut values = line.split(' ').filter_map(|pair| pair.strip_prefix(name));
        values.next().unwrap().to_owned()
    };
    let all = clients
        .lines()
        .map(|line| (value(line, "id="), value(line, "cmd=")));
    all.filter(|(_, command)| !command.starts_with("client|list"))
        .collect()
}

fn numbers(redis: &Redis) -> BTreeSet<String> {
    open(redis).into_keys().collect()
}

/// Waits for what takes a moment.
async fn until(is_so: impl AsyncFn() -> bool) {
    for _ in 0..100 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is not so");
}

async fn look(store: &RedisStore, hand: &ByHand) {
    let known = store.look(&hand.keys, &hand.question("anybody")).await;
    assert_eq!(known, Ok(None));
}

#[test]
fn a_thread_with_a_runtime_to_itself_has_one_until_that_ends() {
    let redis = Redis::start();
    let everybody = Runtime::new().unwrap();
    let store = Arc::new(redis.store(Duration::from_secs(1), Arc::new(|| 0)));
    everybody.block_on(store.start(Duration::from_secs(5)));
    let hand = Arc::new(everybody.block_on(ByHand::new(&redis)));
    let before = numbers(&redis);
    everybody.block_on(look(&store, &hand));
    assert_eq!(
        numbers(&redis),
        before,
        "a runtime of many threads has none"
    );
    let (store, hand, redis) = (&store, &hand, &redis);
    let alone = || Builder::new_current_thread().enable_all().build().unwrap();
    let first = || {
        // its own is made while others are asked over the one for everybody
        alone().block_on(until(async || {
            look(store, hand).await;
            let asked = |(number, command): (String, String)| {
                command == "hget" && !before.contains(&number)
            };
            open(redis).into_iter().any(asked)
        }));
    };
    thread::scope(|scope| scope.spawn(first).join().unwrap());
    everybody.block_on(until(async || numbers(redis) == before));
    // a thread that begins in the place of that one does not take over what is dead: that would be
    // met as the loss of the store, and all connections made anew
    let second = || {
        alone().block_on(async {
            look(store, hand).await;
            look(store, hand).await;
        });
    };
    thread::scope(|scope| scope.spawn(second).join().unwrap());
    everybody.block_on(async { tokio::time::sleep(Duration::from_secs(1)).await });
    assert!(store.is_up());
    assert_eq!(numbers(redis), before);
}
