//! Text that a vendor sent. It is never trusted: a vendor may echo what it was asked.

use std::fmt;

use super::question::Question;

/// The longest vendor text that is given to a caller, in characters.
const MAX_MESSAGE_CHARS: usize = 200;
/// The longest bank name that is believed, in characters.
const MAX_BANK_NAME_CHARS: usize = 64;
/// A run of this many digits could be a card number.
const CARD_LIKE_DIGITS: usize = 13;
/// A run of this many digits has no place in a bank's name.
const BANK_NAME_DIGITS: usize = 6;

/// Whether a vendor's text is free of the question's own values and of anything like a card
/// number, with separators between the digits or without.
#[must_use]
pub fn is_clean(text: &str, question: &Question) -> bool {
    longest_digit_run(text) < CARD_LIKE_DIGITS
        && !question.expose_values().any(|value| holds(text, value))
}

/// Whether a value stands in a text, whatever the letter case. If it is a number, anything else
/// than letters and digits may stand between its own.
fn holds(text: &str, value: &str) -> bool {
    let is_number = has_digit(value);
    // most of what vendors say has no digit, and so no number of ours
    if is_number && !has_digit(text) {
        return false;
    }
    if !text.is_ascii() {
        return holds_in_any_script(text, value, is_number);
    }
    if value.is_ascii() {
        return holds_in_ascii(text, value, is_number);
    }
    // a letter that has no ASCII form, as those of Chinese names, stands in no such text
    let mut capitals = value.chars().flat_map(char::to_uppercase);
    (is_number || capitals.all(|capital| capital.is_ascii()))
        && holds_in_any_script(text, value, is_number)
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

/// What vendors send is mostly ASCII and short, and then nothing need be allocated.
fn holds_in_ascii(text: &str, value: &str, is_number: bool) -> bool {
    let counts = move |byte: &u8| !is_number || byte.is_ascii_alphanumeric();
    let mut rest = text.bytes().filter(counts);
    loop {
        let mut here = rest.clone();
        let mut wanted = value.bytes().filter(counts);
        if wanted.all(|byte| here.next().is_some_and(|it| it.eq_ignore_ascii_case(&byte))) {
            return true;
        }
        if rest.next().is_none() {
            return false;
        }
    }
}

fn holds_in_any_script(text: &str, value: &str, is_number: bool) -> bool {
    let (mut text, mut value) = (text.to_uppercase(), value.to_uppercase());
    if is_number {
        text.retain(char::is_alphanumeric);
        value.retain(char::is_alphanumeric);
    }
    text.contains(&value)
}

/// The longest run of digits, with blanks and hyphens between digits not ending a run.
fn longest_digit_run(text: &str) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for character in text.chars() {
        match character {
            digit if digit.is_numeric() => run += 1,
            ' ' | '-' | '\u{a0}' if run > 0 => {}
            _ => run = 0,
        }
        longest = longest.max(run);
    }
    longest
}

/// A vendor's code or request id: at most `MAX` of `[A-Za-z0-9._-]`, or empty. Kept in place: an
/// answer is handed on more often than it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct VendorToken<const MAX: usize> {
    bytes: [u8; MAX],
    len: u8,
}

impl<const MAX: usize> Default for VendorToken<MAX> {
    fn default() -> Self {
        Self {
            bytes: [0; MAX],
            len: 0,
        }
    }
}

impl<const MAX: usize> VendorToken<MAX> {
    /// Keeps what a vendor sent if it has the form of a token and says nothing about the question;
    /// anything else becomes empty.
    #[must_use]
    pub fn screened(raw: &str, question: &Question) -> Self {
        if is_clean(raw, question) {
            Self::trusted(raw)
        } else {
            Self::default()
        }
    }

    /// Keeps a text of our own, or one that was screened before it was stored.
    #[must_use]
    pub fn trusted(raw: &str) -> Self {
        let mut token = Self::default();
        if Self::well_formed(raw)
            && let Some(place) = token.bytes.get_mut(..raw.len())
        {
            place.copy_from_slice(raw.as_bytes());
            token.len = u8::try_from(raw.len()).unwrap_or_default();
        }
        token
    }

    fn well_formed(raw: &str) -> bool {
        raw.len() <= MAX
            && raw
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    }

    /// The token; empty where there is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        // only ASCII was ever stored
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl<const MAX: usize> fmt::Debug for VendorToken<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A vendor's text for its code.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum ProviderMessage {
    /// The vendor sent none, or one that had to be dropped.
    #[default]
    None,
    /// A phrase of the vendor's own table: may be stored.
    Known(&'static str),
    /// Any other text, clipped and cleaned: for this caller only, never stored or logged.
    Other(Box<str>),
}

impl ProviderMessage {
    /// Reads a vendor's text. `known` finds it in the vendor's table.
    #[must_use]
    pub fn screened(
        raw: &str,
        question: &Question,
        known: impl FnOnce(&str) -> Option<&'static str>,
    ) -> Self {
        let text = raw.trim();
        if text.is_empty() || !is_clean(text, question) {
            return Self::None;
        }
        if let Some(phrase) = known(text) {
            return Self::Known(phrase);
        }
        let clipped: String = text
            .chars()
            .filter(|character| !character.is_control())
            .take(MAX_MESSAGE_CHARS)
            .collect();
        Self::Other(clipped.into())
    }

    /// The text for the caller; empty where there is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "",
            Self::Known(phrase) => phrase,
            Self::Other(text) => text,
        }
    }

    /// What of it may be stored.
    #[must_use]
    pub fn storable(&self) -> Self {
        match self {
            Self::Known(phrase) => Self::Known(phrase),
            Self::None | Self::Other(_) => Self::None,
        }
    }
}

impl fmt::Debug for ProviderMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Known(phrase) => write!(f, "Known({phrase:?})"),
            Self::Other(_) => f.write_str("Other(***)"),
        }
    }
}

/// A bank's name as a vendor sent it: at most 64 characters without 6 digits in a row and without
/// a value of the question, or empty.
#[must_use]
pub fn bank_name(raw: &str, question: &Question) -> String {
    let text = raw.trim();
    let believable = text.chars().count() <= MAX_BANK_NAME_CHARS
        && longest_digit_run(text) < BANK_NAME_DIGITS
        && !text.chars().any(char::is_control)
        && is_clean(text, question);
    if believable {
        text.to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::domain::{
        CardNumber, Identity, IdentityType, PersonName, Phone, Verification, question::Proof,
    };

    fn question() -> Question {
        let today = jiff::civil::date(2026, 6, 1);
        let identity =
            Identity::parse(IdentityType::ResidentId, "11010519491231002X", today).unwrap();
        Question::Verify(Verification {
            card: CardNumber::parse("622202000012").unwrap(),
            name: PersonName::parse("Wei Xiaobao").unwrap(),
            proof: Proof::IdentityAndPhone(identity, Phone::parse("13800138000").unwrap()),
        })
    }

    #[rstest]
    #[case("Authentication passed", true)]
    #[case("card 622202000012 refused", false)]
    #[case("card 6222 0200 0012 refused", false)]
    #[case("card 6222.0200.0012 refused", false)]
    #[case("WEI XIAOBAO is unknown", false)]
    #[case("id 11010519491231002x", false)]
    #[case("phone +86 138-0013-8000", false)]
    #[case("some other 1234567890123", false)]
    #[case("some other 1234 5678 9012 3", false)]
    #[case("ticket 123456789012", true)]
    #[case("卡号6222.0200—0012有误", false)]
    #[case("wei", true)]
    #[case("", true)]
    fn cleanliness(#[case] text: &str, #[case] clean: bool) {
        assert_eq!(is_clean(text, &question()), clean);
    }

    // few letters, so that one often stands in the other
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn the_short_way_finds_what_the_long_one_does(
            text in "[aIsS12 .-]{0,10}|[aIsS12 .ß-]{0,10}",
            value in "[AiSs12 ıſß—-]{1,3}",
        ) {
            prop_assert_eq!(
                holds(&text, &value),
                holds_in_any_script(&text, &value, has_digit(&value)),
            );
        }
    }

    #[test]
    fn tokens_keep_their_form() {
        let question = question();
        let keep = |raw| {
            VendorToken::<16>::screened(raw, &question)
                .as_str()
                .to_owned()
        };
        assert_eq!(keep("-21"), "-21");
        assert_eq!(keep("0 OK"), "");
        assert_eq!(keep("12345678901234567"), "");
        assert_eq!(keep("622202000012"), "");
    }

    #[test]
    fn other_text_is_clipped_and_never_stored() {
        let message = ProviderMessage::screened(&"x\u{7}".repeat(300), &question(), |_| None);
        assert_eq!(message.as_str(), "x".repeat(200));
        assert_eq!(message.storable(), ProviderMessage::None);
        assert!(!format!("{message:?}").contains('x'));
    }

    #[test]
    fn bank_names_have_no_long_numbers() {
        let question = question();
        assert_eq!(bank_name(" 工商银行 ", &question), "工商银行");
        assert_eq!(bank_name("工商银行 622202", &question), "");
        assert_eq!(bank_name("95588", &question), "95588");
        assert_eq!(bank_name(&"行".repeat(65), &question), "");
    }
}
