//! What changed between two configurations, and what of it can take effect without a restart.

use toml::{Table, Value};

/// Keys of `[providers.NAME]` that hold secrets.
const PROVIDER_SECRETS: &[&str] = &[
    "token",
    "secret_id",
    "secret_key",
    "session_token",
    "access_key_id",
    "access_key_secret",
    "security_token",
];

/// Whether a change of that key takes effect while the service runs: secrets, certificates of the
/// listener, clients, the log level, and whether a provider is in maintenance.
#[must_use]
pub fn live_reloadable(key: &str) -> bool {
    let path: Vec<&str> = key.split('.').collect();
    match path.as_slice() {
        ["clients", ..]
        | ["telemetry", "log_level"]
        | ["server", "tls", "cert_file" | "key_file" | "client_ca_file"]
        | ["cache", "key" | "previous_key"]
        | ["cache", "redis", "url"]
        | ["admin", "token"]
        | ["providers", _, "maintenance"] => true,
        ["providers", _, key] => PROVIDER_SECRETS.contains(key),
        _ => false,
    }
}

/// The keys that differ, sorted. A table that only one of the two has is told as one key, and so
/// is a reference to a secret.
#[must_use]
pub fn changed_keys(old: &Table, new: &Table) -> Vec<String> {
    let mut changed = Vec::new();
    compare(old, new, "", &mut changed);
    changed.sort();
    changed
}

fn compare(old: &Table, new: &Table, path: &str, changed: &mut Vec<String>) {
    let added = new.keys().filter(|key| !old.contains_key(key.as_str()));
    for key in old.keys().chain(added) {
        let path = match path {
            "" => key.clone(),
            parent => format!("{parent}.{key}"),
        };
        match (old.get(key), new.get(key)) {
            (Some(Value::Table(old)), Some(Value::Table(new)))
                if !is_reference(old) && !is_reference(new) =>
            {
                compare(old, new, &path, changed);
            }
            (old, new) if old != new => changed.push(path),
            _ => {}
        }
    }
}

/// What is in force after a reload: of everything that may change while the service runs the new
/// value, of everything else the old one.
#[must_use]
pub fn in_force(old: &Table, new: &Table) -> Table {
    merged(old, new, "")
}

fn merged(old: &Table, new: &Table, path: &str) -> Table {
    let added = new.keys().filter(|key| !old.contains_key(key.as_str()));
    let mut table = Table::new();
    for key in old.keys().chain(added) {
        let path = match path {
            "" => key.clone(),
            parent => format!("{parent}.{key}"),
        };
        let value = match (old.get(key), new.get(key)) {
            (Some(Value::Table(old)), Some(Value::Table(new)))
                if !is_reference(old) && !is_reference(new) =>
            {
                Some(Value::Table(merged(old, new, &path)))
            }
            (_, new) if live_reloadable(&path) => new.cloned(),
            (old, _) => old.cloned(),
        };
        if let Some(value) = value {
            table.insert(key.clone(), value);
        }
    }
    table
}

fn is_reference(table: &Table) -> bool {
    !table.is_empty()
        && table
            .keys()
            .all(|key| matches!(key.as_str(), "env" | "file"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("clients", true)]
    #[case("clients.checkout", true)]
    #[case("clients.checkout.daily_budget.amount", true)]
    #[case("telemetry.log_level", true)]
    #[case("telemetry.log_format", false)]
    #[case("server.tls", false)]
    #[case("server.tls.cert_file", true)]
    #[case("server.tls.min_version", false)]
    #[case("cache.key", true)]
    #[case("cache.share", false)]
    #[case("cache.redis", false)]
    #[case("cache.redis.url", true)]
    #[case("admin.token", true)]
    #[case("providers.ace", false)]
    #[case("providers.ace.maintenance", true)]
    #[case("providers.ace.token", true)]
    #[case("providers.ace.endpoint", false)]
    #[case("providers.ace.price.token", false)]
    #[case("guard.max_calls", false)]
    fn some_keys_are_live(#[case] key: &str, #[case] live: bool) {
        assert_eq!(live_reloadable(key), live);
    }

    #[test]
    fn names_what_changed() {
        let old = "mode = 'production'\n[server]\nlisten = 'a'\nworkers = 1\n\
                   [cache]\nkey = { env = 'A' }\n[clients.a]\nconcurrent = 1\n[clients.b]\n";
        let new = "[server]\nlisten = 'b'\nworkers = 1\n[server.tls]\ncert_file = 'x'\n\
                   [cache]\nkey = { file = 'A' }\n[clients.a]\nconcurrent = 2\nsan = []\n";
        let changed = changed_keys(&old.parse().unwrap(), &new.parse().unwrap());
        assert_eq!(
            changed,
            [
                "cache.key",
                "clients.a.concurrent",
                "clients.a.san",
                "clients.b",
                "mode",
                "server.listen",
                "server.tls",
            ]
        );
        assert!(changed_keys(&old.parse().unwrap(), &old.parse().unwrap()).is_empty());
    }
    #[test]
    fn only_what_may_change_does() {
        let old = "mode = 'production'\n[server]\nlisten = 'a'\n[server.tls]\ncert_file = 'x'\n\
                   min_version = '1.2'\n[cache]\nkey = { env = 'A' }\nshare = 'all'\n\
                   [clients.a]\nconcurrent = 1\n[clients.b]\n[providers.p]\nkind = 'ace'\n\
                   token = { env = 'T' }\nmaintenance = true\n";
        let new = "[server]\nlisten = 'b'\n[server.tls]\ncert_file = 'y'\nmin_version = '1.3'\n\
                   [cache]\nkey = { file = 'B' }\nprevious_key = { env = 'A' }\n\
                   [clients.a]\nconcurrent = 2\n[clients.c]\nsan = ['c']\n[admin]\n\
                   [providers.p]\nkind = 'ace'\ntoken = { file = 'T' }\n[providers.q]\n\
                   kind = 'ace'\ntoken = { env = 'Q' }\n";
        let expected = "mode = 'production'\n[server]\nlisten = 'a'\n[server.tls]\n\
                        cert_file = 'y'\nmin_version = '1.2'\n[cache]\nkey = { file = 'B' }\n\
                        previous_key = { env = 'A' }\nshare = 'all'\n[clients.a]\n\
                        concurrent = 2\n[clients.c]\nsan = ['c']\n[providers.p]\n\
                        kind = 'ace'\ntoken = { file = 'T' }\n";
        let table = |text: &str| text.parse::<Table>().unwrap();
        let (old, new) = (table(old), table(new));
        let found = in_force(&old, &new);
        assert_eq!(found, table(expected));
        // what is left is what needs a restart
        assert_eq!(
            changed_keys(&found, &new),
            [
                "admin",
                "cache.share",
                "mode",
                "providers.q",
                "server.listen",
                "server.tls.min_version"
            ]
        );
        assert!(
            changed_keys(&old, &found)
                .iter()
                .all(|key| live_reloadable(key))
        );
    }
}
