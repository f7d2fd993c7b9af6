//! Connections: how they are spread, limited and ended.

use std::{
    collections::BTreeSet,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::fixture::{House, call, eventually, limits, path, unframe};

/// How long until the peer closes, if it does so within three seconds.
async fn time_to_close(stream: &mut TcpStream) -> Option<Duration> {
    let begun = Instant::now();
    let mut sink = Vec::new();
    // a reset is an end as well
    timeout(Duration::from_secs(3), stream.read_to_end(&mut sink))
        .await
        .ok()
        .map(|_| begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_handed_out_evenly_to_threads_with_names() {
    let mut limits = limits();
    limits.workers = 4;
    let house = House::open(limits).await;
    let mut raws = Vec::new();
    let mut threads = BTreeSet::new();
    for _ in 0..8 {
        let raw = house.raw().await;
        let answer = raw.call(&path("Thread"), &[]).await.unwrap();
        threads.insert(unframe(answer.body));
        raws.push(raw);
    }
    assert_eq!(house.loads.open_connections(), [2, 2, 2, 2]);
    assert_eq!(
        threads.into_iter().collect::<Vec<_>>(),
        ["worker-0", "worker-1", "worker-2", "worker-3"]
    );
    raws.clear();
    eventually("all connections end", || {
        house.loads.open_connections() == [0, 0, 0, 0] && house.open_connections() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let mut limits = limits();
    limits.max_connections = 2;
    let house = House::open(limits).await;
    let first = house.raw().await;
    let second = house.raw().await;
    assert_eq!(second.call(&path("Echo"), &[]).await.unwrap().code(), 0);
    let mut third = TcpStream::connect(house.address).await.unwrap();
    let closed = time_to_close(&mut third).await.unwrap();
    assert!(closed < Duration::from_secs(1), "{closed:?}");
    assert_eq!(house.gauges.connections.turned_away(), 1);
    assert_eq!(first.call(&path("Echo"), &[]).await.unwrap().code(), 0);
    drop(first);
    eventually("a place is free", || house.open_connections() == 1).await;
    let fourth = house.raw().await;
    assert_eq!(fourth.call(&path("Echo"), &[]).await.unwrap().code(), 0);
}

#[rstest]
#[case::says_nothing(b"")]
#[case::stops_in_the_preface(b"PRI * HTTP/2.0\r\n")]
#[case::sends_no_settings(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]
#[case::stops_in_the_settings(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x03")]
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_finish_its_hello_is_cut(#[case] hello: &[u8]) {
    let mut limits = limits();
    limits.connection.hello_timeout = Duration::from_millis(400);
    let house = House::open(limits).await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(hello).await.unwrap();
    let closed = time_to_close(&mut stream).await.unwrap();
    assert!((300..1500).contains(&closed.as_millis()), "{closed:?}");
    eventually("its place is free", || house.open_connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_finished_its_hello_may_be_silent() {
    let mut limits = limits();
    limits.connection.hello_timeout = Duration::from_millis(200);
    let house = House::open(limits).await;
    let raw = house.raw().await;
    sleep(Duration::from_millis(600)).await;
    assert_eq!(raw.call(&path("Echo"), &[]).await.unwrap().code(), 0);
    assert!(!raw.connection.is_finished());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_is_asked_to_go_after_its_last_call() {
    let mut limits = limits();
    limits.connection.max_age = Duration::from_millis(300);
    let house = House::open(limits).await;
    let raw = house.raw().await;
    let begun = Instant::now();
    let answer = raw.call(&path("Sleep"), &[]).await.unwrap();
    assert_eq!(unframe(answer.body), "rested");
    // a GOAWAY without an error, and the client's side ends without one
    let ended = timeout(Duration::from_secs(2), raw.connection).await;
    ended.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(500));
    eventually("its place is free", || house.open_connections() == 0).await;
}

/// The client of this test has requests on its way that it sends after it has acknowledged the
/// GOAWAY; such a request fails there, unlike with the gRPC libraries of other languages, which
/// send it again. What the server owes is that such a request has not run.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_goes_on_over_the_ends_of_its_connections() {
    let mut limits = limits();
    limits.connection.max_age = Duration::from_millis(150);
    let house = House::open(limits).await;
    let channel = house.channel().await;
    let begun = Instant::now();
    let (mut answered, mut failed) = (0, 0);
    while begun.elapsed() < Duration::from_millis(1500) {
        match call(&channel, "Echo").await {
            Ok(text) => {
                assert_eq!(text, "hello");
                answered += 1;
            }
            Err(_) => failed += 1,
        }
        sleep(Duration::from_millis(3)).await;
    }
    let ran = house.hot.started.load(Ordering::SeqCst);
    assert_eq!(ran, answered, "a failed call has run");
    // at most one for each of the connections, of which there were some ten
    assert!(answered > 100 && failed <= 11, "{answered} and {failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_does_not_live_on_by_a_call_that_never_ends() {
    let mut limits = limits();
    limits.connection.max_age = Duration::from_millis(200);
    limits.connection.age_grace = Duration::from_millis(300);
    let house = House::open(limits).await;
    let raw = house.raw().await;
    let begun = Instant::now();
    assert!(raw.call(&path("Forever"), &[]).await.is_err());
    let took = begun.elapsed().as_millis();
    assert!((450..2500).contains(&took), "{took} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_have_a_limit() {
    let house = House::open(limits()).await;
    let raw = house.raw().await;
    let long = "x".repeat(20 * 1024);
    let outcome = raw.call(&path("Echo"), &[("x-long", &long)]).await;
    assert!(outcome.is_err() || outcome.is_ok_and(|answer| answer.http == 431));
    assert_eq!(house.hot.started.load(Ordering::SeqCst), 0);
    let other = house.raw().await;
    let fits = "x".repeat(12 * 1024);
    let answer = other.call(&path("Echo"), &[("x-long", &fits)]).await;
    assert_eq!(answer.unwrap().code(), 0);
}

/// Asks that many times with a window of no size.
async fn ask_without_a_window(
    house: &House,
    times: usize,
) -> h2::client::SendRequest<bytes::Bytes> {
    let stream = TcpStream::connect(house.address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let (mut sender, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..times {
        sender = sender.ready().await.unwrap();
        let request = http::Request::post(format!("http://test{}", path("Echo")))
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let (answer, mut body) = sender.send_request(request, false).unwrap();
        body.send_data(super::fixture::frame("hello"), true)
            .unwrap();
        // the head of the answer comes, what it says cannot
        tokio::spawn(async move {
            let answer = answer.await.unwrap();
            std::mem::forget(answer);
        });
    }
    sender
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_lets_its_answers_lie_is_cut() {
    let mut limits = limits();
    // the first look is when the hello must have been said
    limits.connection.hello_timeout = Duration::from_millis(200);
    limits.connection.answers_look = Duration::from_millis(300);
    let house = House::open(limits).await;
    let _sender = ask_without_a_window(&house, 5).await;
    eventually("all are answered", || {
        house.hot.started.load(Ordering::SeqCst) == 5
            && house.hot.running.load(Ordering::SeqCst) == 0
    })
    .await;
    assert_eq!(house.open_connections(), 1);
    let begun = Instant::now();
    eventually("its place is free", || house.open_connections() == 0).await;
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_slow_handlers_nor_long_streams_are_answers_that_lie() {
    let mut limits = limits();
    limits.connection.hello_timeout = Duration::from_millis(100);
    limits.connection.answers_look = Duration::from_millis(100);
    let house = House::open(limits).await;
    let channel = house.channel().await;
    let mut watch = tonic_health::pb::health_client::HealthClient::new(channel.clone())
        .watch(tonic_health::pb::HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(watch.message().await.unwrap().is_some());
    assert_eq!(call(&channel, "Sleep").await.unwrap(), "rested");
    sleep(Duration::from_millis(300)).await;
    assert_eq!(call(&channel, "Echo").await.unwrap(), "hello");
    assert_eq!(house.open_connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_only_makes_work_is_cut() {
    const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0whatever";
    let house = House::open(limits()).await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(HELLO).await.unwrap();
    // fewer than that are answered
    stream.write_all(&PING.repeat(500)).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    assert_eq!(house.open_connections(), 1);
    // it may be cut while this is written
    let _ = stream.write_all(&PING.repeat(5000)).await;
    eventually("its place is free", || house.open_connections() == 0).await;
}
