//! Why a provider could not be made from its settings.

use super::{credentials::CredentialProblems, http::HttpClientError};

/// Why a provider could not be made. Nothing in it contains a secret or a URL.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Some of its secrets could not be had.
    #[error("secrets cannot be read")]
    Secrets(CredentialProblems),
    /// A setting does not fit this vendor.
    #[error("{0}: {1}")]
    Setting(&'static str, &'static str),
    /// Its HTTP client could not be made.
    #[error(transparent)]
    Http(#[from] HttpClientError),
}

impl SetupError {
    /// One line per problem: the configuration key below `[providers.NAME]`, and what is wrong.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Secrets(problems) => problems
                .iter()
                .map(|(key, error)| (*key, error.to_string()))
                .collect(),
            Self::Setting(key, problem) => vec![(*key, (*problem).to_owned())],
            Self::Http(error) => vec![(error.key(), error.to_string())],
        }
    }
}

impl From<CredentialProblems> for SetupError {
    fn from(problems: CredentialProblems) -> Self {
        Self::Secrets(problems)
    }
}
