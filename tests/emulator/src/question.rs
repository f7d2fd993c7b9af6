//! A decoded question, its digest, and the masked form that Alibaba calls `md5`.

use std::fmt;

use md5::{Digest as _, Md5};
use sha2::Sha256;

/// What a request asked, after decryption; absent fields are `None`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Card number as it was sent (in Alibaba's `md5` mode: with its last six digits hashed).
    pub card: Option<String>,
    /// Name of the card holder.
    pub name: Option<String>,
    /// ID number.
    pub id_number: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
}

/// SHA-256 of a question; equal questions have equal digests whichever vendor was asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QuestionDigest(pub [u8; 32]);

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Question({} values)",
            self.values().into_iter().flatten().count()
        )
    }
}

impl fmt::Debug for QuestionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Question {
    /// A question of two factors; add the others with [`Question::id_number`] and [`Question::phone`].
    pub fn new(card: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            card: Some(card.into()),
            name: Some(name.into()),
            ..Self::default()
        }
    }

    /// A question for card information.
    pub fn card_info(card: impl Into<String>) -> Self {
        Self {
            card: Some(card.into()),
            ..Self::default()
        }
    }

    /// The same question with an ID number.
    #[must_use]
    pub fn id_number(mut self, id_number: impl Into<String>) -> Self {
        self.id_number = Some(id_number.into());
        self
    }

    /// The same question with a phone number.
    #[must_use]
    pub fn phone(mut self, phone: impl Into<String>) -> Self {
        self.phone = Some(phone.into());
        self
    }

    /// SHA-256 over the four values in the order card, name, ID number, phone. Each value stands
    /// after its length in bytes and a colon, an absent one is a single `-`, and a newline ends each.
    pub fn digest(&self) -> QuestionDigest {
        let mut hash = Sha256::new();
        for value in self.values() {
            match value {
                Some(value) => {
                    hash.update(value.len().to_string());
                    hash.update(":");
                    hash.update(value);
                }
                None => hash.update("-"),
            }
            hash.update("\n");
        }
        QuestionDigest(hash.finalize().into())
    }

    /// The question as it is sent with `ParamType=md5`, for a resident ID card.
    /// Source: Alibaba's page for BankMetaVerifyIntl.
    #[must_use]
    pub fn masked(&self) -> Question {
        Question {
            card: self.card.as_deref().map(mask_card),
            name: self.name.as_deref().map(mask_name),
            id_number: self.id_number.as_deref().map(mask_resident_id),
            phone: self.phone.as_deref().map(md5_hex),
        }
    }

    fn values(&self) -> [Option<&String>; 4] {
        [
            self.card.as_ref(),
            self.name.as_ref(),
            self.id_number.as_ref(),
            self.phone.as_ref(),
        ]
    }
}

/// MD5 of a text's UTF-8 bytes as 32 lower-case hex digits.
pub fn md5_hex(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

/// All but the last six characters, then the MD5 of those.
pub fn mask_card(card: &str) -> String {
    let (head, tail) = split_at_char(card, card.chars().count().saturating_sub(6));
    format!("{head}{}", md5_hex(tail))
}

/// The MD5 of the first character, then the rest.
pub fn mask_name(name: &str) -> String {
    let (first, rest) = split_at_char(name, 1);
    format!("{}{rest}", md5_hex(first))
}

/// First six digits, the MD5 of the birth date (digits 7 to 14), last four.
pub fn mask_resident_id(id_number: &str) -> String {
    let (region, rest) = split_at_char(id_number, 6);
    let (birth, last) = split_at_char(rest, 8);
    format!("{region}{}{last}", md5_hex(birth))
}

/// All but the last two characters, then the MD5 of those: any document but a resident ID card.
pub fn mask_other_document(id_number: &str) -> String {
    let (head, tail) = split_at_char(id_number, id_number.chars().count().saturating_sub(2));
    format!("{head}{}", md5_hex(tail))
}

fn split_at_char(text: &str, chars: usize) -> (&str, &str) {
    let byte = text
        .char_indices()
        .nth(chars)
        .map_or(text.len(), |(index, _)| index);
    text.split_at(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The MD5 values were computed with coreutils' md5sum.
    #[test]
    fn masks_are_what_the_vendor_describes() {
        assert_eq!(
            mask_card("6222020000000000000"),
            "6222020000000670b14728ad9902aecba32e22fa4f6bd"
        );
        assert_eq!(mask_name("张三"), "6499fc7409049355527ef6a2ba5706b8三");
        assert_eq!(
            mask_resident_id("11010519491231002X"),
            "110105f8817a477938df5a3e7763cadc5a9abb002X"
        );
        assert_eq!(md5_hex("13800138000"), "7945bd83237335e5376ff44d62e4f0ae");
    }

    #[test]
    fn a_digest_tells_questions_apart_whose_texts_run_together() {
        let one = Question::new("6222", "ab").id_number("c");
        let other = Question::new("6222", "a").id_number("bc");
        assert_ne!(one.digest(), other.digest());
        assert_ne!(
            Question::new("6222", "").digest(),
            Question::card_info("6222").digest()
        );
        assert_eq!(one.digest(), one.clone().digest());
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?}", Question::new("6222020000000000000", "张三"));
        assert_eq!(shown, "Question(2 values)");
    }
}
