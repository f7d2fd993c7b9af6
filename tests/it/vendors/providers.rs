//! `cardproof providers`, with and without `--probe`.

use std::process::Output;

use cardproof_emulator::{Operation, Script, Vendor};
use serde_json::Value;

use super::house::{Asked, House, ace, alibaba, closed_port, command, emulator, section, tencent};

fn ran(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_each_vendor_can_do_and_how_it_is() {
    let emulator = emulator().await;
    let url = emulator.url();
    let price = "price = { currency = \"CNY\", two = 0.35, three = 0.5, four = 0.6 }\n";
    let config = [
        ace("ace", &url, price),
        tencent("tencent", &url, ""),
        alibaba("alibaba", &url, "intl", "maintenance = true\n"),
    ]
    .concat();
    let house = House::open(&["ace", "tencent", "alibaba"], &config).await;
    let script = |vendor| Script::new(vendor).times(1);
    emulator.script(script(Vendor::Ace).error("invalid_token"));
    let asked = Asked::new(Operation::Two);
    house.verify(asked.request("ace")).await.unwrap_err();
    emulator.script(script(Vendor::Tencent).error("InternalError"));
    house
        .verify(Asked::new(Operation::Two).request("tencent"))
        .await
        .unwrap_err();

    let address = format!("http://{}", house.admin);
    let output = command(&["providers", "--addr", &address])
        .output()
        .unwrap();
    let (code, table, errors) = ran(&output);
    assert_eq!((code, errors.as_str()), (0, ""));
    let line = |name: &str| {
        let found = table
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        found
            .unwrap_or_else(|| panic!("no {name} in {table}"))
            .to_owned()
    };
    for part in [
        "MISCONFIGURED, skipped ",
        "two three four card_info",
        "1000000",
        "64",
        "CNY two 0.35 three 0.5 four 0.6",
        "closed",
        "MISCONFIGURED at 20",
    ] {
        assert!(line("ace").contains(part), "{part}: {}", line("ace"));
    }
    assert!(line("tencent").contains("ready"), "{table}");
    assert!(line("tencent").contains("OUTCOME_UNKNOWN at 20"), "{table}");
    assert!(line("alibaba").contains("maintenance"), "{table}");
    assert!(!line("alibaba").contains("card_info"), "{table}");
    // kinds of errors, never a text of the vendor
    assert!(!table.contains("invalid_token") && !table.contains("scripted"));

    let output = command(&["providers", "--json", "--addr", &address]).output();
    let (code, text, _) = ran(&output.unwrap());
    assert_eq!((code, text.lines().count()), (0, 1));
    let said: Value = serde_json::from_str(&text).unwrap();
    let ace = said["providers"].as_array().unwrap();
    let ace = ace.iter().find(|one| one["name"] == "ace").unwrap();
    assert_eq!(ace["last_error"]["reason"], "MISCONFIGURED");
    assert_eq!(ace["price"]["micros"]["verify_two"], 350_000);
    assert_eq!(ace["breaker"]["verify_two"], "closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_an_error() {
    let address = format!("http://{}", closed_port());
    let output = command(&["providers", "--addr", &address])
        .output()
        .unwrap();
    let (code, text, errors) = ran(&output);
    assert_eq!((code, text.as_str()), (2, ""));
    assert!(errors.contains("does not answer"), "{errors}");
    for wrong in [
        "https://127.0.0.1:1",
        "http://u:p@127.0.0.1:1",
        "http://127.0.0.1:1/x",
        "x",
    ] {
        let output = command(&["providers", "--addr", wrong]).output().unwrap();
        let (code, _, errors) = ran(&output);
        assert_eq!(code, 2, "{wrong}");
        assert!(!errors.contains("u:p"), "{errors}");
    }
}

/// Runs the probe over these providers: exit code and one object for each.
async fn probe(providers: String) -> (i32, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cardproof.toml");
    std::fs::write(&file, providers).unwrap();
    let run = move || {
        let file = file.to_str().unwrap();
        command(&["providers", "--probe", "--json", "--config", file]).output()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let (code, text, errors) = ran(&output);
    assert_eq!(errors, "");
    let said: Value = serde_json::from_str(&text).unwrap();
    (code, said["providers"].as_array().unwrap().clone())
}

fn outcome<'a>(said: &'a [Value], name: &str) -> &'a str {
    let one = said.iter().find(|one| one["name"] == name).unwrap();
    one["probe"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_probe_is_free_and_tells_what_is_wrong() {
    let emulator = emulator().await;
    let url = emulator.url();
    let all_well = [
        ace("ace", &url, ""),
        tencent("tencent", &url, ""),
        alibaba("alibaba", &url, "intl", ""),
        alibaba("mainland", &url, "mainland", ""),
    ]
    .concat();
    let (code, said) = probe(all_well.clone()).await;
    assert_eq!(code, 0, "{said:?}");
    assert_eq!(outcome(&said, "alibaba"), "ACCEPTED");
    for name in ["ace", "tencent", "mainland"] {
        assert_eq!(outcome(&said, name), "NOT_OFFERED");
    }
    assert_eq!(outcome(&said, "bin"), "EMBEDDED");
    let summary = emulator.summary();
    assert_eq!((summary.received, summary.charged), (1, 0));
    assert_eq!(emulator.ledger()[0].operation, Operation::Probe);

    let wrong = section(
        "wrong",
        &url,
        "alibaba",
        "product = \"intl\"\naccess_key_id = { env = \"T_ALIBABA_ID\" }\n\
         access_key_secret = { env = \"T_WRONG\" }\n",
    );
    let (code, said) = probe(all_well.clone() + &wrong).await;
    assert_eq!((code, outcome(&said, "wrong")), (1, "MISCONFIGURED"));
    assert_eq!(
        said.iter().find(|one| one["name"] == "wrong").unwrap()["code"],
        "SignatureDoesNotMatch"
    );
    assert_eq!(outcome(&said, "alibaba"), "ACCEPTED");

    let gone = alibaba("gone", &format!("http://{}", closed_port()), "intl", "");
    let (code, said) = probe(all_well + &wrong + &gone).await;
    assert_eq!((code, outcome(&said, "gone")), (2, "NOT_SENT"));
}
