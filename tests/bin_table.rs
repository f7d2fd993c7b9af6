//! The BIN table against readings of its sources that share no code with it.
//!
//! `bankcard-3.1.6.json` is the data of the npm package in its own form (MIT, see `THIRD_PARTY_NOTICES.md`);
//! `known_cards.tsv` was written by hand from published numbers, with the source of each.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop where its own data is not as it should be"
)]

use std::collections::{BTreeMap, BTreeSet};

use cardproof::domain::{CardNetwork, CardType};
use cardproof::provider::bin::{BinEntry, BinLookup, BinTable, DATA_VERSION};
use serde::Deserialize;

#[derive(Deserialize)]
struct Source {
    banks: Vec<SourceBank>,
    bin: Vec<SourceRow>,
}

#[derive(Deserialize)]
struct SourceBank {
    code: String,
    name: String,
}

#[derive(Deserialize)]
struct SourceRow {
    bin: String,
    bank: String,
    #[serde(rename = "type")]
    card_type: String,
    len: usize,
}

impl SourceRow {
    fn card_type(&self) -> CardType {
        match self.card_type.as_str() {
            "DC" => CardType::Debit,
            "CC" => CardType::Credit,
            "SCC" => CardType::QuasiCredit,
            "PC" => CardType::Prepaid,
            _ => panic!("the source has a card type of its own"),
        }
    }
}

fn source() -> Source {
    serde_json::from_str(include_str!("data/bankcard-3.1.6.json")).unwrap()
}

/// Names of the source that are out of date, with what the banks are called now.
const RENAMED: [(&str, &str); 4] = [
    ("广东发展银行", "广发银行"),
    ("南昌银行", "江西银行"),
    ("南充市商业银行", "四川天府银行"),
    ("乌鲁木齐市商业银行", "乌鲁木齐银行"),
];

fn current_names(source: &Source) -> BTreeMap<&str, &str> {
    let renamed: BTreeMap<_, _> = RENAMED.into();
    let name = |bank: &SourceBank| {
        renamed
            .get(bank.name.as_str())
            .map(|name| (*name).to_owned())
    };
    let names = source.banks.iter().map(|bank| {
        (
            bank.code.as_str(),
            name(bank).unwrap_or_else(|| bank.name.clone()),
        )
    });
    names.map(|(code, name)| (code, &*name.leak())).collect()
}

fn padded(prefix: &str, length: usize, filler: char) -> String {
    let missing = length - prefix.len();
    prefix
        .chars()
        .chain(std::iter::repeat_n(filler, missing))
        .collect()
}

fn found(lookup: BinLookup<'_>) -> Option<BinEntry<'_>> {
    match lookup {
        BinLookup::Found(entry) => Some(entry),
        BinLookup::NetworkOnly(_) | BinLookup::Unknown => None,
    }
}

fn network(lookup: BinLookup<'_>) -> Option<CardNetwork> {
    match lookup {
        BinLookup::Found(entry) => entry.network,
        BinLookup::NetworkOnly(network) => Some(network),
        BinLookup::Unknown => None,
    }
}

#[test]
fn every_row_of_the_source_is_answered_as_a_naive_search_answers_it() {
    let source = source();
    let names = current_names(&source);
    let table = BinTable::embedded();
    let prefixes: BTreeSet<_> = source.bin.iter().map(|row| row.bin.as_str()).collect();
    assert_eq!((source.bin.len(), prefixes.len()), (1698, 1686));

    let mut answered_by = BTreeSet::new();
    for prefix in prefixes {
        let related: Vec<_> = source
            .bin
            .iter()
            .filter(|row| row.bin.starts_with(prefix) || prefix.starts_with(&row.bin))
            .collect();
        for length in 12..=19 {
            for filler in ['0', '9'] {
                let number = padded(prefix, length, filler);
                let expected = related
                    .iter()
                    .filter(|row| row.len == length && number.starts_with(&row.bin))
                    .max_by_key(|row| row.bin.len());
                let entry = found(table.lookup(number.as_bytes()));
                assert_eq!(
                    entry.is_some(),
                    expected.is_some(),
                    "{prefix} with {length} digits"
                );
                let (Some(entry), Some(row)) = (entry, expected) else {
                    continue;
                };
                assert_eq!(entry.bank_code, row.bank, "{prefix} with {length} digits");
                assert_eq!(
                    entry.bank_name,
                    names[row.bank.as_str()],
                    "{prefix} with {length} digits"
                );
                assert_eq!(
                    entry.card_type,
                    Some(row.card_type()),
                    "{prefix} with {length} digits"
                );
                assert_eq!(
                    entry.prefix_length,
                    row.bin.len(),
                    "{prefix} with {length} digits"
                );
                answered_by.insert((row.bin.as_str(), row.len));
            }
        }
    }
    assert_eq!(
        answered_by.len(),
        source.bin.len(),
        "some rows never answered"
    );
}

struct KnownCard<'a> {
    number: &'a str,
    bank_code: &'a str,
    card_type: &'a str,
    network: &'a str,
}

fn known_cards() -> Vec<KnownCard<'static>> {
    let lines = include_str!("data/known_cards.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1);
    lines
        .map(|line| {
            let fields: Vec<_> = line.split('\t').collect();
            let [number, bank_code, card_type, network, source] = fields[..] else {
                panic!("a line has other columns")
            };
            assert!(!source.is_empty(), "{number} has no source");
            KnownCard {
                number,
                bank_code,
                card_type,
                network,
            }
        })
        .collect()
}

#[test]
fn numbers_known_from_elsewhere_are_answered_right() {
    let table = BinTable::embedded();
    let cards = known_cards();
    let issuers_checked = cards.iter().filter(|card| card.bank_code != "-").count();
    assert!(
        issuers_checked >= 50,
        "only {issuers_checked} issuers checked by hand"
    );
    let mut wrong = Vec::new();
    for card in cards {
        let lookup = table.lookup(card.number.as_bytes());
        let entry = found(lookup);
        let answer = (
            entry.map_or("-", |entry| entry.bank_code),
            entry
                .and_then(|entry| entry.card_type)
                .map_or("-", CardType::as_str),
            network(lookup).map_or("-", CardNetwork::as_str),
        );
        if answer != (card.bank_code, card.card_type, card.network) {
            wrong.push((card.number, answer));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_number_of_every_network_is_recognised() {
    let table = BinTable::embedded();
    let recognised: BTreeSet<_> = known_cards()
        .iter()
        .filter_map(|card| network(table.lookup(card.number.as_bytes())))
        .collect();
    assert_eq!(recognised, CardNetwork::ALL.iter().copied().collect());
}

/// One line of `data/networks.tsv`, read without the generator.
struct Range {
    first: String,
    last: String,
    lengths: BTreeSet<usize>,
    network: CardNetwork,
}

impl Range {
    fn holds(&self, number: &str) -> bool {
        let head = &number[..self.first.len()];
        self.lengths.contains(&number.len())
            && self.first.as_str() <= head
            && head <= self.last.as_str()
    }

    fn width(&self) -> u64 {
        let bound = |prefix: &str, filler| padded(prefix, 12, filler).parse::<u64>().unwrap();
        bound(&self.last, '9') - bound(&self.first, '0')
    }
}

fn ranges() -> Vec<Range> {
    let lines = include_str!("../data/networks.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1);
    lines
        .map(|line| {
            let fields: Vec<_> = line.split('\t').collect();
            let [first, last, lengths, network] = fields[..] else {
                panic!("a line has other columns")
            };
            let lengths = lengths.split(',').flat_map(|part| {
                let (from, to) = part.split_once('-').unwrap_or((part, part));
                from.parse::<usize>().unwrap()..=to.parse().unwrap()
            });
            Range {
                first: first.into(),
                last: last.into(),
                lengths: lengths.collect(),
                network: CardNetwork::from_name(network).unwrap(),
            }
        })
        .collect()
}

#[test]
fn the_narrowest_published_range_names_the_network() {
    let table = BinTable::embedded();
    let ranges = ranges();
    let mut compared = 0;
    for range in &ranges {
        let edge = |prefix: &str, filler| padded(prefix, 12, filler).parse::<u64>().unwrap();
        let (first, last) = (edge(&range.first, '0'), edge(&range.last, '9'));
        for key in [
            first.saturating_sub(1),
            first,
            first.midpoint(last),
            last,
            last + 1,
        ] {
            for length in 12..=19 {
                let number = padded(&format!("{key:012}"), length, '7');
                let lookup = table.lookup(number.as_bytes());
                // A row of the BIN table goes before the ranges.
                if found(lookup).is_some() || number.len() > length {
                    continue;
                }
                let narrowest = ranges
                    .iter()
                    .filter(|range| range.holds(&number))
                    .min_by_key(|range| range.width());
                assert_eq!(
                    network(lookup),
                    narrowest.map(|range| range.network),
                    "{key} with {length} digits"
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 4000, "only {compared} numbers compared");
}

/// Prefixes worth asking for: those of the table, cut off and continued, and those of the networks.
fn prefixes_worth_asking() -> BTreeSet<String> {
    let source = source();
    let table_prefixes = source.bin.iter().map(|row| row.bin.clone());
    let known: Vec<_> = table_prefixes
        .chain(
            ranges()
                .into_iter()
                .flat_map(|range| [range.first, range.last]),
        )
        .collect();
    let mut prefixes = BTreeSet::new();
    for prefix in &known {
        for length in 6..=prefix.len().min(11) {
            prefixes.insert(prefix[..length].to_owned());
        }
        for continuation in ["0", "1", "9", "00", "123", "99999"] {
            let longer = format!("{prefix}{continuation}");
            if (6..=11).contains(&longer.len()) {
                prefixes.insert(longer);
            }
        }
    }
    prefixes
}

/// Full numbers under a prefix that between them meet every row and every range under it.
fn witnesses(prefix: &str, continuations: &[String]) -> Vec<String> {
    let heads = continuations
        .iter()
        .map(String::as_str)
        .filter(|head| head.starts_with(prefix))
        .chain([prefix]);
    let mut numbers = Vec::new();
    for head in heads {
        for filler in ('0'..='9').filter(|_| head.len() <= 12) {
            numbers.extend((12..=19).map(|length| padded(head, length, filler)));
        }
    }
    numbers
}

#[test]
fn an_answer_for_a_prefix_is_right_for_every_number_under_it_and_withheld_only_for_a_reason() {
    let table = BinTable::embedded();
    let continuations: Vec<_> = source()
        .bin
        .into_iter()
        .map(|row| row.bin)
        .chain(
            ranges()
                .into_iter()
                .flat_map(|range| [range.first, range.last]),
        )
        .collect();
    let (mut answered, mut ambiguous) = (0, 0);
    for prefix in prefixes_worth_asking() {
        let numbers = witnesses(&prefix, &continuations);
        let lookups: Vec<_> = numbers
            .iter()
            .map(|number| table.lookup(number.as_bytes()))
            .collect();
        let issuers: BTreeSet<_> = lookups
            .iter()
            .filter_map(|lookup| {
                found(*lookup).map(|entry| (entry.bank_code, entry.bank_name, entry.card_type))
            })
            .collect();
        let networks: BTreeSet<_> = lookups
            .iter()
            .filter_map(|lookup| network(*lookup))
            .collect();
        let only_network = networks.first().copied().filter(|_| networks.len() == 1);

        let lookup = table.lookup(prefix.as_bytes());
        let answer = found(lookup).map(|entry| (entry.bank_code, entry.bank_name, entry.card_type));
        let only_issuer = issuers.first().copied().filter(|_| issuers.len() == 1);
        assert_eq!(answer, only_issuer, "{prefix}");
        assert_eq!(network(lookup), only_network, "{prefix}");
        answered += usize::from(issuers.len() == 1);
        ambiguous += usize::from(issuers.len() > 1);
    }
    assert!(
        answered > 5000 && ambiguous >= 11,
        "{answered} answered, {ambiguous} ambiguous"
    );
}

#[test]
fn an_ambiguous_prefix_names_the_network_alone() {
    let table = BinTable::embedded();
    // ICBC with 18 digits, Bank of Nanjing with 16.
    assert_eq!(
        table.lookup(b"622305"),
        BinLookup::NetworkOnly(CardNetwork::UnionPay)
    );
    // One issuer at every length.
    assert_eq!(
        found(table.lookup(b"690755")).map(|entry| entry.bank_code),
        Some("CMB")
    );
    // Three issuers share 940046; the eighth digit tells two of them apart, the rest is Bank of Hebei.
    assert_eq!(
        table.lookup(b"940046"),
        BinLookup::NetworkOnly(CardNetwork::UnionPay)
    );
    assert_eq!(
        found(table.lookup(b"94004604")).map(|entry| entry.bank_code),
        Some("BOCZ")
    );
    assert_eq!(
        found(table.lookup(b"94004609")).map(|entry| entry.bank_code),
        Some("BHB")
    );
}

#[test]
fn a_prefix_answer_says_how_many_digits_it_rests_on() {
    let table = BinTable::embedded();
    let rests_on =
        |digits: &str| found(table.lookup(digits.as_bytes())).map(|entry| entry.prefix_length);
    assert_eq!(
        rests_on("62220200"),
        Some(6),
        "the row's prefix is shorter than the question"
    );
    assert_eq!(rests_on("911100"), Some(4), "a row with four digits");
    // 6886592 is the only row under 688659.
    assert_eq!(
        rests_on("688659"),
        Some(6),
        "the row's prefix is longer than the question"
    );
}

#[test]
fn a_network_is_withheld_where_numbers_without_a_row_have_another() {
    let table = BinTable::embedded();
    let by_prefix = found(table.lookup(b"436742")).unwrap();
    assert_eq!((by_prefix.bank_code, by_prefix.network), ("CCB", None));
    assert_eq!(
        network(table.lookup(b"4367420000000000000")),
        Some(CardNetwork::UnionPay)
    );
    assert_eq!(
        table.lookup(b"4367420000000000"),
        BinLookup::NetworkOnly(CardNetwork::Visa)
    );
}

#[test]
fn what_is_no_card_number_or_prefix_is_unknown() {
    let table = BinTable::embedded();
    for digits in [
        "",
        "62220",
        "62220200000000000000",
        "622202 0000000000",
        "62220a0000000000",
        "６２２２０２",
    ] {
        assert_eq!(
            table.lookup(digits.as_bytes()),
            BinLookup::Unknown,
            "{} bytes",
            digits.len()
        );
    }
    assert_eq!(table.lookup(&[0xff; 16]), BinLookup::Unknown);
}

#[test]
fn large_issuers_have_an_english_name() {
    let table = BinTable::embedded();
    let name_en =
        |digits: &str| found(table.lookup(digits.as_bytes())).map(|entry| entry.bank_name_en);
    assert_eq!(
        name_en("622202"),
        Some("Industrial and Commercial Bank of China")
    );
    assert_eq!(name_en("622848"), Some("Agricultural Bank of China"));
    assert_eq!(name_en("622568"), Some("China Guangfa Bank"));
}

#[test]
fn the_data_version_names_the_source() {
    assert!(DATA_VERSION.starts_with("bankcard-3.1.6+20"));
    assert_eq!(BinTable::embedded().data_version(), DATA_VERSION);
}
