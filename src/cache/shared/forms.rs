//! What the scripts are told: names, sealed values, arguments.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{
    EndedId, Family, Price, RequestId, Seed, SeedCall, SeedCard, Settle,
    names::{Names, text},
    scripts::Arguments,
};
use crate::{
    cache::key::{CardTag, KeyRing, QuestionTag, Tags},
    domain::GuardEffect,
};

/// An unsigned number that a script's floating point keeps exact.
const MOST: u64 = 1 << 53;
/// The end inside of a sealed value.
const UNTIL_BYTES: usize = 8;
/// A slot outlives its call by this much, so that a call which ends in time finds it.
pub(super) const SLOT_GRACE: Duration = Duration::from_secs(2);
/// Records that one script puts back.
const SEEDS_AT_ONCE: usize = 200;

/// How far the service's clock is ahead of the host's, in milliseconds: 0 outside of tests.
pub type Offset = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Fills in what the scripts are told.
#[derive(Clone)]
pub(super) struct Forms {
    pub(super) names: Names,
    offset_ms: Offset,
    /// How far the store's clock is ahead of the service's.
    ahead_ms: Arc<AtomicI64>,
}

impl Forms {
    pub(super) fn new(names: Names, offset_ms: Offset) -> Self {
        Self {
            names,
            offset_ms,
            ahead_ms: Arc::default(),
        }
    }

    /// Learns the time of the store, in milliseconds since 1970.
    pub(super) fn learn_time(&self, store_ms: i64) {
        let ahead = store_ms.saturating_sub(self.service_ms());
        self.ahead_ms.store(ahead, Ordering::Relaxed);
    }

    /// How far the store's clock is ahead of the service's, in milliseconds.
    pub(super) fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    fn service_ms(&self) -> i64 {
        let host = Timestamp::now().as_millisecond();
        host.saturating_add((self.offset_ms)())
    }

    pub(super) fn flights(&self, question: &Tags<QuestionTag>) -> Json {
        let names = question.iter().map(|tag| self.names.flight(tag));
        names.collect::<Vec<_>>().into()
    }

    pub(super) fn guard_keys(&self, card: &Tags<CardTag>, family: Family) -> Json {
        let names = card.iter().map(|tag| self.names.guard(*tag, family));
        names.collect::<Vec<_>>().into()
    }

    /// Where the answers of a question are, by each tag: hash and field.
    pub(super) fn places(&self, question: &Tags<QuestionTag>) -> Vec<(String, String)> {
        let place = |tag: &QuestionTag| (self.names.answers(tag.card()), text(tag.as_bytes()));
        question.iter().map(place).collect()
    }

    pub(super) fn seal_flights(
        &self,
        keys: &KeyRing,
        question: &Tags<QuestionTag>,
        value: &[u8],
        lasts: Duration,
    ) -> Vec<Vec<u8>> {
        let places = question.iter().map(|tag| self.names.flight(tag));
        self.seal(keys, places, value, lasts)
    }

    /// Seals a value for several places, each with the key that belongs to it.
    pub(super) fn seal(
        &self,
        keys: &KeyRing,
        places: impl Iterator<Item = String>,
        value: &[u8],
        lasts: Duration,
    ) -> Vec<Vec<u8>> {
        let until = self.now_ms().saturating_add(millis(lasts));
        let value = [&until.to_be_bytes()[..], value].concat();
        let sealed = places
            .zip(keys.sealers())
            // a value that cannot be sealed is one that will not open
            .map(|(place, sealer)| sealer.seal(place.as_bytes(), &value).unwrap_or_default());
        sealed.collect()
    }

    /// Opens a value; one that was not sealed by us for this place, or has ended, is none.
    pub(super) fn open(
        &self,
        keys: &KeyRing,
        at: usize,
        place: &str,
        sealed: &[u8],
    ) -> Option<Vec<u8>> {
        let sealer = keys.sealers().nth(at)?;
        let opened = sealer.open(place.as_bytes(), sealed)?;
        let (until, value) = opened.split_first_chunk::<UNTIL_BYTES>()?;
        (u64::from_be_bytes(*until) > self.now_ms()).then(|| value.to_vec())
    }

    /// The time that the ends of sealed values go by: the store's, as far as it is known, so that
    /// replicas with wrong clocks agree.
    fn now_ms(&self) -> u64 {
        let now = self.service_ms().saturating_add(self.ahead_ms());
        u64::try_from(now).unwrap_or_default()
    }

    pub(super) fn price(&self, price: &Price) -> Json {
        json!({
            "key": self.names.budget(&price.purse),
            "micros": price.micros.min(MOST),
            "limit_micros": price.limit_micros.min(MOST),
        })
    }

    pub(super) fn settlement(&self, settle: &Settle) -> Json {
        let prices = |prices: &[Price]| prices.iter().map(|it| self.price(it)).collect::<Vec<_>>();
        json!({
            "slot": text(&settle.slot.token),
            "cards": self.guard_keys(&settle.slot.card, settle.slot.family),
            "counts_mismatches": settle.slot.family == Family::Verification,
            "caller": &*settle.slot.caller,
            "was_staked": settle.was_staked,
            "after_seed": settle.after_seed,
            "effect": effect_name(settle.slot.family, settle.effect),
            "day": settle.day,
            "refunds": prices(&settle.refunds),
            "spent": prices(&settle.spent),
        })
    }

    pub(super) fn id(&self, id: &RequestId) -> Json {
        json!({ "key": self.names.request_id(&id.caller, id.id), "owner": text(&id.owner) })
    }

    pub(super) fn ended_id(&self, arguments: &mut Arguments, ended: &EndedId) -> Json {
        let id = &ended.id;
        let record = self.names.request_id(&id.caller, id.id);
        let field = text(id.id.as_bytes());
        let values = ended.remembered.as_ref().map(|value| {
            let hashes = ended.card.iter().map(|card| self.names.remembered(*card));
            let places: Vec<_> = if ended.is_answer {
                hashes.map(|hash| place_of(&hash, &field)).collect()
            } else {
                vec![record.clone()]
            };
            let sealed = self.seal(&ended.keys, places.into_iter(), value, ended.window);
            arguments.values(sealed)
        });
        let cards = ended.card.iter().map(|card| self.names.remembered(*card));
        json!({
            "key": record,
            "owner": text(&id.owner),
            "field": field,
            "content": contents(&ended.content),
            "cards": cards.collect::<Vec<_>>(),
            "is_answer": ended.is_answer,
            "values": values,
            "window": millis(ended.window),
            "living": self.names.living_ids(&id.caller),
            "forgotten": self.names.forgotten_ids(&id.caller),
        })
    }

    pub(super) fn ended_ids(&self, ids: &[EndedId]) -> Arguments {
        let mut arguments = Arguments::default();
        let ids: Vec<_> = ids
            .iter()
            .map(|ended| self.ended_id(&mut arguments, ended))
            .collect();
        arguments.set("ids", ids.into());
        arguments
    }

    pub(super) fn notice(&self, kind: &str, cards: &Tags<CardTag>) -> Json {
        let tags: Vec<_> = cards.iter().map(|tag| text(tag.as_bytes())).collect();
        json!({
            "kind": kind,
            "word": format!("{kind} {}", tags.join(" ")),
            "number_key": self.names.notice_number(),
            "notices_key": self.names.notices(),
        })
    }

    /// Everything that a process knows, in parts that do not hold the store up.
    pub(super) fn seeds(&self, keys: &KeyRing, seed: &Seed) -> Vec<Arguments> {
        let mut parts = Vec::new();
        for cards in seed.cards.chunks(SEEDS_AT_ONCE) {
            let mut part = seed_part();
            let cards: Vec<_> = cards.iter().map(|it| self.seed_card(it)).collect();
            part.set("cards", cards.into());
            parts.push(part);
        }
        for spent in seed.spent.chunks(SEEDS_AT_ONCE) {
            let mut part = seed_part();
            let spent = spent.iter().map(|(purse, micros)| {
                json!({ "key": self.names.budget(purse), "micros": (*micros).min(MOST) })
            });
            part.set("spent", spent.collect::<Vec<_>>().into());
            parts.push(part);
        }
        parts.append(&mut self.seed_calls(&seed.calls));
        for holds in seed.holds.chunks(SEEDS_AT_ONCE) {
            let mut part = seed_part();
            let holds = holds.iter().map(|(tag, hold)| {
                let place = self.names.flight(tag);
                let places = std::iter::once(place.clone());
                let at = part.values(self.seal(keys, places, &hold.value, hold.lasts));
                json!({ "key": place, "lasts_ms": millis(hold.lasts), "value": at.get(0) })
            });
            let holds: Vec<_> = holds.collect();
            part.set("holds", holds.into());
            parts.push(part);
        }
        for ids in seed.ids.chunks(SEEDS_AT_ONCE) {
            let mut part = seed_part();
            let ids: Vec<_> = ids.iter().map(|it| self.ended_id(&mut part, it)).collect();
            part.set("ids", ids.into());
            parts.push(part);
        }
        parts
    }

    /// Attempts under way, in parts that do not hold the store up.
    pub(super) fn seed_calls(&self, calls: &[SeedCall]) -> Vec<Arguments> {
        let part = |calls: &[SeedCall]| {
            let mut part = seed_part();
            let calls = calls.iter().map(|it| self.seed_call(&mut part, it));
            let calls: Vec<_> = calls.collect();
            part.set("calls", calls.into());
            part
        };
        calls.chunks(SEEDS_AT_ONCE).map(part).collect()
    }

    fn seed_call(&self, part: &mut Arguments, call: &SeedCall) -> Json {
        let (slot, sent) = (&call.slot, call.sent.as_ref());
        let held = sent.map(|sent| {
            let lasts = call.lasts + sent.hold;
            let (keys, question) = (&sent.seat.keys, &sent.seat.question);
            part.values(self.seal_flights(keys, question, &sent.held, lasts))
        });
        json!({
            "slot": text(&slot.token),
            "slot_ms": millis(call.lasts + SLOT_GRACE),
            "cards": self.guard_keys(&slot.card, slot.family),
            "counts_mismatches": slot.family == Family::Verification,
            "caller": &*slot.caller,
            "flights": sent.map_or_else(|| json!([]), |it| self.flights(&it.seat.question)),
            "owner": sent.map(|it| text(&it.seat.owner)),
            "call_ms": millis(call.lasts),
            "hold_ms": sent.map(|it| millis(it.hold)),
            "held": held,
        })
    }

    fn seed_card(&self, it: &SeedCard) -> Json {
        json!({
            "key": self.names.guard(it.card, it.family),
            "counts_mismatches": it.family == Family::Verification,
            "caller": &*it.caller,
            "calls": it.calls,
            "mismatches": it.mismatches,
            "calls_end": it.calls_end,
            "mismatches_end": it.mismatches_end,
            "closed_end": it.closed_end,
        })
    }
}

/// A part of a seed, in which nothing stands yet.
fn seed_part() -> Arguments {
    Arguments::new(json!({ "cards": [], "calls": [], "spent": [], "holds": [], "ids": [] }))
}

/// A value in a hash is bound to both names.
pub(super) fn place_of(hash: &str, field: &str) -> String {
    format!("{hash} {field}")
}

pub(super) fn contents(content: &Tags<[u8; 16]>) -> String {
    let texts: Vec<_> = content.iter().map(|it| text(it)).collect();
    texts.join(" ")
}

const fn effect_name(family: Family, effect: GuardEffect) -> &'static str {
    match (family, effect) {
        (_, GuardEffect::Nothing) => "nothing",
        (_, GuardEffect::Close) => "close",
        (_, GuardEffect::Call) | (Family::CardInformation, _) => "call",
        (Family::Verification, GuardEffect::Match) => "match",
        (Family::Verification, GuardEffect::Mismatch) => "mismatch",
    }
}

/// Whole milliseconds, as scripts count.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(MOST)
        .min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::Digests;

    /// Forms whose clock is moved by the second part.
    fn forms() -> (Forms, Arc<AtomicI64>) {
        let offset = Arc::new(AtomicI64::new(0));
        let moved = Arc::clone(&offset);
        let forms = Forms::new(
            Names::new("test"),
            Arc::new(move || moved.load(Ordering::Relaxed)),
        );
        (forms, offset)
    }

    fn ring() -> KeyRing {
        KeyRing {
            current: Digests::new(b"key"),
            previous: None,
        }
    }

    #[test]
    fn a_value_is_not_believed_after_its_end_however_long_the_store_keeps_it() {
        let (forms, offset) = forms();
        let place = || std::iter::once("place".to_owned());
        let sealed = forms.seal(&ring(), place(), b"value", Duration::from_secs(60));
        let opened = || forms.open(&ring(), 0, "place", &sealed[0]);
        assert_eq!(opened().as_deref(), Some(&b"value"[..]));
        offset.store(59_000, Ordering::Relaxed);
        assert_eq!(opened().as_deref(), Some(&b"value"[..]));
        offset.store(61_000, Ordering::Relaxed);
        assert_eq!(opened(), None);
    }

    #[test]
    fn ends_go_by_the_stores_clock_whatever_our_own_says() {
        let (writer, _) = forms();
        let (reader, offset) = forms();
        let place = || std::iter::once("place".to_owned());
        let sealed = writer.seal(&ring(), place(), b"value", Duration::from_secs(60));
        // the reader's clock is an hour ahead, and the store's is right
        offset.store(3_600_000, Ordering::Relaxed);
        assert_eq!(reader.open(&ring(), 0, "place", &sealed[0]), None);
        reader.learn_time(Timestamp::now().as_millisecond());
        assert!(reader.open(&ring(), 0, "place", &sealed[0]).is_some());
    }
}
