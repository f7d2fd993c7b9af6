//! How much a known caller may ask.

use std::time::Duration;

use cardproof::proto::bankcard::v1::VerifyBankCardRequest;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::service_process::{
    Client, GOOD_CARD, SLOW_CARD, ServiceProcess, digest, question, told,
};

async fn service(limit: &str) -> (ServiceProcess, Client) {
    let settings = format!(
        "[auth]\nmode = \"token\"\n[clients.shop]\ntoken_sha256 = [\"{}\"]\n{limit}\n\
         [clients.other]\ntoken_sha256 = [\"{}\"]\n",
        digest("shop"),
        digest("other")
    );
    let process = ServiceProcess::start(TempDir::new().unwrap(), &settings);
    let client = process.plaintext().await;
    (process, client)
}

/// When to come again, of a refusal that names the caller and no card.
fn retry_after(status: &Status) -> Duration {
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "CALLER_RATE_LIMITED");
    let quota = details.quota_failure().unwrap();
    let subjects: Vec<_> = quota.violations.iter().map(|it| &it.subject).collect();
    assert_eq!(subjects, ["caller:shop"]);
    assert!(!format!("{status:?}").contains(GOOD_CARD));
    details.retry_info().unwrap().retry_delay.unwrap()
}

#[tokio::test]
async fn calls_per_second() {
    let (_process, client) = service("requests_per_second = 3").await;
    let shop = client.token("shop");
    let begun = Instant::now();
    for _ in 0..3 {
        shop.verify().await.unwrap();
    }
    let refused = shop.card_info().await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(1), "too slow to tell");
    let wait = retry_after(&refused);
    assert!(
        wait > Duration::ZERO && wait <= Duration::from_secs(1),
        "{wait:?}"
    );
    // nobody else is meant
    client.token("other").verify().await.unwrap();
    sleep(wait).await;
    shop.verify().await.unwrap();
}

#[tokio::test]
async fn calls_at_once() {
    let (_process, client) = service("concurrent = 1").await;
    let shop = client.token("shop");
    let slow = tokio::spawn({
        let shop = shop.clone();
        async move { shop.verify_with(question(SLOW_CARD)).await }
    });
    sleep(Duration::from_millis(500)).await;
    assert!(retry_after(&shop.verify().await.unwrap_err()) > Duration::ZERO);
    client.token("other").verify().await.unwrap();
    assert!(!slow.is_finished(), "too slow to tell");
    slow.await.unwrap().unwrap();
    shop.verify().await.unwrap();
    // a call that its caller leaves gives its place back, and so does one that fails
    let other_name = VerifyBankCardRequest {
        name: "李四".to_owned(),
        ..question(SLOW_CARD)
    };
    let left = shop.verify_with(other_name);
    let _ = tokio::time::timeout(Duration::from_millis(200), left).await;
    sleep(Duration::from_millis(200)).await;
    let wrong = shop.verify_with(VerifyBankCardRequest::default()).await;
    assert_eq!(told(wrong).0, Code::InvalidArgument);
    shop.verify().await.unwrap();
}
