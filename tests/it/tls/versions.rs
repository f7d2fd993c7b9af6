//! Which versions are spoken, and with whom.

use std::sync::Arc;

use rstest::rstest;
use rustls::{
    ClientConfig, ProtocolVersion, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::service_process::{Authority, ServiceProcess, tls_section};

pub(super) fn service(more: &str) -> (ServiceProcess, Authority) {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    authority.issue(&["localhost"]).write(&folder);
    let settings = tls_section(&folder, None, more);
    (ServiceProcess::start(folder, &settings), authority)
}

/// A connection that does nothing but its handshake.
async fn shake_hands(
    process: &ServiceProcess,
    authority: &Authority,
    version: &'static rustls::SupportedProtocolVersion,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
        .unwrap();
    let crypto = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(crypto)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(process.address).await.unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
}

#[rstest]
#[case::both_new("", &TLS13, Some(ProtocolVersion::TLSv1_3))]
#[case::both_old("", &TLS12, Some(ProtocolVersion::TLSv1_2))]
#[case::only_new("min_version = \"1.3\"", &TLS13, Some(ProtocolVersion::TLSv1_3))]
#[case::not_old("min_version = \"1.3\"", &TLS12, None)]
#[tokio::test]
async fn versions(
    #[case] settings: &str,
    #[case] offered: &'static rustls::SupportedProtocolVersion,
    #[case] expected: Option<ProtocolVersion>,
) {
    let (process, authority) = service(settings);
    let shaken = shake_hands(&process, &authority, offered, &["h2"]).await;
    let version = shaken.ok().and_then(|it| it.get_ref().1.protocol_version());
    assert_eq!(version, expected);
}

#[tokio::test]
async fn http2_is_what_is_agreed_upon() {
    let (process, authority) = service("");
    let shaken = shake_hands(&process, &authority, &TLS13, &["http/1.1", "h2"]).await;
    assert_eq!(
        shaken.unwrap().get_ref().1.alpn_protocol(),
        Some(&b"h2"[..])
    );
    let shaken = shake_hands(&process, &authority, &TLS13, &["http/1.1"]).await;
    assert!(shaken.is_err());
}

#[tokio::test]
async fn a_client_of_another_authority_does_not_trust_us() {
    let (process, authority) = service("");
    let client = process.trusting(&authority).await;
    assert!(client.verify().await.is_ok());
    let stranger = Authority::new();
    assert!(process.connect(stranger.trusted()).await.is_err());
}
