//! What an operator does while it serves: calls of the admin port, reloads, a drain; and a whole file
//! of questions with its journal.

use std::{fs, io::Write, process::Stdio, time::Duration};

use serde_json::{Value, json};

use super::{
    CARD, CONSENT, HASTY, ID_NUMBER, LOUD, NAME, PHONE, REQUEST_IDS, SECRETS, Sink, Watch, finish,
    questions::verified, secret, start, verification,
};
use crate::support::server::{Server, http, program};

/// A sandbox card whose answer takes three seconds.
const SLOW: &str = "6200000300000010";
const WITH_ADMIN: &str = "[admin]\ntoken = { env = \"ADMIN_TOKEN\" }\n";

pub async fn all(watch: &mut Watch) {
    let server = start(&format!("{HASTY}{WITH_ADMIN}"));
    let mut client = server.client().await;
    let first = client.verify_bank_card(verification(CARD, 4)).await;
    verified(watch, "before the operator's calls", first);
    calls(watch, &server);
    commands(watch, &server);
    finish(watch, "server of an operator", server);
    reloads(watch).await;
    drain(watch).await;
    files(watch);
}

fn calls(watch: &mut Watch, server: &Server) {
    let card = json!({ "bank_card": CARD }).to_string();
    let everything = format!("{CARD} {NAME} {ID_NUMBER} {PHONE} {}", secret("ACE_TOKEN"));
    let bodies = [
        ("a card", card.clone()),
        (
            "a bad card",
            json!({ "bank_card": format!("{CARD}x") }).to_string(),
        ),
        ("a name", json!({ "bank_card": NAME }).to_string()),
        ("a card as a number", format!("{{\"bank_card\": {CARD}}}")),
        ("a card as a key", json!({ CARD: PHONE }).to_string()),
        ("no JSON", everything.clone()),
        ("a card cut off", card[..card.len() - 3].to_owned()),
        ("a level", json!({ "log_level": CARD }).to_string()),
        (
            "a provider",
            json!({ "provider": NAME, "maintenance": true }).to_string(),
        ),
        ("much", everything.repeat(2000)),
    ];
    let tokens = [
        ("token", format!("Bearer {}", secret("ADMIN_TOKEN"))),
        ("another token", format!("Bearer {}", secret("ACE_TOKEN"))),
        ("card for a token", format!("Bearer {CARD}")),
    ];
    for call in [
        "/guard/show",
        "/guard/reset",
        "/erase",
        "/log-level",
        "/maintenance",
    ] {
        for (what, body) in &bodies {
            for (who, token) in &tokens {
                let head = format!("POST {call} HTTP/1.1\r\nauthorization: {token}\r\n");
                let shown = http(server.admin, &head, body).map(|page| page.all);
                let path = format!("{call} with {what} by a {who}");
                watch.see(&path, Sink::AdminPage, &shown.unwrap_or_default());
            }
        }
        let head = format!("POST {call}/{CARD}?card={CARD} HTTP/1.1\r\n");
        let shown = http(server.admin, &head, &card).map(|page| page.all);
        let path = format!("{call} with a card in its path");
        watch.see(&path, Sink::AdminPage, &shown.unwrap_or_default());
    }
}

/// Runs the program to its end and looks at all that it says; its exit code.
fn say(watch: &mut Watch, path: &str, arguments: &[&str], input: &str) -> Option<i32> {
    let mut child = program(arguments)
        .env("RUST_LOG", "trace")
        .envs(SECRETS)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // a program that refuses its arguments does not read
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let ended = child.wait_with_output().unwrap();
    watch.see(path, Sink::Stdout, &String::from_utf8_lossy(&ended.stdout));
    watch.see(path, Sink::Stderr, &String::from_utf8_lossy(&ended.stderr));
    ended.status.code()
}

fn commands(watch: &mut Watch, server: &Server) {
    let token_file = server.folder.path().join("token");
    fs::write(&token_file, secret("ADMIN_TOKEN")).unwrap();
    let wrong_file = server.folder.path().join("wrong");
    fs::write(&wrong_file, secret("ACE_TOKEN")).unwrap();
    let address = format!("http://{}", server.admin);
    for command in [&["guard", "show"][..], &["guard", "reset"], &["erase"]] {
        for (what, input) in [("a card", CARD), ("a name", NAME), ("nothing", "")] {
            for (with, file) in [("its token", &token_file), ("another", &wrong_file)] {
                for more in [&[][..], &["--json"]] {
                    let file = file.to_str().unwrap();
                    let place = ["--addr", &address, "--token-file", file];
                    let arguments = [command, &place, more].concat();
                    let path = format!("{command:?} {more:?} of {what} with {with}");
                    let code = say(watch, &path, &arguments, &format!("{input}\n"));
                    let is_good = what == "a card" && with == "its token";
                    assert_eq!(code == Some(0), is_good, "{path}");
                }
            }
        }
    }
}

/// Bad configurations while it serves: what they hold is not shown, wherever that is told.
async fn reloads(watch: &mut Watch) {
    let good = format!("{HASTY}{LOUD}");
    let mut server = start(HASTY);
    let file = server.folder.path().join("cardproof.toml");
    let token = secret("ADMIN_TOKEN");
    for (what, more) in [
        (
            "a secret as text",
            format!("[admin]\ntoken = \"{token}\"\n"),
        ),
        (
            "a secret's variable",
            format!("[admin]\ntoken = {{ env = \"{token}\" }}\n"),
        ),
        (
            "a secret's file",
            format!("[admin]\ntoken = {{ file = \"/{token}\" }}\n"),
        ),
        (
            "a card as a number",
            format!("[guard]\nmax_calls = {CARD}\n"),
        ),
        ("a card as a key", format!("[guard]\n\"{CARD}\" = 1\n")),
        ("a name as a mode", format!("[auth]\nmode = \"{NAME}\"\n")),
        (
            "a token as a digest",
            format!("[clients.shop]\ntoken_sha256 = [\"{token}\"]\n"),
        ),
        ("no TOML", format!("{CARD} = = {NAME} {PHONE}\n")),
        (
            "a changed key",
            "[cache]\nkey = { env = \"CACHE_KEY\" }\n".to_owned(),
        ),
        ("nothing new", String::new()),
    ] {
        let before = server.status()["last_reload"].clone();
        fs::write(&file, format!("{good}{more}")).unwrap();
        server.signal("HUP");
        let status = server.wait_for("a reload", |server| {
            let status = server.status();
            (status["last_reload"] != before).then_some(status)
        });
        let path = format!("reload with {what}");
        watch.see(&path, Sink::AdminPage, &status.to_string());
        let page = server.page("/").expect("the page");
        watch.see(&path, Sink::AdminPage, &page.all);
        let mut client = server.client().await;
        verified(
            watch,
            &path,
            client.verify_bank_card(verification(CARD, 3)).await,
        );
    }
    finish(watch, "server of reloads", server);
}

/// Questions while it drains, and one that ends after.
async fn drain(watch: &mut Watch) {
    let mut server = start("[server]\ndrain_delay_ms = 700\n");
    let mut client = server.client().await;
    let mut other = client.clone();
    let slow = tokio::spawn(async move { client.verify_bank_card(verification(SLOW, 4)).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.signal("TERM");
    let late = other.verify_bank_card(verification(CARD, 4)).await;
    verified(watch, "asked while it drains", late);
    verified(watch, "answered while it stops", slow.await.unwrap());
    let later = other.verify_bank_card(verification(CARD, 4)).await;
    verified(watch, "asked after its end", later);
    assert_eq!(server.wait().code(), Some(0));
    watch.log("log of a drain", &server.stdout.text());
    watch.see("log of a drain", Sink::Stderr, &server.stderr.text());
}

/// A journal without its first line: a random id and a time in nanoseconds look like anything, so
/// that their form alone is checked.
fn without_head(text: &str) -> String {
    let Some((head, rest)) = text.split_once('\n') else {
        return text.to_owned();
    };
    let Ok(Value::Object(mut head)) = serde_json::from_str(head) else {
        return text.to_owned();
    };
    if let Some(job) = head.remove("verify_file_job") {
        assert!(job.as_str().unwrap().parse::<uuid::Uuid>().is_ok());
        assert!(head.remove("input_modified_ns").unwrap().is_u64());
    }
    format!("{}\n{rest}", Value::Object(head))
}

/// Files of questions, good and bad, with all that is written beside them.
fn files(watch: &mut Watch) {
    let server = start(HASTY);
    let folder = tempfile::tempdir().unwrap();
    let head = "bank_card,name,id_number,phone,consent_reference";
    let row = format!("{CARD},{NAME},{ID_NUMBER},{PHONE},{CONSENT}");
    let object = json!({ "bank_card": CARD, "name": NAME, "id_number": ID_NUMBER, "phone": PHONE });
    for (what, name, text) in [
        ("good rows", "good.csv", format!("{head}\n{row}\n{row}\n")),
        (
            "rows in a mess",
            "mess.csv",
            format!(
                "{head}\n{row}\n{CARD}x,{NAME}7,{PHONE},{ID_NUMBER},\n{CARD},{NAME}\n\"{CARD}\n"
            ),
        ),
        (
            "a card for a column",
            "head.csv",
            format!("{CARD},{NAME}\n{row}\n"),
        ),
        (
            "good objects",
            "good.jsonl",
            format!("{object}\n{object}\n"),
        ),
        (
            "objects in a mess",
            "mess.jsonl",
            format!(
                "{object}\n{{\"bank_card\": {CARD}}}\n[\"{NAME}\"]\n{{\"{CARD}\": 1}}\n{CARD} {PHONE}\n"
            ),
        ),
    ] {
        let input = folder.path().join(name);
        fs::write(&input, text).unwrap();
        let out = folder.path().join(format!("{name}.answers.csv"));
        let [input, out] = [&input, &out].map(|path| path.to_str().unwrap().to_owned());
        let (url, path) = (server.url(), format!("verify-file with {what}"));
        let asked = [
            "verify-file",
            &input,
            "--out",
            &out,
            "--addr",
            &url,
            "--give-up-after",
            "1s",
        ];
        for more in [&[][..], &["--json", "--ask-again"]] {
            say(watch, &path, &[&asked, more].concat(), "");
            for written in [out.clone(), format!("{out}.journal"), format!("{out}.part")] {
                let bytes = fs::read(&written).unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes);
                watch.see(&path, Sink::File, &without_head(&text));
            }
        }
    }
    assert!(watch.heard(Sink::File, "MISMATCH") || watch.heard(Sink::File, "UNVERIFIABLE"));
    // the only name that no file of ours holds
    assert!(!watch.heard(Sink::File, REQUEST_IDS));
    finish(watch, "server of files", server);
}
