//! The client over a real connection.

use super::*;
use crate::{
    config::{
        providers::{Endpoint, FieldEncryption, TencentSettings, VendorSettings},
        secret::SecretRef,
    },
    domain::ProviderName,
    provider::{
        Provider,
        tencent::{Tencent, sign::Tc3},
        testing::{CONTEXT, vendor_settings},
    },
};

fn settings(base: &str) -> (TencentSettings, VendorSettings) {
    let secret = |name: &str| SecretRef::Env(name.to_owned());
    let tencent = TencentSettings {
        endpoint: Endpoint::parse(base, false).unwrap(),
        secret_id: secret("ID"),
        secret_key: secret("KEY"),
        session_token: Some(secret("TOKEN")),
        field_encryption: None,
    };
    (tencent, vendor_settings(&[]))
}

/// What the vendor's side of the wire saw: headers by name, and the body.
type Seen = (BTreeMap<String, String>, Vec<u8>);

/// A vendor that answers everything with a match and tells what it was sent.
async fn vendor() -> (String, tokio::sync::mpsc::UnboundedReceiver<Seen>) {
    use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let handler = async move |headers: HeaderMap, body: Bytes| {
        let text = |value: &axum::http::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        sender.send((headers, body.to_vec())).unwrap();
        MATCH
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(handler));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (base, receiver)
}

#[tokio::test]
async fn what_is_signed_is_what_is_sent() {
    let (base, mut seen) = vendor().await;
    let (settings, vendor_settings) = settings(&base);
    let env = |name: &str| Some(format!("{name}-value"));
    let name = ProviderName::new("tencent").unwrap();
    let provider = Tencent::new(name.clone(), &settings, &vendor_settings, &env).unwrap();
    let verification = testing::question(Factors::Two);
    let answer = provider.verify(&verification, &CONTEXT).await.unwrap();
    assert_eq!(answer.finding, Finding::verified(ResultCode::Match));

    let (headers, body) = seen.recv().await.unwrap();
    let header = |name: &str| headers.get(name).unwrap().as_str();
    assert_eq!(header("x-tc-action"), "BankCard2EVerification");
    assert_eq!(header("x-tc-version"), "2018-03-01");
    assert_eq!(header("x-tc-token"), "TOKEN-value");
    assert_eq!(header("host"), base.trim_start_matches("http://"));
    let at: i64 = header("x-tc-timestamp").parse().unwrap();
    assert!((Timestamp::now().as_second() - at).abs() < 5);
    let expected = Tc3 {
        secret_id: "ID-value",
        secret_key: "KEY-value",
        service: "faceid",
        host: header("host"),
        content_type: header("content-type"),
        at: Timestamp::from_second(at).unwrap(),
    };
    assert_eq!(header("authorization"), expected.authorization(&body));
}

#[tokio::test]
async fn a_document_without_a_code_and_a_prefix_are_refused_before_anything_is_sent() {
    let (base, mut seen) = vendor().await;
    let (settings, vendor_settings) = settings(&base);
    let env = |_: &str| Some("x".to_owned());
    let name = ProviderName::new("tencent").unwrap();
    let provider = Tencent::new(name.clone(), &settings, &vendor_settings, &env).unwrap();
    let passport = passport();
    assert!(!provider.capabilities().accepts(IdentityType::Passport));
    assert!(provider.verify(&passport, &CONTEXT).await.is_err());
    let prefix = CardInquiry {
        card: CardRef::parse("622202").unwrap(),
    };
    assert!(provider.card_info(&prefix, &CONTEXT).await.is_err());
    assert!(seen.try_recv().is_err());
}

#[test]
fn settings_that_cannot_be_used_are_told_by_key() {
    let env = |_: &str| Some("x".to_owned());
    let name = ProviderName::new("tencent").unwrap();
    let (settings, mut vendor_settings) = settings("http://127.0.0.1:1");
    let codes = BTreeMap::from([(IdentityType::Passport, "03a".to_owned())]);
    vendor_settings.identity_types = codes;
    let problem = Tencent::new(name.clone(), &settings, &vendor_settings, &env).err();
    assert_eq!(problem.unwrap().problems()[0].0, "identity_types");
    vendor_settings.identity_types.clear();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    for content in [None, Some("no key")] {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let settings = TencentSettings {
            field_encryption: Some(FieldEncryption {
                algorithm: FieldCipher::Sm4Gcm,
                public_key_file: path.clone(),
            }),
            ..settings.clone()
        };
        let problem = Tencent::new(name.clone(), &settings, &vendor_settings, &env).err();
        let key = problem.unwrap().problems()[0].0;
        assert_eq!(key, "field_encryption.public_key_file");
    }
}
