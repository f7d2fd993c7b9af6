//! Secrets and files, which only the place where the service runs can tell.

use std::fs;

use cardproof::config::Problem;

use super::{good, load};

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn secrets_that_cannot_be_read_are_problems() {
    let config = load(&good("production.toml")).unwrap().config;
    let env = |name: &str| match name {
        "TENCENT_SECRET_ID" => Some("hunter2".to_owned()),
        "ALIBABA_ID" => Some("  \n".to_owned()),
        "ALIBABA_SECRET" => Some("hunter2\nhunter3".to_owned()),
        "REDIS_URL" => Some("https://:hunter2@redis.example.org".to_owned()),
        _ => None,
    };
    let problems = lines(&config.check_secrets(&env));
    assert_eq!(
        problems,
        [
            "admin.token: refers to a variable that is not set",
            "cache.key: refers to a file that cannot be read: entity not found",
            "cache.previous_key: refers to a file that cannot be read: entity not found",
            "cache.redis.url: must be a redis or rediss URL",
            "providers.ace.token: refers to a file that cannot be read: entity not found",
            "providers.alibaba.access_key_id: is empty",
            "providers.alibaba.access_key_secret: must be a single line",
            "providers.tencent.secret_key: refers to a file that cannot be read: entity not found",
        ]
    );
}

#[test]
fn keys_of_digests_must_be_long_and_differ() {
    let text = "[cache]\nkey = { env = 'KEY' }\nprevious_key = { env = 'OLD' }\n";
    let config = load(text).unwrap().config;
    let problems = |key: &'static str, old: &'static str| {
        let env = |name: &str| Some(if name == "KEY" { key } else { old }.to_owned());
        lines(&config.check_secrets(&env))
    };
    assert_eq!(
        problems("0123456789abcdef", "fedcba9876543210"),
        [] as [&str; 0]
    );
    assert_eq!(
        problems("0123456789abcdef", "0123456789abcdef"),
        ["cache.previous_key: must not be the same as cache.key"]
    );
    assert_eq!(
        problems("0123456789abcde", "fedcba987654321"),
        [
            "cache.key: must have at least 16 characters",
            "cache.previous_key: must have at least 16 characters",
        ]
    );
}

#[test]
fn every_secret_is_listed() {
    let config = load(&good("production.toml")).unwrap().config;
    let keys: Vec<String> = config.secrets().into_iter().map(|(key, _)| key).collect();
    assert_eq!(
        keys,
        [
            "cache.key",
            "cache.previous_key",
            "cache.redis.url",
            "admin.token",
            "providers.ace.token",
            "providers.alibaba.access_key_id",
            "providers.alibaba.access_key_secret",
            "providers.tencent.secret_id",
            "providers.tencent.secret_key",
        ]
    );
}

#[test]
fn files_that_are_not_there_are_problems() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(folder.path().join("there"), "x").unwrap();
    let text = |file: &str, ledger: &str| {
        format!(
            "[server.tls]\ncert_file = '{file}'\nkey_file = '{file}'\nclient_ca_file = '{file}'\n\
             [providers.bin]\noverride_file = '{file}'\n\
             [providers.tencent]\nkind = 'tencent'\nendpoint = 'https://example.org'\n\
             secret_id = {{ env = 'A' }}\nsecret_key = {{ env = 'B' }}\nca_file = '{file}'\n\
             field_encryption = {{ algorithm = 'SM4-GCM', public_key_file = '{file}' }}\n\
             [cache]\nkey = {{ env = 'C' }}\n\
             redis = {{ url = {{ env = 'D' }}, ca_file = '{file}' }}\n\
             [telemetry]\nledger_file = '{ledger}'\n"
        )
    };
    let problems = |file: &str, ledger: &str| {
        let config = load(&text(file, ledger)).unwrap().config;
        lines(&config.check_files())
    };
    let keys = [
        "cache.redis.ca_file",
        "providers.bin.override_file",
        "providers.tencent.ca_file",
        "providers.tencent.field_encryption.public_key_file",
        "server.tls.cert_file",
        "server.tls.client_ca_file",
        "server.tls.key_file",
    ];
    assert_eq!(
        problems(&path("there"), &path("ledger.jsonl")),
        [] as [&str; 0]
    );
    assert_eq!(problems(&path("there"), "ledger.jsonl"), [] as [&str; 0]);
    let mut expected: Vec<String> = keys
        .iter()
        .map(|key| format!("{key}: the file cannot be read: entity not found"))
        .collect();
    expected.push("telemetry.ledger_file: its folder cannot be read: entity not found".to_owned());
    assert_eq!(
        problems(&path("gone"), &path("gone/ledger.jsonl")),
        expected
    );
    let mut expected: Vec<String> = keys
        .iter()
        .map(|key| format!("{key}: is not a file"))
        .collect();
    expected.push("telemetry.ledger_file: is not in a folder".to_owned());
    assert_eq!(problems(&path(""), &path("there/ledger.jsonl")), expected);
}
