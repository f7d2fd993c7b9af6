//! The closed vocabulary of everything that can go wrong, as callers read it in `ErrorInfo.reason`.

/// Makes an enum whose values know their name in the public vocabulary.
macro_rules! vocabulary {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $value,)+ }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$value,)+];

            /// The name that callers and operators know it by.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)+ }
            }
        }
    };
}
pub(crate) use vocabulary;

vocabulary! {
    /// What can be wrong with a field of a request.
    InvalidInput {
        /// Not a card number, or not the leading digits of one where those are allowed.
        CardNumber = "CARD_NUMBER_INVALID",
        /// Not a name.
        Name = "NAME_INVALID",
        /// Not a number of the given kind of identity document.
        IdNumber = "ID_NUMBER_INVALID",
        /// Not a mobile number of mainland China.
        Phone = "PHONE_INVALID",
        /// The given fields make neither 2 nor 3 nor 4 factors.
        Factors = "FACTORS_INVALID",
        /// Not a kind of identity document, or one without an ID number.
        IdentityType = "IDENTITY_TYPE_INVALID",
        /// Not a UUID.
        RequestId = "REQUEST_ID_INVALID",
        /// The request id was used before with other content.
        RequestIdReused = "REQUEST_ID_REUSED",
        /// Not a cache policy.
        CachePolicy = "CACHE_POLICY_INVALID",
        /// Not a consent reference, or one that contains a value of the request.
        ConsentReference = "CONSENT_REFERENCE_INVALID",
        /// No provider of that name is configured.
        ProviderUnknown = "PROVIDER_UNKNOWN",
    }
}

vocabulary! {
    /// Why there is no answer, apart from a request that is wrong by itself.
    Reason {
        /// The caller showed no credentials.
        CredentialsMissing = "CREDENTIALS_MISSING",
        /// The caller's credentials are not known.
        CredentialsInvalid = "CREDENTIALS_INVALID",
        /// The caller may not use this method.
        MethodNotAllowed = "METHOD_NOT_ALLOWED",
        /// The caller may not use this provider.
        ProviderNotAllowed = "PROVIDER_NOT_ALLOWED",
        /// The caller may not bypass the cache.
        BypassNotAllowed = "BYPASS_NOT_ALLOWED",
        /// The caller asks faster than it may, or has too many calls open.
        CallerRateLimited = "CALLER_RATE_LIMITED",
        /// The caller's budget for today is spent.
        CallerBudgetSpent = "CALLER_BUDGET_SPENT",
        /// Asking about this card once more could lock it at its bank.
        CardAttemptsExceeded = "CARD_ATTEMPTS_EXCEEDED",
        /// Every vendor that could answer has spent its budget for today.
        ProviderBudgetSpent = "PROVIDER_BUDGET_SPENT",
        /// The caller's store of request ids is full.
        RequestIdsExhausted = "REQUEST_IDS_EXHAUSTED",
        /// No vendor could be asked, or none ran the request.
        ProvidersUnavailable = "PROVIDERS_UNAVAILABLE",
        /// The process is about to stop.
        Draining = "DRAINING",
        /// Too much work at once.
        Overloaded = "OVERLOADED",
        /// The shared memory is lost and the operator prefers refusing to degrading.
        SharedStateUnavailable = "SHARED_STATE_UNAVAILABLE",
        /// The ledger could not be written, so nothing was sent.
        LedgerUnavailable = "LEDGER_UNAVAILABLE",
        /// A request reached a vendor and no usable answer came: it may have been charged.
        OutcomeUnknown = "OUTCOME_UNKNOWN",
        /// The caller's deadline passed first.
        DeadlineExceeded = "DEADLINE_EXCEEDED",
        /// No configured provider can do these factors or this kind of document.
        NoProvider = "NO_PROVIDER",
        /// Every provider that could answer is misconfigured or out of credit.
        ProviderMisconfigured = "PROVIDER_MISCONFIGURED",
        /// The vendor called our request invalid.
        ProviderRefused = "PROVIDER_REFUSED",
        /// The answer is not cached, and the caller wanted nothing else.
        NotCached = "NOT_CACHED",
        /// A defect of this service, before anything was sent.
        Internal = "INTERNAL",
    }
}
