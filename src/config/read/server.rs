//! `[server]` and `[server.tls]`.

use std::net::{Ipv4Addr, SocketAddr};

use crate::config::{
    ServerSettings, TlsSettings,
    reader::{Section, form},
};

/// The largest count of anything.
const MAX_COUNT: u64 = 10_000_000;
const MAX_HTTP2_STREAMS: u64 = 2_147_483_647;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

pub(super) fn read(mut section: Section<'_>) -> ServerSettings {
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let workers: usize = section.number("workers", 0..=1024);
    let settings = ServerSettings {
        listen: section.or("listen", form::address, nowhere),
        admin_listen: section.or("admin_listen", form::address, nowhere),
        reflection: section.flag("reflection"),
        workers: (workers > 0).then_some(workers),
        replicas: section.number("replicas", 1..=10_000),
        max_deadline: section.millis("max_deadline_ms", 1..=HOUR_MS),
        min_attempt: section.millis("min_attempt_ms", 0..=HOUR_MS),
        max_connections: section.number("max_connections", 1..=MAX_COUNT),
        max_concurrent_streams: section.number("max_concurrent_streams", 1..=MAX_HTTP2_STREAMS),
        max_in_flight: section.number("max_in_flight", 1..=MAX_COUNT),
        max_queue: section.millis("max_queue_ms", 0..=60_000),
        max_message_bytes: section.number("max_message_bytes", 1024..=4_194_304),
        max_connection_age: section.millis("max_connection_age_ms", 1000..=DAY_MS),
        drain_delay: section.millis("drain_delay_ms", 0..=600_000),
        shutdown_timeout: section.millis("shutdown_timeout_ms", 1..=HOUR_MS),
        insecure: section.flag("insecure"),
        tls: section.optional_section("tls").map(tls),
    };
    section.finish();
    settings
}

fn tls(mut section: Section<'_>) -> TlsSettings {
    const VERSIONS: &[(&str, bool)] = &[("1.2", false), ("1.3", true)];
    let settings = TlsSettings {
        // a path that is missing is a problem, so the empty one is never used
        cert_file: section
            .required("cert_file", form::path)
            .unwrap_or_default(),
        key_file: section.required("key_file", form::path).unwrap_or_default(),
        client_ca_file: section.optional("client_ca_file", form::path),
        tls13_only: section.or("min_version", form::choice(VERSIONS), false),
    };
    section.finish();
    settings
}
