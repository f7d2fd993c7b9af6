//! What the operator sets: codes of identity documents, clocks, credentials that change.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use cardproof::proto::bankcard::v1::{IdentityType, Verdict, VerifyBankCardRequest};
use cardproof_emulator::{Credentials, Emulator, KeyPair, Operation, Script, Vendor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};
use tonic::Code;

use super::house::{Asked, House, ace, alibaba, emulator, reason, section, tencent};

/// A vendor that shows what it is sent and answers everything alike.
async fn recorder(body: &'static str) -> (String, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (seen, requests) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut raw = Vec::new();
            let mut buffer = [0; 4096];
            // head, and a body that ends with its object where there is one
            let text = loop {
                let read = stream.read(&mut buffer).await.unwrap();
                raw.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8(raw.clone()).unwrap();
                let empty = text.contains("content-length: 0\r\n");
                if text.contains("\r\n\r\n") && (empty || text.ends_with('}')) {
                    break text;
                }
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
            if seen.send(text).is_err() {
                return;
            }
        }
    });
    (url, requests)
}

fn document(asked: &Asked, provider: &str, kind: IdentityType) -> VerifyBankCardRequest {
    let mut request = asked.request(provider);
    request.identity_type = kind.into();
    if kind != IdentityType::ResidentId {
        "E12345678".clone_into(&mut request.id_number);
    }
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_sent_under_the_operators_codes_or_not_at_all() {
    let (ace_url, mut to_ace) = recorder(r#"{"result":"0","description":"认证通过"}"#).await;
    let tencent_answer = r#"{"Response":{"Result":"0","Description":"认证通过"}}"#;
    let (tencent_url, mut to_tencent) = recorder(tencent_answer).await;
    let alibaba_answer = r#"{"Code":"200","ResultObject":{"BizCode":"1","SubCode":"101"}}"#;
    let (alibaba_url, mut to_alibaba) = recorder(alibaba_answer).await;
    let mapped = "identity_types = { PASSPORT = \"17\" }\n";
    let config = [
        ace("ace", &ace_url, mapped),
        tencent("tencent", &tencent_url, mapped),
        alibaba("alibaba", &alibaba_url, "intl", mapped),
    ]
    .concat();
    let house = House::open(&["ace", "tencent", "alibaba"], &config).await;
    let providers = [
        ("ace", &mut to_ace, "\"cert_type\":17", "cert_type"),
        ("tencent", &mut to_tencent, "\"CertType\":17", "CertType"),
        (
            "alibaba",
            &mut to_alibaba,
            "IdentityType=17&",
            "IdentityType",
        ),
    ];
    for (provider, requests, sent_as, key) in providers {
        let asked = Asked::new(Operation::Three);
        let answer = house
            .verify(document(&asked, provider, IdentityType::Passport))
            .await;
        assert_eq!(answer.unwrap().verdict(), Verdict::Match, "{provider}");
        let request = requests.recv().await.unwrap();
        assert!(request.contains(sent_as), "{provider}: {request}");
        assert!(request.contains("E12345678"));

        // the default has no code of its own
        let asked = Asked::new(Operation::Three);
        let answer = house
            .verify(document(&asked, provider, IdentityType::ResidentId))
            .await;
        answer.unwrap();
        let request = requests.recv().await.unwrap();
        assert!(!request.contains(key), "{provider}: {request}");

        for kind in [
            IdentityType::HkMacaoPermit,
            IdentityType::TaiwanPermit,
            IdentityType::ForeignPermanentResident,
            IdentityType::MilitaryOfficer,
            IdentityType::Soldier,
            IdentityType::PoliceOfficer,
            IdentityType::Other,
        ] {
            for pinned in [provider, ""] {
                let request = document(&Asked::new(Operation::Four), pinned, kind);
                let status = house.verify(request).await.unwrap_err();
                assert_eq!(
                    status.code(),
                    Code::FailedPrecondition,
                    "{provider} {kind:?}"
                );
                assert_eq!(reason(&status, provider).0, "NO_PROVIDER");
            }
        }
        assert!(requests.is_empty(), "{provider}: something was sent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off_is_measured_and_told() {
    let emulator = emulator().await;
    let url = emulator.url();
    let config = [
        tencent("tencent", &url, ""),
        alibaba("alibaba", &url, "intl", ""),
    ]
    .concat();
    let house = House::open(&["tencent", "alibaba"], &config).await;
    for (provider, seconds) in [
        ("tencent", 400),
        ("tencent", -400),
        ("alibaba", 1000),
        ("alibaba", -1000),
    ] {
        emulator.set_clock_offset_ms(seconds * 1000);
        let asked = Asked::new(Operation::Three);
        let status = house.verify(asked.request(provider)).await.unwrap_err();
        let wanted = (
            "PROVIDER_MISCONFIGURED".to_owned(),
            "CLOCK_SKEWED".to_owned(),
        );
        assert_eq!(reason(&status, provider), wanted);
        assert_eq!(status.code(), Code::FailedPrecondition);
        let told = [seconds - 1, seconds, seconds + 1]
            .map(|value| format!("\"clock_skew_seconds\":{value},"));
        let begun = Instant::now();
        loop {
            let log = house.log();
            let found = log.lines().any(|line| {
                line.contains("\"warn\"")
                    && line.contains("CLOCK_SKEWED")
                    && line.contains(provider)
                    && told
                        .iter()
                        .any(|text| line.replace('}', ",").contains(text))
            });
            if found {
                break;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "{provider} {told:?}:\n{log}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // no long skip: with the clock right again it is asked at once
        emulator.set_clock_offset_ms(0);
        let asked = Asked::new(Operation::Three);
        house.verify(asked.request(provider)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misconfigured_vendor_is_asked_once_per_while() {
    let emulator = emulator().await;
    let config = ace("ace", &emulator.url(), "misconfigured_skip_s = 2\n");
    let house = House::open(&["ace"], &config).await;
    for (code, said) in [
        ("invalid_token", "MISCONFIGURED"),
        ("used_up", "OUT_OF_CREDIT"),
    ] {
        emulator.reset_ledger();
        emulator.script(Script::new(Vendor::Ace).error(code));
        let begun = Instant::now();
        for _ in 0..10 {
            let asked = Asked::new(Operation::Two);
            let status = house.verify(asked.request("")).await.unwrap_err();
            let wanted = ("PROVIDER_MISCONFIGURED".to_owned(), said.to_owned());
            assert_eq!(reason(&status, "ace"), wanted);
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "too slow to tell");
        assert_eq!(emulator.summary().received, 1, "{code}");
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let asked = Asked::new(Operation::Two);
        house.verify(asked.request("")).await.unwrap_err();
        assert_eq!(emulator.summary().received, 2, "{code}");
        tokio::time::sleep(Duration::from_millis(2100)).await;
        emulator.clear_scripts();
        let asked = Asked::new(Operation::Two);
        house.verify(asked.request("")).await.unwrap();
    }
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
}

/// Waits until a provider's calls are accepted again.
async fn accepted_again(house: &House, emulator: &Emulator, provider: &str) {
    let begun = Instant::now();
    loop {
        let asked = Asked::new(Operation::Two);
        let answer = house.verify(asked.request(provider)).await;
        if answer.is_ok() {
            assert!(asked.entries(emulator)[0].accepted);
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(40),
            "{provider}: {answer:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_in_files_are_taken_up_together_when_they_change() {
    let emulator = emulator().await;
    let url = emulator.url();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(
        path,
        &[
            ("token", "emulator-ace-token\n"),
            ("tencent_id", "AKIDEMULATOR"),
            ("tencent_key", "emulator-tencent-secret"),
            ("alibaba_id", "LTAIEMULATOR"),
            ("alibaba_secret", "emulator-alibaba-secret"),
        ],
    );
    let file = |key: &str, name: &str| format!("{key} = {{ file = {:?} }}\n", path.join(name));
    let skip = "misconfigured_skip_s = 1\n";
    let ace_keys = file("token", "token") + skip;
    let tencent_keys = file("secret_id", "tencent_id") + &file("secret_key", "tencent_key") + skip;
    let alibaba_keys = file("access_key_id", "alibaba_id")
        + &file("access_key_secret", "alibaba_secret")
        + "product = \"intl\"\n"
        + skip;
    let config = [
        section("ace", &url, "ace", &ace_keys),
        section("tencent", &url, "tencent", &tencent_keys),
        section("alibaba", &url, "alibaba", &alibaba_keys),
    ]
    .concat();
    let house = House::open(&["ace"], &config).await;
    let providers = ["ace", "tencent", "alibaba"];
    for provider in providers {
        house
            .verify(Asked::new(Operation::Two).request(provider))
            .await
            .unwrap();
    }
    // the vendors know the new ones beside the old, as vendors do while keys are rotated
    let both = Credentials::default();
    let new = Credentials {
        ace: vec!["rotated-ace-token".to_owned()],
        tencent: vec![KeyPair::long_term("AKIDROTATED", "rotated-tencent-secret")],
        alibaba: vec![KeyPair::long_term("LTAIROTATED", "rotated-alibaba-secret")],
    };
    emulator.set_credentials(Credentials {
        ace: [both.ace, new.ace.clone()].concat(),
        tencent: [both.tencent, new.tencent.clone()].concat(),
        alibaba: [both.alibaba, new.alibaba.clone()].concat(),
    });
    // one file first: never may an id go with another id's secret
    write(
        path,
        &[("tencent_id", "AKIDROTATED"), ("alibaba_id", "LTAIROTATED")],
    );
    for _ in 0..4 {
        for provider in ["tencent", "alibaba"] {
            let asked = Asked::new(Operation::Two);
            house.verify(asked.request(provider)).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    write(
        path,
        &[
            ("token", "rotated-ace-token\n"),
            ("tencent_key", "rotated-tencent-secret"),
            ("alibaba_secret", "rotated-alibaba-secret"),
        ],
    );
    for provider in providers {
        house
            .logged(&["secrets changed", &format!("\"provider\":\"{provider}\"")])
            .await;
    }
    emulator.set_credentials(new);
    for provider in providers {
        accepted_again(&house, &emulator, provider).await;
    }
    for provider in providers {
        let refused = emulator
            .ledger()
            .into_iter()
            .filter(|entry| !entry.accepted);
        assert_eq!(
            refused
                .filter(|entry| entry.vendor.as_str() == provider)
                .count(),
            0
        );
    }
    let log = house.log();
    for secret in [
        "rotated-ace-token",
        "rotated-tencent-secret",
        "rotated-alibaba-secret",
    ] {
        assert!(!log.contains(secret), "{secret} was logged");
    }
}
