//! The end of the process, from the first signal to the last answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cardproof::{
    grpc::server::Outcome,
    health::Phase,
    signals::{StopSignal, stop_signals},
};
use futures_util::StreamExt;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::fixture::{House, call, eventually, limits, path};

const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_served_until_the_end_and_finished_after_it() {
    let house = House::open(limits()).await;
    let channel = house.channel().await;
    let begun = Instant::now();
    house.signal(StopSignal::Terminate);
    eventually("it is draining", || house.health.state() == Phase::Draining).await;
    // within the delay: old and new connections are served
    assert_eq!(call(&channel, "Echo").await.unwrap(), "hello");
    assert_eq!(call(&house.channel().await, "Echo").await.unwrap(), "hello");
    assert!(begun.elapsed() < Duration::from_millis(250));
    // begun within the delay, and longer than it
    let last = tokio::spawn(async move { call(&channel, "Sleep").await });
    eventually("it is stopping", || house.health.state() == Phase::Stopping).await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
    sleep(Duration::from_millis(50)).await;
    let refused = TcpStream::connect(house.address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(last.await.unwrap().unwrap(), "rested");
    let outcome = house.outcome.await.unwrap();
    assert_eq!(outcome, Outcome::Drained);
    assert_eq!(outcome.exit_code(), 0);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_is_cut_in_time() {
    let mut limits = limits();
    limits.shutdown_timeout = Duration::from_millis(700);
    let house = House::open(limits).await;
    let raw = house.raw().await;
    let stuck = tokio::spawn(async move { raw.call(&path("Forever"), &[]).await.map(|_| ()) });
    eventually("it runs", || house.hot.running.load(Ordering::SeqCst) == 1).await;
    let begun = Instant::now();
    house.signal(StopSignal::Interrupt);
    assert_eq!(house.outcome.await.unwrap(), Outcome::Drained);
    let took = begun.elapsed().as_millis();
    assert!((1000..1600).contains(&took), "{took} ms");
    assert!(stuck.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_idle_nor_deaf_nor_watching_peers_hold_the_end_up() {
    let house = House::open(limits()).await;
    let idle = house.channel().await;
    assert_eq!(call(&idle, "Echo").await.unwrap(), "hello");
    let mut silent = TcpStream::connect(house.address).await.unwrap();
    silent.write_all(b"PRI").await.unwrap();
    // says hello and never answers anything
    let mut deaf = TcpStream::connect(house.address).await.unwrap();
    deaf.write_all(HELLO).await.unwrap();
    let mut watch = HealthClient::new(house.channel().await)
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(watch.message().await.unwrap().is_some());
    eventually("all are here", || house.open_connections() == 4).await;
    let begun = Instant::now();
    house.signal(StopSignal::Terminate);
    assert_eq!(house.outcome.await.unwrap(), Outcome::Drained);
    let took = begun.elapsed().as_millis();
    // the delay, and twice the look at idle connections; far from the time limit of 3 s
    assert!((300..1500).contains(&took), "{took} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_signal_ends_it_at_once() {
    for (wait, second, code) in [
        (Duration::from_millis(50), StopSignal::Terminate, 143),
        (Duration::from_millis(500), StopSignal::Interrupt, 130),
    ] {
        let house = House::open(limits()).await;
        let raw = house.raw().await;
        let stuck = tokio::spawn(async move { raw.call(&path("Forever"), &[]).await.map(|_| ()) });
        eventually("it runs", || house.hot.running.load(Ordering::SeqCst) == 1).await;
        house.signal(StopSignal::Terminate);
        sleep(wait).await;
        assert!(!house.outcome.is_finished());
        let begun = Instant::now();
        house.signal(second);
        let outcome = house.outcome.await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(200));
        assert_eq!(outcome, Outcome::Interrupted(second));
        assert_eq!(outcome.exit_code(), code);
        assert!(stuck.await.unwrap().is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vendor_calls_under_way_are_waited_for_until_the_time_limit() {
    let finished = Arc::new(AtomicBool::new(false));
    let finish = finished.clone();
    let house = House::open_with(limits(), |until| async move {
        assert!(until > tokio::time::Instant::now() + Duration::from_secs(2));
        sleep(Duration::from_millis(400)).await;
        finish.store(true, Ordering::SeqCst);
    })
    .await;
    let begun = Instant::now();
    house.signal(StopSignal::Terminate);
    assert_eq!(house.outcome.await.unwrap(), Outcome::Drained);
    assert!(finished.load(Ordering::SeqCst));
    assert!(begun.elapsed() >= Duration::from_millis(700));

    let mut limits = limits();
    limits.shutdown_timeout = Duration::from_millis(400);
    let house = House::open_with(limits, |_| std::future::pending()).await;
    let begun = Instant::now();
    house.signal(StopSignal::Terminate);
    assert_eq!(house.outcome.await.unwrap(), Outcome::Drained);
    let took = begun.elapsed().as_millis();
    assert!((700..1300).contains(&took), "{took} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signals_of_the_operating_system_arrive() {
    let mut signals = stop_signals().unwrap();
    let kill = |name: &str| {
        let pid = std::process::id().to_string();
        let sent = std::process::Command::new("kill")
            .args([name, &pid])
            .status();
        assert!(sent.unwrap().success());
    };
    kill("-TERM");
    assert_eq!(signals.next().await, Some(StopSignal::Terminate));
    // the same wish again is no second signal, and no wish of somebody else is lost behind it
    for _ in 0..5 {
        kill("-TERM");
    }
    kill("-INT");
    assert_eq!(signals.next().await, Some(StopSignal::Interrupt));
    sleep(Duration::from_millis(1100)).await;
    kill("-TERM");
    assert_eq!(signals.next().await, Some(StopSignal::Terminate));
}
