//! What is wrong with a request: a field and a reason, never the value.

use super::reason::InvalidInput;

/// A field of a request, by the path that callers know it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The message as a whole, which has no path.
    Message,
    /// `bank_card`
    BankCard,
    /// `name`
    Name,
    /// `id_number`
    IdNumber,
    /// `phone`
    Phone,
    /// `identity_type`
    IdentityType,
    /// `cache.mode`
    CacheMode,
    /// `cache.max_age`
    CacheMaxAge,
    /// `provider`
    Provider,
    /// `request_id`
    RequestId,
    /// `consent_reference`
    ConsentReference,
}

impl Field {
    /// The field's path in the request message.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Message => "",
            Self::BankCard => "bank_card",
            Self::Name => "name",
            Self::IdNumber => "id_number",
            Self::Phone => "phone",
            Self::IdentityType => "identity_type",
            Self::CacheMode => "cache.mode",
            Self::CacheMaxAge => "cache.max_age",
            Self::Provider => "provider",
            Self::RequestId => "request_id",
            Self::ConsentReference => "consent_reference",
        }
    }
}

/// One thing that is wrong with a request.
///
/// Ordered by field, so that the first of a sorted list is the one that callers see first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Where.
    pub field: Field,
    /// What, in one word.
    pub reason: InvalidInput,
    /// What, in a sentence that never contains the value.
    pub detail: &'static str,
}

impl Violation {
    /// A violation of `field`.
    #[must_use]
    pub const fn new(field: Field, reason: InvalidInput, detail: &'static str) -> Self {
        Self {
            field,
            reason,
            detail,
        }
    }
}

/// Why a value could not be parsed: a sentence without the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);
