//! The operator's rows over the embedded BIN table.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop where its own data is not as it should be"
)]

use cardproof::domain::{CardNetwork, CardType};
use cardproof::provider::bin::{BinEntry, BinLookup, BinTable, DATA_VERSION};

fn found(lookup: BinLookup<'_>) -> Option<BinEntry<'_>> {
    match lookup {
        BinLookup::Found(entry) => Some(entry),
        BinLookup::NetworkOnly(_) | BinLookup::Unknown => None,
    }
}

const HEADER: &str = "prefix,length,bank_code,bank_name,bank_name_en,card_type,network";

fn overlay(lines: &[&str]) -> BinTable {
    BinTable::with_overlay(&format!("{HEADER}\n{}\n", lines.join("\n"))).unwrap()
}

#[test]
fn a_row_of_the_operator_goes_before_the_embedded_one() {
    let table = overlay(&["622202,19,NEW,新银行,New Bank,PREPAID,VISA"]);
    let expected = BinEntry {
        prefix_length: 6,
        bank_code: "NEW",
        bank_name: "新银行",
        bank_name_en: "New Bank",
        card_type: Some(CardType::Prepaid),
        network: Some(CardNetwork::Visa),
    };
    assert_eq!(
        table.lookup(b"6222020000000000000"),
        BinLookup::Found(expected)
    );
    assert_eq!(
        found(table.lookup(b"6222030000000000000")).map(|entry| entry.bank_code),
        Some("ICBC")
    );
    assert_eq!(table.overlay_rows(), 1);
}

#[test]
fn a_longer_prefix_wins_whoever_wrote_it() {
    let table = overlay(&["62220,19,SHORT,短,,,", "62220299,19,LONG,长,,,"]);
    let bank = |number: &str| found(table.lookup(number.as_bytes())).map(|entry| entry.bank_code);
    assert_eq!(bank("6222020000000000000"), Some("ICBC"));
    assert_eq!(bank("6222029900000000000"), Some("LONG"));
    // The embedded table has no row for 622209 with 19 digits.
    assert_eq!(bank("6222099999999999999"), Some("SHORT"));
}

#[test]
fn a_row_of_the_operator_can_make_a_prefix_ambiguous_or_settle_it() {
    let longer = overlay(&["62220299,19,LONG,长,,DEBIT,"]);
    assert_eq!(
        longer.lookup(b"622202"),
        BinLookup::NetworkOnly(CardNetwork::UnionPay)
    );
    // Bank of Nanjing and ICBC share 622305; the operator gives both lengths to one bank.
    let settled = overlay(&["622305,16,ONE,一,,DEBIT,", "622305,18,ONE,一,,DEBIT,"]);
    assert_eq!(
        found(settled.lookup(b"622305")).map(|entry| entry.bank_code),
        Some("ONE")
    );
    // Under 688659 there is one embedded row; hidden by the operator's, it takes no part any more.
    let hidden = overlay(&["6886592,18,ONE,一,,CREDIT,"]);
    assert_eq!(
        found(hidden.lookup(b"688659")).map(|entry| entry.bank_code),
        Some("ONE")
    );
}

#[test]
fn what_the_operator_leaves_open_is_unknown_except_a_network_by_range() {
    let table = overlay(&["400000,16,,某银行,,,", "700000,16,,某银行,,,"]);
    let visa = found(table.lookup(b"4000000000000000")).unwrap();
    assert_eq!(
        (
            visa.bank_code,
            visa.bank_name_en,
            visa.card_type,
            visa.network
        ),
        ("", "", None, Some(CardNetwork::Visa))
    );
    assert_eq!(
        found(table.lookup(b"7000000000000000")).unwrap().network,
        None
    );
}

#[test]
fn the_columns_may_come_in_any_order_with_spreadsheet_habits() {
    let text = "\u{feff}network,card_type,bank_name_en,bank_name,bank_code,length,prefix\r\n\r\n,DEBIT,\"Bank, The\", 银行 ,B1,16,123456\r\n";
    let table = BinTable::with_overlay(text).unwrap();
    let entry = found(table.lookup(b"1234560000000000")).unwrap();
    assert_eq!(
        (entry.bank_code, entry.bank_name, entry.bank_name_en),
        ("B1", "银行", "Bank, The")
    );
}

#[test]
fn overlays_with_other_rows_have_other_data_versions() {
    let (one, other) = (
        overlay(&["123456,16,A,甲,,,"]),
        overlay(&["123456,16,B,乙,,,"]),
    );
    assert!(
        one.data_version()
            .starts_with(&format!("{DATA_VERSION}+overlay."))
    );
    assert_ne!(one.data_version(), other.data_version());
    assert_eq!(
        one.data_version(),
        overlay(&["123456,16,A,甲,,,"]).data_version()
    );
}

#[test]
fn every_bad_line_is_named_once_by_place_and_kind_and_never_quoted() {
    let long_name = "名".repeat(65);
    let lines = [
        "12,16,A,甲,,,",
        "12345x,16,A,甲,,,",
        "123456789012,16,A,甲,,,",
        "123456,11,A,甲,,,",
        "123456,20,A,甲,,,",
        "123456,,A,甲,,,",
        "123456,16,a-b,甲,,,",
        "123456,16,ABCDEFGHIJKLMNOPQ,甲,,,",
        "123456,16,A,,,,",
        &format!("123456,16,A,{long_name},,,"),
        "123456,16,A,甲622202,,,",
        "123456,16,A,甲,Bank 123456,,",
        "123456,16,A,甲,,debit,",
        "123456,16,A,甲,,,UNION_PAY",
        "123456,16,A,甲,,",
        "123456,16,A,甲,,,,",
        "123456,16,A,甲,,,",
        "",
        "123456,16,B,乙,,,",
    ];
    let expected = [
        (2, Some("prefix")),
        (3, Some("prefix")),
        (4, Some("prefix")),
        (5, Some("length")),
        (6, Some("length")),
        (7, Some("length")),
        (8, Some("bank_code")),
        (9, Some("bank_code")),
        (10, Some("bank_name")),
        (11, Some("bank_name")),
        (12, Some("bank_name")),
        (13, Some("bank_name_en")),
        (14, Some("card_type")),
        (15, Some("network")),
        (16, None),
        (17, None),
        (20, Some("prefix")),
    ];
    for line_end in ["\n", "\r\n"] {
        let text = format!("{HEADER}{line_end}{}", lines.join(line_end));
        let problems = BinTable::with_overlay(&text).unwrap_err();
        let places: Vec<_> = problems
            .iter()
            .map(|problem| (problem.line, problem.column))
            .collect();
        assert_eq!(places, expected);
        for problem in problems {
            let text = format!("{problem} {problem:?}");
            assert!(
                !text.contains("123456") && !text.contains("622202") && !text.contains("debit"),
                "{text}"
            );
        }
    }
}

#[test]
fn a_bad_header_is_one_problem_on_its_line() {
    let problems = |text: &str| BinTable::with_overlay(text).unwrap_err();
    let line_and_column = |text: &str| -> Vec<_> {
        problems(text)
            .iter()
            .map(|problem| (problem.line, problem.column))
            .collect()
    };
    assert_eq!(line_and_column(""), [(1, Some("prefix"))]);
    assert_eq!(
        line_and_column("prefix,length,bank_code,bank_name,bank_name_en,card_type\n"),
        [(1, Some("network"))]
    );
    assert_eq!(
        line_and_column(&format!("{HEADER},prefix\n")),
        [(1, Some("prefix"))]
    );
    assert_eq!(line_and_column(&format!("{HEADER},note\n")), [(1, None)]);
    assert_eq!(
        problems(&format!("{HEADER},note\n"))[0].to_string(),
        "line 1: the header names an unknown column"
    );
}

#[test]
fn two_card_types_of_one_bank_are_ambiguous_under_a_prefix() {
    let table = overlay(&[
        "700000,16,B,某银行,,DEBIT,VISA",
        "700000,19,B,某银行,,CREDIT,VISA",
    ]);
    assert_eq!(
        table.lookup(b"700000"),
        BinLookup::NetworkOnly(CardNetwork::Visa)
    );
    assert_eq!(
        found(table.lookup(b"7000000000000000")).unwrap().card_type,
        Some(CardType::Debit)
    );
}

#[test]
fn an_answer_for_a_prefix_rests_on_what_all_its_rows_have_in_common() {
    let table = overlay(&[
        "70000,16,B,某银行,,DEBIT,VISA",
        "7000001,19,B,某银行,,DEBIT,VISA",
    ]);
    let rests_on =
        |digits: &str| found(table.lookup(digits.as_bytes())).map(|entry| entry.prefix_length);
    assert_eq!(rests_on("70000012"), Some(5));
    assert_eq!(rests_on("7000001000000000000"), Some(7));
}

#[test]
fn a_row_without_a_network_leaves_none_certain_under_a_prefix() {
    let table = overlay(&[
        "700000,16,B,某银行,,DEBIT,VISA",
        "700000,19,B,某银行,,DEBIT,",
    ]);
    assert_eq!(found(table.lookup(b"700000")).unwrap().network, None);
}
