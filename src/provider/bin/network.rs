//! The card networks of the world by published number range.

use super::generated::SEGMENTS;
use super::table::{CARD_LENGTH_MIN, CARD_LENGTHS};
use crate::domain::CardNetwork;

/// How many leading digits decide: as many as the shortest card has.
pub(super) const KEY_DIGITS: usize = 12;

/// One stretch of numbers, from `start` to the next segment's, within which only the card length decides.
pub(super) struct Segment {
    /// First [`KEY_DIGITS`] digits of the first number.
    pub(super) start: u64,
    /// The network of a card of 12, 13, … 19 digits.
    pub(super) networks: [Option<CardNetwork>; CARD_LENGTHS],
}

/// The network of a full number of `card_length` digits that begins with the twelve digits `key`.
pub(super) fn of_number(key: u64, card_length: usize) -> Option<CardNetwork> {
    let after = SEGMENTS.partition_point(|segment| segment.start <= key);
    let segment = SEGMENTS.get(after.checked_sub(1)?)?;
    *segment
        .networks
        .get(card_length.checked_sub(CARD_LENGTH_MIN)?)?
}

/// The stretches that numbers beginning with the `digits` digits of `prefix` fall into; never empty.
pub(super) fn under_prefix(prefix: u64, digits: usize) -> &'static [Segment] {
    let width = 10_u64.pow(KEY_DIGITS.saturating_sub(digits) as u32);
    let (first, end) = (prefix * width, (prefix + 1) * width);
    let from = SEGMENTS
        .partition_point(|segment| segment.start <= first)
        .saturating_sub(1);
    let to = SEGMENTS.partition_point(|segment| segment.start < end);
    SEGMENTS.get(from..to).unwrap_or_default()
}

/// The one network of every card of `card_length` digits whose number begins with the `digits` digits of `prefix`, or
/// `None` when there is none or the prefix is shared.
pub(super) fn of_prefix(prefix: u64, digits: usize, card_length: usize) -> Option<CardNetwork> {
    let column = card_length.checked_sub(CARD_LENGTH_MIN)?;
    let mut networks = under_prefix(prefix, digits)
        .iter()
        .map(|segment| segment.networks.get(column).copied().flatten());
    let first = networks.next()?;
    if networks.all(|network| network == first) {
        first
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_start_at_zero_and_ascend() {
        assert_eq!(SEGMENTS[0].start, 0);
        assert!(SEGMENTS.is_sorted_by(|one, next| one.start < next.start));
    }

    #[test]
    fn the_first_and_the_last_number_of_a_range_belong_to_it_and_their_neighbours_do_not() {
        assert_eq!(of_number(222_099_999_999, 16), None);
        assert_eq!(
            of_number(222_100_000_000, 16),
            Some(CardNetwork::Mastercard)
        );
        assert_eq!(
            of_number(272_099_999_999, 16),
            Some(CardNetwork::Mastercard)
        );
        assert_eq!(of_number(272_100_000_000, 16), None);
    }

    #[test]
    fn a_range_holds_only_for_the_card_lengths_it_allows() {
        assert_eq!(
            of_number(340_000_000_000, 15),
            Some(CardNetwork::AmericanExpress)
        );
        assert_eq!(of_number(340_000_000_000, 16), None);
    }

    #[test]
    fn a_prefix_has_a_network_only_when_all_its_numbers_share_it() {
        assert_eq!(of_prefix(62, 2, 19), Some(CardNetwork::UnionPay));
        // 627780 is Elo, but only for sixteen digits.
        assert_eq!(of_prefix(62, 2, 16), None);
        assert_eq!(of_prefix(627_780, 6, 16), Some(CardNetwork::Elo));
        assert_eq!(of_prefix(627_780, 6, 19), Some(CardNetwork::UnionPay));
        assert_eq!(of_prefix(999, 3, 16), None);
    }

    #[test]
    fn the_topmost_prefixes_stay_inside_the_table() {
        assert_eq!(under_prefix(99_999_999_999, 11).len(), 1);
        assert_eq!(of_number(999_999_999_999, 19), None);
        assert_eq!(of_number(0, 12), None);
    }
}
