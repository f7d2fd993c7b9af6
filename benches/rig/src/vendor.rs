//! A signed call to a vendor by a plain HTTP client: what the service does for Tencent with four
//! factors, and nothing else.

use std::error::Error;

use cardproof::provider::tencent::sign::Tc3;
use jiff::Timestamp;

use crate::questions::{ID_NUMBER, NAME, PHONE};

const CONTENT_TYPE: &str = "application/json";
/// The emulator's account.
pub const SECRET_ID: &str = "AKIDEMULATOR";
/// The key of that account.
pub const SECRET_KEY: &str = "emulator-tencent-secret";

/// A plain HTTP client for one vendor.
pub struct Vendor {
    http: reqwest::Client,
    url: String,
}

impl Vendor {
    /// A client with room for as many idle connections.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn at(url: String, at_once: usize) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .pool_max_idle_per_host(at_once)
            .build()?;
        Ok(Self { http, url })
    }

    /// Asks about a card.
    ///
    /// # Errors
    /// When no answer comes, or another one than a match, as every question of the benchmarks is.
    pub async fn verify(&self, card: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        let body = format!(
            r#"{{"IdCard":"{ID_NUMBER}","Name":"{NAME}","BankCard":"{card}","Phone":"{PHONE}"}}"#
        );
        let at = Timestamp::now();
        let authorization = Tc3 {
            secret_id: SECRET_ID,
            secret_key: SECRET_KEY,
            service: "faceid",
            host: self.url.trim_start_matches("http://"),
            content_type: CONTENT_TYPE,
            at,
        }
        .authorization(body.as_bytes());
        let reply = self
            .http
            .post(&self.url)
            .header("authorization", authorization)
            .header("content-type", CONTENT_TYPE)
            .header("x-tc-action", "BankCard4EVerification")
            .header("x-tc-version", "2018-03-01")
            .header("x-tc-timestamp", at.as_second().to_string())
            .body(body)
            .send()
            .await?;
        let reply = reply.bytes().await?;
        let matched = br#""Result":"0""#;
        if reply.windows(matched.len()).any(|window| window == matched) {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&reply).into())
        }
    }
}
