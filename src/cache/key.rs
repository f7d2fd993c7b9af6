//! Keyed digests: what is stored is found by them and by nothing else.
//!
//! Every purpose has a key of its own, derived from the operator's key with a label, so that a tag
//! of one store says nothing about the tags of another.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::seal::Sealer;
use crate::domain::{Identity, Phone, ProviderName, Question};

type HmacSha256 = Hmac<Sha256>;

/// Bytes of a tag that names a card. Used to find all that is kept about one card; two cards that
/// share a tag would be erased or counted together, which 64 bits make a matter of theory.
const CARD_BYTES: usize = 8;
/// Bytes of a tag that names a question. Two questions that shared one would share an answer.
const QUESTION_BYTES: usize = 16;

/// What a request id stands for, as a keyed digest.
pub type Content = [u8; QUESTION_BYTES];

/// Whose answers a question may share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Everybody's.
    All,
    /// Those of one caller.
    Caller(&'a str),
}

/// The tag of a question: a card's part, then the question's own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QuestionTag([u8; CARD_BYTES + QUESTION_BYTES]);

impl QuestionTag {
    /// All bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The card's part.
    #[must_use]
    pub fn card(&self) -> CardTag {
        let mut card = [0; CARD_BYTES];
        for (to, from) in card.iter_mut().zip(self.0) {
            *to = from;
        }
        CardTag(card)
    }
}

impl fmt::Debug for QuestionTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The tag of a card, for one purpose.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CardTag([u8; CARD_BYTES]);

impl CardTag {
    /// A tag from all of its bytes, as it came from another replica.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; CARD_BYTES]) -> Self {
        Self(bytes)
    }

    /// All bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for CardTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// What a tag is for; each has a key of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    CacheCard,
    CacheQuestion,
    Guard,
    Idempotency,
    Ledger,
    SharedValues,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::CacheCard => b"cardproof cache card v1",
            Self::CacheQuestion => b"cardproof cache question v1",
            Self::Guard => b"cardproof guard v1",
            Self::Idempotency => b"cardproof idempotency v1",
            Self::Ledger => b"cardproof ledger v1",
            Self::SharedValues => b"cardproof shared values v1",
        }
    }
}

/// The same thing under the operator's key and, while that key is being exchanged, under the one
/// before it. What is kept is written under both and found under either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tags<T> {
    /// Under the key.
    pub current: T,
    /// Under the key before it.
    pub previous: Option<T>,
}

impl<T> Tags<T> {
    /// One or two tags, the current one first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// Something else about each.
    pub fn map<U>(&self, mut change: impl FnMut(&T) -> U) -> Tags<U> {
        Tags {
            current: change(&self.current),
            previous: self.previous.as_ref().map(change),
        }
    }
}

impl<T> From<T> for Tags<T> {
    /// Under one key alone.
    fn from(current: T) -> Self {
        Self {
            current,
            previous: None,
        }
    }
}

/// The operator's key and the one before it, as far as anybody needs them.
#[derive(Debug, Clone)]
pub struct KeyRing {
    /// The key.
    pub current: Digests,
    /// The one before it, while it is being exchanged.
    pub previous: Option<Digests>,
}

impl KeyRing {
    /// Whether there is a key before this one.
    #[must_use]
    pub const fn is_being_exchanged(&self) -> bool {
        self.previous.is_some()
    }

    /// Something under each key.
    pub fn each<T>(&self, mut make: impl FnMut(&Digests) -> T) -> Tags<T> {
        Tags {
            current: make(&self.current),
            previous: self.previous.as_ref().map(make),
        }
    }

    /// The sealers of all keys, in the order of [`Tags::iter`].
    pub fn sealers(&self) -> impl Iterator<Item = &Sealer> {
        std::iter::once(&self.current)
            .chain(&self.previous)
            .map(Digests::sealer)
    }
}

/// Makes tags under one operator's key. The key state of every purpose is prepared once.
#[derive(Clone)]
pub struct Digests {
    cache_card: HmacSha256,
    cache_question: HmacSha256,
    guard: HmacSha256,
    idempotency: HmacSha256,
    ledger: HmacSha256,
    sealer: Sealer,
}

impl Digests {
    /// Derives the keys of all purposes from the operator's key.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let key_for = |purpose: Purpose| {
            let mut master = prepared(key);
            master.update(purpose.label());
            Zeroizing::new(<[u8; 32]>::from(master.finalize().into_bytes()))
        };
        let derived = |purpose: Purpose| prepared(&key_for(purpose)[..]);
        Self {
            cache_card: derived(Purpose::CacheCard),
            cache_question: derived(Purpose::CacheQuestion),
            guard: derived(Purpose::Guard),
            idempotency: derived(Purpose::Idempotency),
            ledger: derived(Purpose::Ledger),
            sealer: Sealer::new(&key_for(Purpose::SharedValues)),
        }
    }

    /// A key that lives as long as this process.
    #[must_use]
    pub fn random() -> Self {
        let mut key = Zeroizing::new([0u8; 32]);
        rand::fill(&mut key[..]);
        Self::new(&key[..])
    }

    /// The tag that answers, calls under way and holds of a question are found by.
    #[must_use]
    pub fn question(
        &self,
        question: &Question,
        scope: Scope<'_>,
        pinned: Option<&ProviderName>,
    ) -> QuestionTag {
        let mut mac = self.cache_question.clone();
        match scope {
            Scope::All => mac.update(&[0]),
            Scope::Caller(name) => field(&mut mac, 1, name),
        }
        if let Some(provider) = pinned {
            field(&mut mac, 2, provider.as_str());
        }
        content(&mut mac, question);
        let mut tag = [0; CARD_BYTES + QUESTION_BYTES];
        let card = self.cache_card(question.expose_card());
        let digest = mac.finalize().into_bytes();
        for (to, from) in tag.iter_mut().zip(card.0.iter().chain(digest.iter())) {
            *to = *from;
        }
        QuestionTag(tag)
    }

    /// The tag under which all answers about a card are found.
    #[must_use]
    pub fn cache_card(&self, card: &str) -> CardTag {
        CardTag(short(&self.cache_card, card.as_bytes()))
    }

    /// The tag under which the calls about a card are counted.
    #[must_use]
    pub fn guard_card(&self, card: &str) -> CardTag {
        CardTag(short(&self.guard, card.as_bytes()))
    }

    /// The pseudonym of a card in the ledger.
    #[must_use]
    pub fn ledger_card(&self, card: &str) -> CardTag {
        CardTag(short(&self.ledger, card.as_bytes()))
    }

    /// Seals what is kept outside of this process.
    #[must_use]
    pub const fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// What a request id stands for: the normalised factors, nothing else.
    #[must_use]
    pub fn content(&self, question: &Question) -> Content {
        let mut mac = self.idempotency.clone();
        content(&mut mac, question);
        truncated(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digests(***)")
    }
}

fn prepared(key: &[u8]) -> HmacSha256 {
    // HMAC takes keys of every length, so this arm is never taken
    HmacSha256::new_from_slice(key)
        .unwrap_or_else(|_| HmacSha256::new(&hmac::digest::Key::<HmacSha256>::default()))
}

/// Every field stands with its place and its length, so that no two questions run together.
fn content(mac: &mut HmacSha256, question: &Question) {
    match question {
        Question::Verify(verification) => {
            field(mac, 10, verification.card.expose());
            field(mac, 11, verification.name.expose());
            if let Some(identity) = verification.identity() {
                field(mac, 12, identity.kind().as_str());
                field(mac, 13, Identity::expose(identity));
            }
            if let Some(phone) = verification.phone() {
                field(mac, 14, Phone::expose(phone));
            }
        }
        Question::CardInfo(inquiry) => field(mac, 20, inquiry.card.expose()),
    }
}

fn field(mac: &mut HmacSha256, place: u8, value: &str) {
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes();
    let [a, b, c, d] = length;
    mac.update(&[place, a, b, c, d]);
    mac.update(value.as_bytes());
}

fn short(state: &HmacSha256, value: &[u8]) -> [u8; CARD_BYTES] {
    let mut mac = state.clone();
    mac.update(value);
    truncated(&mac.finalize().into_bytes())
}

fn truncated<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(digest) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        CardInquiry, CardNumber, CardRef, PersonName, Verification, question::Proof,
    };

    fn two_factors(card: &str, name: &str) -> Question {
        Question::Verify(Verification {
            card: CardNumber::parse(card).unwrap(),
            name: PersonName::parse(name).unwrap(),
            proof: Proof::NameOnly,
        })
    }

    #[test]
    fn tags_tell_questions_scopes_and_pins_apart() {
        let digests = Digests::new(b"key");
        let pin = ProviderName::new("ace");
        let card = "6222020000000000000";
        let info = Question::CardInfo(CardInquiry {
            card: CardRef::parse(card).unwrap(),
        });
        let tags = [
            digests.question(&two_factors(card, "张三"), Scope::All, None),
            digests.question(&two_factors(card, "李四"), Scope::All, None),
            digests.question(
                &two_factors("6222020000000000018", "张三"),
                Scope::All,
                None,
            ),
            digests.question(&two_factors(card, "张三"), Scope::Caller("a"), None),
            digests.question(&two_factors(card, "张三"), Scope::Caller("b"), None),
            digests.question(&two_factors(card, "张三"), Scope::All, pin.as_ref()),
            digests.question(&info, Scope::All, None),
            Digests::new(b"other").question(&two_factors(card, "张三"), Scope::All, None),
        ];
        for (at, one) in tags.iter().enumerate() {
            assert!(tags.iter().skip(at + 1).all(|other| other != one), "{at}");
        }
        assert_eq!(
            tags[0],
            digests.question(&two_factors(card, "张三"), Scope::All, None)
        );
        assert_eq!(tags[0].card(), tags[1].card());
        assert_eq!(tags[0].card(), digests.cache_card(card));
    }

    #[test]
    fn purposes_do_not_share_tags() {
        let digests = Digests::new(b"key");
        let card = "6222020000000000000";
        assert_ne!(digests.cache_card(card), digests.guard_card(card));
        assert_ne!(digests.guard_card(card), digests.ledger_card(card));
    }
}
