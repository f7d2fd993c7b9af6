//! Identity documents and phones.

use std::fmt;

use jiff::civil::Date;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{input::Malformed, reason::vocabulary};

vocabulary! {
    /// Kinds of identity documents.
    IdentityType {
        /// A resident identity card of mainland China.
        ResidentId = "RESIDENT_ID",
        /// A passport.
        Passport = "PASSPORT",
        /// A mainland travel permit for residents of Hong Kong and Macao.
        HkMacaoPermit = "HK_MACAO_PERMIT",
        /// A mainland travel permit for residents of Taiwan.
        TaiwanPermit = "TAIWAN_PERMIT",
        /// A permanent resident identity card for foreigners.
        ForeignPermanentResident = "FOREIGN_PERMANENT_RESIDENT",
        /// A military officer's identity card.
        MilitaryOfficer = "MILITARY_OFFICER",
        /// A soldier's identity card.
        Soldier = "SOLDIER",
        /// A police officer's identity card.
        PoliceOfficer = "POLICE_OFFICER",
        /// Any other document.
        Other = "OTHER",
    }
}

/// The longest number of a document, and of every other text here.
const MAX_ID_CHARS: usize = 32;
/// A mobile number without its prefix.
const PHONE_DIGITS: usize = 11;

/// A few ASCII characters, kept in place and overwritten when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
struct ShortText<const MAX: usize> {
    bytes: [u8; MAX],
    len: u8,
}

impl<const MAX: usize> ShortText<MAX> {
    /// `None` when they are too many, or one of them is not ASCII.
    fn collect(characters: impl Iterator<Item = char>) -> Option<Self> {
        let mut text = Self {
            bytes: [0; MAX],
            len: 0,
        };
        for character in characters {
            let slot = text.bytes.get_mut(usize::from(text.len))?;
            *slot = u8::try_from(character).ok().filter(u8::is_ascii)?;
            text.len += 1;
        }
        Some(text)
    }

    fn uppercase(mut self) -> Self {
        self.bytes.make_ascii_uppercase();
        self
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.len))
            .unwrap_or(&self.bytes)
    }

    fn as_str(&self) -> &str {
        // only ASCII was ever stored
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// An identity document: its kind and number.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    kind: IdentityType,
    number: IdNumber,
}

#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
struct IdNumber(ShortText<MAX_ID_CHARS>);

impl Identity {
    /// Reads the number of a document. `today` is the date in mainland China: nobody who holds a
    /// card was born after it.
    ///
    /// # Errors
    /// When the number cannot belong to a document of that kind.
    pub fn parse(kind: IdentityType, raw: &str, today: Date) -> Result<Self, Malformed> {
        let number = match kind {
            IdentityType::ResidentId => resident_id(raw, today)?,
            IdentityType::Passport
            | IdentityType::HkMacaoPermit
            | IdentityType::TaiwanPermit
            | IdentityType::ForeignPermanentResident
            | IdentityType::MilitaryOfficer
            | IdentityType::Soldier
            | IdentityType::PoliceOfficer
            | IdentityType::Other => other_document(raw)?,
        };
        Ok(Self { kind, number })
    }

    /// What kind of document it is.
    #[must_use]
    pub fn kind(&self) -> IdentityType {
        self.kind
    }

    /// The number itself, for vendor clients and keyed digests only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.number.0.as_str()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, ***)", self.kind.as_str())
    }
}

/// Reads a resident identity number by GB 11643-1999: 6 digits of region, 8 of birth date, 3 of
/// sequence, and a check character by ISO 7064 MOD 11-2.
fn resident_id(raw: &str, today: Date) -> Result<IdNumber, Malformed> {
    const FORM: Malformed = Malformed("must have 17 digits and a check character");
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECK_CHARACTERS: &[u8; 11] = b"10X98765432";
    let number = ShortText::collect(raw.trim().chars()).ok_or(FORM)?;
    let number = IdNumber(number.uppercase());
    let [digits @ .., check] = number.0.as_bytes() else {
        return Err(FORM);
    };
    if digits.len() != WEIGHTS.len() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(FORM);
    }
    if digits.first() == Some(&b'0') {
        return Err(Malformed("must begin with a region"));
    }
    let sum: u32 = digits
        .iter()
        .zip(WEIGHTS)
        .map(|(digit, weight)| u32::from(digit - b'0') * weight)
        .sum();
    if CHECK_CHARACTERS.get((sum % 11) as usize) != Some(check) {
        return Err(Malformed("has a wrong check character"));
    }
    match birth_date(digits) {
        Some(date) if date <= today => Ok(number),
        Some(_) => Err(Malformed("has a birth date in the future")),
        None => Err(Malformed("has no real birth date")),
    }
}

fn birth_date(digits: &[u8]) -> Option<Date> {
    let part = |range: std::ops::Range<usize>| -> Option<i16> {
        std::str::from_utf8(digits.get(range)?).ok()?.parse().ok()
    };
    let month = i8::try_from(part(10..12)?).ok()?;
    let day = i8::try_from(part(12..14)?).ok()?;
    Date::new(part(6..10)?, month, day).ok()
}

fn other_document(raw: &str) -> Result<IdNumber, Malformed> {
    let raw = raw.trim();
    if !(5..=MAX_ID_CHARS).contains(&raw.len()) {
        return Err(Malformed("must have 5 to 32 characters"));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'(' | b')');
    let number = ShortText::collect(raw.chars()).filter(|_| raw.bytes().all(allowed));
    number
        .map(|number| IdNumber(number.uppercase()))
        .ok_or(Malformed(
            "may contain letters, digits, hyphens and parentheses only",
        ))
}

/// A mobile number of mainland China: 11 digits.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Phone(ShortText<PHONE_DIGITS>);

impl Phone {
    /// Reads a phone number, with or without +86, 0086 or 86; blanks and hyphens are dropped.
    ///
    /// # Errors
    /// When it is not a mobile number of mainland China.
    pub fn parse(raw: &str) -> Result<Self, Malformed> {
        const FORM: Malformed =
            Malformed("must be a mobile number of mainland China, with or without +86");
        if raw.len() > 64 {
            return Err(FORM);
        }
        let compact = raw
            .chars()
            .filter(|character| !character.is_whitespace() && *character != '-');
        // room for a prefix; anything longer is no phone
        let compact = ShortText::<15>::collect(compact).ok_or(FORM)?;
        ["+86", "0086", "86", ""]
            .iter()
            .filter_map(|prefix| compact.as_str().strip_prefix(prefix))
            .find(|number| is_mobile(number.as_bytes()))
            .and_then(|number| ShortText::collect(number.chars()))
            .map(Self)
            .ok_or(FORM)
    }

    /// The 11 digits, for vendor clients and keyed digests only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(***)")
    }
}

fn is_mobile(number: &[u8]) -> bool {
    matches!(number, [b'1', b'3'..=b'9', rest @ ..] if rest.len() == 9 && rest.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const TODAY: Date = date(2026, 6, 1);

    fn resident(raw: &str) -> Result<Identity, Malformed> {
        Identity::parse(IdentityType::ResidentId, raw, TODAY)
    }

    // 11010519491231002X is the worked example of GB 11643-1999 itself
    #[rstest]
    #[case("11010519491231002X")]
    #[case("11010519491231002x")]
    #[case(" 11010519491231002X ")]
    #[case("440524188001010014")] // the standard's second example, born 1880
    fn accepts_the_examples_of_the_standard(#[case] raw: &str) {
        assert!(resident(raw).is_ok());
    }

    #[rstest]
    #[case("")]
    #[case("110105194912310021")] // wrong check digit
    #[case("110105491231002")] // 15 digits, the old form
    #[case("1101051949123100XX")]
    #[case("11010519491231002XX")]
    #[case("１１010519491231002X")]
    fn refuses_what_is_no_resident_id(#[case] raw: &str) {
        assert!(resident(raw).is_err());
    }

    /// Completes 17 digits with the check character, by the congruence of the standard (the sum
    /// over all 18 places with weights 2^(18-place) is 1 modulo 11) instead of its weight table.
    fn completed(seventeen: &str) -> String {
        let sum: u32 = seventeen
            .bytes()
            .enumerate()
            .map(|(place, digit)| u32::from(digit - b'0') * (2u32.pow(17 - place as u32) % 11))
            .sum();
        let check = (12 - sum % 11) % 11;
        format!(
            "{seventeen}{}",
            if check == 10 {
                "X".to_owned()
            } else {
                check.to_string()
            }
        )
    }

    #[rstest]
    #[case("81000019900101001", true)] // Hong Kong
    #[case("83000019900101001", true)] // Taiwan
    #[case("91000019900101001", true)] // permanent resident foreigners
    #[case("01010519900101001", false)] // no region begins with 0
    #[case("11010519900230001", false)] // 30 February
    #[case("11010519901301001", false)] // month 13
    #[case("11010520260601001", true)] // born today
    #[case("11010520260602001", false)] // born tomorrow
    #[case("11010520000229001", true)] // leap day
    #[case("11010519000229001", false)] // 1900 was no leap year
    fn region_and_birth_date(#[case] seventeen: &str, #[case] accepted: bool) {
        assert_eq!(resident(&completed(seventeen)).is_ok(), accepted);
    }

    #[rstest]
    #[case("E12345678", true)]
    #[case("H1234567(8)", true)]
    #[case("ab-12", true)]
    #[case("1234", false)]
    #[case("123456789012345678901234567890123", false)]
    #[case("军1234567", false)]
    #[case("E1234 5678", false)]
    fn other_documents(#[case] raw: &str, #[case] accepted: bool) {
        let parsed = Identity::parse(IdentityType::Passport, raw, TODAY);
        assert_eq!(parsed.is_ok(), accepted);
    }

    #[rstest]
    #[case("13800138000")]
    #[case("+8613800138000")]
    #[case("+86 138 0013 8000")]
    #[case("0086-138-0013-8000")]
    #[case("8613800138000")]
    fn reads_phones_as_people_write_them(#[case] raw: &str) {
        assert_eq!(Phone::parse(raw).unwrap().expose(), "13800138000");
    }

    #[rstest]
    #[case("")]
    #[case("12800138000")]
    #[case("1380013800")]
    #[case("138001380000")]
    #[case("+85291234567")]
    #[case("+86+8613800138000")]
    #[case("1380013800a")]
    fn refuses_what_is_no_phone(#[case] raw: &str) {
        assert!(Phone::parse(raw).is_err());
    }

    #[test]
    fn debug_shows_nothing() {
        let shown = format!(
            "{:?}{:?}",
            resident("11010519491231002X").unwrap(),
            Phone::parse("13800138000").unwrap()
        );
        assert!(!shown.contains("1101") && !shown.contains("138"));
    }

    proptest! {
        #[test]
        fn never_panics(raw in "\\PC*") {
            let _ = Phone::parse(&raw);
            for kind in IdentityType::ALL {
                let _ = Identity::parse(*kind, &raw, TODAY);
            }
        }

        #[test]
        fn resident_ids_are_idempotent(seventeen in "[1-9][0-9]{5}19[0-9]{2}0[1-9][0-2][1-8][0-9]{3}") {
            if let Ok(identity) = resident(&completed(&seventeen)) {
                prop_assert_eq!(&resident(identity.expose()).unwrap(), &identity);
            }
        }

        #[test]
        fn one_changed_digit_never_passes(seventeen in "[1-9][0-9]{5}19[0-9]{2}0[1-9][0-2][1-8][0-9]{3}", place in 0usize..17, by in 1u8..10) {
            let good = completed(&seventeen);
            let mut changed = good.into_bytes();
            changed[place] = b'0' + (changed[place] - b'0' + by) % 10;
            prop_assert!(resident(std::str::from_utf8(&changed).unwrap()).is_err());
        }

        #[test]
        fn phones_are_idempotent(raw in "(\\+86|0086|86)?[ -]?1[0-9]{10}") {
            if let Ok(phone) = Phone::parse(&raw) {
                prop_assert_eq!(&Phone::parse(phone.expose()).unwrap(), &phone);
            }
        }
    }
}
