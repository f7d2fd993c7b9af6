//! `docs/ERRORS.md`, written from the tables that statuses are made from.
//!
//! What a caller does after an error is decided here for every reason, in matches without a
//! wildcard: a new reason does not compile until somebody has thought about it.

use super::{
    client::code_name,
    status::{code, message},
};
use crate::domain::{AttemptOutcome, InvalidInput, Reason};

const HEAD: &str = "\
# Errors

<!-- Written by `cargo run --example generate-docs -- --write` from the tables of the program: do
not edit here. -->

A vendor's answer is never an error: whatever it says, the gRPC status is OK and `verdict` decides. An error means that
there is no answer. Every error of cardproof carries one `google.rpc.ErrorInfo` of the domain `cardproof`; decide by its
`reason` and by the gRPC code, never by the text. No text of an error contains a value of the request.

An error **without** such an `ErrorInfo` was not made by cardproof but by the client's own library, a proxy or a mesh.
Whether a vendor was asked is then not known, also where the code is UNAVAILABLE: ask again only with the same
`request_id`, under the rule of [CLIENTS.md](CLIENTS.md#the-service-config).

How to read the columns:

- **retry**: *yes*: surely no vendor ran it, so the same request may be sent again by itself, after the delay in
  `RetryInfo`. *later*: not by itself; it is of no use before `RetryInfo` says so, or before somebody has changed
  something. *same id*: asked again with the same `request_id` it brings the answer that came meanwhile, at no further
  cost. *no*: the same request gets the same error.
- **money spent**: whether a vendor may have charged for this call.
";

/// The one code that belongs to no reason: reasons of other codes come with it.
const UNIMPLEMENTED: &str = "
## UNIMPLEMENTED

The protocol asks for this code. No vendor was asked and nothing was spent. Retry: no. It comes with one of two reasons:

- METHOD_NOT_ALLOWED: there is no such method or service. Generate the client from `proto/bankcard/v1/`.
- FACTORS_INVALID: the message is compressed in a way that is not understood here; `grpc-accept-encoding` says what is.
  Send messages uncompressed.
";

const AFTER: &str = "\
## What each vendor said

The metadata of PROVIDERS_UNAVAILABLE, OVERLOADED, PROVIDER_MISCONFIGURED, PROVIDER_REFUSED and PROVIDER_BUDGET_SPENT
name each provider that was considered, with one of these words; the same stand in `attempts` of an answer that took
more than one try. A word that is more precise than the outcome (CLOCK_SKEWED, NONCE_REUSED) is explained in
[PROVIDERS.md](PROVIDERS.md#what-an-error-means).

";

/// Whether the same request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    Yes,
    Later,
    SameId,
    No,
}

impl Retry {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Later => "later",
            Self::SameId => "same id",
            Self::No => "no",
        }
    }
}

/// The whole page.
#[must_use]
pub fn errors_page() -> String {
    let mut text = HEAD.to_owned();
    text.push_str(&invalid_argument());
    text.push_str(UNIMPLEMENTED);
    let mut codes = Vec::new();
    for reason in Reason::ALL {
        if !codes.contains(&code(*reason)) {
            codes.push(code(*reason));
        }
    }
    for code_of_section in codes {
        text.push_str(&format!("\n## {}\n\n", code_name(code_of_section)));
        text.push_str("| reason | what it means | retry | money spent | what to do |\n");
        text.push_str("| --- | --- | --- | --- | --- |\n");
        let reasons = Reason::ALL.iter().copied();
        for reason in reasons.filter(|reason| code(*reason) == code_of_section) {
            text.push_str(&format!(
                "| `{}` | {} | {} | {} | {} |\n",
                reason.as_str(),
                message(reason),
                retry(reason).as_str(),
                if may_have_cost(reason) { "maybe" } else { "no" },
                what_to_do(reason)
            ));
        }
    }
    text.push_str(&format!(
        "\n{AFTER}| outcome | what it means |\n| --- | --- |\n"
    ));
    for outcome in AttemptOutcome::ALL {
        text.push_str(&format!(
            "| `{}` | {} |\n",
            outcome.as_str(),
            outcome_means(*outcome)
        ));
    }
    text
}

fn invalid_argument() -> String {
    let mut text = "
## INVALID_ARGUMENT

The request is wrong. No vendor was asked and nothing was spent. `BadRequest` lists every violation at once, each with
the path of its field and its own reason; the reason of `ErrorInfo` is the first in the order of the fields. Retry: no.

So is a message that is longer than `server.max_message_bytes`, is missing, or cannot be read: with the reason of the
field at which the reading ended, else FACTORS_INVALID and no path.

| reason | what is wrong | what to do |
| --- | --- | --- |
"
    .to_owned();
    for reason in InvalidInput::ALL {
        let (wrong, mend) = input(*reason);
        text.push_str(&format!("| `{}` | {wrong} | {mend} |\n", reason.as_str()));
    }
    text
}

const fn input(reason: InvalidInput) -> (&'static str, &'static str) {
    match reason {
        InvalidInput::CardNumber => (
            "not a card number: 12 to 19 digits, blanks and hyphens aside; for card information \
             the first 6 to 11 digits will do; with `input.luhn = \"enforce\"` the check digit \
             counts",
            "ask for the number again",
        ),
        InvalidInput::Name => (
            "not a name: 1 to 100 letters of any script, with blanks, hyphens, apostrophes and the \
             middle dot between them",
            "ask for the name as the bank knows it",
        ),
        InvalidInput::IdNumber => (
            "not a number of this kind of document: a resident identity card has 18 characters \
             with a birth date and a check character, others 5 to 32 letters, digits, `-`, `(`, `)`",
            "ask for the number again",
        ),
        InvalidInput::Phone => (
            "not a mobile number of mainland China: 11 digits, with or without +86",
            "ask for the number that the bank has",
        ),
        InvalidInput::Factors => (
            "the fields make no set of factors: name; name and ID number; name, ID number and phone",
            "send one of the three sets",
        ),
        InvalidInput::IdentityType => (
            "not a kind of identity document, or one without an ID number",
            "send a value of `IdentityType`",
        ),
        InvalidInput::RequestId => ("not a UUID", "send a fresh UUID for each question"),
        InvalidInput::RequestIdReused => (
            "this caller used the same `request_id` for another question",
            "mend the program: one id belongs to one question",
        ),
        InvalidInput::CachePolicy => (
            "not a cache mode, or a negative `max_age`",
            "send a value of `CacheMode`, and an age of zero or more",
        ),
        InvalidInput::ConsentReference => (
            "longer than 64 printable ASCII characters, or it contains a value of the request",
            "send an opaque reference",
        ),
        InvalidInput::ProviderUnknown => (
            "`provider` is no name of the configuration",
            "leave it empty, or send a name that the operator told you",
        ),
    }
}

const fn retry(reason: Reason) -> Retry {
    match reason {
        Reason::ProvidersUnavailable
        | Reason::Draining
        | Reason::Overloaded
        | Reason::SharedStateUnavailable
        | Reason::LedgerUnavailable => Retry::Yes,
        Reason::CallerRateLimited
        | Reason::CallerBudgetSpent
        | Reason::CardAttemptsExceeded
        | Reason::ProviderBudgetSpent
        | Reason::RequestIdsExhausted
        | Reason::OutcomeUnknown
        | Reason::ProviderMisconfigured => Retry::Later,
        Reason::DeadlineExceeded => Retry::SameId,
        Reason::CredentialsMissing
        | Reason::CredentialsInvalid
        | Reason::MethodNotAllowed
        | Reason::ProviderNotAllowed
        | Reason::BypassNotAllowed
        | Reason::NoProvider
        | Reason::ProviderRefused
        | Reason::NotCached
        | Reason::Internal => Retry::No,
    }
}

const fn may_have_cost(reason: Reason) -> bool {
    match reason {
        Reason::OutcomeUnknown | Reason::DeadlineExceeded => true,
        Reason::CredentialsMissing
        | Reason::CredentialsInvalid
        | Reason::MethodNotAllowed
        | Reason::ProviderNotAllowed
        | Reason::BypassNotAllowed
        | Reason::CallerRateLimited
        | Reason::CallerBudgetSpent
        | Reason::CardAttemptsExceeded
        | Reason::ProviderBudgetSpent
        | Reason::RequestIdsExhausted
        | Reason::ProvidersUnavailable
        | Reason::Draining
        | Reason::Overloaded
        | Reason::SharedStateUnavailable
        | Reason::LedgerUnavailable
        | Reason::NoProvider
        | Reason::ProviderMisconfigured
        | Reason::ProviderRefused
        | Reason::NotCached
        | Reason::Internal => false,
    }
}

const fn what_to_do(reason: Reason) -> &'static str {
    match reason {
        Reason::CredentialsMissing => {
            "send `authorization: Bearer …`, or connect with a client certificate, as the operator \
             demands"
        }
        Reason::CredentialsInvalid => "get a token or certificate that the operator has configured",
        Reason::MethodNotAllowed => "ask the operator for the method (`clients.NAME.methods`)",
        Reason::ProviderNotAllowed => {
            "pin no provider, or ask the operator for it (`clients.NAME.providers`)"
        }
        Reason::BypassNotAllowed => {
            "use the cache, or ask the operator for `clients.NAME.allow_bypass`"
        }
        Reason::CallerRateLimited => "slow down; `RetryInfo` says by how much",
        Reason::CallerBudgetSpent => {
            "wait for midnight in Asia/Shanghai, or ask the operator for more \
             (`clients.NAME.daily_budget`)"
        }
        Reason::CardAttemptsExceeded => {
            "do not ask about this card before `RetryInfo` says so: its bank could lock it for its \
             holder; what is known already is still answered"
        }
        Reason::ProviderBudgetSpent => {
            "wait for midnight in Asia/Shanghai; operator: `providers.NAME.daily_budget`"
        }
        Reason::RequestIdsExhausted => {
            "wait until ids are forgotten (`idempotency.window_s`); operator: \
             `idempotency.max_entries_per_caller`"
        }
        Reason::ProvidersUnavailable => {
            "retry; when it stays, the operator looks at `/status` and at the metadata, which has \
             the reason of each provider"
        }
        Reason::Draining => "retry: another replica answers",
        Reason::Overloaded => "retry with growing pauses, and with fewer calls at once",
        Reason::SharedStateUnavailable => {
            "retry; operator: Redis is out of reach and `cache.redis.on_loss` is `\"refuse\"`"
        }
        Reason::LedgerUnavailable => {
            "retry; operator: the disk of `telemetry.ledger_file` is full \
             or cannot be written"
        }
        Reason::OutcomeUnknown => {
            "treat the card as not verified; the question is held for \
             `cache.outcome_unknown_hold_s` and answered so again without a vendor call, after \
             that it may be asked anew. The metadata names the provider, and the vendor's request \
             id where there is one, to ask the vendor about"
        }
        Reason::DeadlineExceeded => {
            "ask again later; the vendor's late answer is kept. The metadata says in which stage \
             the time ran out"
        }
        Reason::NoProvider => {
            "ask with other factors, or have the operator route a provider that can do these \
             (`routes`, `providers.NAME.identity_types`)"
        }
        Reason::ProviderMisconfigured => {
            "tell the operator: credentials, permissions or credit at the vendors are to be mended"
        }
        Reason::ProviderRefused => {
            "tell the operator: the vendor called the request malformed, which no caller can mend"
        }
        Reason::NotCached => "ask without ONLY_IF_CACHED, if it may cost something",
        Reason::Internal => "report it; the log has the place",
    }
}

const fn outcome_means(outcome: AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Answered => "the vendor answered",
        AttemptOutcome::NotSent => "the request surely did not leave",
        AttemptOutcome::Throttled => "there was no room, here or at the vendor; it was not run",
        AttemptOutcome::BreakerOpen => {
            "the vendor's calls kept failing, so it is left alone for a while"
        }
        AttemptOutcome::Misconfigured => "the vendor does not accept our credentials or settings",
        AttemptOutcome::OutOfCredit => "our account at the vendor is empty",
        AttemptOutcome::BudgetSpent => "our own budget for the vendor is spent for today",
        AttemptOutcome::Refused => "the vendor called the request invalid",
        AttemptOutcome::OutcomeUnknown => "the request may have run and been charged",
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn the_committed_page_is_up_to_date() {
        let committed = include_str!("../../docs/ERRORS.md");
        assert!(
            committed == errors_page(),
            "docs/ERRORS.md differs: cargo run --example generate-docs -- --write"
        );
    }

    /// The codes of the contract say it a second way: UNAVAILABLE is what clients repeat, and only
    /// where a vendor may have been asked can money be gone.
    #[test]
    fn what_is_repeated_by_itself_surely_cost_nothing() {
        for reason in Reason::ALL.iter().copied() {
            let unavailable = code(reason) == Code::Unavailable;
            assert_eq!(retry(reason) == Retry::Yes, unavailable, "{reason:?}");
            let asked = matches!(code(reason), Code::Unknown | Code::DeadlineExceeded);
            assert_eq!(may_have_cost(reason), asked, "{reason:?}");
        }
    }

    #[test]
    fn every_reason_has_one_row() {
        let page = errors_page();
        // the outcomes of attempts below share some of the names
        let (page, _) = page.split_once(AFTER).unwrap();
        let names = InvalidInput::ALL.iter().map(|reason| reason.as_str());
        for name in names.chain(Reason::ALL.iter().map(|reason| reason.as_str())) {
            assert_eq!(
                page.matches(&format!("\n| `{name}` |")).count(),
                1,
                "{name}"
            );
        }
    }
}
