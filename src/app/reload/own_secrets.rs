//! The secrets that are the service's own, and what may follow on what.

use subtle::ConstantTimeEq as _;

use super::ProcessEnv;
use crate::{
    cache::Digests,
    config::{
        Config, Problems,
        secret::{Secret, SecretRef},
    },
    service::Service,
};

const KEY: &str = "cache.key";
const PREVIOUS_KEY: &str = "cache.previous_key";
const REDIS_URL: &str = "cache.redis.url";
const ADMIN_TOKEN: &str = "admin.token";

/// The secrets that are the service's own and not a vendor's.
#[derive(Clone, Default)]
pub(super) struct OwnSecrets {
    cache_key: Option<Secret>,
    previous_key: Option<Secret>,
    redis_url: Option<Secret>,
    pub(super) admin_token: Option<Secret>,
}

/// Where they are, each with its key.
pub(super) fn references(config: &Config) -> [(&'static str, Option<&SecretRef>); 4] {
    let redis = config.cache.redis.as_ref();
    [
        (KEY, config.cache.key.as_ref()),
        (PREVIOUS_KEY, config.cache.previous_key.as_ref()),
        (REDIS_URL, redis.map(|redis| &redis.url)),
        (ADMIN_TOKEN, config.admin_token.as_ref()),
    ]
}

impl OwnSecrets {
    /// Reads all of them.
    ///
    /// # Errors
    /// The first that cannot be read.
    pub(super) fn read(config: &Config, env: ProcessEnv) -> Result<Self, Problems> {
        let mut own = Self::default();
        for (key, reference) in references(config) {
            let secret = read(reference, env).map_err(|problem| Problems::one(key, problem))?;
            *own.named(key) = secret;
        }
        Ok(own)
    }

    /// Has the service use the keys from now on; nothing where its key is a random one.
    pub(super) fn hand_on(&self, service: &Service) {
        let digests = |key: &Secret| Digests::new(key.expose().as_bytes());
        if let Some(key) = &self.cache_key {
            service.change_keys(digests(key), self.previous_key.as_ref().map(digests));
        }
    }

    /// What is in force afterwards: the connection to Redis stays what it was.
    pub(super) fn beside_the_connection_of(self, before: &Self) -> Self {
        Self {
            redis_url: before.redis_url.clone(),
            ..self
        }
    }

    fn named(&mut self, key: &str) -> &mut Option<Secret> {
        match key {
            KEY => &mut self.cache_key,
            PREVIOUS_KEY => &mut self.previous_key,
            REDIS_URL => &mut self.redis_url,
            _ => &mut self.admin_token,
        }
    }

    /// The keys of those that are others than before.
    pub(super) fn other_than(&self, before: &Self) -> impl Iterator<Item = &'static str> {
        [
            (KEY, &self.cache_key, &before.cache_key),
            (PREVIOUS_KEY, &self.previous_key, &before.previous_key),
            (REDIS_URL, &self.redis_url, &before.redis_url),
            (ADMIN_TOKEN, &self.admin_token, &before.admin_token),
        ]
        .into_iter()
        .filter_map(|(key, now, before)| (!same(now.as_ref(), before.as_ref())).then_some(key))
        .collect::<Vec<_>>()
        .into_iter()
    }

    /// What was counted and remembered under the old key must be found under the new one.
    ///
    /// # Errors
    /// When they would not be.
    pub(super) fn may_follow(&self, before: &Self) -> Result<(), Problems> {
        let is_same = same(self.cache_key.as_ref(), before.cache_key.as_ref());
        let is_kept = before.cache_key.is_some()
            && same(self.previous_key.as_ref(), before.cache_key.as_ref());
        if is_same || is_kept {
            return Ok(());
        }
        let message = if before.cache_key.is_some() {
            "is new, and the key in use is not cache.previous_key: attempts of cards would be forgotten"
        } else {
            "is new, and the key in use is a random one: attempts of cards would be forgotten; needs a restart"
        };
        Err(Problems::one(KEY, message))
    }
}

fn same(one: Option<&Secret>, other: Option<&Secret>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            bool::from(one.expose().as_bytes().ct_eq(other.expose().as_bytes()))
        }
        (None, None) => true,
        _ => false,
    }
}

/// Reads one; its problem names neither path nor variable.
pub(super) fn read(
    reference: Option<&SecretRef>,
    env: ProcessEnv,
) -> Result<Option<Secret>, &'static str> {
    let read = reference.map(|reference| reference.read(&env)).transpose();
    read.map_err(|_| "cannot be read")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing_new(Some("old"), Some("old"), None, true)]
    #[case::the_first_step_of_a_rotation(Some("old"), Some("old"), Some("new"), true)]
    #[case::the_second(Some("old"), Some("new"), Some("old"), true)]
    #[case::the_third(Some("new"), Some("new"), None, true)]
    #[case::all_at_once(Some("old"), Some("new"), None, false)]
    #[case::with_another_one_before(Some("old"), Some("new"), Some("older"), false)]
    #[case::no_key_any_more(Some("old"), None, None, false)]
    #[case::a_random_one_before(None, Some("new"), None, false)]
    #[case::a_random_one_all_along(None, None, None, true)]
    fn a_key_follows_only_on_the_one_that_is_kept(
        #[case] before: Option<&str>,
        #[case] key: Option<&str>,
        #[case] previous: Option<&str>,
        #[case] allowed: bool,
    ) {
        let secret = |text: Option<&str>| text.map(|text| Secret::new(text.to_owned()));
        let before = OwnSecrets {
            cache_key: secret(before),
            ..OwnSecrets::default()
        };
        let after = OwnSecrets {
            cache_key: secret(key),
            previous_key: secret(previous),
            ..OwnSecrets::default()
        };
        assert_eq!(after.may_follow(&before).is_ok(), allowed);
    }

    #[test]
    fn names_what_is_other_than_before() {
        let token = |text: &str| OwnSecrets {
            admin_token: Some(Secret::new(text.to_owned())),
            ..OwnSecrets::default()
        };
        let other = |one: &OwnSecrets, two: &OwnSecrets| one.other_than(two).collect::<Vec<_>>();
        assert!(other(&token("a"), &token("a")).is_empty());
        assert_eq!(other(&token("a"), &token("b")), [ADMIN_TOKEN]);
        assert_eq!(other(&token("a"), &OwnSecrets::default()), [ADMIN_TOKEN]);
    }
}
