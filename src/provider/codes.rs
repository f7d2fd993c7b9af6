//! What vendors' result codes and wordings mean, in the shape that all of them share.
//!
//! A code means something only within one operation of one vendor, so each operation has a table of
//! its own in its vendor's folder; what stands here is the shape of a row and the list of known
//! wordings.

mod phrases;

use crate::domain::Charge;

pub use phrases::{Phrase, phrase_of, wording_of};

/// What one code of one operation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRow<R: 'static> {
    /// The vendor's code.
    pub code: &'static str,
    /// What it means.
    pub result: R,
    /// Whether the vendor charges for it.
    pub charge: Charge,
    /// The vendor's text in Chinese; empty where none is published.
    pub zh: &'static str,
    /// The vendor's text in English; empty where none is published.
    pub en: &'static str,
}

impl<R> CodeRow<R> {
    /// A code that the vendor charges for, with its Chinese and English text.
    #[must_use]
    pub const fn charged(
        code: &'static str,
        result: R,
        zh: &'static str,
        en: &'static str,
    ) -> Self {
        let charge = Charge::Charged;
        Self {
            code,
            result,
            charge,
            zh,
            en,
        }
    }

    /// A code that the vendor does not charge for, with its Chinese and English text.
    #[must_use]
    pub const fn free(code: &'static str, result: R, zh: &'static str, en: &'static str) -> Self {
        let charge = Charge::NotCharged;
        Self {
            code,
            result,
            charge,
            zh,
            en,
        }
    }
}

/// The row of a code.
#[must_use]
pub fn row_of<R>(table: &'static [CodeRow<R>], code: &str) -> Option<&'static CodeRow<R>> {
    table.iter().find(|row| row.code == code)
}
