//! What a known caller may do.

use cardproof::proto::bankcard::v1::VerifyBankCardRequest;
use tempfile::TempDir;
use tonic::Code;

use crate::service_process::{
    Client, GOOD_CARD, ServiceProcess, bypassing, digest, question, told,
};

const CLIENTS: [(&str, &str); 4] = [
    ("reader", "methods = [\"QueryCardInfo\"]"),
    ("checker", "methods = [\"VerifyBankCard\"]"),
    ("narrow", "providers = [\"bin\"]"),
    ("fresh", "allow_bypass = true"),
];

async fn service() -> (ServiceProcess, Client) {
    let mut settings = "[auth]\nmode = \"token\"\n".to_owned();
    for (name, rights) in CLIENTS {
        let digest = digest(name);
        settings += &format!("[clients.{name}]\ntoken_sha256 = [\"{digest}\"]\n{rights}\n");
    }
    let process = ServiceProcess::start(TempDir::new().unwrap(), &settings);
    let client = process.plaintext().await;
    (process, client)
}

fn denied(reason: &str) -> (Code, String) {
    (Code::PermissionDenied, reason.to_owned())
}

#[tokio::test]
async fn methods() {
    let (_process, client) = service().await;
    let reader = client.token("reader");
    assert!(reader.card_info().await.is_ok());
    assert_eq!(told(reader.verify().await), denied("METHOD_NOT_ALLOWED"));
    // said before the message is looked at
    let empty = reader.verify_with(VerifyBankCardRequest::default()).await;
    assert_eq!(told(empty), denied("METHOD_NOT_ALLOWED"));
    let checker = client.token("checker");
    assert!(checker.verify().await.is_ok());
    assert_eq!(
        told(checker.card_info().await),
        denied("METHOD_NOT_ALLOWED")
    );
}

#[tokio::test]
async fn providers() {
    let (_process, client) = service().await;
    let narrow = client.token("narrow");
    assert!(narrow.card_info().await.is_ok());
    let pinned = VerifyBankCardRequest {
        provider: "sandbox".to_owned(),
        ..question(GOOD_CARD)
    };
    let answer = narrow.verify_with(pinned.clone()).await;
    assert_eq!(told(answer), denied("PROVIDER_NOT_ALLOWED"));
    assert!(client.token("fresh").verify_with(pinned).await.is_ok());
}

#[tokio::test]
async fn bypass() {
    let (_process, client) = service().await;
    let (checker, fresh) = (client.token("checker"), client.token("fresh"));
    let answer = checker.verify_with(bypassing(GOOD_CARD)).await;
    assert_eq!(told(answer), denied("BYPASS_NOT_ALLOWED"));
    assert!(fresh.verify_with(bypassing(GOOD_CARD)).await.is_ok());
}

#[tokio::test]
async fn without_authentication_everybody_may_do_everything() {
    let process = ServiceProcess::start(TempDir::new().unwrap(), "");
    let client = process.plaintext().await;
    assert!(client.verify_with(bypassing(GOOD_CARD)).await.is_ok());
    assert!(client.token("whatever").card_info().await.is_ok());
}
