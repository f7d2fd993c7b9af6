//! Answers and endings as bytes, for the store that replicas share.
//!
//! Fields are numbered, and words stand for themselves: during an upgrade replicas of two versions
//! read each other. What one of them does not know makes the value unreadable to it, and an
//! unreadable value is none.

use std::{borrow::Cow, sync::Arc, time::Duration};

use jiff::Timestamp;
use prost::Message;

use super::{
    Conclusion, Remembered,
    denial::{Denial, Refusal},
    flight::Outcome,
};
use crate::{
    cache::{Stored, Tags, key::CardTag},
    domain::{
        Answer, AttemptOutcome, CardFacts, CardInfoResult, CardNetwork, CardType, Certainty,
        Charge, Finding, ProviderMessage, ProviderName, Reason, ResultCode, Source, VendorToken,
    },
    provider::codes::wording_of,
};

/// What a refusal can say of a provider beside an outcome.
const OTHER_WORDS: [&str; 4] = ["CLOCK_SKEWED", "NONCE_REUSED", "MAINTENANCE", "UNKNOWN"];

#[derive(Clone, PartialEq, Message)]
struct PackedAnswer {
    #[prost(string, tag = "1")]
    provider: String,
    #[prost(string, tag = "2")]
    verified: String,
    #[prost(string, tag = "3")]
    card_info: String,
    #[prost(bool, tag = "4")]
    doubtful: bool,
    #[prost(string, tag = "5")]
    charge: String,
    #[prost(string, tag = "6")]
    code: String,
    #[prost(string, tag = "7")]
    message: String,
    #[prost(string, tag = "8")]
    provider_request_id: String,
    #[prost(sint64, tag = "9")]
    answered_at_us: i64,
    #[prost(string, tag = "10")]
    bank_name: String,
    #[prost(string, tag = "11")]
    bank_name_en: String,
    #[prost(string, tag = "12")]
    bank_code: String,
    #[prost(string, tag = "13")]
    card_type: String,
    #[prost(string, tag = "14")]
    network: String,
    #[prost(string, tag = "15")]
    bin: String,
    #[prost(string, tag = "16")]
    data_version: String,
    /// 0 where it is not kept.
    #[prost(sint64, tag = "17")]
    fresh_until_ms: i64,
    #[prost(sint64, tag = "18")]
    stale_until_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
struct PackedDenial {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(uint64, optional, tag = "2")]
    retry_after_ms: Option<u64>,
    #[prost(string, repeated, tag = "3")]
    providers: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    words: Vec<String>,
    #[prost(string, tag = "5")]
    provider_request_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct PackedEnding {
    #[prost(message, optional, tag = "1")]
    answer: Option<PackedAnswer>,
    #[prost(message, optional, tag = "2")]
    denial: Option<PackedDenial>,
    /// The providers that might have been asked.
    #[prost(string, repeated, tag = "3")]
    candidates: Vec<String>,
}

/// How a call in another replica ended.
pub struct Ending {
    /// The outcome, as those get it who did not pay for it.
    pub outcome: Outcome,
    /// What of it may be kept.
    pub stored: Option<Stored>,
    candidates: Vec<ProviderName>,
}

impl Ending {
    /// Whether it is an end for those too who may ask these providers.
    pub fn covers(&self, names: &[ProviderName]) -> bool {
        names.iter().all(|name| self.candidates.contains(name))
    }
}

/// Packs an answer that is kept.
pub fn stored(stored: &Stored) -> Vec<u8> {
    PackedAnswer {
        fresh_until_ms: stored.fresh_until.as_millisecond(),
        stale_until_ms: stored.stale_until.as_millisecond(),
        ..pack(&stored.answer, &stored.provider)
    }
    .encode_to_vec()
}

/// Reads an answer that is kept.
pub fn read_stored(bytes: &[u8]) -> Option<Stored> {
    unpack_stored(&PackedAnswer::decode(bytes).ok()?)
}

/// Packs how a call ended; `kept` is what of it is kept. `None`: those who wait ask anew.
pub fn ending(
    outcome: &Outcome,
    kept: Option<&Stored>,
    candidates: &[ProviderName],
) -> Option<Vec<u8>> {
    let mut ending = PackedEnding {
        candidates: candidates.iter().map(|it| it.as_str().to_owned()).collect(),
        ..PackedEnding::default()
    };
    match outcome {
        Ok(conclusion) => {
            let mut answer = pack(&conclusion.answer.storable(), &conclusion.provider);
            if let Some(kept) = kept {
                answer.fresh_until_ms = kept.fresh_until.as_millisecond();
                answer.stale_until_ms = kept.stale_until.as_millisecond();
            }
            ending.answer = Some(answer);
        }
        Err(denial) => ending.denial = Some(pack_denial(denial)?),
    }
    Some(ending.encode_to_vec())
}

/// Reads how a call ended.
pub fn read_ending(bytes: &[u8]) -> Option<Ending> {
    let ending = PackedEnding::decode(bytes).ok()?;
    let candidates = ending.candidates.iter();
    let candidates = candidates
        .filter_map(|name| ProviderName::new(name))
        .collect();
    let (outcome, stored) = match (&ending.answer, &ending.denial) {
        (Some(answer), _) => {
            let (conclusion, stored) = unpack_conclusion(answer)?;
            (Ok(Arc::new(conclusion)), stored)
        }
        (None, Some(denial)) => (Err(Arc::new(unpack_denial(denial)?)), None),
        (None, None) => return None,
    };
    Some(Ending {
        outcome,
        stored,
        candidates,
    })
}

/// Packs what is remembered of a request id.
pub fn remembered(remembered: &Remembered) -> Vec<u8> {
    let mut ending = PackedEnding::default();
    match remembered {
        Remembered::Answer(it, _) => ending.answer = Some(pack(&it.answer, &it.provider)),
        Remembered::Unknown(denial) => ending.denial = pack_denial(denial),
    }
    ending.encode_to_vec()
}

/// Reads what is remembered of a request id about a card.
pub fn read_remembered(bytes: &[u8], card: Tags<CardTag>) -> Remembered {
    match read_ending(bytes).map(|ending| ending.outcome) {
        Some(Ok(conclusion)) => Remembered::Answer(conclusion, card),
        Some(Err(denial)) => Remembered::Unknown(denial),
        // it may have cost money
        None => Remembered::Unknown(Arc::new(Denial::because(Reason::OutcomeUnknown))),
    }
}

/// Packs why a question is held.
pub fn hold(denial: &Denial) -> Vec<u8> {
    pack_denial(denial)
        .map(|denial| denial.encode_to_vec())
        .unwrap_or_default()
}

/// Reads why a question is held. Whatever it says, its outcome is not known.
pub fn read_hold(bytes: &[u8]) -> Denial {
    let read = PackedDenial::decode(bytes).ok();
    read.and_then(|denial| unpack_denial(&denial))
        .filter(|denial| denial.reason_name() == Reason::OutcomeUnknown.as_str())
        .unwrap_or_else(|| Denial::because(Reason::OutcomeUnknown))
}

fn pack(answer: &Answer, provider: &ProviderName) -> PackedAnswer {
    let mut packed = PackedAnswer {
        provider: provider.as_str().to_owned(),
        charge: answer.charge.as_str().to_owned(),
        code: answer.provider_code.as_str().to_owned(),
        message: answer.provider_message.storable().as_str().to_owned(),
        provider_request_id: answer.provider_request_id.as_str().to_owned(),
        answered_at_us: answer.answered_at.as_microsecond(),
        ..PackedAnswer::default()
    };
    match &answer.finding {
        Finding::Verification { result, certainty } => {
            packed.verified = result.as_str().to_owned();
            packed.doubtful = *certainty == Certainty::Doubtful;
        }
        Finding::CardInfo { result, facts } => {
            packed.card_info = result.as_str().to_owned();
            packed.bank_name = facts.bank_name.clone().into_owned();
            packed.bank_name_en = facts.bank_name_en.clone().into_owned();
            packed.bank_code = facts.bank_code.clone().into_owned();
            packed.card_type = facts.card_type.map_or("", CardType::as_str).to_owned();
            packed.network = facts.network.map_or("", CardNetwork::as_str).to_owned();
            packed.bin = facts.bin.clone().into_owned();
            packed.data_version = facts.data_version.clone().into_owned();
        }
    }
    packed
}

fn unpack(packed: &PackedAnswer) -> Option<(Answer, ProviderName)> {
    let finding = if packed.verified.is_empty() {
        Finding::CardInfo {
            result: word(
                CardInfoResult::ALL,
                CardInfoResult::as_str,
                &packed.card_info,
            )?,
            facts: CardFacts {
                bank_name: Cow::Owned(packed.bank_name.clone()),
                bank_name_en: Cow::Owned(packed.bank_name_en.clone()),
                bank_code: Cow::Owned(packed.bank_code.clone()),
                card_type: optional(CardType::ALL, CardType::as_str, &packed.card_type)?,
                network: optional(CardNetwork::ALL, CardNetwork::as_str, &packed.network)?,
                bin: Cow::Owned(packed.bin.clone()),
                data_version: Cow::Owned(packed.data_version.clone()),
            },
        }
    } else {
        Finding::Verification {
            result: word(ResultCode::ALL, ResultCode::as_str, &packed.verified)?,
            certainty: if packed.doubtful {
                Certainty::Doubtful
            } else {
                Certainty::Certain
            },
        }
    };
    let answer = Answer {
        finding,
        charge: word(Charge::ALL, Charge::as_str, &packed.charge)?,
        provider_code: VendorToken::trusted(&packed.code),
        // a phrase that this version's tables do not have is as good as none
        provider_message: wording_of(&packed.message)
            .map_or(ProviderMessage::None, ProviderMessage::Known),
        provider_request_id: VendorToken::trusted(&packed.provider_request_id),
        answered_at: Timestamp::from_microsecond(packed.answered_at_us).ok()?,
    };
    Some((answer, ProviderName::new(&packed.provider)?))
}

fn unpack_stored(packed: &PackedAnswer) -> Option<Stored> {
    let (answer, provider) = unpack(packed)?;
    Some(Stored {
        answer: Arc::new(answer),
        provider,
        fresh_until: Timestamp::from_millisecond(packed.fresh_until_ms).ok()?,
        stale_until: Timestamp::from_millisecond(packed.stale_until_ms).ok()?,
    })
}

fn unpack_conclusion(packed: &PackedAnswer) -> Option<(Conclusion, Option<Stored>)> {
    let stored = unpack_stored(packed)?;
    let conclusion = Conclusion {
        answer: Arc::clone(&stored.answer),
        provider: stored.provider.clone(),
        source: Source::SharedCache,
        embedded: false,
        attempts: Vec::new(),
    };
    Some((
        conclusion,
        Some(stored).filter(|_| packed.fresh_until_ms > 0),
    ))
}

fn pack_denial(denial: &Denial) -> Option<PackedDenial> {
    let Denial::Refused(refusal) = denial else {
        return None;
    };
    let retry_after_ms = refusal.retry_after.map(|it| it.as_millis());
    let providers = refusal.providers.iter();
    Some(PackedDenial {
        reason: refusal.reason.as_str().to_owned(),
        retry_after_ms: retry_after_ms.map(|it| u64::try_from(it).unwrap_or(u64::MAX)),
        words: providers
            .clone()
            .map(|(_, word)| (*word).to_owned())
            .collect(),
        providers: providers
            .map(|(name, _)| name.as_str().to_owned())
            .collect(),
        provider_request_id: refusal.provider_request_id.as_str().to_owned(),
    })
}

fn unpack_denial(packed: &PackedDenial) -> Option<Denial> {
    let mut refusal = Refusal::new(word(Reason::ALL, Reason::as_str, &packed.reason)?);
    refusal.retry_after = packed.retry_after_ms.map(Duration::from_millis);
    let providers = packed.providers.iter().zip(&packed.words);
    refusal.providers = providers
        .filter_map(|(name, word)| Some((ProviderName::new(name)?, word_of(word))))
        .collect();
    refusal.provider_request_id = VendorToken::trusted(&packed.provider_request_id);
    Some(Denial::Refused(Box::new(refusal)))
}

fn word_of(text: &str) -> &'static str {
    let outcomes = AttemptOutcome::ALL.iter().map(|it| it.as_str());
    let mut words = outcomes.chain(OTHER_WORDS);
    words.find(|word| *word == text).unwrap_or("UNKNOWN")
}

fn word<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|it| name(*it) == text)
}

/// An empty text stands for nothing; `None` for a word that is not known.
fn optional<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Option<Option<T>> {
    if text.is_empty() {
        return Some(None);
    }
    word(all, name, text).map(Some)
}

#[cfg(test)]
mod tests;
