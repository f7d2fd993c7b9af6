//! Names of configured providers.

use std::{borrow::Borrow, collections::BTreeSet, fmt};

use parking_lot::Mutex;

/// All names that there are. A configuration holds a few, and every answer carries one: a counted
/// reference would be a place in memory that all cores write to with every call.
static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// The name that the operator gave a provider: `[a-z][a-z0-9_]*`.
///
/// A name lives as long as the process, so only an operator's words may become one. What a caller
/// sends is compared with the names that there are.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderName(&'static str);

impl ProviderName {
    /// Longer names are refused: they are label values of metrics.
    pub const MAX_LEN: usize = 40;

    /// Takes a name; `None` when it is not of that form.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        if !is_identifier(name) {
            return None;
        }
        let mut names = NAMES.lock();
        let known = names.get(name).copied();
        Some(Self(known.unwrap_or_else(|| {
            let kept: &'static str = Box::leak(name.into());
            names.insert(kept);
            kept
        })))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0
    }
}

impl Borrow<str> for ProviderName {
    fn borrow(&self) -> &str {
        self.0
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
        f.write_str(self.0)
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        let [one, other] = ["kept_once"; 2].map(|name| ProviderName::new(name).unwrap());
        assert!(std::ptr::eq(one.as_str(), other.as_str()));
    }

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
