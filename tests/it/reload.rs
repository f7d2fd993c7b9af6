//! A configuration that changes while the service runs.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::fs::symlink,
    path::Path,
    sync::Arc,
    thread,
};

use cardproof::proto::bankcard::v1::{
    CacheMode, CachePolicy, QueryCardInfoRequest, VerifyBankCardRequest,
    bank_card_service_client::BankCardServiceClient,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Code, Request, Status, metadata::MetadataValue, transport::Channel};

use super::{service_process::digest, support::server::Server};

const CARD: &str = "6200000100000012";

fn client_section(name: &str, token: &str) -> String {
    format!("[clients.{name}]\ntoken_sha256 = [\"{}\"]\n", digest(token))
}

fn write(folder: &Path, text: &str) {
    fs::write(folder.join("cardproof.toml"), text).unwrap();
}

/// Waits for a reload that comes after those that there were.
fn next_reload(server: &mut Server, before: &Value) -> Value {
    server.wait_for("a reload", |server| {
        let last = server.status()["last_reload"].clone();
        (last != *before).then_some(last)
    })
}

fn reloads(server: &Server, outcome: &str) -> String {
    let metrics = server.page("/metrics").unwrap().body;
    let series = format!("cardproof_config_reloads_total{{outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
    line.expect("a series for every outcome").to_owned()
}

async fn asked(
    client: &mut BankCardServiceClient<Channel>,
    token: &str,
    provider: &str,
) -> Result<(), Status> {
    let mut request = Request::new(VerifyBankCardRequest {
        bank_card: CARD.to_owned(),
        name: "\u{5f20}\u{4e09}".to_owned(),
        provider: provider.to_owned(),
        ..VerifyBankCardRequest::default()
    });
    let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
    request.metadata_mut().insert("authorization", value);
    client.verify_bank_card(request).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_change_does_and_the_rest_is_named() {
    let auth = "[auth]\nmode = \"token\"\n";
    let before = format!("{auth}{}", client_section("old", "token-one"));
    let mut server = Server::start(&before);
    let mut client = server.client().await;
    assert!(asked(&mut client, "token-one", "").await.is_ok());
    assert!(server.status()["last_reload"].is_null());

    let after = format!(
        "{auth}{}[providers.bin]\nmaintenance = true\n[telemetry]\nlog_level = \"warn\"\n\
         [guard]\nmax_calls = 7\n[providers.second]\nkind = \"sandbox\"\n",
        client_section("new", "token-two")
    );
    write(server.folder.path(), &after);
    let report = next_reload(&mut server, &Value::Null);
    assert_eq!(report["outcome"], "needs_restart");
    assert_eq!(report["trigger"], "file");
    let changed = [
        "clients.new",
        "clients.old",
        "providers.bin.maintenance",
        "telemetry.log_level",
    ];
    assert_eq!(report["changed"], json!(changed));
    assert_eq!(
        report["needs_restart"],
        json!(["guard.max_calls", "providers.second"])
    );
    assert_eq!(reloads(&server, "needs_restart"), "1");

    // over the very connection that was there before
    let refused = asked(&mut client, "token-one", "").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(asked(&mut client, "token-two", "").await.is_ok());
    let bin = server.status()["providers"].as_array().unwrap().clone();
    let bin = bin.iter().find(|it| it["name"] == "bin").unwrap();
    assert_eq!(bin["maintenance"], true);
    // what needs a restart has not happened
    let second = asked(&mut client, "token-two", "second").await.unwrap_err();
    assert_eq!(second.code(), Code::InvalidArgument);

    let lines = server.log_lines().len();
    server.signal("HUP");
    let report = next_reload(&mut server, &report);
    assert_eq!(
        (&report["trigger"], &report["changed"]),
        (&json!("SIGHUP"), &json!([]))
    );
    let quiet = server.log_lines().split_off(lines);
    assert!(
        quiet.iter().all(|line| line["level"] == "warn"),
        "{quiet:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_changes_nothing_and_is_told_once() {
    let auth = "[auth]\nmode = \"token\"\n";
    let good = format!("{auth}{}", client_section("old", "token-one"));
    let mut server = Server::start(&good);
    let mut client = server.client().await;
    let bad = format!(
        "{auth}{}[guard]\nmax_calls = \"6222020000000000\"\n[nothing]\n",
        client_section("new", "token-two")
    );
    write(server.folder.path(), &bad);
    let report = next_reload(&mut server, &Value::Null);
    assert_eq!(report["outcome"], "refused");
    let problems = report["problems"].as_array().unwrap();
    let about = |key: &str| {
        problems
            .iter()
            .any(|it| it.as_str().unwrap().starts_with(key))
    };
    assert!(problems.len() == 2 && about("guard.max_calls: ") && about("nothing: "));
    assert!(!report.to_string().contains("6222020000000000"));
    assert!(asked(&mut client, "token-one", "").await.is_ok());
    assert!(asked(&mut client, "token-two", "").await.is_err());

    // no file at all is as bad, and several looks later it is still the one report
    fs::remove_file(server.folder.path().join("cardproof.toml")).unwrap();
    let report = next_reload(&mut server, &report);
    assert_eq!(report["outcome"], "refused");
    thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(reloads(&server, "refused"), "2");
    assert_eq!(
        server.count_logged("the new configuration cannot be used"),
        2
    );

    // what fits by itself and not with what runs is refused as well
    let unfit = format!(
        "{auth}{}providers = [\"second\"]\n[providers.second]\nkind = \"sandbox\"\n",
        client_section("new", "token-two")
    );
    write(server.folder.path(), &unfit);
    let report = next_reload(&mut server, &report);
    assert_eq!(report["outcome"], "refused");
    let problem = report["problems"][0].as_str().unwrap();
    assert!(problem.starts_with("clients.new.providers") && problem.ends_with("before a restart"));

    write(server.folder.path(), &good);
    let report = next_reload(&mut server, &report);
    assert_eq!(report["outcome"], "unchanged");
    assert!(asked(&mut client, "token-one", "").await.is_ok());
}

/// A vendor that notes what it is shown and answers nothing of use.
fn vendor() -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let shown = Arc::<Mutex<String>>::default();
    let notes = Arc::clone(&shown);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), notes) = (stream, Arc::clone(&notes)) else {
                return;
            };
            thread::spawn(move || {
                let mut chunk = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut chunk) {
                    notes
                        .lock()
                        .push_str(&String::from_utf8_lossy(&chunk[..count]));
                    let refused = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
                    let _ = stream.write_all(refused.as_bytes());
                }
            });
        }
    });
    (address, shown)
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_move_with_a_swapped_symbolic_link() {
    let (address, shown) = vendor();
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, token) in [("v1", "token-of-monday"), ("v2", "token-of-tuesday")] {
        fs::create_dir(at(version)).unwrap();
        let secret = at(&format!("secret-{version}"));
        fs::write(&secret, token).unwrap();
        let text = format!(
            "[routes]\nverify = [\"ace\"]\ncard_info = [\"ace\"]\n[providers.ace]\nkind = \"ace\"\n\
             endpoint = \"http://{address}\"\ntoken = {{ file = {secret:?} }}\n\
             misconfigured_skip_s = 1\n"
        );
        write(&at(version), &text);
    }
    symlink("v1", at("..data")).unwrap();
    symlink(Path::new("..data/cardproof.toml"), at("cardproof.toml")).unwrap();
    symlink("v2", at("..data_tmp")).unwrap();
    let (from, to) = (at("..data_tmp"), at("..data"));
    let mut server = Server::start_in(folder, &[]);
    let mut client = server.client().await;
    let question = QueryCardInfoRequest {
        bank_card: CARD.to_owned(),
        ..QueryCardInfoRequest::default()
    };
    assert!(client.query_card_info(question.clone()).await.is_err());
    assert!(shown.lock().contains("token-of-monday"));

    fs::rename(from, to).unwrap();
    let report = next_reload(&mut server, &Value::Null);
    assert_eq!(report["outcome"], "applied");
    assert_eq!(report["changed"], json!(["providers.ace.token"]));
    shown.lock().clear();
    // the vendor is passed over for a second after it has refused the old one
    let begun = std::time::Instant::now();
    while !shown.lock().contains("token-of-tuesday") {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20));
        assert!(client.query_card_info(question.clone()).await.is_err());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(!shown.lock().contains("token-of-monday"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_in_three_steps_and_nothing_is_forgotten_before_the_last() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    fs::write(&old, "the key of the first year").unwrap();
    fs::write(&new, "the key of the second year").unwrap();
    let only = |key: &Path| format!("[cache]\nkey = {{ file = {key:?} }}\n");
    let both = |key: &Path, previous: &Path| {
        format!("{}previous_key = {{ file = {previous:?} }}\n", only(key))
    };
    write(folder.path(), &only(&old));
    let mut server = Server::start_in(folder, &[]);
    let mut client = server.client().await;
    let mut question = VerifyBankCardRequest {
        bank_card: CARD.to_owned(),
        name: "\u{5f20}\u{4e09}".to_owned(),
        ..VerifyBankCardRequest::default()
    };
    assert!(client.verify_bank_card(question.clone()).await.is_ok());
    question.cache = Some(CachePolicy {
        mode: CacheMode::OnlyIfCached.into(),
        max_age: None,
    });
    let mut report = Value::Null;
    for (step, known) in [
        (both(&old, &new), true),
        (both(&new, &old), true),
        (only(&new), false),
    ] {
        write(server.folder.path(), &step);
        report = next_reload(&mut server, &report);
        assert_eq!(report["outcome"], "applied", "{report}");
        let answered = client.verify_bank_card(question.clone()).await;
        assert_eq!(answered.is_ok(), known, "{answered:?}");
    }
}

#[test]
fn a_new_key_without_the_old_one_beside_it_is_refused() {
    let folder = TempDir::new().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "the key of the first year").unwrap();
    write(
        folder.path(),
        &format!("[cache]\nkey = {{ file = {key:?} }}\n"),
    );
    let mut server = Server::start_in(folder, &[]);
    // the file of the secret alone is enough
    fs::write(&key, "the key of the second year").unwrap();
    let report = next_reload(&mut server, &Value::Null);
    assert_eq!(report["outcome"], "refused");
    let problem = report["problems"][0].as_str().unwrap();
    assert!(problem.starts_with("cache.key: is new"), "{problem}");
    let told = report.to_string() + &server.stdout.text();
    assert!(!told.contains("of the first year") && !told.contains("of the second year"));
}
