//! Who may change something on the admin port.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Env, StartError};
use crate::config::{Config, Problem, secret::Secret};

/// The digest of the operator's token, if there is one. May be exchanged while it is used.
#[derive(Default)]
pub(super) struct AdminToken {
    digest: ArcSwapOption<[u8; 32]>,
}

impl AdminToken {
    /// The token of a configuration.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of(config: &Config, env: Env<'_>) -> Result<Self, StartError> {
        let token = config.admin_token.as_ref().map(|token| token.read(env));
        let token = token.transpose().map_err(|error| {
            StartError::Settings(vec![Problem::new("admin.token", error.to_string())])
        })?;
        let it = Self::default();
        it.replace(token.as_ref());
        Ok(it)
    }

    /// Another token from now on, or none.
    pub(super) fn replace(&self, token: Option<&Secret>) {
        let digest = token.map(|token| Arc::new(Sha256::digest(token.expose()).into()));
        self.digest.store(digest);
    }

    /// Whether there is a token at all.
    pub(super) fn is_set(&self) -> bool {
        self.digest.load().is_some()
    }

    /// Whether this is it. Takes the same time whatever is shown.
    pub(super) fn is(&self, shown: &[u8]) -> bool {
        let presented: [u8; 32] = Sha256::digest(shown).into();
        let digest = self.digest.load();
        digest
            .as_ref()
            .is_some_and(|digest| bool::from(digest.ct_eq(&presented)))
    }
}
