//! Who looks like somebody that tries out stolen cards: mismatches over many different cards
//! within a short time.
//!
//! For every caller the last mismatch of each card is noted, of the latest [`NOTED_CARDS`] cards
//! only; a count that has reached that number means "at least". Nothing is refused for it: it is
//! an alarm for people.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use parking_lot::Mutex;

use super::card::CallerId;
use crate::cache::key::CardTag;

/// This many different cards with a mismatch make a suspect.
pub const SUSPECT_CARDS: usize = 10;
/// Within this time.
pub const SUSPECT_WINDOW: Duration = Duration::from_secs(10 * 60);
/// Cards noted of one caller.
const NOTED_CARDS: usize = 64;

/// Mismatches of all callers, briefly.
#[derive(Default)]
pub(super) struct Suspects {
    callers: Mutex<HashMap<CallerId, Vec<Note>>>,
}

#[derive(Debug, Clone, Copy)]
struct Note {
    card: CardTag,
    at: Timestamp,
}

impl Suspects {
    /// Notes a mismatch that a vendor has told.
    pub(super) fn note(&self, caller: CallerId, card: CardTag, now: Timestamp) {
        let mut callers = self.callers.lock();
        let notes = callers.entry(caller).or_default();
        notes.retain(|note| note.card != card && is_recent(note.at, now));
        if notes.len() >= NOTED_CARDS {
            notes.remove(0);
        }
        notes.push(Note { card, at: now });
    }

    /// Over how many different cards a caller had mismatches lately, for every caller that had any.
    pub(super) fn counts(&self, now: Timestamp) -> HashMap<CallerId, usize> {
        let mut callers = self.callers.lock();
        for notes in callers.values_mut() {
            notes.retain(|note| is_recent(note.at, now));
        }
        callers.retain(|_, notes| !notes.is_empty());
        callers
            .iter()
            .map(|(caller, notes)| (*caller, notes.len()))
            .collect()
    }
}

/// A note from the future, after the clock was set back, counts as recent for one window.
fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at).unsigned_abs() < SUSPECT_WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Digests;

    fn card(number: usize) -> CardTag {
        Digests::new(b"key").guard_card(&number.to_string())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn different_cards_count_and_the_same_card_counts_once() {
        let suspects = Suspects::default();
        for round in 0..3 {
            for number in 0..4 {
                suspects.note(1, card(number), at(round));
            }
        }
        suspects.note(2, card(0), at(0));
        let counts = suspects.counts(at(10));
        assert_eq!(counts.get(&1), Some(&4));
        assert_eq!(counts.get(&2), Some(&1));
    }

    #[test]
    fn a_mismatch_is_forgotten_after_the_window() {
        let suspects = Suspects::default();
        suspects.note(1, card(0), at(0));
        suspects.note(1, card(1), at(300));
        assert_eq!(suspects.counts(at(599)).get(&1), Some(&2));
        assert_eq!(suspects.counts(at(600)).get(&1), Some(&1));
        assert_eq!(suspects.counts(at(900)).get(&1), None);
    }

    #[test]
    fn a_caller_takes_bounded_room() {
        let suspects = Suspects::default();
        for number in 0..1000 {
            suspects.note(1, card(number), at(1));
        }
        assert_eq!(suspects.counts(at(2)).get(&1), Some(&NOTED_CARDS));
    }
}
