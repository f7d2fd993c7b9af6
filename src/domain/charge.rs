//! What a call cost.

use super::reason::vocabulary;

vocabulary! {
    /// Whether the vendor charged for a call.
    Charge {
        /// It did.
        Charged = "CHARGED",
        /// It did not.
        NotCharged = "NOT_CHARGED",
        /// It may have: count it as charged until the vendor's bill says otherwise.
        Unknown = "UNKNOWN",
    }
}

impl Charge {
    /// The charge of a call that is made of several: charged if one was, else unknown if one may
    /// have been.
    #[must_use]
    pub fn total(parts: impl IntoIterator<Item = Self>) -> Self {
        parts
            .into_iter()
            .fold(Self::NotCharged, |total, part| match (total, part) {
                (Self::Charged, _) | (_, Self::Charged) => Self::Charged,
                (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
                (Self::NotCharged, Self::NotCharged) => Self::NotCharged,
            })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Charge::{self, Charged, NotCharged, Unknown};

    #[rstest]
    #[case(&[], NotCharged)]
    #[case(&[NotCharged, NotCharged], NotCharged)]
    #[case(&[NotCharged, Unknown], Unknown)]
    #[case(&[Unknown, Charged, NotCharged], Charged)]
    #[case(&[Charged, Unknown], Charged)]
    fn totals(#[case] parts: &[Charge], #[case] total: Charge) {
        assert_eq!(Charge::total(parts.iter().copied()), total);
    }
}
