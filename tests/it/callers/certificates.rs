//! Client certificates.

use tempfile::TempDir;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::service_process::{Authority, ServiceProcess, digest, tls_section, told};

struct House {
    process: ServiceProcess,
    server_ca: Authority,
    client_ca: Authority,
}

fn house(auth: &str) -> House {
    let folder = TempDir::new().unwrap();
    let (server_ca, client_ca) = (Authority::new(), Authority::new());
    server_ca.issue(&["localhost"]).write(&folder);
    let settings = tls_section(&folder, Some(&client_ca), "") + auth;
    House {
        process: ServiceProcess::start(folder, &settings),
        server_ca,
        client_ca,
    }
}

const CALLERS: &str = "[auth]\nmode = \"mtls\"\n\
    [clients.shop]\nsan = [\"shop.svc\", \"spiffe://example.org/shop\"]\n\
    [clients.reader]\nsan = [\"reader.svc\"]\nmethods = [\"QueryCardInfo\"]\n";

fn unauthenticated(reason: &str) -> (Code, String) {
    (Code::Unauthenticated, reason.to_owned())
}

#[tokio::test]
async fn a_verified_name_is_the_caller() {
    let house = house(CALLERS);
    for name in ["shop.svc", "spiffe://example.org/shop"] {
        let pair = house.client_ca.issue(&["something.else", name]);
        let tls = house.server_ca.trusted_by(&pair);
        let client = house.process.connect(tls).await.unwrap();
        // again and again over one connection
        for _ in 0..3 {
            assert!(client.verify().await.is_ok(), "{name}");
        }
    }
    let pair = house.client_ca.issue(&["reader.svc"]);
    let tls = house.server_ca.trusted_by(&pair);
    let reader = house.process.connect(tls).await.unwrap();
    assert!(reader.card_info().await.is_ok());
    let refused = (Code::PermissionDenied, "METHOD_NOT_ALLOWED".to_owned());
    assert_eq!(told(reader.verify().await), refused);
}

#[tokio::test]
async fn a_verified_certificate_without_a_known_name_is_nobody() {
    let house = house(CALLERS);
    for names in [
        &["a.shop.svc"][..],
        &["spiffe://example.org/shop/"],
        &[],
        &["shop.svc", "reader.svc"],
    ] {
        let pair = house.client_ca.issue(names);
        let tls = house.server_ca.trusted_by(&pair);
        let client = house.process.connect(tls).await.unwrap();
        let answer = told(client.verify().await);
        assert_eq!(answer, unauthenticated("CREDENTIALS_INVALID"), "{names:?}");
    }
}

#[tokio::test]
async fn without_a_certificate_health_is_open_and_nothing_else() {
    let house = house(CALLERS);
    let client = house.process.trusting(&house.server_ca).await;
    let missing = unauthenticated("CREDENTIALS_MISSING");
    assert_eq!(told(client.verify().await), missing);
    // a name that is only claimed is none
    assert_eq!(told(client.token("shop.svc").verify().await), missing);
    let mut health = HealthClient::new(client.channel);
    assert!(health.check(HealthCheckRequest::default()).await.is_ok());
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_gets_no_connection() {
    let house = house(CALLERS);
    let stranger = Authority::new();
    // also one that the server itself has a certificate of
    for authority in [&stranger, &house.server_ca] {
        let pair = authority.issue(&["shop.svc"]);
        let tls = house.server_ca.trusted_by(&pair);
        // with TLS 1.3 the client learns of it with its first call
        let answered = match house.process.connect(tls).await {
            Err(_) => None,
            Ok(client) => client.verify().await.ok(),
        };
        assert!(answered.is_none());
    }
    house.process.says("handshake failed", 2).await;
}

#[tokio::test]
async fn with_tokens_a_client_authority_makes_certificates_a_must() {
    let auth = format!(
        "[auth]\nmode = \"token\"\n[clients.shop]\ntoken_sha256 = [\"{}\"]\n",
        digest("one")
    );
    let house = house(&auth);
    let without = match house.process.connect(house.server_ca.trusted()).await {
        Err(_) => None,
        Ok(client) => client.token("one").verify().await.ok(),
    };
    assert!(without.is_none());
    let pair = house.client_ca.issue(&["anybody"]);
    let tls = house.server_ca.trusted_by(&pair);
    let client = house.process.connect(tls).await.unwrap();
    assert!(client.token("one").verify().await.is_ok());
    let missing = unauthenticated("CREDENTIALS_MISSING");
    assert_eq!(told(client.verify().await), missing);
}
