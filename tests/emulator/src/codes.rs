//! The vendors' published result codes: text and charge of each, one table per vendor and operation.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::vendor::{Charge, Operation, Vendor};

const PUBLISHED: &str = include_str!("../../vectors/result_codes.json");

/// One row of a vendor's table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The vendor's own code. Alibaba: the `SubCode`.
    pub code: String,
    /// The meaning, in the common vocabulary of all vendors (`MATCH`, `CARD_EXPIRED`, ...).
    pub meaning: String,
    /// The vendor's English text; empty for Alibaba, which sends none.
    pub english: String,
    /// The vendor's Chinese text; empty where the vendor publishes none.
    pub chinese: String,
    /// What the vendor charges for this result.
    pub charge: Charge,
}

#[derive(Deserialize)]
struct Published {
    tencent: BTreeMap<String, BTreeMap<String, TencentRow>>,
    ace: BTreeMap<String, BTreeMap<String, AceRow>>,
}

#[derive(Deserialize)]
struct TencentRow {
    result: String,
    zh: String,
    en: String,
    charged: bool,
}

#[derive(Deserialize)]
struct AceRow {
    result: String,
    text: String,
    charged: bool,
}

type Tables = BTreeMap<(Vendor, Operation), Vec<Row>>;

/// The rows of one operation, in ascending order of the code's text; empty where the vendor has no
/// such operation.
pub fn table(vendor: Vendor, operation: Operation) -> &'static [Row] {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES
        .get_or_init(build)
        .get(&(vendor, operation))
        .map_or(&[], Vec::as_slice)
}

/// The row of one code.
pub fn row(vendor: Vendor, operation: Operation, code: &str) -> Option<&'static Row> {
    table(vendor, operation).iter().find(|row| row.code == code)
}

/// The code with which this operation says `meaning`, if it can.
pub fn code_of(vendor: Vendor, operation: Operation, meaning: &str) -> Option<&'static str> {
    table(vendor, operation)
        .iter()
        .find(|row| row.meaning == meaning)
        .map(|row| row.code.as_str())
}

/// The charge of a code; a code that the vendor does not list is [`Charge::Unknown`]. For Alibaba
/// the first digit of the `SubCode`, its `BizCode`, decides alone.
pub fn charge(vendor: Vendor, operation: Operation, code: &str) -> Charge {
    if vendor == Vendor::Alibaba && operation != Operation::Probe {
        return match code.as_bytes().first() {
            Some(b'1' | b'2') => Charge::Yes,
            Some(b'3') => Charge::No,
            _ => Charge::Unknown,
        };
    }
    row(vendor, operation, code).map_or(Charge::Unknown, |row| row.charge)
}

fn build() -> Tables {
    // An unreadable table leaves every operation without codes; the tests below would say so.
    let Ok(published) = serde_json::from_str::<Published>(PUBLISHED) else {
        return Tables::new();
    };
    let mut tables = Tables::new();
    for (name, operation) in [
        ("2E", Operation::Two),
        ("3E", Operation::Three),
        ("4E", Operation::Four),
        ("INFO", Operation::CardInfo),
    ] {
        let rows = published
            .tencent
            .get(name)
            .into_iter()
            .flatten()
            .map(|(code, row)| Row {
                code: code.clone(),
                meaning: row.result.clone(),
                english: row.en.clone(),
                chinese: row.zh.clone(),
                charge: charged(row.charged),
            });
        tables.insert((Vendor::Tencent, operation), rows.collect());
    }
    for (name, rows) in &published.ace {
        let rows: Vec<Row> = rows
            .iter()
            .map(|(code, row)| Row {
                code: code.clone(),
                meaning: row.result.clone(),
                english: row.text.clone(),
                chinese: String::new(),
                charge: charged(row.charged),
            })
            .collect();
        for (path, operation) in [
            ("check-1e", Operation::CardInfo),
            ("check-2e", Operation::Two),
            ("check-3e", Operation::Three),
            ("check-4e", Operation::Four),
        ] {
            if name.contains(path) {
                tables.insert((Vendor::Ace, operation), rows.clone());
            }
        }
    }
    for operation in [Operation::Two, Operation::Three, Operation::Four] {
        tables.insert((Vendor::Alibaba, operation), alibaba());
    }
    tables
}

/// Source: the SubCode list in the official SDK's model of BankMetaVerifyIntl.
fn alibaba() -> Vec<Row> {
    [
        ("101", "MATCH"),
        ("201", "CARDHOLDER_INFO_INCORRECT"),
        ("202", "CARDLESS_PAYMENT_NOT_ENABLED"),
        ("203", "CARD_EXPIRED"),
        ("204", "CARD_RESTRICTED"),
        ("205", "CARD_CONFISCATED"),
        ("206", "CARD_NUMBER_INVALID"),
        ("207", "NO_ISSUING_BANK"),
        ("208", "CARD_UNINITIALIZED_OR_DORMANT"),
        ("209", "CARD_FRAUDULENT_OR_RETAINED"),
        ("210", "CARD_REPORTED_LOST"),
        ("211", "PIN_ATTEMPTS_EXCEEDED"),
        ("212", "ISSUER_UNSUPPORTED"),
        ("213", "CARD_STATUS_ABNORMAL"),
        ("214", "PHONE_NOT_REGISTERED"),
        ("215", "CARD_CREDENTIALS_INCORRECT"),
        ("216", "CARD_OTHER_EXCEPTION"),
        ("301", "CARD_UNSUPPORTED"),
        ("302", "BANK_REFUSED"),
        ("303", "PHONE_VERIFICATION_UNSUPPORTED"),
        ("304", "CARD_NUMBER_FORMAT_INVALID"),
        ("305", "UNVERIFIABLE"),
        ("306", "ATTEMPTS_EXCEEDED"),
    ]
    .into_iter()
    .map(|(code, meaning)| Row {
        code: code.to_owned(),
        meaning: meaning.to_owned(),
        english: String::new(),
        chinese: String::new(),
        charge: charged(!code.starts_with('3')),
    })
    .collect()
}

fn charged(charged: bool) -> Charge {
    if charged { Charge::Yes } else { Charge::No }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_as_many_codes_as_the_vendor_lists() {
        let sizes = |vendor| {
            [
                Operation::Two,
                Operation::Three,
                Operation::Four,
                Operation::CardInfo,
            ]
            .map(|operation| table(vendor, operation).len())
        };
        assert_eq!(sizes(Vendor::Tencent), [19, 21, 22, 7]);
        assert_eq!(sizes(Vendor::Ace), [18, 18, 18, 4]);
        assert_eq!(sizes(Vendor::Alibaba), [23, 23, 23, 0]);
    }

    #[test]
    fn one_code_means_and_costs_different_things_per_operation() {
        assert_eq!(charge(Vendor::Tencent, Operation::Two, "-4"), Charge::Yes);
        assert_eq!(charge(Vendor::Tencent, Operation::Three, "-4"), Charge::No);
        assert_eq!(
            code_of(Vendor::Tencent, Operation::Four, "SERVICE_BUSY"),
            Some("-18")
        );
        assert_eq!(
            charge(Vendor::Tencent, Operation::Four, "-99"),
            Charge::Unknown
        );
        assert_eq!(charge(Vendor::Alibaba, Operation::Two, "305"), Charge::No);
        assert_eq!(charge(Vendor::Alibaba, Operation::Two, "299"), Charge::Yes);
    }
}
