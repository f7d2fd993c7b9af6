//! Peers that do not finish their handshake.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cardproof::{
    config::TlsSettings,
    grpc::{
        handshake::Handshake,
        tls::{ClientCertificates, Tls},
    },
};
use rstest::rstest;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::transport::Channel;

use crate::{
    net::fixture::{House, call, eventually, limits},
    service_process::Authority,
};

const LONGEST: Duration = Duration::from_millis(400);

async fn house() -> (House, Authority) {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    authority.issue(&["localhost"]).write(&folder);
    let settings = TlsSettings {
        cert_file: folder.path().join("tls.crt"),
        key_file: folder.path().join("tls.key"),
        client_ca_file: None,
        tls13_only: false,
    };
    let tls = Tls::load(&settings, ClientCertificates::Optional).unwrap();
    let mut limits = limits();
    limits.workers = 1;
    limits.connection.hello_timeout = LONGEST;
    let handshake = Handshake::Tls(Arc::new(tls));
    let house = House::open_protected(limits, handshake, |_| async {}).await;
    (house, authority)
}

async fn channel(house: &House, authority: &Authority) -> Channel {
    Channel::from_shared(format!("https://{}", house.address))
        .unwrap()
        .tls_config(authority.trusted().domain_name("localhost"))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

/// The head of a record with a ClientHello of 512 bytes, and a part of that.
const HALF_A_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[rstest]
#[case::says_nothing(b"")]
#[case::stops_in_its_hello(HALF_A_HELLO)]
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_handshake_holds_its_place_no_longer_than_allowed(#[case] said: &[u8]) {
    let (house, authority) = house().await;
    let mut stalled = TcpStream::connect(house.address).await.unwrap();
    let begun = Instant::now();
    stalled.write_all(said).await.unwrap();
    eventually("it has a place", || house.open_connections() == 1).await;
    // and nobody waits for it, on the same one worker
    let others = channel(&house, &authority).await;
    assert_eq!(call(&others, "Echo").await.unwrap(), "hello");
    assert!(begun.elapsed() < LONGEST, "too slow to tell");
    assert_eq!(house.open_connections(), 2);
    let mut sink = Vec::new();
    let closed = timeout(Duration::from_secs(3), stalled.read_to_end(&mut sink)).await;
    assert!(closed.is_ok());
    assert!(begun.elapsed() >= LONGEST / 2, "{:?}", begun.elapsed());
    eventually("its place is free", || house.open_connections() == 1).await;
    assert_eq!(call(&others, "Echo").await.unwrap(), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plaintext_client_is_sent_away_at_once() {
    let (house, authority) = house().await;
    let mut plain = TcpStream::connect(house.address).await.unwrap();
    let begun = Instant::now();
    plain
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut said = Vec::new();
    let _ = timeout(Duration::from_secs(3), plain.read_to_end(&mut said))
        .await
        .unwrap();
    assert!(begun.elapsed() < LONGEST, "{:?}", begun.elapsed());
    // a TLS alert at most, and no frame of HTTP/2
    assert!(said.is_empty() || said.first() == Some(&0x15), "{said:?}");
    eventually("its place is free", || house.open_connections() == 0).await;
    let others = channel(&house, &authority).await;
    assert_eq!(call(&others, "Echo").await.unwrap(), "hello");
}
