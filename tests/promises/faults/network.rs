//! The way to the vendor breaks.

use std::time::{Duration, Instant};

use super::{Fault, VENDOR_TIMEOUT_MS, behind, broken, charges, house_behind, question, told};
use crate::house::House;

/// Asks through a fault that leaves the outcome unknown, and again when it is over: the question is
/// held, and nobody pays for it twice.
async fn unknown_and_held(fault: Fault, paid: u64) -> House {
    let proxy = broken(fault);
    let house = house_behind(&proxy, behind(&proxy)).await;
    let asked = question(1);
    let begun = Instant::now();
    assert_eq!(told(&house, &asked).await, "OUTCOME_UNKNOWN", "{fault:?}");
    let took = begun.elapsed();
    let most = Duration::from_millis(VENDOR_TIMEOUT_MS + 3000);
    assert!(took < most, "{fault:?}: given up after {took:?}");
    proxy.play(Fault::None);
    let made = proxy.connections();
    assert_eq!(told(&house, &asked).await, "OUTCOME_UNKNOWN", "{fault:?}");
    assert_eq!(proxy.connections(), made, "{fault:?}: asked while held");
    assert_eq!(charges(&house, &asked), paid, "{fault:?}");
    // everybody else is answered
    assert_eq!(told(&house, &question(2)).await, "MATCH", "{fault:?}");
    house
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_accepts_and_never_answers() {
    unknown_and_held(Fault::Silence, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_lost() {
    unknown_and_held(Fault::LostReply, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_of_one_byte_a_second() {
    unknown_and_held(Fault::Drip(Duration::from_secs(1)), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_breaks_off() {
    // in the status line, and in the body
    for bytes in [10, 130] {
        unknown_and_held(Fault::ResetAfter(bytes), 1).await;
    }
}

/// A fault before anything was sent: the next vendor is asked, once.
async fn the_next_is_asked(house: &House, number: usize) {
    let asked = question(number);
    assert_eq!(told(house, &asked).await, "MATCH");
    assert_eq!(told(house, &asked).await, "MATCH");
    assert_eq!(charges(house, &asked), 1);
    assert_eq!(house.calls(&asked).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_stalls() {
    let proxy = broken(Fault::Silence);
    let plan = behind(&proxy)
        .with(
            "PROVIDERS__ACE__ENDPOINT",
            format!("https://{}", proxy.address),
        )
        .with("ROUTES__VERIFY", "[\"ace\", \"tencent\"]");
    let house = house_behind(&proxy, plan).await;
    let begun = Instant::now();
    the_next_is_asked(&house, 3).await;
    assert!(proxy.connections() >= 1, "the handshake began");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_nobody_knows() {
    let proxy = broken(Fault::None);
    let nowhere = behind(&proxy).with("PROVIDERS__ACE__ENDPOINT", "https://vendor.invalid");
    let house = nowhere
        .with("ROUTES__VERIFY", "[\"ace\", \"tencent\"]")
        .open()
        .await;
    the_next_is_asked(&house, 4).await;
    drop(house);
    // with nobody else to ask it is told so, and may be asked again
    let nowhere = behind(&proxy).with("PROVIDERS__ACE__ENDPOINT", "https://vendor.invalid");
    let house = nowhere.open().await;
    for _ in 0..2 {
        assert_eq!(told(&house, &question(5)).await, "PROVIDERS_UNAVAILABLE");
    }
    assert!(house.emulator.ledger().is_empty());
}
