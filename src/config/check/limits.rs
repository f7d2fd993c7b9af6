//! Times that must fit into each other, what is remembered, and how often a card is asked about.

use crate::config::{Config, reader::Report};

/// Issuers lock a card after this many calls in a day.
const ISSUERS_CALLS: u32 = 10;
/// Mismatches that leave the card holder a try before issuers lock the card.
const SAFE_MISMATCHES: u32 = 2;

/// `[server]` against the timeouts of the providers.
pub(super) fn times(config: &Config, report: &Report) {
    let server = &config.server;
    if server.min_attempt > server.max_deadline
        && report.is_clean("server.min_attempt_ms")
        && report.is_clean("server.max_deadline_ms")
    {
        let message = "must not be more than server.max_deadline_ms";
        report.problem("server.min_attempt_ms", message);
    }
    for provider in &config.providers {
        let path = format!("providers.{}", provider.name);
        let longest = provider.vendor.connect_timeout + provider.vendor.timeout;
        if longest > server.shutdown_timeout
            && !provider.kind.is_embedded()
            && report.is_clean(&format!("{path}.timeout_ms"))
            && report.is_clean(&format!("{path}.connect_timeout_ms"))
            && report.is_clean("server.shutdown_timeout_ms")
        {
            report.problem(
                format!("{path}.timeout_ms"),
                "together with connect_timeout_ms must fit into server.shutdown_timeout_ms",
            );
        }
    }
}

/// `[cache]` and `[cache.redis]`
pub(super) fn cache(config: &Config, report: &Report) {
    let cache = &config.cache;
    let has_vendor = config.providers.iter().any(|it| !it.kind.is_embedded());
    if cache.key.is_none() && report.is_clean("cache.key") {
        if cache.redis.is_some() {
            report.problem("cache.key", "is needed for cache.redis");
        } else if has_vendor {
            report.warning(
                "cache.key",
                "there is none, so that a restart forgets answers, attempts of cards, holds, \
                 request ids and budgets",
            );
        }
        if cache.previous_key.is_some() {
            report.problem("cache.previous_key", "makes no sense without cache.key");
        }
    }
    if cache.key.is_some() && cache.key == cache.previous_key {
        report.problem("cache.previous_key", "must not be the same as cache.key");
    }
    if config.server.replicas > 1 && cache.redis.is_none() && has_vendor {
        report.warning(
            "server.replicas",
            "without cache.redis each replica keeps its own cache and counts, so that the same \
             question may be paid for once in each",
        );
    }
}

/// `[guard]`
pub(super) fn guard(config: &Config, report: &Report) {
    if config.guard.max_mismatches > SAFE_MISMATCHES {
        report.warning(
            "guard.max_mismatches",
            "above 2 uses up the last try before issuers lock a card",
        );
    }
    if config.guard.max_calls > ISSUERS_CALLS {
        report.warning(
            "guard.max_calls",
            "above 10 exceeds what issuers allow in a day before they lock a card",
        );
    }
}
