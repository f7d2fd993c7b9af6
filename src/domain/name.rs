//! Card holders' names.

use std::fmt;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::input::Malformed;

/// The longest name, in characters after normalisation.
const MAX_CHARS: usize = 100;
/// The dot between the parts of a name transcribed into Chinese.
const MIDDLE_DOT: char = '\u{b7}';
/// The Chinese zero: a number by its Unicode category, yet a character of registered names.
const IDEOGRAPHIC_ZERO: char = '\u{3007}';

/// A card holder's name in one spelling: NFC, single spaces, one kind of middle dot.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PersonName(String);

impl PersonName {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is not 1 to 100 letters and marks of any script, with spaces, hyphens, apostrophes
    /// and middle dots between them.
    pub fn parse(raw: &str) -> Result<Self, Malformed> {
        Self::take(raw.to_owned())
    }

    /// The same for a name that nobody else needs: most are in their final form, and are kept
    /// where they are.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn take(raw: String) -> Result<Self, Malformed> {
        // overwritten if it is not the name itself
        let raw = Self(raw);
        if is_common(&raw.0) {
            return Ok(raw);
        }
        if raw.0.chars().take(4 * MAX_CHARS + 1).count() > 4 * MAX_CHARS {
            return Err(Malformed("must have 1 to 100 characters"));
        }
        let name = if is_final(&raw.0) { raw } else { raw.folded() };
        let count = name.0.chars().count();
        if count == 0 || count > MAX_CHARS {
            return Err(Malformed("must have 1 to 100 characters"));
        }
        if !name.0.chars().all(allowed) {
            return Err(Malformed(
                "may contain letters of any script, spaces, hyphens, apostrophes and the middle dot only",
            ));
        }
        if !name.0.chars().any(is_letter) {
            return Err(Malformed("must contain a letter"));
        }
        Ok(name)
    }

    /// Normalising may bring a dot next to its Han neighbours, and folding a dot may complete
    /// nothing: one pass each, in this order, ends in a form that parses to itself.
    fn folded(&self) -> Self {
        let mut composed: String = self.0.nfc().collect();
        let name = fold(&composed);
        composed.zeroize();
        Self(name)
    }

    /// The name itself, for vendor clients and keyed digests only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonName(***)")
    }
}

/// Whether this is a short name of Han characters of the first block, as most are. Each is a
/// letter, and the final form of itself.
fn is_common(raw: &str) -> bool {
    let common = |character| ('\u{4e00}'..='\u{9fef}').contains(&character);
    (1..=MAX_CHARS).contains(&raw.len()) && raw.chars().all(common)
}

/// Whether folding would surely change nothing. A character that might be folded is reason enough
/// to look closer.
fn is_final(raw: &str) -> bool {
    let mut previous = ' ';
    let plain = raw.chars().all(|character| {
        let doubled = previous == ' ' && character == ' ';
        previous = character;
        !doubled && (character == ' ' || allowed(character))
    });
    plain && previous != ' ' && is_nfc_quick(raw.chars()) == IsNormalized::Yes
}

/// Trims, makes every run of blanks one space and every look-alike dot the middle dot.
fn fold(composed: &str) -> String {
    let mut folded = String::with_capacity(composed.len());
    let mut characters = composed.trim().chars().peekable();
    let mut previous = None;
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        let character = match character {
            '\u{2022}' | '\u{30fb}' | '\u{2027}' | '\u{ff0e}' => MIDDLE_DOT,
            '.' if previous.is_some_and(is_han) && next.is_some_and(is_han) => MIDDLE_DOT,
            '\u{a0}' | '\u{3000}' => ' ',
            other => other,
        };
        if !(character == ' ' && previous == Some(' ')) {
            folded.push(character);
        }
        previous = Some(character);
    }
    folded
}

fn allowed(character: char) -> bool {
    matches!(
        character,
        ' ' | '-' | '\'' | '\u{2019}' | '\u{2010}' | MIDDLE_DOT
    ) || is_letter(character)
        || character.general_category_group() == GeneralCategoryGroup::Mark
}

fn is_letter(character: char) -> bool {
    character.general_category_group() == GeneralCategoryGroup::Letter
        || character == IDEOGRAPHIC_ZERO
}

/// Whether a character is a Han ideograph: the unified blocks, their extensions and the
/// compatibility forms.
fn is_han(character: char) -> bool {
    let code = character as u32;
    let in_block =
        matches!(code, 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3fffd);
    character == IDEOGRAPHIC_ZERO
        || (in_block && character.general_category() == GeneralCategory::OtherLetter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("张三", "张三")]
    #[case("  张三 ", "张三")]
    #[case("阿卜杜拉•买买提", "阿卜杜拉·买买提")]
    #[case("阿卜杜拉・买买提", "阿卜杜拉·买买提")]
    #[case("阿卜杜拉‧买买提", "阿卜杜拉·买买提")]
    #[case("阿卜杜拉．买买提", "阿卜杜拉·买买提")]
    #[case("阿卜杜拉.买买提", "阿卜杜拉·买买提")]
    #[case("阿卜杜拉·买买提", "阿卜杜拉·买买提")]
    #[case("李〇", "李〇")]
    #[case("Wei  Xiaobao", "Wei Xiaobao")]
    #[case("Zoe\u{308} O'Brien-Smith", "Zoë O'Brien-Smith")]
    #[case("Николай", "Николай")]
    #[case("𠮷田", "𠮷田")]
    fn reads_names_into_one_spelling(#[case] raw: &str, #[case] name: &str) {
        assert_eq!(PersonName::parse(raw).unwrap().expose(), name);
    }

    #[test]
    fn common_characters_are_final_letters() {
        for character in '\u{4e00}'..='\u{9fef}' {
            let name = character.to_string();
            assert!(is_common(&name) && is_final(&name) && is_letter(character));
            assert_eq!(PersonName(name.clone()).folded().0, name);
        }
        for other in ["\u{4dff}", "\u{9ff0}", "a", "张a", "张 三", ""] {
            assert!(!is_common(other), "{other}");
        }
    }

    #[rstest]
    #[case("")]
    #[case("   ")]
    #[case("·")]
    #[case("J. Smith")] // a full stop between letters that are not Han
    #[case("张3")]
    #[case("张\u{661}")] // Arabic-Indic digit
    #[case("张\u{0}三")]
    #[case("张\u{202e}三")] // right-to-left override
    #[case("张\u{200b}三")] // zero-width space
    #[case("张\n三")]
    #[case("张😀")]
    #[case("<b>张三")]
    fn refuses_what_is_no_name(#[case] raw: &str) {
        assert!(PersonName::parse(raw).is_err());
    }

    #[test]
    fn a_hundred_characters_and_no_more() {
        assert!(PersonName::parse(&"张".repeat(100)).is_ok());
        assert!(PersonName::parse(&"张".repeat(101)).is_err());
    }

    #[test]
    fn debug_shows_nothing() {
        let shown = format!("{:?}", PersonName::parse("张三").unwrap());
        assert!(!shown.contains('张') && !shown.contains('三'));
    }

    proptest! {
        #[test]
        fn never_panics_and_is_idempotent(raw in "\\PC{0,120}") {
            if let Ok(name) = PersonName::parse(&raw) {
                let again = PersonName::parse(name.expose()).unwrap();
                prop_assert_eq!(again.expose(), name.expose());
            }
        }

        #[test]
        fn idempotent_over_dots_and_blanks(raw in "[张三a\u{308}.•・ \u{3000}·〇-]{1,20}") {
            if let Ok(name) = PersonName::parse(&raw) {
                let again = PersonName::parse(name.expose()).unwrap();
                prop_assert_eq!(again.expose(), name.expose());
            }
        }
    }
}
