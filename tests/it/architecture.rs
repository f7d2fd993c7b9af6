//! The house keeps its directions: which room may know which, and who may name which crate.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each room, and the rooms it may name. A room is a file or folder of `src/`.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    (
        "cli",
        &[
            "app",
            "config",
            "domain",
            "dumps",
            "grpc::client",
            "provider",
            "service::ledger",
            "telemetry",
        ],
    ),
    (
        "app",
        &[
            "admin",
            "cache",
            "config",
            "domain",
            "grpc",
            "health",
            "listener",
            "provider",
            "runtime",
            "service",
            "signals",
            "telemetry",
        ],
    ),
    (
        "grpc",
        &[
            "config",
            "domain",
            "health",
            "listener",
            "proto",
            "runtime",
            "service",
            "signals",
            "telemetry::events",
            "telemetry::trace",
        ],
    ),
    (
        "admin",
        &[
            "config",
            "domain",
            "health",
            "listener",
            "service",
            "telemetry::events",
        ],
    ),
    (
        "service",
        &[
            "cache",
            "config",
            "domain",
            "provider",
            "telemetry::events",
            "telemetry::trace",
        ],
    ),
    ("cache", &["config", "domain", "telemetry::events"]),
    (
        "provider",
        &["config", "domain", "telemetry::events", "telemetry::trace"],
    ),
    ("telemetry", &["config", "domain"]),
    ("telemetry::events", &["domain"]),
    ("config", &["domain"]),
    ("dumps", &[]),
    ("health", &[]),
    ("listener", &["telemetry::events"]),
    ("runtime", &[]),
    ("signals", &[]),
    ("proto", &[]),
    ("domain", &[]),
];

/// Crates that only some files may name, because they could be exchanged for others.
const CRATES: &[(&str, &[&str])] = &[
    ("tonic", &["grpc", "grpc/", "provider/remote", "proto"]),
    ("tonic_types", &["grpc/", "telemetry/otlp/transport"]),
    ("tonic_health", &["grpc/"]),
    ("tonic_reflection", &["grpc/"]),
    ("crate::proto", &["grpc/", "provider/remote"]),
    (
        "reqwest",
        &[
            "provider/http",
            "cli/admin_client",
            "telemetry/otlp/transport",
        ],
    ),
    ("moka", &["cache/local"]),
    ("redis", &["cache/shared"]),
    ("opentelemetry", &["telemetry/"]),
    ("opentelemetry_sdk", &["telemetry/"]),
    ("opentelemetry_otlp", &["telemetry/"]),
    ("opentelemetry_prometheus", &["telemetry/"]),
    ("prometheus", &["telemetry/"]),
    ("axum", &["admin", "admin/", "grpc/health"]),
];

struct Source {
    /// `service/routing`, without the ending.
    module: String,
    /// Everything but comments and what is compiled for tests only.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                let module = path.strip_prefix(&root).unwrap().with_extension("");
                // what is compiled for tests only may name what it likes
                if module.components().any(|part| {
                    let name = part.as_os_str();
                    name == "tests" || name == "testing"
                }) {
                    continue;
                }
                found.push(Source {
                    module: module.to_str().unwrap().to_owned(),
                    code: code
                        .lines()
                        .filter(|line| !line.trim_start().starts_with("//"))
                        .collect::<Vec<_>>()
                        .join("\n"),
                });
            }
        }
    }
    assert!(found.len() > 30, "only {} sources found", found.len());
    found
}

/// Every `crate::…` path of a source, grouped imports taken apart one level deep.
fn paths(code: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let prefixes = ["crate::", "cardproof::"];
    for prefix in prefixes {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            if let Some(group) = rest.strip_prefix('{') {
                for part in top_level_parts(group) {
                    paths.insert(part);
                }
            } else {
                paths.insert(head(rest));
            }
        }
    }
    paths
}

/// The first two segments of a path.
fn head(path: &str) -> String {
    let end = path
        .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .unwrap_or(path.len());
    let mut segments = path[..end]
        .split("::")
        .filter(|segment| !segment.is_empty());
    let first = segments.next().unwrap_or_default();
    match segments.next() {
        Some(second) if second.chars().next().is_some_and(char::is_lowercase) => {
            format!("{first}::{second}")
        }
        _ => first.to_owned(),
    }
}

fn top_level_parts(group: &str) -> Vec<String> {
    let mut depth = 1;
    let mut part = String::new();
    let mut parts = Vec::new();
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                parts.push(head(part.trim()));
                part.clear();
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
        part.push(character);
    }
    if !part.trim().is_empty() {
        parts.push(head(part.trim()));
    }
    parts
}

fn room_of(module: &str) -> String {
    let path = module.replace('/', "::");
    let known = |name: &str| ROOMS.iter().any(|(room, _)| *room == name);
    let two: Vec<&str> = path.split("::").take(2).collect();
    let long = two.join("::");
    if known(&long) {
        long
    } else {
        two[0].to_owned()
    }
}

#[test]
fn rooms_know_only_the_rooms_below_them() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.module != "lib") {
        let room = room_of(&source.module);
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{}: no such room in the plan", source.module));
            continue;
        };
        for path in paths(&source.code) {
            let own = path == room
                || path.starts_with(&format!("{room}::"))
                || room.starts_with(&format!("{path}::"))
                || path.split("::").next() == room.split("::").next();
            let fine = own
                || allowed
                    .iter()
                    .any(|it| path == *it || path.starts_with(&format!("{it}::")));
            // `crate::x` where x is a macro or an item of the crate's root is nobody's room
            let is_room = ROOMS
                .iter()
                .any(|(name, _)| path.split("::").next() == name.split("::").next());
            if is_room && !fine && !named_by_remote(&source.module, &path) {
                wrong.push(format!("{} names {path}", source.module));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The provider that speaks gRPC is the one exception to the plan.
fn named_by_remote(module: &str, path: &str) -> bool {
    module.starts_with("provider/remote") && path.starts_with("proto")
}

#[test]
fn crates_that_could_be_exchanged_are_named_in_one_place() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, allowed) in CRATES {
            let named = source.code.match_indices(name).any(|(at, _)| {
                let before = source.code[..at].chars().next_back();
                let after = source.code[at + name.len()..].chars().next();
                before.is_none_or(|c| !(c.is_alphanumeric() || c == '_'))
                    && source.code[at + name.len()..].starts_with("::")
                    && after == Some(':')
            });
            let fine = allowed.iter().any(|place| {
                source.module == *place
                    || (place.ends_with('/') && source.module.starts_with(place))
                    || source.module.starts_with(&format!("{place}/"))
            });
            if named && !fine {
                wrong.push(format!("{} names {name}", source.module));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_paths_reads_paths() {
    let code = "use crate::{\n  cache::{Digests, local::age},\n  domain::Answer, telemetry::events,\n};\nlet x = crate::service::Service::new();";
    let read: Vec<_> = paths(code).into_iter().collect();
    assert_eq!(read, ["cache", "domain", "service", "telemetry::events"]);
}
