//! From settings to what the service remembers with.

use std::{fs, sync::Arc};

use super::{Env, StartError};
use crate::{
    cache::{
        Digests,
        shared::{Address, RedisStore, Settings, Shared},
    },
    config::{Config, Problem, RedisSettings, secret::SecretRef},
};

/// The key of all keyed digests.
pub(super) fn digests(config: &Config, env: Env<'_>) -> Result<Digests, StartError> {
    let key = key("cache.key", config.cache.key.as_ref(), env)?;
    Ok(key.unwrap_or_else(Digests::random))
}

/// The one before it, while it is being exchanged.
pub(super) fn previous_digests(
    config: &Config,
    env: Env<'_>,
) -> Result<Option<Digests>, StartError> {
    key(
        "cache.previous_key",
        config.cache.previous_key.as_ref(),
        env,
    )
}

fn key(
    name: &str,
    reference: Option<&SecretRef>,
    env: Env<'_>,
) -> Result<Option<Digests>, StartError> {
    let Some(reference) = reference else {
        return Ok(None);
    };
    let key = reference
        .read(env)
        .map_err(|error| unusable(name, &error.to_string()))?;
    Ok(Some(Digests::new(key.expose().as_bytes())))
}

/// The store that all replicas share.
pub(super) fn shared_store(
    config: &Config,
    env: Env<'_>,
) -> Result<Option<Arc<dyn Shared>>, StartError> {
    let Some(redis) = &config.cache.redis else {
        return Ok(None);
    };
    let settings = Settings {
        address: address(redis, env)?,
        timeout: redis.timeout,
        prefix: redis.prefix.clone(),
        // the service's clock is the host's
        offset_ms: Arc::new(|| 0),
    };
    let store = RedisStore::new(settings)
        .map_err(|error| unusable("cache.redis.url", &error.to_string()))?;
    Ok(Some(Arc::new(store)))
}

fn address(redis: &RedisSettings, env: Env<'_>) -> Result<Address, StartError> {
    let url = redis.url.read(env);
    let url = url.map_err(|error| unusable("cache.redis.url", &error.to_string()))?;
    let authorities = redis.ca_file.as_ref().map(fs::read).transpose();
    let authorities = authorities.map_err(|error| {
        let detail = format!("cannot be read: {}", error.kind());
        unusable("cache.redis.ca_file", &detail)
    })?;
    Ok(Address { url, authorities })
}

fn unusable(key: &str, detail: &str) -> StartError {
    StartError::Settings(vec![Problem::new(key, detail)])
}
