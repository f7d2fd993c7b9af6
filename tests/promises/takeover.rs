//! The leader of a call dies or stands still, on either side of its mark that the call was sent:
//! never more than one vendor call, and those who wait are told the truth.
//!
//! The mark is held back on the way to Redis, or its reply on the way back, so that each case is
//! met every time.

use std::time::Duration;

use cardproof::proto::bankcard::v1::{ResultCode, VerifyBankCardRequest};
use cardproof_emulator::Script;
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    crowd::{Told, ask, is_remembered_match, word},
    house::{House, Plan, VENDOR, asking, card, replicas},
    proxy::{Held, MARK, SEAT},
};

/// The longest call of the provider here: how long a mark lasts.
const LONGEST_CALL: Duration = Duration::from_millis(500 + 2000);
/// More than the lease of a seat of which nothing was sent.
const LEASE_IS_OVER: Duration = Duration::from_secs(5);

fn plan() -> Plan {
    replicas(2)
        .redis()
        .held_up()
        .with("PROVIDERS__ACE__CONNECT_TIMEOUT_MS", 500)
        .with("PROVIDERS__ACE__TIMEOUT_MS", 2000)
        // a command that is held must not look like a Redis that is lost
        .with("CACHE__REDIS__TIMEOUT_MS", 10_000)
        .with("CACHE__REDIS__ON_LOSS", "refuse")
}

fn asks(house: &House, replica: usize, asked: &VerifyBankCardRequest) -> JoinHandle<Told> {
    let (client, asked) = (house.client(replica), asked.clone());
    tokio::spawn(async move { ask(&client, asked).await })
}

/// Waits until somebody at a replica waits for another replica's call.
async fn follows(house: &House, replica: usize) {
    house
        .until("it follows", |house| {
            let metric = "cardproof_flight_followers_total";
            house.replicas[replica].metric(metric, &["scope=\"shared\""]) >= 1.0
        })
        .await;
}

fn calls(house: &House) -> u64 {
    house.emulator.summary().received
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_the_mark_it_is_taken_over() {
    let mut house = plan().open().await;
    let asked = asking(&card(1), "张三");
    house.proxy(0).hold(MARK, Held::Before);
    let leader = asks(&house, 0, &asked);
    house.proxy(0).until_held().await;
    let follower = asks(&house, 1, &asked);
    follows(&house, 1).await;
    house.replicas[0].kill();
    let told = follower.await.unwrap().unwrap();
    assert_eq!(told.result(), ResultCode::Match);
    assert_eq!(calls(&house), 1);
    assert!(leader.await.unwrap().is_err(), "its replica is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_the_mark_its_outcome_is_unknown() {
    // the call has reached the vendor
    let mut house = plan().open().await;
    let asked = asking(&card(1), "张三");
    house.emulator.script(Script::new(VENDOR).hold("killed"));
    let leader = asks(&house, 0, &asked);
    house.at_the_gate("killed", 1).await;
    let follower = asks(&house, 1, &asked);
    follows(&house, 1).await;
    house.replicas[0].kill();
    let killed = Instant::now();
    assert_eq!(word(&follower.await.unwrap()), "OUTCOME_UNKNOWN");
    println!("followers were told after {:.1?}", killed.elapsed());
    house.emulator.release("killed");
    assert_eq!(
        word(&ask(&house.client(1), asked.clone()).await),
        "OUTCOME_UNKNOWN"
    );
    assert_eq!(calls(&house), 1);
    assert!(leader.await.unwrap().is_err(), "its replica is gone");

    // it has not, but nobody can know
    let mut house = plan().open().await;
    house.proxy(0).hold(MARK, Held::After);
    let leader = asks(&house, 0, &asked);
    house.proxy(0).until_held().await;
    let follower = asks(&house, 1, &asked);
    follows(&house, 1).await;
    house.replicas[0].kill();
    assert_eq!(word(&follower.await.unwrap()), "OUTCOME_UNKNOWN");
    assert_eq!(word(&ask(&house.client(1), asked).await), "OUTCOME_UNKNOWN");
    assert_eq!(calls(&house), 0);
    assert!(leader.await.unwrap().is_err(), "its replica is gone");
}

/// Stopped with the seat in its hands: by the time it goes on, another one has asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_before_the_mark_it_does_not_send() {
    for (word_of_command, held) in [(SEAT, Held::After), (MARK, Held::Before)] {
        let house = plan().open().await;
        let asked = asking(&card(1), "张三");
        house.proxy(0).hold(word_of_command, held);
        let leader = asks(&house, 0, &asked);
        house.proxy(0).until_held().await;
        house.replicas[0].signal("STOP");
        let other = asks(&house, 1, &asked).await.unwrap().unwrap();
        assert_eq!(other.result(), ResultCode::Match, "it was taken over");
        house.proxy(0).release();
        house.replicas[0].signal("CONT");
        let told = leader.await.unwrap().unwrap();
        assert_eq!(told.result(), ResultCode::Match, "{held:?}");
        assert!(
            told.attempts.is_empty(),
            "{held:?}: it sent nothing: {told:?}"
        );
        assert_eq!(calls(&house), 1, "{held:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_after_the_mark_it_does_not_send_either() {
    let house = plan().open().await;
    let asked = asking(&card(1), "张三");
    house.proxy(0).hold(MARK, Held::After);
    let leader = asks(&house, 0, &asked);
    house.proxy(0).until_held().await;
    let follower = asks(&house, 1, &asked);
    follows(&house, 1).await;
    house.replicas[0].signal("STOP");
    house.proxy(0).release();
    assert_eq!(word(&follower.await.unwrap()), "OUTCOME_UNKNOWN");
    house.replicas[0].signal("CONT");
    let told = word(&leader.await.unwrap());
    println!("the leader that came too late was told {told}");
    assert!(calls(&house) <= 1);
    // whatever that was: the question is paid for once at most, from whatever replica it is asked
    for replica in [0, 1, 0] {
        let _ = ask(&house.client(replica), asked.clone()).await;
    }
    assert!(calls(&house) <= 1);
}

/// Stopped while the vendor is at work: the answer that it finds when it goes on is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_during_the_call_its_answer_is_not_lost() {
    let house = plan().open().await;
    let asked = asking(&card(1), "张三");
    house.emulator.script(Script::new(VENDOR).hold("long"));
    let leader = asks(&house, 0, &asked);
    house.at_the_gate("long", 1).await;
    house.replicas[0].signal("STOP");
    // in time for the vendor, and too late for everybody else
    house.emulator.release("long");
    tokio::time::sleep(LONGEST_CALL + Duration::from_millis(500)).await;
    assert_eq!(
        word(&ask(&house.client(1), asked.clone()).await),
        "OUTCOME_UNKNOWN"
    );
    house.replicas[0].signal("CONT");
    let told = word(&leader.await.unwrap());
    println!("the leader was told {told}");
    let later = ask(&house.client(1), asked.clone()).await;
    if told == "MATCH" {
        assert!(is_remembered_match(&later.unwrap()));
    } else {
        assert_eq!(word(&later), "OUTCOME_UNKNOWN");
    }
    assert_eq!(calls(&house), 1);
}

/// A card keeps the counts of a replica that died while its calls were out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_dead_replica_count_as_mismatches() {
    let mut house = plan().open().await;
    house.emulator.script(Script::new(VENDOR).hold("dead"));
    let lost: Vec<_> = ["First One", "Second One"]
        .map(|name| asks(&house, 0, &asking(&card(1), name)))
        .into();
    house.at_the_gate("dead", 2).await;
    house.replicas[0].kill();
    house.emulator.release("dead");
    for call in lost {
        assert!(call.await.unwrap().is_err());
    }
    for _ in 0..2 {
        let told = ask(&house.client(1), asking(&card(1), "Third One")).await;
        assert_eq!(word(&told), "CARD_ATTEMPTS_EXCEEDED");
        tokio::time::sleep(LEASE_IS_OVER).await;
    }
    assert_eq!(calls(&house), 2);
}
