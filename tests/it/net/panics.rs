//! A panic is logged by its place; what it says may quote a card number.

use std::process::Command;

use cardproof::{
    config::{LogFormat, LogLevel, LogRequests, TelemetrySettings},
    telemetry,
};

use super::fixture::{House, SECRET, limits, path};

/// Panics in a handler, with the log set up as it is in service.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a process of its own, because it replaces the panic hook; started by the test beside it"]
async fn helper() {
    let settings = TelemetrySettings {
        log_level: LogLevel::Trace,
        log_format: LogFormat::Json,
        log_requests: LogRequests::All,
        ledger_file: None,
    };
    let _guard = telemetry::init(&settings, Some("trace")).unwrap();
    let house = House::open(limits()).await;
    let raw = house.raw().await;
    let answer = raw.call(&path("Panic"), &[]).await.unwrap();
    assert_eq!(answer.reason(), "INTERNAL");
}

#[test]
fn the_log_names_the_place_and_nothing_else() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "net::panics::helper", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!said.contains(SECRET), "{said}");
    let line: serde_json::Value = said
        .lines()
        .find(|line| line.contains("cardproof::panic"))
        .map(|line| serde_json::from_str(line).unwrap())
        .expect("a line about the panic");
    assert_eq!(line["level"], "error");
    assert!(line["file"].as_str().unwrap().ends_with("fixture.rs"));
    assert!(line["line"].as_u64().unwrap() > 0);
}
