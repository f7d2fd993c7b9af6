//! Names of configured providers.

use std::{fmt, sync::Arc};

/// The name that the operator gave a provider: `[a-z][a-z0-9_]*`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderName(Arc<str>);

impl ProviderName {
    /// Longer names are refused: they are label values of metrics.
    pub const MAX_LEN: usize = 40;

    /// Takes a name; `None` when it is not of that form.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        is_identifier(name).then(|| Self(Arc::from(name)))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text can name a provider or a client.
#[must_use]
pub fn is_identifier(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() <= ProviderName::MAX_LEN
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_')
}

impl fmt::Debug for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers() {
        for good in ["ace", "tencent_2", "a"] {
            assert!(ProviderName::new(good).is_some(), "{good}");
        }
        for bad in ["", "Ace", "2ace", "ace-1", "ace.1", "密", &"a".repeat(41)] {
            assert!(ProviderName::new(bad).is_none(), "{bad}");
        }
    }
}
