//! What a call costs, in whole millionths.

use std::{fmt, str::FromStr};

const MICROS: u64 = 1_000_000;

/// A price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Price {
    micros: u64,
}

impl Price {
    /// What so many calls cost.
    pub(super) const fn times(self, calls: u64) -> Self {
        Self {
            micros: self.micros.saturating_mul(calls),
        }
    }
}

impl FromStr for Price {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected an amount such as 0.35, with at most six decimals";
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 6 {
            return Err(EXPECTED);
        }
        let whole: u64 = whole.parse().map_err(|_| EXPECTED)?;
        let part: u64 = format!("{part:0<6}").parse().map_err(|_| EXPECTED)?;
        let micros = whole
            .checked_mul(MICROS)
            .and_then(|it| it.checked_add(part));
        micros.map(|micros| Self { micros }).ok_or(EXPECTED)
    }
}

/// With two decimals at least, and no more than needed.
impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = format!("{:06}", self.micros % MICROS);
        let kept = part.trim_end_matches('0').len().max(2);
        write!(f, "{}.{}", self.micros / MICROS, &part[..kept])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        let price: Price = "0.35".parse().unwrap();
        assert_eq!(price.times(98_765).to_string(), "34567.75");
        assert_eq!("12".parse::<Price>().unwrap().to_string(), "12.00");
        assert_eq!(
            "0.000001".parse::<Price>().unwrap().times(3).to_string(),
            "0.000003"
        );
        for text in [
            "",
            ".5",
            "1.",
            "-1",
            "1,5",
            "0.1234567",
            "1e3",
            "99999999999999",
        ] {
            assert!(text.parse::<Price>().is_err(), "{text}");
        }
    }
}
