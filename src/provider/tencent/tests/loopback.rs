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
        testing::{CONTEXT, serve_once, vendor_settings},
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

/// The head's lines by name, and the body.
fn taken_apart(request: &str) -> (BTreeMap<String, String>, &str) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let headers = head.lines().skip(1).map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    });
    (headers.collect(), body)
}

fn provider(base: &str, env: &dyn Fn(&str) -> Option<String>) -> Tencent {
    let (settings, vendor_settings) = settings(base);
    let name = ProviderName::new("tencent").unwrap();
    Tencent::new(name, &settings, &vendor_settings, env).unwrap()
}

#[tokio::test]
async fn what_is_signed_is_what_is_sent() {
    let (address, served) = serve_once(MATCH).await;
    let env = |name: &str| Some(format!("{name}-value"));
    let provider = provider(&format!("http://{address}"), &env);
    let verification = testing::question(Factors::Two);
    let answer = provider.verify(&verification, &CONTEXT).await.unwrap();
    assert_eq!(answer.finding, Finding::verified(ResultCode::Match));

    let request = served.await.unwrap();
    assert!(request.starts_with("POST / HTTP/1.1\r\n"));
    let (headers, body) = taken_apart(&request);
    let header = |name: &str| headers.get(name).unwrap().as_str();
    assert_eq!(header("x-tc-action"), "BankCard2EVerification");
    assert_eq!(header("x-tc-version"), "2018-03-01");
    assert_eq!(header("x-tc-token"), "TOKEN-value");
    assert_eq!(header("host"), address.to_string());
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
    assert_eq!(
        header("authorization"),
        expected.authorization(body.as_bytes())
    );
}

#[tokio::test]
async fn what_the_vendor_cannot_do_is_refused_before_anything_is_sent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let provider = provider(&base, &|_| Some("x".to_owned()));
    assert!(!provider.capabilities().accepts(IdentityType::Passport));
    let passport = provider.verify(&passport(), &CONTEXT).await;
    assert_eq!(passport.unwrap_err().kind, ProviderErrorKind::Misconfigured);
    let prefix = CardInquiry {
        card: CardRef::parse("622202").unwrap(),
    };
    let prefix = provider.card_info(&prefix, &CONTEXT).await;
    assert_eq!(prefix.unwrap_err().kind, ProviderErrorKind::Misconfigured);
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(100), listener.accept());
    assert!(nobody.await.is_err(), "a connection was made");
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
