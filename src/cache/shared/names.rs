//! What things are called in the store. A tag is written in base64 and not in hexadecimal: no run
//! of digits that long turns up in it by chance that it could be taken for a card number.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::{Family, Pace, Purse};
use crate::cache::key::{CardTag, QuestionTag};

/// Names of keys, all with the operator's prefix.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: Arc<str>,
}

/// Bytes as they stand in names and arguments.
pub(super) fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a name's part, if they are that many.
pub(super) fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: Arc::from(prefix),
        }
    }

    /// Which life of the store this is: see `keeper`.
    pub(super) fn epoch(&self) -> String {
        format!("{}:epoch", self.prefix)
    }

    pub(super) fn beats(&self) -> String {
        format!("{}:beats", self.prefix)
    }

    pub(super) fn notices(&self) -> String {
        format!("{}:notices", self.prefix)
    }

    pub(super) fn notice_number(&self) -> String {
        format!("{}:notice", self.prefix)
    }

    /// All answers about a card: forgotten with one command.
    pub(super) fn answers(&self, card: CardTag) -> String {
        format!("{}:a:{}", self.prefix, text(card.as_bytes()))
    }

    /// All answers about a card that are remembered under request ids.
    pub(super) fn remembered(&self, card: CardTag) -> String {
        format!("{}:r:{}", self.prefix, text(card.as_bytes()))
    }

    pub(super) fn flight(&self, question: &QuestionTag) -> String {
        format!("{}:f:{}", self.prefix, text(question.as_bytes()))
    }

    pub(super) fn guard(&self, card: CardTag, family: Family) -> String {
        let (family, card) = (family.as_str(), text(card.as_bytes()));
        format!("{}:g:{family}:{card}", self.prefix)
    }

    pub(super) fn budget(&self, purse: &Purse) -> String {
        match purse {
            Purse::Provider(name) => format!("{}:b:p:{name}", self.prefix),
            Purse::Caller(name) => format!("{}:b:c:{name}", self.prefix),
        }
    }

    pub(super) fn pace(&self, pace: &Pace) -> String {
        let operation = pace.operation.as_str();
        format!("{}:l:{}:{operation}", self.prefix, pace.provider)
    }

    pub(super) fn request_id(&self, caller: &str, id: Uuid) -> String {
        format!("{}:i:{caller}:{}", self.prefix, text(id.as_bytes()))
    }

    /// Ids of a caller that stand for something.
    pub(super) fn living_ids(&self, caller: &str) -> String {
        format!("{}:n:{caller}", self.prefix)
    }

    /// Ids of a caller that stand for nothing that may have cost money.
    pub(super) fn forgotten_ids(&self, caller: &str) -> String {
        format!("{}:z:{caller}", self.prefix)
    }
}
