//! A lookup allocates nothing. A binary of its own: counting allocations needs the global allocator.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop where its own data is not as it should be"
)]

use std::hint::black_box;

use cardproof::provider::bin::BinTable;

const OVERLAY: &str = "prefix,length,bank_code,bank_name,bank_name_en,card_type,network\n\
                       62220299,19,TEST,测试银行,Test Bank,DEBIT,UNIONPAY\n";

const QUESTIONS: [&[u8]; 8] = [
    b"6222020000000000000",
    b"6222029900000000000",
    b"4111111111111111",
    b"0000000000000000",
    b"622202",
    b"622305",
    b"94004604",
    b"not a number",
];

#[test]
fn a_lookup_allocates_nothing() {
    for table in [
        BinTable::embedded(),
        BinTable::with_overlay(OVERLAY).unwrap(),
    ] {
        let lookups = allocation_counter::measure(|| {
            for question in QUESTIONS {
                black_box(table.lookup(black_box(question)));
            }
        });
        assert_eq!(lookups.count_total, 0);
    }
}

#[test]
fn the_counter_counts() {
    let boxed = allocation_counter::measure(|| drop(black_box(Box::new(black_box(1)))));
    assert_eq!(boxed.count_total, 1);
}

#[test]
fn the_embedded_table_costs_nothing_at_start() {
    let start = allocation_counter::measure(|| drop(black_box(BinTable::embedded())));
    assert_eq!(start.count_total, 0);
}
