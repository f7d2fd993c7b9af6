//! Good files and what becomes of them; bad files and what is said about them.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use cardproof::{
    config::{
        AuthMode, Config, ConfigSource, LuhnPolicy, Mode, OnLoss, Share,
        providers::{FieldCipher, ProviderKind},
        secret::SecretRef,
    },
    domain::{IdentityType, Operation},
};

use super::{folder, good, load, told};

#[test]
fn bad_files_are_answered_as_expected() {
    let mut texts: BTreeMap<String, [Option<String>; 2]> = BTreeMap::new();
    for entry in fs::read_dir(folder("bad")).unwrap() {
        let path = entry.unwrap().path();
        let side = match path.extension().and_then(|it| it.to_str()) {
            Some("toml") => 0,
            Some("expected") => 1,
            other => panic!("a bad file is .toml or .expected, not {other:?}"),
        };
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        texts.entry(name).or_default()[side] = Some(fs::read_to_string(&path).unwrap());
    }
    assert!(texts.len() >= 50, "only {} bad files", texts.len());
    let mut failed = String::new();
    for (name, pair) in texts {
        let [Some(text), Some(expected)] = pair else {
            panic!("{name} has no partner");
        };
        let answer = match load(&text) {
            Ok(_) => "accepted".to_owned(),
            Err(problems) => problems.to_string(),
        };
        if answer != expected.trim_end() {
            failed += &format!("== {name}\n-- expected\n{expected}-- but\n{answer}\n");
        }
    }
    assert!(failed.is_empty(), "\n{failed}");
}

#[test]
fn nothing_is_needed() {
    let loaded = load(&good("minimal.toml")).unwrap();
    let without_file = Config::load(&ConfigSource::default()).unwrap();
    assert_eq!(
        format!("{:?}", loaded.config),
        format!("{:?}", without_file.config)
    );
    let config = loaded.config;
    assert_eq!(config.mode, None);
    assert_eq!(config.auth, AuthMode::None);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(config.server.workers, None);
    assert_eq!(config.cache.capacity_bytes, 268_435_456);
    let routes = format!("{:?}", config.routes.by_operation);
    assert_eq!(
        routes,
        "{VerifyTwo: [sandbox], VerifyThree: [sandbox], VerifyFour: [sandbox], CardInfo: [bin]}"
    );
    assert!(config.may_use_sandbox());
    assert_eq!(config.warnings, [] as [String; 0]);
}

#[test]
fn development_may_do_more() {
    let config = load(&good("development.toml")).unwrap().config;
    assert_eq!(config.mode, Some(Mode::Development));
    assert!(config.may_use_sandbox());
    assert!(config.routes.by_operation[&Operation::CardInfo].is_empty());
    let [_, mine, _] = config.providers.as_slice() else {
        panic!("three providers are configured");
    };
    let ProviderKind::Grpc(grpc) = &mine.kind else {
        panic!("mine is a provider of its own");
    };
    assert_eq!(grpc.endpoint.base(), "http://provider.example.org:8080");
    assert_eq!(
        mine.vendor.identity_types[&IdentityType::HkMacaoPermit],
        "H1"
    );
    let keys: Vec<&str> = config
        .warnings
        .iter()
        .filter_map(|warning| warning.split(':').next())
        .collect();
    assert_eq!(
        keys,
        [
            "cache.key",
            "guard.max_calls",
            "guard.max_mismatches",
            "routes",
            "server.insecure"
        ]
    );
}

#[test]
fn production_is_read_in_full() {
    let config = load(&good("production.toml")).unwrap().config;
    assert_eq!(config.mode, Some(Mode::Production));
    assert!(!config.may_use_sandbox());
    assert_eq!(config.warnings, [] as [String; 0]);
    assert_eq!(config.server.workers, Some(4));
    assert!(config.server.tls.as_ref().unwrap().tls13_only);
    assert_eq!(config.auth, AuthMode::Mtls);
    assert_eq!(config.luhn, LuhnPolicy::Off);
    let back_office = &config.clients["back_office"];
    assert!(!back_office.may_verify && back_office.may_query_card_info);
    assert!(!back_office.allow_bypass && config.clients["checkout"].allow_bypass);
    assert_eq!(back_office.requests_per_second, Some(5));
    assert_eq!(back_office.concurrent, Some(2));
    let budget = config.clients["checkout"].daily_budget.as_ref().unwrap();
    assert_eq!(
        (budget.currency.as_str(), budget.micros),
        ("CNY", 500_000_000)
    );
    let cache = &config.cache;
    assert_eq!(cache.share, Share::All);
    assert_eq!(
        cache.key,
        Some(SecretRef::File("/run/secrets/cache-key".into()))
    );
    let redis = cache.redis.as_ref().unwrap();
    assert_eq!(redis.on_loss, OnLoss::Refuse);
    assert_eq!(redis.timeout, Duration::from_millis(50));
    assert_eq!(redis.url, SecretRef::Env("REDIS_URL".into()));
}

#[test]
fn vendors_of_production_are_read_in_full() {
    let config = load(&good("production.toml")).unwrap().config;
    let names: Vec<&str> = config.providers.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["ace", "alibaba", "bin", "sandbox", "tencent"]);
    let [ace, alibaba, _, _, tencent] = config.providers.as_slice() else {
        panic!("five providers are configured");
    };
    assert_eq!(ace.vendor.requests_per_second, Some(10));
    assert_eq!(alibaba.vendor.requests_per_second, Some(50));
    assert_eq!(tencent.vendor.requests_per_second, Some(20));
    assert_eq!(tencent.vendor.identity_types[&IdentityType::Passport], "3");
    assert_eq!(
        ace.vendor.proxy.as_ref().unwrap().expose(),
        "http://user:hunter2@proxy.example.org:3128/"
    );
    let prices = &tencent.vendor.price.as_ref().unwrap().micros;
    assert_eq!(prices[&Operation::VerifyThree], 350_000);
    assert_eq!(prices[&Operation::CardInfo], 1);
    assert!(!prices.contains_key(&Operation::VerifyTwo));
    let ProviderKind::Tencent(settings) = &tencent.kind else {
        panic!("tencent is of kind tencent");
    };
    let encryption = settings.field_encryption.as_ref().unwrap();
    assert_eq!(encryption.algorithm, FieldCipher::Sm4Gcm);
    assert_eq!(settings.endpoint.host(), "faceid.intl.tencentcloudapi.com");
}

#[test]
fn routes_of_their_own_come_before_verify() {
    let config = load(&good("production.toml")).unwrap().config;
    let routes = format!("{:?}", config.routes.by_operation);
    assert_eq!(
        routes,
        "{VerifyTwo: [ace], VerifyThree: [tencent, alibaba, ace], \
         VerifyFour: [tencent, alibaba, ace], CardInfo: [bin, tencent]}"
    );
}

#[test]
fn what_is_in_force_is_printed_without_passwords() {
    let loaded = load(&good("production.toml")).unwrap();
    let printed = loaded.effective_toml();
    assert!(!printed.contains("hunter2"), "{printed}");
    let table: toml::Table = printed.parse().unwrap();
    assert_eq!(table["providers"]["ace"]["proxy"].as_str(), Some("***"));
    assert_eq!(
        table["providers"]["ace"]["token"]["file"].as_str(),
        Some("/run/secrets/ace")
    );
    assert_eq!(table["guard"]["max_calls"].as_integer(), Some(10));
    let digest = "6fec2a9601d5b3581c94f2150fc07fa3d6e45808079428354b868e412b76e6bb";
    let text = format!("[clients.one]\ntoken_sha256 = ['{digest}']\n");
    let printed = load(&text).unwrap().effective_toml();
    assert!(printed.contains("6fec2a96***"), "{printed}");
    assert!(!printed.contains(digest), "{printed}");
}

#[test]
fn the_sandbox_is_not_there_beside_vendors() {
    let vendor = "[routes]\nverify = ['ace']\n[providers.ace]\nkind = 'ace'\n\
                  endpoint = 'https://api.acedata.cloud'\ntoken = { env = 'A' }\n";
    assert!(!load(vendor).unwrap().config.may_use_sandbox());
    let development = format!("mode = 'development'\n{vendor}");
    assert!(load(&development).unwrap().config.may_use_sandbox());
    let unrouted = vendor.replace("['ace']", "['sandbox']");
    assert!(load(&unrouted).unwrap().config.may_use_sandbox());
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_of_what_names_it() {
    let nowhere = folder("no-such-file.toml");
    let problem = ConfigSource::find(Some(&nowhere), []).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "--config: the file cannot be read: entity not found"
    );
    let variables = || [("CARDPROOF_CONFIG".into(), nowhere.clone().into_os_string())];
    let problem = ConfigSource::find(None, variables()).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "CARDPROOF_CONFIG: the file cannot be read: entity not found"
    );
    // the command line wins
    let file = folder("good/minimal.toml");
    let source = ConfigSource::find(Some(&file), variables()).unwrap();
    assert_eq!(source.file.unwrap().0, file);
    let none = ConfigSource::find(None, [("CARDPROOF_CONFIG".into(), "".into())]).unwrap();
    assert!(none.file.is_none());
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| ConfigSource::find(Some(path), []).unwrap_err().to_string();
    let message = "--config: the file is not a text of at most 1 MiB";
    let path = folder.path().join("binary.toml");
    fs::write(&path, [0xff, 0xfe, 0]).unwrap();
    assert_eq!(refused(&path), message);
    fs::write(&path, "#".repeat(1024 * 1024 + 1)).unwrap();
    assert_eq!(refused(&path), message);
    fs::write(&path, "#".repeat(1024 * 1024)).unwrap();
    assert!(ConfigSource::find(Some(&path), []).is_ok());
}

#[test]
fn problems_are_sorted_and_told_once() {
    let told = told(load("z = 1\na = 1\n[server]\nlisten = 1\n"));
    let keys: Vec<&str> = told.lines().filter_map(|it| it.split(':').next()).collect();
    assert_eq!(keys, ["a", "server.listen", "z"]);
}
