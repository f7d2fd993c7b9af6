//! What can only be known where the service runs: secrets and files.
//!
//! The messages name the key, never the path or variable that the key names: who mistook such a
//! name for the secret itself would find the secret in the log.

use std::{fs, io, path::Path};

use subtle::ConstantTimeEq as _;
use url::Url;

use crate::config::{
    Config, Problem, Problems,
    providers::{ProviderKind, ProviderSettings},
    secret::{Secret, SecretError, SecretRef},
};

/// A shorter key of digests could be guessed, and with it every card number behind them.
const MIN_KEY_CHARS: usize = 16;

impl Config {
    /// Every secret that the configuration refers to, by its key.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, &SecretRef)> {
        let cache = &self.cache;
        let own = [
            ("cache.key", cache.key.as_ref()),
            ("cache.previous_key", cache.previous_key.as_ref()),
            ("cache.redis.url", cache.redis.as_ref().map(|it| &it.url)),
            ("admin.token", self.admin_token.as_ref()),
        ];
        let own = own
            .into_iter()
            .filter_map(|(key, secret)| Some((key.to_owned(), secret?)));
        own.chain(self.providers.iter().flat_map(secrets_of))
            .collect()
    }

    /// Reads every secret, to find out whether that is possible. `env` looks a variable up.
    #[must_use]
    pub fn check_secrets(&self, env: &dyn Fn(&str) -> Option<String>) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut cache_key = None;
        for (key, reference) in self.secrets() {
            let secret = match reference.read(env) {
                Ok(secret) => secret,
                Err(error) => {
                    problems.push(Problem::new(key, unreadable(&error)));
                    continue;
                }
            };
            if let Some(message) = wrong_secret(&key, &secret, cache_key.as_ref()) {
                problems.push(Problem::new(key.clone(), message));
            }
            if key == "cache.key" {
                cache_key = Some(secret);
            }
        }
        Problems::new(problems).into_vec()
    }

    /// Looks for every file that must be there.
    #[must_use]
    pub fn check_files(&self) -> Vec<Problem> {
        let tls = self.server.tls.iter();
        let tls = tls.flat_map(|tls| {
            [
                ("server.tls.cert_file", Some(&tls.cert_file)),
                ("server.tls.key_file", Some(&tls.key_file)),
                ("server.tls.client_ca_file", tls.client_ca_file.as_ref()),
            ]
        });
        let redis = self.cache.redis.as_ref();
        let redis_ca = redis.and_then(|redis| redis.ca_file.as_ref());
        let own = tls.chain([("cache.redis.ca_file", redis_ca)]);
        let own = own.filter_map(|(key, path)| Some((key.to_owned(), path?.as_path())));
        let files = own.chain(self.providers.iter().flat_map(files_of));
        let mut problems: Vec<Problem> = files
            .filter_map(|(key, path)| Some(Problem::new(key, wrong_file(path)?)))
            .collect();
        let ledger = self.telemetry.ledger_file.as_deref();
        if let Some(message) = ledger.and_then(wrong_folder) {
            problems.push(Problem::new("telemetry.ledger_file", message));
        }
        Problems::new(problems).into_vec()
    }
}

fn secrets_of(provider: &ProviderSettings) -> Vec<(String, &SecretRef)> {
    let path = |key| format!("providers.{}.{key}", provider.name);
    let secrets = provider.kind.secrets().into_iter();
    secrets.map(|(key, secret)| (path(key), secret)).collect()
}

fn files_of(provider: &ProviderSettings) -> Vec<(String, &Path)> {
    let own = match &provider.kind {
        ProviderKind::Bin { override_file } => ("override_file", override_file.as_deref()),
        ProviderKind::Tencent(tencent) => {
            let encryption = tencent.field_encryption.as_ref();
            let file = encryption.map(|it| it.public_key_file.as_path());
            ("field_encryption.public_key_file", file)
        }
        ProviderKind::Sandbox
        | ProviderKind::Ace(_)
        | ProviderKind::Alibaba(_)
        | ProviderKind::Grpc(_) => ("", None),
    };
    let path = |key| format!("providers.{}.{key}", provider.name);
    [own, ("ca_file", provider.vendor.ca_file.as_deref())]
        .into_iter()
        .filter_map(|(key, file)| Some((path(key), file?)))
        .collect()
}

fn unreadable(error: &SecretError) -> String {
    match error {
        SecretError::EnvMissing(_) => "refers to a variable that is not set".to_owned(),
        SecretError::Unreadable { kind, .. } => {
            format!("refers to a file that cannot be read: {kind}")
        }
        SecretError::Empty => "is empty".to_owned(),
        SecretError::Malformed => "is not a text of at most 64 KiB".to_owned(),
    }
}

/// What is wrong with a secret that could be read.
fn wrong_secret(key: &str, secret: &Secret, cache_key: Option<&Secret>) -> Option<String> {
    let value = secret.expose();
    let is_short = value.chars().count() < MIN_KEY_CHARS;
    let same = |other: &Secret| bool::from(other.expose().as_bytes().ct_eq(value.as_bytes()));
    match key {
        "cache.key" | "cache.previous_key" if is_short => {
            Some(format!("must have at least {MIN_KEY_CHARS} characters"))
        }
        "cache.previous_key" if cache_key.is_some_and(same) => {
            Some("must not be the same as cache.key".to_owned())
        }
        "cache.redis.url" if !is_redis(value) => Some("must be a redis or rediss URL".to_owned()),
        _ if value.chars().any(char::is_control) => Some("must be a single line".to_owned()),
        _ => None,
    }
}

fn is_redis(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host())
}

fn wrong_file(path: &Path) -> Option<String> {
    let opened = fs::File::open(path).and_then(|file| file.metadata());
    match opened {
        Ok(found) if found.is_file() => None,
        Ok(_) => Some("is not a file".to_owned()),
        Err(error) => Some(cannot_be_read(&error)),
    }
}

fn wrong_folder(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty())?;
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some("is not in a folder".to_owned()),
        Err(error) => Some(format!("its folder cannot be read: {}", error.kind())),
    }
}

fn cannot_be_read(error: &io::Error) -> String {
    format!("the file cannot be read: {}", error.kind())
}
