//! Bearer tokens.

use rstest::rstest;
use tempfile::TempDir;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::service_process::{Client, ServiceProcess, digest, told};

const OLD: &str = "tok-old-9f8e7d6c5b4a39281706f5e4d3c2b1a0";
const NEW: &str = "tok-new-00112233445566778899aabbccddeeff";
const WRONG: &str = "tok-bad-deadbeefdeadbeefdeadbeefdeadbeef";

fn settings() -> String {
    format!(
        "[auth]\nmode = \"token\"\n[clients.shop]\ntoken_sha256 = [\"{}\", \"{}\"]\n",
        digest(OLD),
        digest(NEW)
    )
}

async fn service() -> (ServiceProcess, Client) {
    let process = ServiceProcess::start(TempDir::new().unwrap(), &settings());
    let client = process.plaintext().await;
    (process, client)
}

#[tokio::test]
async fn both_tokens_of_a_rotation_work_and_no_other() {
    let (_process, client) = service().await;
    assert!(client.token(OLD).verify().await.is_ok());
    assert!(client.token(NEW).verify().await.is_ok());
    assert!(client.token(NEW).card_info().await.is_ok());
    let missing = (Code::Unauthenticated, "CREDENTIALS_MISSING".to_owned());
    assert_eq!(told(client.verify().await), missing);
    let invalid = (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned());
    assert_eq!(told(client.token(WRONG).verify().await), invalid);
    // the digest stands in the configuration and is no token
    assert_eq!(told(client.token(&digest(OLD)).verify().await), invalid);
    let basic = client.authorized(&format!("Basic {OLD}"));
    assert_eq!(told(basic.card_info().await), invalid);
}

#[rstest]
#[case::health(true)]
#[case::reflection(false)]
#[tokio::test]
async fn stays_open(#[case] health: bool) {
    let (_process, client) = service().await;
    if health {
        let mut asked = HealthClient::new(client.channel);
        let reply = asked.check(HealthCheckRequest::default()).await.unwrap();
        assert_eq!(reply.into_inner().status(), ServingStatus::Serving);
    } else {
        use tonic_reflection::pb::v1::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest,
        };
        let mut asked = ServerReflectionClient::new(client.channel);
        let question = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut replies = asked
            .server_reflection_info(tokio_stream::once(question))
            .await
            .unwrap()
            .into_inner();
        assert!(replies.message().await.unwrap().is_some());
    }
}

#[tokio::test]
async fn tokens_are_in_no_log() {
    let (process, client) = service().await;
    client.token(OLD).verify().await.unwrap();
    client.token(WRONG).verify().await.unwrap_err();
    client
        .authorized(&format!("Basic {NEW}"))
        .verify()
        .await
        .unwrap_err();
    // the lines of those calls are there, so that there is something to look through
    process.says("CREDENTIALS_INVALID", 2).await;
    let printed = process.printed();
    for token in [OLD, NEW, WRONG] {
        for part in [&token[..12], &token[20..], &digest(token)[..16]] {
            assert!(!printed.contains(part), "{part}");
        }
    }
}
