//! Who may reach the service, and how callers are told apart.

use std::collections::{BTreeMap, btree_map::Entry};

use crate::config::{AuthMode, Config, reader::Report};

/// Listeners, `[auth]` and `[server.tls]`.
pub(super) fn listeners(config: &Config, report: &Report) {
    let server = &config.server;
    if server.listen == server.admin_listen
        && server.listen.port() != 0
        && report.is_clean("server.listen")
        && report.is_clean("server.admin_listen")
    {
        report.problem("server.admin_listen", "must not be that of server.listen");
    }
    let client_ca = server.tls.as_ref().map(|tls| tls.client_ca_file.is_some());
    if config.auth == AuthMode::Mtls && report.is_clean("server.tls") {
        match client_ca {
            None => report.problem("server.tls", "is needed for auth.mode = \"mtls\""),
            Some(false) => report.problem(
                "server.tls.client_ca_file",
                "is needed for auth.mode = \"mtls\"",
            ),
            Some(true) => {}
        }
    }
    if report.is_clean("auth.mode") && report.is_clean("server.listen") {
        exposure(config, report);
    }
}

/// What stands open to others than this machine.
fn exposure(config: &Config, report: &Report) {
    let server = &config.server;
    if server.listen.ip().is_loopback() {
        return;
    }
    let plaintext = server.tls.is_none() && report.is_clean("server.tls");
    let open = match config.auth {
        AuthMode::None => Some((
            "auth.mode",
            "lets everybody in on a listener that is not loopback; choose \"token\" or \"mtls\", \
             or say server.insecure = true",
        )),
        AuthMode::Token if plaintext => Some((
            "server.tls",
            "is needed for tokens on a listener that is not loopback; or say \
             server.insecure = true",
        )),
        AuthMode::Token | AuthMode::Mtls => None,
    };
    match open {
        Some(_) if server.insecure => report.warning(
            "server.insecure",
            "the gRPC listener is not loopback and lacks authentication or TLS",
        ),
        Some((key, message)) if report.is_clean("server.insecure") => report.problem(key, message),
        Some(_) | None => {}
    }
}

/// `[clients.*]`
pub(super) fn clients(config: &Config, report: &Report) {
    for (name, client) in &config.clients {
        let (key, missing) = match config.auth {
            AuthMode::None => continue,
            AuthMode::Token => ("token_sha256", client.token_sha256.is_empty()),
            AuthMode::Mtls => ("san", client.san.is_empty()),
        };
        let key = format!("clients.{name}.{key}");
        if missing && report.is_clean(&key) && report.is_clean("auth.mode") {
            report.problem(key, "is needed, as auth.mode tells callers apart by it");
        }
    }
    let tokens = config.clients.iter();
    let tokens = tokens.map(|(name, client)| (name.as_str(), client.token_sha256.as_slice()));
    unique(tokens, "token_sha256", report);
    let names = config.clients.iter();
    let names = names.map(|(name, client)| (name.as_str(), client.san.as_slice()));
    unique(names, "san", report);
    match (config.auth, config.clients.is_empty()) {
        (AuthMode::None, false) => report.warning(
            "clients",
            "have no effect, as auth.mode = \"none\" makes everybody one caller",
        ),
        (AuthMode::Token | AuthMode::Mtls, true) => {
            report.warning("clients", "there are none, so that nobody can call");
        }
        (AuthMode::None, true) | (AuthMode::Token | AuthMode::Mtls, false) => {}
    }
}

/// Each token and certificate must belong to one client, and stand there once.
fn unique<'c, T: Ord + 'c>(
    clients: impl Iterator<Item = (&'c str, &'c [T])>,
    key: &str,
    report: &Report,
) {
    let mut owners = BTreeMap::new();
    for (name, entries) in clients {
        for (number, entry) in (1..).zip(entries) {
            match owners.entry(entry) {
                Entry::Vacant(place) => {
                    place.insert(name);
                }
                Entry::Occupied(owner) => {
                    let owner = owner.get();
                    report.problem(
                        format!("clients.{name}.{key}"),
                        format!("entry {number} stands in clients.{owner}.{key} already"),
                    );
                }
            }
        }
    }
}
