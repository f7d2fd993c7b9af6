//! Card numbers, and the leading digits of one.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::input::Malformed;

/// The longest card number that ISO/IEC 7812 allows.
const MAX_DIGITS: usize = 19;
/// The shortest full number that the service takes.
const MIN_DIGITS: usize = 12;
/// The fewest leading digits that can tell an issuer.
const MIN_PREFIX_DIGITS: usize = 6;
/// More raw characters than this are refused unread: 19 digits with a separator after each, twice.
const MAX_RAW_CHARS: usize = 64;

/// Up to 19 ASCII digits, kept in place and overwritten when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
struct Digits {
    bytes: [u8; MAX_DIGITS],
    len: u8,
}

impl Digits {
    /// Drops blanks and hyphens, folds full-width digits, refuses everything else.
    fn collect(raw: &str) -> Result<Self, Malformed> {
        const NOT_DIGITS: Malformed =
            Malformed("must consist of digits, with blanks or hyphens between them at most");
        let mut digits = Self {
            bytes: [0; MAX_DIGITS],
            len: 0,
        };
        for (index, character) in raw.chars().enumerate() {
            if index >= MAX_RAW_CHARS {
                return Err(Malformed("is too long"));
            }
            let digit = match character {
                '0'..='9' => character as u8,
                // full-width digits, as Chinese input methods produce them
                '\u{ff10}'..='\u{ff19}' => b'0' + (character as u32 - 0xff10) as u8,
                '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' => continue,
                blank if blank.is_whitespace() => continue,
                _ => return Err(NOT_DIGITS),
            };
            let Some(slot) = digits.bytes.get_mut(usize::from(digits.len)) else {
                return Err(Malformed("must have at most 19 digits"));
            };
            *slot = digit;
            digits.len += 1;
        }
        Ok(digits)
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.len))
            .unwrap_or(&self.bytes)
    }

    fn as_str(&self) -> &str {
        // only ASCII digits were ever stored
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// A full card number (PAN): 12 to 19 digits.
#[derive(Clone, PartialEq, Eq)]
pub struct CardNumber(Digits);

impl CardNumber {
    /// Reads a card number as people write it: blanks and hyphens are dropped, full-width digits
    /// folded.
    ///
    /// # Errors
    /// When what remains is not 12 to 19 digits.
    pub fn parse(raw: &str) -> Result<Self, Malformed> {
        let digits = Digits::collect(raw)?;
        if usize::from(digits.len) < MIN_DIGITS {
            return Err(Malformed("must have 12 to 19 digits"));
        }
        Ok(Self(digits))
    }

    /// The digits themselves, for vendor clients and keyed digests only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the last digit is the Luhn check digit (ISO/IEC 7812-1, annex B) of the others.
    #[must_use]
    pub fn luhn_valid(&self) -> bool {
        luhn_sum(self.0.as_bytes()).is_multiple_of(10)
    }

    /// The number for human eyes: the first 6 and the last 4 digits of a number of 16 digits or
    /// more, the first 6 of a shorter one, where 10 of 12 would be as good as all.
    #[must_use]
    pub fn masked(&self) -> String {
        mask(self.0.as_bytes())
    }
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CardNumber({})", self.masked())
    }
}

/// The first 6 to 11 digits of a card number.
#[derive(Clone, PartialEq, Eq)]
pub struct CardPrefix(Digits);

impl CardPrefix {
    /// The digits themselves.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for CardPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CardPrefix({})", mask(self.0.as_bytes()))
    }
}

/// What a question for card information may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardRef {
    /// A full card number.
    Full(CardNumber),
    /// Its first 6 to 11 digits.
    Prefix(CardPrefix),
}

impl CardRef {
    /// Reads a card number or its leading digits; see [`CardNumber::parse`].
    ///
    /// # Errors
    /// When what remains is not 6 to 19 digits.
    pub fn parse(raw: &str) -> Result<Self, Malformed> {
        let digits = Digits::collect(raw)?;
        match usize::from(digits.len) {
            MIN_DIGITS.. => Ok(Self::Full(CardNumber(digits))),
            MIN_PREFIX_DIGITS.. => Ok(Self::Prefix(CardPrefix(digits))),
            _ => Err(Malformed(
                "must have 12 to 19 digits, or 6 to 11 leading digits",
            )),
        }
    }

    /// The digits themselves, for vendor clients, tables and keyed digests only.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Self::Full(number) => number.expose(),
            Self::Prefix(prefix) => prefix.expose(),
        }
    }

    /// The full number, where there is one.
    #[must_use]
    pub fn full(&self) -> Option<&CardNumber> {
        match self {
            Self::Full(number) => Some(number),
            Self::Prefix(_) => None,
        }
    }
}

fn luhn_sum(digits: &[u8]) -> u32 {
    digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit - b'0');
            match (place % 2, value) {
                (0, value) => value,
                (_, value @ 0..=4) => value * 2,
                (_, value) => value * 2 - 9,
            }
        })
        .sum()
}

fn mask(digits: &[u8]) -> String {
    let shown_at_end = if digits.len() >= 16 { 4 } else { 0 };
    digits
        .iter()
        .enumerate()
        .map(|(place, digit)| {
            if place < MIN_PREFIX_DIGITS || place >= digits.len() - shown_at_end {
                char::from(*digit)
            } else {
                '*'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("4111 1111 1111 1111", "4111111111111111")]
    #[case("4111-1111-1111-1111", "4111111111111111")]
    #[case("４１１１　１１１１　１１１１　１１１１", "4111111111111111")]
    #[case(" 622202000000000000 0\t", "6222020000000000000")]
    #[case("622202–000000—0000000", "6222020000000000000")]
    fn reads_numbers_as_people_write_them(#[case] raw: &str, #[case] digits: &str) {
        assert_eq!(CardNumber::parse(raw).unwrap().expose(), digits);
    }

    #[rstest]
    #[case("")]
    #[case("41111111111")] // 11 digits
    #[case("41111111111111111111")] // 20 digits
    #[case("4111x11111111111")]
    #[case("4111.1111.1111.1111")]
    #[case("٤١١١١١١١١١١١١١١١")] // Arabic-Indic digits
    fn refuses_what_is_no_card_number(#[case] raw: &str) {
        assert!(CardNumber::parse(raw).is_err());
    }

    #[rstest]
    #[case("4111111111111111", true)]
    #[case("4111111111111112", false)]
    #[case("378282246310005", true)]
    #[case("6222020000000000000", true)]
    #[case("6222020000000000001", false)]
    fn luhn(#[case] number: &str, #[case] valid: bool) {
        assert_eq!(CardNumber::parse(number).unwrap().luhn_valid(), valid);
    }

    #[test]
    fn a_reference_is_full_from_twelve_digits_on() {
        assert!(CardRef::parse("62220").is_err());
        assert!(CardRef::parse("622202").unwrap().full().is_none());
        assert!(CardRef::parse("62220200000").unwrap().full().is_none());
        assert!(CardRef::parse("622202000000").unwrap().full().is_some());
    }

    #[test]
    fn debug_is_masked() {
        let card = CardNumber::parse("6222020123456789012").unwrap();
        assert_eq!(format!("{card:?}"), "CardNumber(622202*********9012)");
        let short = CardNumber::parse("622202012345").unwrap();
        assert_eq!(format!("{short:?}"), "CardNumber(622202******)");
    }

    proptest! {
        #[test]
        fn never_panics(raw in "\\PC*") {
            let _ = CardNumber::parse(&raw);
            let _ = CardRef::parse(&raw);
        }

        #[test]
        fn idempotent(raw in "[0-9 \u{ff10}-\u{ff19}-]{0,40}") {
            if let Ok(card) = CardRef::parse(&raw) {
                prop_assert_eq!(&CardRef::parse(card.expose()).unwrap(), &card);
            }
        }

        #[test]
        fn masked_shows_the_ends_at_most(raw in "[0-9]{12,19}") {
            let masked = CardNumber::parse(&raw).unwrap().masked();
            prop_assert_eq!(masked.len(), raw.len());
            for (place, (shown, digit)) in masked.chars().zip(raw.chars()).enumerate() {
                let hidden = place >= 6 && place < raw.len() - 4;
                prop_assert!(shown == '*' || (!hidden && shown == digit));
            }
        }

        #[test]
        fn changing_one_digit_breaks_a_valid_luhn(raw in "[0-9]{12,19}", place in 0usize..12, by in 1u8..10) {
            let card = CardNumber::parse(&raw).unwrap();
            let mut changed = raw.clone().into_bytes();
            changed[place] = b'0' + (changed[place] - b'0' + by) % 10;
            let changed = CardNumber::parse(std::str::from_utf8(&changed).unwrap()).unwrap();
            prop_assert!(!(card.luhn_valid() && changed.luhn_valid()));
        }
    }
}
