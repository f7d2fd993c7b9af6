//! The same over TLS.

use tonic::transport::{Identity as ServerIdentity, ServerTlsConfig};

use super::*;

/// A server with a certificate for 127.0.0.1 that only the holder of the certificate trusts.
async fn tls_server() -> (String, tempfile::NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let identity = ServerIdentity::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
    let (listener, base) = listen().await;
    let server = Server {
        verification: Ok(answered(v1::ResultCode::Match, VendorReference::default())),
        ..Server::default()
    };
    tokio::spawn(
        tonic::transport::Server::builder()
            .tls_config(ServerTlsConfig::new().identity(identity))
            .unwrap()
            .add_service(ProviderServiceServer::new(server))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let ca_file = tempfile::NamedTempFile::new().unwrap();
    fs::write(ca_file.path(), made.cert.pem()).unwrap();
    (base.replace("http://", "https://"), ca_file)
}

fn trusting(base: &str, ca_file: &tempfile::NamedTempFile) -> Remote {
    let settings = GrpcSettings {
        endpoint: Configured::parse(base, false).unwrap(),
    };
    let mut vendor = vendor();
    vendor.ca_file = Some(ca_file.path().to_owned());
    Remote::new(ProviderName::new("mine").unwrap(), &settings, &vendor).unwrap()
}

#[tokio::test]
async fn a_certificate_of_the_configured_authority_is_trusted() {
    let (base, ca_file) = tls_server().await;
    assert!(verify(&trusting(&base, &ca_file)).await.is_ok());
}

#[tokio::test]
async fn another_certificate_is_not_and_nothing_is_sent() {
    let (base, _own) = tls_server().await;
    let (_, ca_file_of_another) = tls_server().await;
    let error = verify(&trusting(&base, &ca_file_of_another))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::NotSent);
}

#[tokio::test]
async fn a_peer_that_never_shakes_hands_is_given_up_before_anything_is_sent() {
    let (listener, base) = listen().await;
    let (_, ca_file) = tls_server().await;
    let remote = trusting(&base.replace("http://", "https://"), &ca_file);
    let started = Instant::now();
    // several at once: those that wait behind the first one's handshake are not sent either
    let calls = (0..8).map(|_| verify(&remote));
    for outcome in futures_util::future::join_all(calls).await {
        assert_eq!(outcome.unwrap_err().kind, ProviderErrorKind::NotSent);
    }
    // once to ask what the server can do, once to ask the question
    assert!(started.elapsed() < remote.connect_timeout * 2 + Duration::from_millis(500));
    drop(listener);
}
