//! What the service remembers: `[cache]`, `[guard]`, `[idempotency]`, `[breaker]`.

use std::time::Duration;

use toml::Value;

use crate::config::{
    BreakerSettings, CacheSettings, GuardSettings, IdempotencySettings, OnLoss, RedisSettings,
    Share, TtlSettings,
    reader::{Section, form},
    secret::SecretRef,
};

const DAY_S: u64 = 86_400;
const YEAR_S: u64 = 365 * DAY_S;
const BYTES_PER_MIB: u64 = 1024 * 1024;
const MAX_PREFIX_CHARS: usize = 64;

pub(super) fn cache(mut section: Section<'_>) -> CacheSettings {
    const SHARES: &[(&str, Share)] = &[("caller", Share::Caller), ("all", Share::All)];
    let mebibytes: u64 = section.number("capacity_mb", 1..=1_048_576);
    let settings = CacheSettings {
        capacity_bytes: mebibytes * BYTES_PER_MIB,
        share: section.or("share", form::choice(SHARES), Share::Caller),
        key: section.secret("key"),
        previous_key: section.secret("previous_key"),
        outcome_unknown_hold: section.seconds("outcome_unknown_hold_s", 1..=DAY_S),
        ttl: ttl(section.section("ttl_s")),
        redis: section.optional_section("redis").map(redis),
    };
    section.finish();
    settings
}

fn ttl(mut section: Section<'_>) -> TtlSettings {
    let mut ttl = |key| section.seconds(key, 0..=YEAR_S);
    let settings = TtlSettings {
        matched: ttl("match"),
        mismatch: ttl("mismatch"),
        card_problem: ttl("card_problem"),
        input_rejected: ttl("input_rejected"),
        inconclusive: ttl("inconclusive"),
        card_info: ttl("card_info"),
        card_info_stale: ttl("card_info_stale"),
    };
    section.finish();
    settings
}

fn redis(mut section: Section<'_>) -> RedisSettings {
    const LOSSES: &[(&str, OnLoss)] = &[("degrade", OnLoss::Degrade), ("refuse", OnLoss::Refuse)];
    let millis = form::number(1..=10_000);
    // an address that is missing is a problem, so the nameless variable is never looked up
    let nowhere = || SecretRef::Env(String::new());
    let settings = RedisSettings {
        url: section
            .required("url", form::secret)
            .unwrap_or_else(nowhere),
        ca_file: section.optional("ca_file", form::path),
        timeout: Duration::from_millis(section.or("timeout_ms", millis, 20)),
        on_loss: section.or("on_loss", form::choice(LOSSES), OnLoss::Degrade),
        prefix: section.or("prefix", prefix, "cardproof".to_owned()),
    };
    section.finish();
    settings
}

fn prefix(value: &Value) -> Result<String, String> {
    let allowed = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.' | ':');
    form::text(value)
        .ok()
        .filter(|prefix| prefix.len() <= MAX_PREFIX_CHARS && prefix.chars().all(allowed))
        .ok_or_else(|| {
            format!("must be 1 to {MAX_PREFIX_CHARS} of letters, digits and the characters _-.:")
        })
}

pub(super) fn guard(mut section: Section<'_>) -> GuardSettings {
    let settings = GuardSettings {
        max_calls: section.number("max_calls", 1..=1000),
        max_mismatches: section.number("max_mismatches", 1..=100),
        caller_share: section.part("caller_share"),
    };
    section.finish();
    settings
}

pub(super) fn idempotency(mut section: Section<'_>) -> IdempotencySettings {
    let settings = IdempotencySettings {
        window: section.seconds("window_s", 60..=30 * DAY_S),
        max_entries_per_caller: section.number("max_entries_per_caller", 1..=100_000_000),
    };
    section.finish();
    settings
}

pub(super) fn breaker(mut section: Section<'_>) -> BreakerSettings {
    let settings = BreakerSettings {
        enabled: section.flag("enabled"),
        window: section.seconds("window_s", 1..=3600),
        min_calls: section.number("min_calls", 1..=1_000_000),
        failure_ratio: section.part("failure_ratio"),
        open: section.seconds("open_s", 1..=3600),
    };
    section.finish();
    settings
}
