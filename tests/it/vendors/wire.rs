//! Connections that break, stall and lie: was it sent, and was it sent once?

use std::time::{Duration, Instant};

use cardproof::proto::bankcard::v1::Verdict;
use cardproof_emulator::{Emulator, Fault, Operation, Options, Reply, Script, Vendor};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::Code;

use super::house::{Asked, House, ace, alibaba, closed_port, emulator, reason, tencent};

const VENDORS: [(Vendor, &str, Operation); 3] = [
    (Vendor::Ace, "ace", Operation::Two),
    (Vendor::Tencent, "tencent", Operation::Three),
    (Vendor::Alibaba, "alibaba", Operation::Four),
];

fn config(url: &str, more: &str) -> String {
    [
        ace("ace", url, more),
        tencent("tencent", url, more),
        alibaba("alibaba", url, "intl", more),
    ]
    .concat()
}

async fn open(url: &str, more: &str) -> House {
    House::open(&["ace", "tencent", "alibaba"], &config(url, more)).await
}

/// An emulator with TLS, and so with HTTP/2, and the setting that trusts it.
async fn secure_emulator() -> (Emulator, TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&certificate, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    let trust = format!("ca_file = {certificate:?}\n");
    let options = Options {
        tls: Some((certificate, key)),
        ..Options::default()
    };
    (Emulator::start(options).await.unwrap(), folder, trust)
}

/// Asks; the reply is that the outcome is unknown, and so it stays.
async fn is_unknown(house: &House, provider: &str, asked: &Asked, what: &str) {
    for _ in 0..2 {
        let status = house.verify(asked.request(provider)).await.unwrap_err();
        assert_eq!(
            status.code(),
            Code::Unknown,
            "{provider} {what}: {status:?}"
        );
        assert_eq!(
            reason(&status, provider).0,
            "OUTCOME_UNKNOWN",
            "{provider} {what}"
        );
    }
}

fn faults() -> Vec<Fault> {
    vec![
        Fault::CutAfterRead { reset: false },
        Fault::CutAfterRead { reset: true },
        Fault::ResetMidBody { after_bytes: None },
        Fault::ResetMidBody {
            after_bytes: Some(0),
        },
        Fault::ResetMidBody {
            after_bytes: Some(1),
        },
        Fault::GoAwayUnprocessed,
        Fault::GoAwayGraceful,
    ]
}

async fn breaks(house: &House, emulator: &Emulator, version: &str) -> usize {
    let mut count = 0;
    for (vendor, provider, operation) in VENDORS {
        for warm in [false, true] {
            for fault in faults() {
                let what = format!("{} over HTTP/{version}", fault.as_str());
                if warm {
                    let answer = house.verify(Asked::new(operation).request(provider)).await;
                    assert_eq!(answer.unwrap().verdict(), Verdict::Mismatch);
                }
                let asked = Asked::new(operation);
                emulator.script(Script::new(vendor).card(&asked.card).fault(fault));
                is_unknown(house, provider, &asked, &what).await;
                emulator.clear_scripts();
                let entries = asked.entries(emulator);
                assert_eq!(entries.len(), 1, "{provider} {what}");
                assert_eq!(entries[0].http_version, version, "{provider} {what}");
                count += 1;
            }
        }
        // cut or refused before it was read: it left us all the same
        for fault in [Fault::CutBeforeBody, Fault::RefuseStream] {
            let asked = Asked::new(operation);
            emulator.script(Script::new(vendor).fault(fault));
            let before = emulator.summary().received;
            is_unknown(house, provider, &asked, fault.as_str()).await;
            emulator.clear_scripts();
            assert!(
                emulator.summary().received <= before + 1,
                "{provider} {fault:?}"
            );
            count += 1;
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_may_have_run_is_never_sent_again() {
    let plain = emulator().await;
    let house = open(&plain.url(), "").await;
    let http1 = breaks(&house, &plain, "1.1").await;
    drop(house);
    let (secure, _folder, trust) = secure_emulator().await;
    let house = open(&secure.url(), &trust).await;
    let http2 = breaks(&house, &secure, "2").await;
    println!("broken connections end to end: {http1} over HTTP/1.1, {http2} over HTTP/2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_is_too_slow_leaves_the_outcome_unknown() {
    let emulator = emulator().await;
    let house = open(&emulator.url(), "timeout_ms = 1500\n").await;
    for (vendor, provider, operation) in VENDORS {
        for (what, script) in [
            ("delay", Script::new(vendor).delay_ms(5000)),
            (
                "drip",
                Script::new(vendor).fault(Fault::Drip { interval_ms: 100 }),
            ),
        ] {
            let asked = Asked::new(operation);
            emulator.script(script.card(&asked.card));
            let begun = Instant::now();
            is_unknown(&house, provider, &asked, what).await;
            let took = begun.elapsed();
            assert!(
                (1400..4500).contains(&took.as_millis()),
                "{provider} {what} {took:?}"
            );
            assert_eq!(asked.entries(&emulator).len(), 1, "{provider} {what}");
            emulator.clear_scripts();
        }
        // slow, but in time
        let asked = Asked::new(operation);
        let script = Script::new(vendor).fault(Fault::Drip { interval_ms: 1 });
        emulator.script(script.card(&asked.card));
        house.verify(asked.request(provider)).await.unwrap();
        emulator.clear_scripts();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_left_is_not_sent_and_not_held() {
    let plain = emulator().await;
    let (secure, _folder, _) = secure_emulator().await;
    let authority =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/authority.pem");
    let other_authority = format!("ca_file = {authority:?}\n");
    // a listener that takes connections and never shakes hands
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = format!("https://{}", mute.local_addr().unwrap());
    let quick = format!("connect_timeout_ms = 400\n{other_authority}");
    let cases = [
        (
            "refused",
            format!("http://{}", closed_port()),
            String::new(),
        ),
        (
            "no TLS there",
            plain.url().replace("http:", "https:"),
            other_authority.clone(),
        ),
        ("a stranger", secure.url(), other_authority),
        ("mute", mute, quick),
    ];
    for (what, url, more) in cases {
        let house = open(&url, &more).await;
        for (_, provider, operation) in VENDORS {
            let asked = Asked::new(operation);
            for _ in 0..2 {
                let status = house.verify(asked.request(provider)).await.unwrap_err();
                let wanted = ("PROVIDERS_UNAVAILABLE".to_owned(), "NOT_SENT".to_owned());
                assert_eq!(status.code(), Code::Unavailable, "{what}: {status:?}");
                assert_eq!(reason(&status, provider), wanted, "{what}");
            }
        }
    }
    assert_eq!(plain.summary().received + secure.summary().received, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redirect_is_followed() {
    let (emulator, elsewhere) = (emulator().await, emulator().await);
    let house = open(&emulator.url(), "").await;
    for (vendor, provider, operation) in VENDORS {
        for status in [301, 302, 303, 307, 308] {
            let asked = Asked::new(operation);
            let location = format!("{}/identity/bankcard/check-2e", elsewhere.url());
            emulator.script(Script::new(vendor).card(&asked.card).reply(Reply::Raw {
                status,
                headers: vec![("location".to_owned(), location)],
                body: String::new(),
                body_hex: None,
            }));
            is_unknown(&house, provider, &asked, "redirect").await;
            assert_eq!(asked.entries(&emulator).len(), 1, "{provider} {status}");
            emulator.clear_scripts();
        }
    }
    assert_eq!(elsewhere.summary().received, 0);
}

/// A caller that hangs up, or whose time is over, does not end a call that was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_answer_is_kept_for_the_next_caller() {
    let emulator = emulator().await;
    let house = open(&emulator.url(), "").await;
    for (vendor, provider, operation) in VENDORS {
        let asked = Asked::new(operation);
        emulator.script(Script::new(vendor).card(&asked.card).hold(provider));
        let mut request = tonic::Request::new(asked.request(provider));
        request.set_timeout(Duration::from_millis(800));
        let status = house.verify_with(request).await.unwrap_err();
        // ours, or that of the client's own watch
        let codes = [Code::DeadlineExceeded, Code::Cancelled];
        assert!(codes.contains(&status.code()), "{status:?}");
        emulator.release(provider);
        let answer = house.verify(asked.request(provider)).await.unwrap();
        assert_eq!(answer.verdict(), Verdict::Mismatch);
        assert_eq!(asked.entries(&emulator).len(), 1, "{provider}");
        emulator.clear_scripts();
    }
}
