//! What came of the rows, and what it cost.

use serde_json::{Map, Value, json};

use super::price::Price;

/// What can have come of a row; the first six are answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Match,
    Mismatch,
    CardProblem,
    InputRejected,
    Inconclusive,
    /// A verdict of a newer service.
    Other,
    Unknown,
    NoAnswer,
    Unusable,
}

impl Group {
    const ALL: [Self; 9] = [
        Self::Match,
        Self::Mismatch,
        Self::CardProblem,
        Self::InputRejected,
        Self::Inconclusive,
        Self::Other,
        Self::Unknown,
        Self::NoAnswer,
        Self::Unusable,
    ];

    /// The group of a verdict by its name in the contract.
    pub(super) fn of_verdict(name: Option<&str>) -> Self {
        let name = name.and_then(|name| name.strip_prefix("VERDICT_"));
        let answers = Self::ALL.into_iter().filter(|group| group.is_answer());
        let mut found = answers.filter(|group| Some(group.name()) == name);
        found.next().unwrap_or(Self::Other)
    }

    pub(super) const fn is_answer(self) -> bool {
        !matches!(self, Self::Unknown | Self::NoAnswer | Self::Unusable)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Match => "MATCH",
            Self::Mismatch => "MISMATCH",
            Self::CardProblem => "CARD_PROBLEM",
            Self::InputRejected => "INPUT_REJECTED",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Other => "other verdicts",
            Self::Unknown => "unknown outcome",
            Self::NoAnswer => "no answer",
            Self::Unusable => "unusable row",
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Unknown => "outcomeUnknown",
            Self::NoAnswer => "noAnswer",
            Self::Unusable => "unusable",
            answer => answer.name(),
        }
    }
}

/// Calls of vendors by what they cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Charges {
    pub(super) charged: u64,
    pub(super) perhaps: u64,
    pub(super) free: u64,
}

/// Rows by what came of them, and calls by what they cost.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    rows: [u64; Group::ALL.len()],
    pub(super) charges: Charges,
}

impl Tally {
    /// Something came of a row, perhaps after something else had.
    pub(super) fn count(&mut self, before: Option<Group>, now: Group, charges: Charges) {
        if let Some(before) = before {
            self.rows[before as usize] -= 1;
        }
        self.rows[now as usize] += 1;
        self.charges.charged += charges.charged;
        self.charges.perhaps += charges.perhaps;
        self.charges.free += charges.free;
    }

    pub(super) const fn of(&self, group: Group) -> u64 {
        self.rows[group as usize]
    }

    /// Rows with an answer.
    pub(super) fn answered(&self) -> u64 {
        let answers = Group::ALL.into_iter().filter(|group| group.is_answer());
        answers.map(|group| self.of(group)).sum()
    }

    pub(super) fn summary(&self, total: u64, price: Option<Price>) -> Summary {
        Summary {
            tally: self.clone(),
            total,
            price,
        }
    }
}

/// The end of a run in figures.
pub(super) struct Summary {
    tally: Tally,
    total: u64,
    price: Option<Price>,
}

impl Summary {
    fn cost(&self) -> Option<(String, String)> {
        let Charges {
            charged, perhaps, ..
        } = self.tally.charges;
        let price = self.price?;
        Some((
            price.times(charged).to_string(),
            price.times(perhaps).to_string(),
        ))
    }

    pub(super) fn to_text(&self) -> String {
        let mut lines = vec![("rows", grouped(self.total))];
        for group in Group::ALL {
            let count = self.tally.of(group);
            if count > 0 || group == Group::Match {
                lines.push((group.name(), grouped(count)));
            }
        }
        let Charges {
            charged,
            perhaps,
            free,
        } = self.tally.charges;
        let mut calls = format!("{} charged", grouped(charged));
        if perhaps > 0 {
            calls.push_str(&format!(", {} perhaps", grouped(perhaps)));
        }
        calls.push_str(&format!(", {} not charged", grouped(free)));
        let width = lines
            .iter()
            .map(|(_, count)| count.len())
            .max()
            .unwrap_or(0);
        let row = |(name, count): &(&str, String)| format!("{name:<17}{count:>width$}\n");
        let mut text: String = lines.iter().map(row).collect();
        text.push_str(&format!("{:<17}{calls}\n", "vendor calls"));
        if let Some((cost, perhaps_more)) = self.cost() {
            let more = match perhaps {
                0 => String::new(),
                _ => format!(", and perhaps {perhaps_more} more"),
            };
            text.push_str(&format!("{:<17}{cost}{more}\n", "cost"));
        }
        text
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let of_groups = |groups: &[Group]| -> Map<String, Value> {
            let pair = |group: &Group| (group.key().to_owned(), self.tally.of(*group).into());
            groups.iter().map(pair).collect()
        };
        let (answers, others) = Group::ALL.split_at(Group::Unknown as usize);
        let Charges {
            charged,
            perhaps,
            free,
        } = self.tally.charges;
        let mut object = json!({
            "rows": self.total,
            "verdicts": of_groups(answers),
            "withoutAnswer": of_groups(others),
            "vendorCalls": {"charged": charged, "perhaps": perhaps, "notCharged": free},
        });
        if let Some((cost, perhaps)) = self.cost() {
            object["cost"] = json!({"charged": cost, "perhaps": perhaps});
        }
        format!("{object}\n").into_bytes()
    }
}

/// A number with commas between thousands.
pub(super) fn grouped(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_adds_up() {
        let mut tally = Tally::default();
        let charged = Charges {
            charged: 1,
            ..Charges::default()
        };
        let perhaps = Charges {
            perhaps: 1,
            ..Charges::default()
        };
        for _ in 0..1_200 {
            tally.count(None, Group::Match, charged);
        }
        tally.count(None, Group::Unknown, perhaps);
        tally.count(None, Group::Unknown, perhaps);
        // asked anew: the row counts once, the money twice
        tally.count(
            Some(Group::Unknown),
            Group::of_verdict(Some("VERDICT_MISMATCH")),
            charged,
        );
        assert_eq!(tally.answered(), 1_201);
        let summary = tally.summary(1_202, Some("0.5".parse().unwrap()));
        assert_eq!(
            summary.to_text(),
            "rows             1,202\n\
             MATCH            1,200\n\
             MISMATCH             1\n\
             unknown outcome      1\n\
             vendor calls     1,201 charged, 2 perhaps, 0 not charged\n\
             cost             600.50, and perhaps 1.00 more\n"
        );
        let json: Value = serde_json::from_slice(&summary.to_json()).unwrap();
        assert_eq!(json["verdicts"]["MATCH"], 1_200);
        assert_eq!(json["withoutAnswer"]["outcomeUnknown"], 1);
        assert_eq!(json["cost"]["charged"], "600.50");
        assert_eq!(Group::of_verdict(Some("VERDICT_NEWER")), Group::Other);
        assert_eq!(Group::of_verdict(None), Group::Other);
    }
}
