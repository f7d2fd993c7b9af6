//! How the process ends, and what it says then.

use std::time::{Duration, Instant};

use cardproof::proto::bankcard::v1::Verdict;

use super::{MATCHING, SLOW, verify};
use crate::support::server::{Server, program};

#[test]
fn a_bad_configuration_ends_with_64_and_one_line_for_each_problem() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    let toml = "[server]\nworkers = -1\nsurprise = 1\n[input]\nluhn = \"maybe\"\n\
                [routes]\nverify = [\"nobody\"]\n";
    std::fs::write(&file, toml).unwrap();
    for command in ["serve", "check-config"] {
        let ended = program(&[command, "--config", file.to_str().unwrap()])
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(64), "{command}");
        let told = String::from_utf8(ended.stderr).unwrap();
        for key in [
            "server.workers",
            "server.surprise",
            "input.luhn",
            "routes.verify",
        ] {
            let lines = told.lines().filter(|line| line.contains(key)).count();
            assert_eq!(lines, 1, "{key}\n{told}");
        }
        assert_eq!(told.lines().count(), 4, "{told}");
    }
}

#[test]
fn a_shared_store_without_a_key_of_its_own_is_refused() {
    let ended = program(&["serve"])
        .env("CARDPROOF__CACHE__REDIS__URL", "{ env = \"REDIS\" }")
        .env("REDIS", "redis://localhost")
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(64));
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("cache.key"), "{told}");
}

#[test]
fn a_port_that_is_taken_ends_with_an_error_that_names_the_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ended = program(&["serve"])
        .env(
            "CARDPROOF__SERVER__LISTEN",
            taken.local_addr().unwrap().to_string(),
        )
        .env("CARDPROOF__SERVER__ADMIN_LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(2));
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(told.contains("server.listen"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signal_drains_and_ends_with_0() {
    let toml = "[server]\ndrain_delay_ms = 700\n[telemetry]\nlog_level = \"debug\"\n";
    let mut server = Server::start(toml);
    let mut client = server.client().await;
    let mut slow_client = client.clone();
    let slow = tokio::spawn(async move { slow_client.verify_bank_card(verify(SLOW)).await });
    server.wait_for("the slow call", |server| {
        let page = server.page("/status")?.body;
        let status: serde_json::Value = serde_json::from_str(&page).ok()?;
        (status["calls"]["at_vendors"] == 1).then_some(())
    });
    let begun = Instant::now();
    server.signal("TERM");
    server.wait_for("draining", |server| {
        server
            .page("/readyz")
            .filter(|page| page.code == 503 && page.body == "draining\n")
    });
    // within the delay it goes on to answer, old connections and new ones
    let served = client.verify_bank_card(verify(MATCHING)).await.unwrap();
    assert_eq!(served.get_ref().verdict(), Verdict::Match);
    let served = server
        .client()
        .await
        .verify_bank_card(verify(MATCHING))
        .await;
    assert!(served.is_ok());
    assert!(
        begun.elapsed() < Duration::from_millis(700),
        "the machine is too slow to tell"
    );
    let finished = slow.await.unwrap().unwrap();
    assert_eq!(
        finished.get_ref().verdict(),
        Verdict::Match,
        "calls under way are finished"
    );
    assert_eq!(server.wait().code(), Some(0));
    assert!(begun.elapsed() > Duration::from_millis(700));
    assert_eq!(server.stderr.text(), "");
    assert_eq!(server.count_logged("stopped"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start("");
    server.signal("INT");
    server.wait_for("draining", |server| {
        server.page("/readyz").filter(|page| page.code == 503)
    });
    let begun = Instant::now();
    server.signal("TERM");
    // 128 and the number of the signal, as shells tell it
    assert_eq!(server.wait().code(), Some(143));
    assert!(begun.elapsed() < Duration::from_secs(3));
}

/// The kernel makes the files of a process that must not be dumped root's own.
#[cfg(target_os = "linux")]
#[test]
fn it_leaves_no_core_dump() {
    use std::os::unix::{fs::MetadataExt as _, process::CommandExt as _};
    /// Nobody's on any machine.
    const SOMEBODY: u32 = 54_321;
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = program(&["serve"]);
    command
        .env("CARDPROOF__SERVER__LISTEN", "127.0.0.1:0")
        .env("CARDPROOF__SERVER__ADMIN_LISTEN", "127.0.0.1:0")
        .current_dir("/");
    if is_root {
        command.uid(SOMEBODY);
    }
    let mut child = command.spawn().unwrap();
    let of = |file: &str| format!("/proc/{}/{file}", child.id());
    let begun = Instant::now();
    let forbidden = loop {
        let limits = std::fs::read_to_string(of("limits")).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let core: Vec<_> = core.unwrap().split_whitespace().collect();
        let owner = std::fs::metadata(of("limits")).unwrap().uid();
        if core[4..6] == ["0", "0"] && owner == 0 {
            break true;
        }
        if begun.elapsed() > Duration::from_secs(20) {
            break false;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let _ = child.kill();
    let _ = child.wait();
    assert!(forbidden);
}
