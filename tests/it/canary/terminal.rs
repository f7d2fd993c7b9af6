//! The command line: configurations and questions with values where they do not belong.

use std::{io::Write, process::Stdio};

use super::{
    CARD, CONSENT, HASTY, ID_NUMBER, NAME, PHONE, REQUEST_IDS, SECRETS, Sink, Watch, finish, start,
    vendors::closed_port,
};
use crate::support::server::program;

pub async fn all(watch: &mut Watch) {
    configurations(watch);
    variables(watch);
    arguments(watch);
    let server = start(HASTY);
    questions(watch, "served", &server.url());
    finish(watch, "server of the command line", server);
    questions(watch, "alone", &format!("http://{}", closed_port()));
}

/// Runs the program to its end and looks at what it says; it must not succeed.
fn run(watch: &mut Watch, path: &str, arguments: &[&str], variables: &[(&str, &str)], input: &str) {
    let mut child = program(arguments)
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "1")
        .envs(SECRETS)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // a program that refuses its arguments does not read
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let ended = child.wait_with_output().unwrap();
    assert!(!ended.status.success(), "{path}");
    watch.see(path, Sink::Stdout, &String::from_utf8_lossy(&ended.stdout));
    let told = String::from_utf8_lossy(&ended.stderr);
    watch.see(path, Sink::Stderr, &told);
}

fn configurations(watch: &mut Watch) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cardproof.toml");
    let rows = folder.path().join("rows.csv");
    let token = SECRETS[0].1;
    std::fs::write(
        &rows,
        format!("{CARD},{NAME}\n{PHONE},{ID_NUMBER},x,y,z,{token}\n"),
    )
    .unwrap();
    let rows = rows.to_str().unwrap();
    let ace = "[providers.ace]\nkind = \"ace\"\n";
    for (what, toml) in [
        (
            "a secret as text",
            format!("{ace}endpoint = \"https://a.example\"\ntoken = \"{token}\"\n"),
        ),
        (
            "a secret as a variable's name",
            format!("{ace}endpoint = \"https://a.example\"\ntoken = {{ env = \"{token}\" }}\n"),
        ),
        (
            "a secret as a path",
            format!("{ace}endpoint = \"https://a.example\"\ntoken = {{ file = \"{token}\" }}\n"),
        ),
        (
            "a secret in an endpoint",
            format!(
                "{ace}endpoint = \"ftp://u:{token}@a.example/{token}?q={token}\"\ntoken = {{ env = \"ACE_TOKEN\" }}\n"
            ),
        ),
        (
            "a password in a proxy",
            format!(
                "{ace}endpoint = \"https://a.example\"\ntoken = {{ env = \"ACE_TOKEN\" }}\nproxy = \"socks5://u:{token}@p\"\n"
            ),
        ),
        (
            "a card as an address",
            format!("[server]\nlisten = \"{CARD}\"\n"),
        ),
        (
            "a card as a number",
            format!("[server]\nmax_deadline_ms = {CARD}\n"),
        ),
        (
            "a card as a level",
            format!("[telemetry]\nlog_level = \"{CARD}\"\n"),
        ),
        ("a name as a mode", format!("mode = \"{NAME}\"\n")),
        (
            "a name in a route",
            format!("[routes]\nverify = [\"{NAME}\", \"{PHONE}\"]\n"),
        ),
        (
            "a token as its digest",
            format!("[clients.shop]\ntoken_sha256 = [\"{token}\"]\n"),
        ),
        (
            "a secret as cache key",
            format!("[cache]\nkey = \"{token}\"\n"),
        ),
        (
            "a redis URL as text",
            format!("[cache.redis]\nurl = \"redis://u:{token}@r\"\n"),
        ),
        ("no TOML", format!("{CARD} {NAME} = = {token}\n")),
        ("an open text", format!("mode = \"{CARD} {token}\n")),
        (
            "rows that are none",
            format!("[providers.bin]\nkind = \"bin\"\noverride_file = \"{rows}\"\n"),
        ),
    ] {
        std::fs::write(&file, toml).unwrap();
        let file = file.to_str().unwrap();
        for command in ["check-config", "serve"] {
            // rows are read at start only
            if (command, what) != ("check-config", "rows that are none") {
                let path = format!("{command} with {what}");
                run(watch, &path, &[command, "--config", file], &[], "");
            }
        }
    }
}

fn variables(watch: &mut Watch) {
    let token = SECRETS[0].1;
    for (what, name, value) in [
        ("a card", "CARDPROOF__SERVER__WORKERS", CARD),
        ("a phone", "CARDPROOF__AUTH__MODE", PHONE),
        ("a secret", "CARDPROOF__ADMIN__TOKEN", token),
        ("a secret and no key", "CARDPROOF__NOTHING__SUCH", token),
        ("a name", "CARDPROOF__SERVER__LISTEN", NAME),
    ] {
        run(
            watch,
            &format!("{what} in a variable"),
            &["check-config"],
            &[(name, value)],
            "",
        );
    }
}

fn arguments(watch: &mut Watch) {
    let long = format!("--bank-card={CARD}");
    for (what, arguments) in [
        ("a card as a command", vec![CARD]),
        ("a card as an argument", vec!["verify", CARD, NAME]),
        ("a card as an option", vec!["verify", &long]),
        (
            "a card as an unknown option's value",
            vec!["card-info", "--bank-card", CARD],
        ),
        ("a phone as an age", vec!["verify", "--max-age", PHONE]),
        ("a card as an address", vec!["verify", "--addr", CARD]),
        (
            "a token as a file",
            vec!["verify", "--token-file", SECRETS[5].0],
        ),
        ("a name as a shell", vec!["completions", NAME]),
    ] {
        run(watch, what, &arguments, &[], "");
    }
}

fn questions(watch: &mut Watch, server: &str, url: &str) {
    let good = format!(
        r#"{{"bank_card": "{CARD}", "name": "{NAME}", "id_number": "{ID_NUMBER}", "phone": "{PHONE}", "consent_reference": "{CONSENT}", "request_id": "{REQUEST_IDS}-000000000000"}}"#
    );
    for (what, question) in [
        ("a question", good.clone()),
        ("a question cut off", good[..good.len() - 20].to_owned()),
        ("a question and more", format!("{good} {CARD}")),
        ("a question as a list", format!("[{good}]")),
        ("no JSON", format!("{CARD} {NAME}")),
        ("nothing", String::new()),
        ("a card as a number", format!(r#"{{"bank_card": {CARD}}}"#)),
        (
            "a card as a key",
            format!(r#"{{"bank_card": "{CARD}", "{PHONE}": "{NAME}"}}"#),
        ),
        (
            "a bad card",
            format!(r#"{{"bank_card": "{CARD}x", "name": "{NAME}7"}}"#),
        ),
        (
            "a bad kind of document",
            good.replace("\"consent_reference\": ", "\"identity_type\": "),
        ),
        ("a bad request id", good.replace("000000000000", "zzzz")),
        ("a card as consent", good.replace(CONSENT, CARD)),
        (
            "a card as provider",
            format!(r#"{{"bank_card": "{CARD}", "provider": "{CARD}"}}"#),
        ),
        (
            "a card as age",
            format!(r#"{{"bank_card": "{CARD}", "cache": {{"max_age": "{CARD} years"}}}}"#),
        ),
    ] {
        for (command, more) in [
            ("verify", ""),
            ("verify", "--json"),
            ("card-info", "--json"),
        ] {
            let mut arguments = vec![command, "--addr", url];
            arguments.extend((!more.is_empty()).then_some(more));
            let path = format!("{command} {more} {server}: {what}");
            run(watch, &path, &arguments, &[], &question);
        }
    }
}
