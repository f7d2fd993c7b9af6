//! The watch sees: every spelling, in every place where something comes out.

use std::{
    collections::{BTreeSet, HashMap},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use rstest::rstest;
use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};
use tonic_types::{ErrorDetails, StatusExt};

use super::{
    CARD, ID_NUMBER, NAME,
    collector::{Collector, WAYS},
    forms::{self, values},
    scan::{Leak, Sink, Watch},
};
use crate::{
    net::fixture::Raw,
    support::{
        server::{Page, http},
        vendor::{HttpVendor, json_reply},
    },
};

/// Ways of spelling that share no code with the watch's own.
fn spellings(value: &str) -> Vec<(&'static str, String)> {
    let digits_apart = |between: &str| {
        let characters: Vec<_> = value.chars().map(String::from).collect();
        characters
            .chunks(4)
            .map(<[String]>::concat)
            .collect::<Vec<_>>()
            .join(between)
    };
    let around = |before: &str| format!("{before}{value}\"}}");
    let mut spellings = vec![
        ("raw", value.to_owned()),
        ("upper case", value.to_uppercase()),
        ("blanks", digits_apart(" ")),
        ("hyphens", digits_apart("-")),
        ("dots", digits_apart(".")),
        (
            "form",
            url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        ),
        (
            "percent of every byte",
            value.bytes().map(|byte| format!("%{byte:02x}")).collect(),
        ),
        (
            "json escape",
            value
                .encode_utf16()
                .map(|unit| format!("\\u{unit:04X}"))
                .collect(),
        ),
        (
            "hex",
            value.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ),
        (
            "HEX",
            value.bytes().map(|byte| format!("{byte:02X}")).collect(),
        ),
        ("bytes", format!("{:?}", value.as_bytes())),
        (
            "bytes of more",
            format!("{:?}", around("{\"v\":\"").as_bytes()),
        ),
    ];
    for before in ["", "{", "{\"", "{\"a"] {
        spellings.push(("base64", STANDARD.encode(around(before))));
        spellings.push(("base64 for urls", URL_SAFE.encode(around(before))));
    }
    spellings
}

#[test]
fn every_spelling_of_every_value_is_found_in_every_sink() {
    let mut planted = 0;
    let mut found_by = BTreeSet::new();
    for (what, value) in values() {
        for (spelling, spelled) in spellings(&value) {
            for sink in Sink::ALL {
                let mut watch = Watch::default();
                watch.see("before", sink, "all is well");
                watch.see(
                    "here",
                    sink,
                    &format!("{{\"message\":\"at 12:30 {spelled} came\"}}"),
                );
                let leaks = watch.leaks();
                let here =
                    |leak: &&Leak| (&*leak.path, leak.sink, leak.what) == ("here", sink, what);
                found_by.extend(leaks.iter().filter(here).map(|leak| leak.encoding));
                let found = leaks.iter().any(|leak| here(&leak));
                assert!(found, "{what} as {spelling} in {sink:?}");
                planted += 1;
            }
        }
    }
    let encodings: BTreeSet<_> = forms::all().iter().map(|form| form.encoding).collect();
    assert_eq!(found_by, encodings, "an encoding that finds nothing");
    println!("{planted} leaks planted and found");
    assert!(planted >= 16 * 16 * Sink::ALL.len(), "only {planted}");
}

#[test]
fn no_needle_finds_just_anything() {
    // a needle that is empty or tiny would find everything, or nothing in particular
    for form in forms::all() {
        assert!(
            form.needle.chars().count() >= 4,
            "{} {}",
            form.what,
            form.encoding
        );
    }
}

#[rstest]
#[case::time("{\"time\":\"2026-11-24T00:08:47.123Z\",\"level\":\"info\"}")]
#[case::nanoseconds("\"started_at\":\"2026-11-24T00:08:47.123456789Z\"")]
#[case::ports("grpc=127.0.0.1:50051 admin=127.0.0.1:9464")]
#[case::id("urn:6f9619ff-8b86-4d01-b42d-00cf4fc964ff")]
#[case::masked("CardNumber(622202*********8372)")]
#[case::no_card("1234567890123")]
#[case::zeros("0000000000000000")]
fn honest_texts_pass(#[case] text: &str) {
    let mut watch = Watch::default();
    watch.see("here", Sink::Stdout, text);
    assert_eq!(watch.leaks(), []);
}

#[rstest]
// published test numbers, and the examples of the standard
#[case::visa("paid with 4111111111111111.", "like a card number")]
#[case::blanks("4111 1111 1111 1111", "like a card number")]
#[case::hyphens("6222-0200-0000-0000-000", "like a card number")]
#[case::amex("{\"v\":378282246310005}", "like a card number")]
#[case::inside("74111111111111111", "like a card number")]
#[case::resident("id=11010519491231002X;", "like a resident ID")]
#[case::small_x("11010519491231002x", "like a resident ID")]
#[case::digits_only("440524188001010014", "like a resident ID")]
fn values_that_nobody_planted_are_found_by_their_form(#[case] text: &str, #[case] what: &str) {
    let mut watch = Watch::default();
    watch.see("here", Sink::Stdout, text);
    assert!(watch.leaks().iter().any(|leak| leak.what == what));
}

/// The sinks in which a leak was found.
fn sinks(watch: &Watch) -> BTreeSet<Sink> {
    watch.leaks().iter().map(|leak| leak.sink).collect()
}

#[test]
fn what_an_error_carries_reaches_the_watch_from_each_of_its_parts() {
    let quiet = || Status::with_error_details(Code::Unknown, "no", ErrorDetails::new());
    let mut watch = Watch::default();
    watch.status("nothing", &quiet());
    assert_eq!(watch.leaks(), []);

    let mut watch = Watch::default();
    watch.status("text", &Status::unknown(format!("no card {CARD}")));
    assert!(sinks(&watch).contains(&Sink::StatusText));

    let metadata = HashMap::from([("who".to_owned(), NAME.to_owned())]);
    let details = ErrorDetails::with_error_info("R", "cardproof", metadata);
    let mut watch = Watch::default();
    watch.status(
        "details",
        &Status::with_error_details(Code::Unknown, "no", details),
    );
    assert!(sinks(&watch).contains(&Sink::StatusDetails));

    let mut plain = MetadataMap::new();
    plain.insert("x-id", ID_NUMBER.parse().unwrap());
    let mut binary = MetadataMap::new();
    binary.insert_bin("x-name-bin", MetadataValue::from_bytes(NAME.as_bytes()));
    for trailers in [plain, binary] {
        let mut watch = Watch::default();
        watch.status(
            "trailers",
            &Status::with_metadata(Code::Unknown, "no", trailers),
        );
        assert!(sinks(&watch).contains(&Sink::Trailers));
    }
}

#[test]
fn what_a_process_writes_and_a_page_shows_reaches_the_watch() {
    let script = format!("echo 'out {CARD}'; echo 'err {NAME}' >&2");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (out, out_reader) = Page::follow(child.stdout.take().unwrap());
    let (err, err_reader) = Page::follow(child.stderr.take().unwrap());
    child.wait().unwrap();
    out_reader.join().unwrap();
    err_reader.join().unwrap();
    let mut watch = Watch::default();
    watch.see("process", Sink::Stdout, &out.text());
    watch.see("process", Sink::Stderr, &err.text());

    let leaky = HttpVendor::start(|_| json_reply(200, ID_NUMBER));
    let page = http(leaky.address, "GET /status HTTP/1.1\r\n", "").unwrap();
    watch.see("page", Sink::AdminPage, &page.all);
    let expected = BTreeSet::from([Sink::Stdout, Sink::Stderr, Sink::AdminPage]);
    assert_eq!(sinks(&watch), expected);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// Sends bytes as an exporter does.
async fn export(to: SocketAddr, way: (&str, &str), signal: &str, message: &[u8]) {
    let is_packed = way.1 == "gzip";
    let body = if is_packed {
        gzip(message)
    } else {
        message.to_vec()
    };
    if way.0 == "grpc" {
        let mut frame = vec![u8::from(is_packed)];
        frame.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&body);
        let service = match signal {
            "traces" => "trace.v1.TraceService",
            _ => "metrics.v1.MetricsService",
        };
        let path = format!("http://c/opentelemetry.proto.collector.{service}/Export");
        let request = http::Request::post(path).body(()).unwrap();
        let raw = Raw::connect(to).await;
        let answer = raw.send(request, Some(frame.into())).await.unwrap();
        assert_eq!(answer.code(), 0);
        return;
    }
    let packing = if is_packed {
        "content-encoding: gzip\r\n"
    } else {
        ""
    };
    let head = format!(
        "POST /v1/{signal} HTTP/1.1\r\nhost: c\r\n{packing}connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let sent = [head.as_bytes(), &body].concat();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.write_all(&sent).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_reaches_the_watch_however_it_is_packed() {
    let collector = Collector::start();
    let mut planted = 0;
    for way in WAYS {
        for (signal, sink) in [("traces", Sink::OtlpTraces), ("metrics", Sink::OtlpMetrics)] {
            for (what, value) in values() {
                for (spelling, spelled) in spellings(&value) {
                    // as a text stands in a message: behind its tag and its length, among other bytes
                    let length = u8::try_from(spelled.len() % 128).unwrap();
                    let before = [0x0a, 0xff, 0x00, 0x2a, length];
                    let message = [&before[..], spelled.as_bytes(), &[0x39, 0x80, 0xfe]].concat();
                    export(collector.address, way, signal, &message).await;
                    let mut watch = Watch::default();
                    for export in collector.take() {
                        assert_eq!(export.way, format!("{} {}", way.0, way.1));
                        watch.see("here", export.sink, &export.text);
                    }
                    let leaks = watch.leaks();
                    let found = leaks.iter().any(|it| it.sink == sink && it.what == what);
                    assert!(found, "{what} as {spelling} in {signal} over {way:?}");
                    planted += 1;
                }
            }
        }
    }
    println!("{planted} leaks exported and found");
    assert!(planted >= WAYS.len() * 2 * 16 * 16, "only {planted}");
}

#[test]
fn a_leak_in_a_ledger_of_its_own_reaches_the_watch() {
    let record = |more: &str| {
        format!(
            "{{\"event\":\"intent\",\"call_id\":\"6f9619ff-8b86-4d01-b42d-00cf4fc964ff\",\
             \"card_tag\":\"00112233aabbccdd\",\"request_id\":\"{CARD}\"{more}}}\n"
        )
    };
    let mut watch = Watch::default();
    assert!(watch.ledger("here", &record("")));
    assert_eq!(watch.leaks(), [], "a reference of the caller belongs there");
    for (key, value) in [("provider", CARD), ("result", NAME), (ID_NUMBER, "x")] {
        let mut watch = Watch::default();
        watch.ledger("here", &record(&format!(",\"{key}\":\"{value}\"")));
        assert_eq!(sinks(&watch), BTreeSet::from([Sink::Ledger]), "{key}");
    }
    assert!(!Watch::default().ledger("here", ""));
}

#[test]
fn tags_and_times_of_a_store_hide_no_card() {
    let now = jiff::Timestamp::now().as_millisecond();
    let honest = (now..now + 1000)
        .map(|time| time.to_string())
        .collect::<Vec<_>>()
        .join(" ");
    let tag = "41111111111111110123456789abcdef";
    for quiet in [&*honest, tag] {
        let mut watch = Watch::default();
        watch.store("here", Sink::Redis, quiet);
        assert_eq!(watch.leaks(), []);
    }
    for loud in [
        "4111111111111111",
        "\"4222222222222\"",
        "id:11010519491231002X:1",
    ] {
        let mut watch = Watch::default();
        watch.store("here", Sink::Redis, &format!("{now} {tag} {loud}"));
        assert!(!watch.leaks().is_empty(), "{loud}");
    }
}
