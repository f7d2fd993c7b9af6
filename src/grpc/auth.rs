//! Who calls, and whether that caller may.
//!
//! A call is judged by its head alone, before its message is read: whoever may not call costs no
//! more than the refusal.

mod admission;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http::{HeaderMap, header::AUTHORIZATION};
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use tokio::time::Instant;

use super::{
    limits::{Gate, Permit},
    path_switch::HOT_PREFIX,
    tls::PeerNames,
};
use crate::{
    config::{AuthMode, ClientSettings},
    domain::Reason,
    service::{
        ask::Caller,
        budget::Budget,
        denial::{Denial, Refusal},
        limiter::Limiter,
    },
};

/// When to come again for a caller with too many calls open: nobody knows when one of them ends.
const CALLS_END_SOON: Duration = Duration::from_secs(1);
/// The length of a token's digest.
const DIGEST_BYTES: usize = 32;

/// A method of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `VerifyBankCard`
    Verify,
    /// `QueryCardInfo`
    CardInfo,
}

impl Method {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "VerifyBankCard",
            Self::CardInfo => "QueryCardInfo",
        }
    }

    /// The method of a path of the service; `None` for one that does not exist.
    pub(super) fn of(path: &str) -> Option<Self> {
        let name = path.strip_prefix(HOT_PREFIX)?;
        [Self::Verify, Self::CardInfo]
            .into_iter()
            .find(|method| method.as_str() == name)
    }
}

/// Everybody who may call. Whoever that is may change while calls are served.
pub struct Callers {
    mode: AuthMode,
    by: ArcSwap<By>,
}

/// What callers are told apart by.
enum By {
    /// Nothing: there is one.
    Nothing,
    Token(Vec<([u8; DIGEST_BYTES], Arc<Client>)>),
    Certificate(BTreeMap<String, Arc<Client>>),
}

/// One caller, and what it may do.
struct Client {
    caller: Arc<Caller>,
    may_verify: bool,
    may_query_card_info: bool,
    rate: Option<(u32, Arc<Limiter>)>,
    calls: Option<Gate>,
}

impl Client {
    /// A caller; `before` is what it was until now, if it was there: what it has spent and what it
    /// has under way go on to count.
    fn new(name: &str, settings: &ClientSettings, before: Option<&Self>) -> Self {
        let providers = settings.providers.as_ref();
        let limit = settings.daily_budget.clone();
        let rate = settings.requests_per_second.map(|limit| {
            let same = before.and_then(|before| before.rate.clone());
            same.filter(|(known, _)| *known == limit)
                .unwrap_or_else(|| (limit, Arc::new(Limiter::exact(Some(limit)))))
        });
        let calls = settings.concurrent.map(|most| {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let same = before.and_then(|before| before.calls.clone());
            same.filter(|gate| gate.most() == most)
                .unwrap_or_else(|| Gate::new(most))
        });
        Self {
            caller: Arc::new(Caller {
                name: before.map_or_else(|| Arc::from(name), |it| Arc::clone(&it.caller.name)),
                providers: providers.map(|names| names.iter().cloned().collect()),
                may_bypass: settings.allow_bypass,
                budget: match before {
                    Some(before) => before.caller.budget.with_limit(limit),
                    None => Budget::new(limit),
                },
            }),
            may_verify: settings.may_verify,
            may_query_card_info: settings.may_query_card_info,
            rate,
            calls,
        }
    }

    fn may_call(&self, method: Method) -> bool {
        match method {
            Method::Verify => self.may_verify,
            Method::CardInfo => self.may_query_card_info,
        }
    }

    /// A place for one call; `None` inside where calls at once are not limited.
    fn admit(&self, method: Option<Method>, now: Instant) -> Result<Option<Permit>, Denial> {
        if method.is_some_and(|method| !self.may_call(method)) {
            return Err(Denial::because(Reason::MethodNotAllowed));
        }
        let limited = |after| Err(self.too_often(after));
        // first, so that a call which finds no place does not count as one of its second
        let place = match &self.calls {
            None => None,
            Some(calls) => match calls.enter() {
                Some(place) => Some(place),
                None => return limited(CALLS_END_SOON),
            },
        };
        match self.rate.as_ref().map(|(_, rate)| rate.try_acquire(now)) {
            None | Some(Ok(())) => Ok(place),
            Some(Err(not_before)) => limited(not_before.0),
        }
    }

    fn too_often(&self, after: Duration) -> Denial {
        let mut refusal = Refusal::new(Reason::CallerRateLimited);
        refusal.retry_after = Some(after);
        refusal.caller = Some(Arc::clone(&self.caller.name));
        Denial::Refused(Box::new(refusal))
    }
}

impl Callers {
    /// The callers of a configuration.
    #[must_use]
    pub fn new(mode: AuthMode, settings: &BTreeMap<String, ClientSettings>) -> Self {
        Self {
            mode,
            by: ArcSwap::from_pointee(By::new(mode, settings, &BTreeMap::new())),
        }
    }

    /// Others from now on. Calls that were let in go on; whoever stays a caller keeps what it has
    /// spent, and its limits where they are the same.
    pub fn replace(&self, settings: &BTreeMap<String, ClientSettings>) {
        let before = self.by.load();
        let by = By::new(self.mode, settings, &before.clients());
        self.by.store(Arc::new(by));
    }

    /// Everybody who may call, each once; nobody where all are let through.
    #[must_use]
    pub fn callers(&self) -> Vec<Arc<Caller>> {
        let clients = self.by.load().clients();
        let callers = clients.values().map(|client| &client.caller);
        callers.cloned().collect()
    }

    /// Whether calls are let through without a look.
    fn are_everybody(&self) -> bool {
        matches!(self.mode, AuthMode::None)
    }

    /// Who calls, told by the head of a call and by the connection that it came on.
    fn identify(
        &self,
        headers: &HeaderMap,
        peer: Option<&PeerNames>,
    ) -> Result<Option<Arc<Client>>, Reason> {
        match &**self.by.load() {
            By::Nothing => Ok(None),
            By::Token(tokens) => {
                let token = bearer_token(headers)?;
                by_token(tokens, token)
                    .map(|client| Some(Arc::clone(client)))
                    .ok_or(Reason::CredentialsInvalid)
            }
            By::Certificate(names) => {
                let peer = peer.ok_or(Reason::CredentialsMissing)?;
                by_name(names, peer)
                    .map(|client| Some(Arc::clone(client)))
                    .ok_or(Reason::CredentialsInvalid)
            }
        }
    }
}

impl By {
    fn new(
        mode: AuthMode,
        settings: &BTreeMap<String, ClientSettings>,
        before: &BTreeMap<Arc<str>, Arc<Client>>,
    ) -> Self {
        let clients = settings.iter().map(|(name, settings)| {
            let before = before.get(name.as_str()).map(Arc::as_ref);
            (settings, Arc::new(Client::new(name, settings, before)))
        });
        match mode {
            AuthMode::None => Self::Nothing,
            AuthMode::Token => Self::Token(
                clients
                    .flat_map(|(settings, client)| {
                        let digests = settings.token_sha256.iter();
                        digests.map(move |digest| (*digest, Arc::clone(&client)))
                    })
                    .collect(),
            ),
            AuthMode::Mtls => Self::Certificate(
                clients
                    .flat_map(|(settings, client)| {
                        let names = settings.san.iter();
                        names.map(move |name| (name.clone(), Arc::clone(&client)))
                    })
                    .collect(),
            ),
        }
    }

    fn clients(&self) -> BTreeMap<Arc<str>, Arc<Client>> {
        let named = |client: &Arc<Client>| (Arc::clone(&client.caller.name), Arc::clone(client));
        match self {
            Self::Nothing => BTreeMap::new(),
            Self::Token(tokens) => tokens.iter().map(|(_, client)| named(client)).collect(),
            Self::Certificate(names) => names.values().map(named).collect(),
        }
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").finish_non_exhaustive()
    }
}

/// The token of the one `authorization` header.
fn bearer_token(headers: &HeaderMap) -> Result<&[u8], Reason> {
    const SCHEME: &[u8] = b"bearer ";
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Reason::CredentialsMissing)?.as_bytes();
    if values.next().is_some() {
        return Err(Reason::CredentialsInvalid);
    }
    value
        .split_at_checked(SCHEME.len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
        .map(|(_, token)| token)
        .ok_or(Reason::CredentialsInvalid)
}

/// Compares with every digest and takes the same time whichever it is, or none.
fn by_token<'c>(
    tokens: &'c [([u8; DIGEST_BYTES], Arc<Client>)],
    token: &[u8],
) -> Option<&'c Arc<Client>> {
    let presented: [u8; DIGEST_BYTES] = Sha256::digest(token).into();
    let mut found = u64::MAX;
    for (place, (digest, _)) in (0_u64..).zip(tokens) {
        found.conditional_assign(&place, presented.ct_eq(digest));
    }
    let (_, client) = tokens.get(usize::try_from(found).ok()?)?;
    Some(client)
}

/// The one client that the names belong to. A certificate that could be two is nobody's.
fn by_name<'c>(
    clients: &'c BTreeMap<String, Arc<Client>>,
    peer: &PeerNames,
) -> Option<&'c Arc<Client>> {
    let mut known = peer.iter().filter_map(|name| clients.get(name));
    let first = known.next()?;
    known
        .all(|other| Arc::ptr_eq(first, other))
        .then_some(first)
}

#[cfg(test)]
mod tests;
