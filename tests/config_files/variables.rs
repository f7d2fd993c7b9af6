//! Variables lay themselves over file and default.

use cardproof::config::{ConfigSource, LogLevel, secret::SecretRef};

use super::{good, load_with, told};

#[test]
fn variables_come_last() {
    let config = load_with(
        "[server]\nmax_deadline_ms = 4000\nreplicas = 2\n[telemetry]\nlog_level = 'warn'\n",
        &[
            ("CARDPROOF__SERVER__MAX_DEADLINE_MS", "5000"),
            ("CARDPROOF__SERVER__LISTEN", "127.0.0.1:0"),
            ("CARDPROOF__TELEMETRY__LOG_LEVEL", "debug"),
            ("CARDPROOF__GUARD__CALLER_SHARE", "0.5"),
            ("CARDPROOF__ROUTES__CARD_INFO", "[]"),
            ("CARDPROOF__CACHE__KEY__FILE", "/run/secrets/key"),
            ("CARDPROOF__ADMIN", "{ token = { env = 'ADMIN_TOKEN' } }"),
        ],
    );
    let config = config.unwrap().config;
    assert_eq!(config.server.max_deadline.as_millis(), 5000);
    assert_eq!(config.server.replicas, 2);
    assert_eq!(config.server.listen.port(), 0);
    assert_eq!(config.telemetry.log_level, LogLevel::Debug);
    assert!((config.guard.caller_share - 0.5).abs() < f64::EPSILON);
    assert_eq!(
        config.cache.key,
        Some(SecretRef::File("/run/secrets/key".into()))
    );
    assert_eq!(
        config.admin_token,
        Some(SecretRef::Env("ADMIN_TOKEN".into()))
    );
}

#[test]
fn a_provider_can_stand_in_variables_alone() {
    let config = load_with(
        "",
        &[
            ("CARDPROOF__PROVIDERS__MY_ACE__KIND", "ace"),
            (
                "CARDPROOF__PROVIDERS__MY_ACE__ENDPOINT",
                "https://api.acedata.cloud",
            ),
            ("CARDPROOF__PROVIDERS__MY_ACE__TOKEN__ENV", "ACE_TOKEN"),
            (
                "CARDPROOF__PROVIDERS__MY_ACE__IDENTITY_TYPES__PASSPORT",
                "03",
            ),
            ("CARDPROOF__PROVIDERS__MY_ACE__PRICE__CURRENCY", "CNY"),
            ("CARDPROOF__PROVIDERS__MY_ACE__PRICE__THREE", "0.35"),
            ("CARDPROOF__ROUTES__VERIFY", "['my_ace']"),
        ],
    );
    let config = config.unwrap().config;
    let provider = config
        .providers
        .iter()
        .find(|it| it.name.as_str() == "my_ace");
    let vendor = &provider.unwrap().vendor;
    assert_eq!(vendor.identity_types.values().collect::<Vec<_>>(), ["03"]);
    let price = vendor.price.as_ref().unwrap();
    assert_eq!(price.micros.values().collect::<Vec<_>>(), [&350_000]);
}

#[test]
fn a_reference_to_a_secret_is_replaced_as_a_whole() {
    let env = [("CARDPROOF__CACHE__KEY", "{ env = 'NEW_KEY' }")];
    let config = load_with("[cache]\nkey = { file = 'old' }\n", &env);
    let key = config.unwrap().config.cache.key;
    assert_eq!(key, Some(SecretRef::Env("NEW_KEY".into())));
}

#[test]
fn unknown_variables_are_refused_by_name() {
    let env = [
        ("CARDPROOF__SERVER__LISTN", "1"),
        ("CARDPROOF__", "1"),
        ("CARDPROOF__SERVER__", "1"),
        ("CARDPROOF__LISTEN", "127.0.0.1:1"),
        ("CARDPROOF__PROVIDERS__TENCENT__TOKEN", "hunter2"),
        ("CARDPROOF__SERVER__TLS__CERT", "a"),
        ("CARDPROOF_CONFIG", "elsewhere.toml"),
        ("CARDPROOF_ADDR", "elsewhere"),
        ("RUST_LOG", "debug"),
    ];
    let told = told(load_with(&good("production.toml"), &env));
    assert_eq!(
        told,
        "CARDPROOF__: does not name a key of the configuration\n\
         CARDPROOF__LISTEN: does not name a key of the configuration\n\
         CARDPROOF__PROVIDERS__TENCENT__TOKEN: does not name a key of the configuration\n\
         CARDPROOF__SERVER__: does not name a key of the configuration\n\
         CARDPROOF__SERVER__LISTN: does not name a key of the configuration\n\
         CARDPROOF__SERVER__TLS__CERT: does not name a key of the configuration"
    );
}

#[test]
fn other_variables_do_not_matter() {
    let env = [("CARDPROOF_CONFIG", "x"), ("CARDPROOF", "x"), ("PATH", "x")];
    assert!(load_with("", &env).is_ok());
}

#[test]
fn a_variable_with_a_wrong_value_is_named() {
    let env = [
        ("CARDPROOF__SERVER__MAX_DEADLINE_MS", "soon"),
        ("CARDPROOF__ADMIN__TOKEN", "hunter2"),
        ("CARDPROOF__CACHE__KEY__ENV", "not a name"),
        ("CARDPROOF__GUARD", "7"),
    ];
    assert_eq!(
        told(load_with("", &env)),
        "admin.token: must be { env = \"NAME\" } or { file = \"PATH\" } \
         (set by CARDPROOF__ADMIN__TOKEN)\n\
         cache.key: must be { env = \"NAME\" } or { file = \"PATH\" } \
         (set by CARDPROOF__CACHE__KEY__ENV)\n\
         guard: must be a table (set by CARDPROOF__GUARD)\n\
         server.max_deadline_ms: must be a whole number from 1 to 3600000 \
         (set by CARDPROOF__SERVER__MAX_DEADLINE_MS)"
    );
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_named() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

    let name = |name: &str| OsString::from(name);
    let binary = || OsString::from_vec(vec![0xff]);
    let problem = ConfigSource::find(None, [(name("CARDPROOF__MODE"), binary())]).unwrap_err();
    assert_eq!(problem.to_string(), "CARDPROOF__MODE: is not in UTF-8");
    assert!(ConfigSource::find(None, [(name("OTHER"), binary())]).is_ok());
}
