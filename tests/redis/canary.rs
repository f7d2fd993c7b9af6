//! The canary in a real Redis: values that stand nowhere else go through two replicas that share a
//! store, and are looked for in every key and value, and in every command that the store is sent.
//! The watch is the one of `tests/it/canary/`.

#[path = "../it/canary/forms.rs"]
mod forms;
#[path = "../it/support/server.rs"]
#[allow(dead_code, reason = "shared with tests that ask for more")]
mod program;
#[path = "../it/canary/scan.rs"]
#[allow(dead_code, reason = "this canary looks at fewer places than the other")]
mod scan;
#[path = "../it/canary/values.rs"]
mod values;
#[path = "../it/support/vendor.rs"]
#[allow(dead_code, reason = "shared with tests that ask for more")]
mod vendor;

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cardproof::proto::bankcard::v1::{
    CacheMode, CachePolicy, QueryCardInfoRequest, VerifyBankCardRequest,
};
use parking_lot::Mutex;
use serde_json::json;

use self::{
    program::{Server, http},
    scan::{Sink, Watch},
    values::{CARD, CONSENT, ID_NUMBER, NAME, PHONE, REQUEST_IDS, SECRETS, secret},
    vendor::{HttpVendor, Received, json_reply},
};
use crate::server::Redis;

/// What the store is told, followed as it is told.
struct Monitor {
    said: Arc<Mutex<Vec<u8>>>,
}

impl Monitor {
    fn of(redis: &Redis) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", redis.port)).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut first = [0; 5];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"+OK\r\n");
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&said);
        thread::spawn(move || {
            let mut part = [0; 65536];
            while let Ok(count @ 1..) = stream.read(&mut part) {
                kept.lock().extend_from_slice(&part[..count]);
            }
        });
        Self { said }
    }

    /// Begins anew.
    fn forget(&self) {
        self.said.lock().clear();
    }

    /// All commands so far, with their arguments as they were before the server escaped them.
    fn commands(&self, redis: &Redis) -> String {
        // the last of them, to wait for
        let mark = format!("mark-{}", uuid::Uuid::new_v4().simple());
        redis.command::<String>(&["ECHO", &mark]);
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let text = String::from_utf8_lossy(&self.said.lock()).into_owned();
            if text.contains(&mark) {
                return without_times(&text);
            }
            assert!(Instant::now() < until, "the server tells what it is told");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What `MONITOR` says, without the time and the port before each command, which look like
/// anything.
fn without_times(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let command = line.split_once("] ").map_or(line, |(_, command)| command);
        unescaped(command) + "\n"
    });
    lines.collect()
}

/// `\xe6`, `\n`, `\"` and the like back to bytes.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'x') => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'a') => 7,
            Some(b'b') => 8,
            Some(other) => other,
            None => b'\\',
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Looks at all that is in the store now.
fn contents(watch: &mut Watch, path: &str, redis: &Redis) -> usize {
    let text = redis.contents();
    watch.store(path, Sink::Redis, &text);
    redis.command::<usize>(&["DBSIZE"])
}

/// What the vendor does, by the number of the call: answers of each kind, nonsense, silence, and
/// everything that it was told said back.
fn reply(received: &Received) -> Vec<u8> {
    let values = [NAME, ID_NUMBER, PHONE, CARD, secret("ACE_TOKEN")];
    let said = |result: &str| {
        let value = values[received.number / 9 % values.len()];
        let answer = json!({
            "result": result, "description": value, "trace_id": value, "account_bank": value,
            "account_type": 1,
        });
        json_reply(200, &answer.to_string())
    };
    match received.number % 9 {
        0 | 4 => said("0"),
        1 => said("-1"),
        2 => said("-4"),
        3 => said(CARD),
        5 => Vec::new(),
        6 => json_reply(500, &received.body),
        7 => json_reply(200, &format!("{{\"result\":\"{CARD}\"}}")),
        _ => b"HTTP/1.1 200 OK\r\n\r\nno JSON".to_vec(),
    }
}

fn settings(vendor: &HttpVendor, keys: &str) -> String {
    let at = format!("endpoint = \"http://{}\"", vendor.address);
    format!(
        "[server]\ndrain_delay_ms = 0\n\
         [guard]\nmax_calls = 1000\nmax_mismatches = 100\n[breaker]\nenabled = false\n\
         [routes]\nverify = [\"ace\"]\ncard_info = [\"ace\"]\n\
         [admin]\ntoken = {{ env = \"ADMIN_TOKEN\" }}\n\
         [cache]\nshare = \"all\"\noutcome_unknown_hold_s = 2\n{keys}\n\
         [cache.redis]\nurl = {{ env = \"T_REDIS\" }}\n\
         [providers.ace]\nkind = \"ace\"\n{at}\ntoken = {{ env = \"ACE_TOKEN\" }}\ntimeout_ms = 1000\n"
    )
}

fn replica(redis: &Redis, vendor: &HttpVendor, keys: &str) -> Server {
    let url = redis.url();
    let mut variables = vec![("T_REDIS", url.as_str())];
    variables.extend(SECRETS);
    Server::start_with(&settings(vendor, keys), &variables)
}

fn next_request_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{REQUEST_IDS}-{:012x}", NEXT.fetch_add(1, Ordering::SeqCst))
}

fn policy(mode: CacheMode) -> Option<CachePolicy> {
    Some(CachePolicy {
        mode: mode.into(),
        max_age: None,
    })
}

fn verification(factors: usize, mode: CacheMode) -> VerifyBankCardRequest {
    let given = |from: usize, value: &str| match factors >= from {
        true => value.to_owned(),
        false => String::new(),
    };
    VerifyBankCardRequest {
        bank_card: CARD.to_owned(),
        name: NAME.to_owned(),
        id_number: given(3, ID_NUMBER),
        phone: given(4, PHONE),
        cache: policy(mode),
        request_id: next_request_id(),
        consent_reference: CONSENT.to_owned(),
        ..VerifyBankCardRequest::default()
    }
}

/// Asks two replicas everything, in turn and at once; how many were answered.
async fn questions(watch: &mut Watch, redis: &Redis, step: &str, servers: [&Server; 2]) -> usize {
    let mut answered = 0;
    for round in 0..9 {
        for mode in [CacheMode::Bypass, CacheMode::Unspecified] {
            for factors in 2..=4 {
                let mut asked = tokio::task::JoinSet::new();
                for server in servers {
                    let mut client = server.client().await;
                    let request = verification(factors, mode);
                    asked.spawn(async move {
                        let first = client.verify_bank_card(request.clone()).await;
                        // the same id again: what it got is remembered
                        let _ = client.verify_bank_card(request).await;
                        first.is_ok()
                    });
                }
                answered += asked.join_all().await.iter().filter(|told| **told).count();
            }
            for server in servers {
                let request = QueryCardInfoRequest {
                    bank_card: CARD.to_owned(),
                    cache: policy(mode),
                    request_id: next_request_id(),
                    ..QueryCardInfoRequest::default()
                };
                let told = server.client().await.query_card_info(request).await;
                answered += usize::from(told.is_ok());
            }
        }
        contents(watch, &format!("{step}, round {round}"), redis);
    }
    answered
}

/// What an operator changes reaches every replica through the store.
fn operator(watch: &mut Watch, redis: &Redis, step: &str, server: &Server) {
    let body = json!({ "bank_card": CARD }).to_string();
    let token = secret("ADMIN_TOKEN");
    for call in ["/guard/show", "/guard/reset", "/erase"] {
        let head = format!("POST {call} HTTP/1.1\r\nauthorization: Bearer {token}\r\n");
        let told = http(server.admin, &head, &body).expect("an answer");
        assert_eq!(told.code, 200, "{call}: {}", told.body);
        contents(watch, &format!("{step}, after {call}"), redis);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_and_no_secret_reaches_the_store() {
    let redis = Redis::start();
    let monitor = Monitor::of(&redis);
    let vendor = HttpVendor::start(reply);
    let mut watch = Watch::default();
    let old = "key = { env = \"CACHE_KEY\" }";
    let exchanged = "key = { env = \"TENCENT_KEY\" }\nprevious_key = { env = \"CACHE_KEY\" }";
    let mut answered = 0;
    for (step, keys) in [("one key", old), ("while keys are exchanged", exchanged)] {
        let mut servers = [0, 1].map(|_| replica(&redis, &vendor, keys));
        let [first, second] = &servers;
        answered += questions(&mut watch, &redis, step, [first, second]).await;
        assert!(
            contents(&mut watch, &format!("{step}, all"), &redis) >= 10,
            "{step}"
        );
        operator(&mut watch, &redis, step, second);
        for server in &mut servers {
            server.signal("TERM");
            assert_eq!(server.wait().code(), Some(0), "{}", server.stderr.text());
        }
        contents(&mut watch, &format!("{step}, after the end"), &redis);
        watch.store(step, Sink::RedisCommands, &monitor.commands(&redis));
    }
    assert!(answered > 50, "only {answered} were answered");
    assert!(vendor.calls() > 50, "only {} were asked", vendor.calls());
    for said in ["EVALSHA", "HSET", "cardproof"] {
        let heard = watch.heard(Sink::RedisCommands, &format!("\"{said}"));
        assert!(heard, "the store was never told {said}");
    }
    assert!(watch.heard(Sink::Redis, "cardproof"), "nothing is in it");
    let leaks = watch.leaks();
    let shown: BTreeSet<_> = leaks.iter().map(ToString::to_string).collect();
    let shown: Vec<_> = shown.into_iter().take(40).collect();
    assert!(
        leaks.is_empty(),
        "{} leaks\n{}",
        leaks.len(),
        shown.join("\n")
    );
    println!(
        "{} paths, {} bytes of the store",
        watch.paths(),
        watch.bytes()
    );
}

/// Every spelling of every value, planted as key, value, field and argument of a script.
#[test]
fn a_leak_in_any_spelling_is_found_in_the_store_and_on_its_way() {
    let redis = Redis::start();
    let monitor = Monitor::of(&redis);
    let mut planted = 0;
    for form in forms::all() {
        let leak = form.needle.as_str();
        let id = planted.to_string();
        let script = "return redis.call('SET', KEYS[1], 'x')";
        let commands: [&[&str]; 5] = [
            &["SET", leak, "1"],
            &["SET", &id, leak],
            &["HSET", &id, leak, "1"],
            &["HSET", &id, "field", leak],
            &["EVAL", script, "1", &id, leak],
        ];
        for (number, command) in commands.into_iter().enumerate() {
            redis.command::<redis::Value>(&["FLUSHALL"]);
            monitor.forget();
            redis.command::<redis::Value>(command);
            let mut watch = Watch::default();
            contents(&mut watch, "here", &redis);
            let told = monitor.commands(&redis);
            watch.store("here", Sink::RedisCommands, &told);
            let found: BTreeSet<_> = watch
                .leaks()
                .iter()
                .filter(|it| it.what == form.what)
                .map(|it| it.sink)
                .collect();
            // an argument of a script that it does not keep is in no key
            let in_store = number < 4;
            assert_eq!(
                found.contains(&Sink::Redis),
                in_store,
                "{form:?} by {number}"
            );
            assert!(found.contains(&Sink::RedisCommands), "{form:?} by {number}");
            planted += 1;
        }
    }
    println!("{planted} leaks planted and found");
    assert!(planted >= 5 * 12 * 16, "only {planted}");
}
