//! Card information from the embedded table, through a client.

use std::collections::{BTreeMap, BTreeSet};

use cardproof::{
    app::DATA_VERSION,
    proto::bankcard::v1::{CardInfoResult, CardNetwork, CardType, Charge, Source},
};
use futures_util::{StreamExt, stream};
use rstest::rstest;
use serde::Deserialize;

use super::card_info;
use crate::support::server::Server;

#[derive(Deserialize)]
struct Table {
    banks: Vec<Bank>,
    bin: Vec<Row>,
}

#[derive(Deserialize)]
struct Bank {
    code: String,
    name: String,
}

#[derive(Deserialize)]
struct Row {
    bin: String,
    bank: String,
    #[serde(rename = "type")]
    card_type: String,
    len: usize,
}

impl Row {
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

/// Names of the source that are out of date, with what the banks are called now.
const RENAMED: [(&str, &str); 4] = [
    ("广东发展银行", "广发银行"),
    ("南昌银行", "江西银行"),
    ("南充市商业银行", "四川天府银行"),
    ("乌鲁木齐市商业银行", "乌鲁木齐银行"),
];

/// Each prefix of the source, filled up to each length in two ways, with the row that must answer: the one with
/// the longest prefix among those of that length.
fn questions(rows: &[Row]) -> Vec<(String, Option<&Row>)> {
    let prefixes: BTreeSet<_> = rows.iter().map(|row| row.bin.as_str()).collect();
    let mut questions = Vec::new();
    for prefix in prefixes {
        let related: Vec<_> = rows
            .iter()
            .filter(|row| row.bin.starts_with(prefix) || prefix.starts_with(&row.bin))
            .collect();
        for (length, filler) in (12..=19).flat_map(|length| [(length, '0'), (length, '9')]) {
            let rest = std::iter::repeat_n(filler, length - prefix.len());
            let number: String = prefix.chars().chain(rest).collect();
            let expected = related
                .iter()
                .filter(|row| row.len == length && number.starts_with(&row.bin))
                .max_by_key(|row| row.bin.len());
            questions.push((number, expected.copied()));
        }
    }
    questions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_the_source_is_answered_as_a_naive_search_answers_it() {
    let source = include_str!("../../data/bankcard-3.1.6.json");
    let source: Table = serde_json::from_str(source).unwrap();
    let renamed = BTreeMap::from(RENAMED);
    let names: BTreeMap<_, _> = source
        .banks
        .iter()
        .map(|bank| {
            let name = bank.name.as_str();
            (bank.code.as_str(), *renamed.get(name).unwrap_or(&name))
        })
        .collect();
    let server = Server::start("");
    let client = server.client().await;
    let questions = questions(&source.bin);
    assert!(questions.len() > 26_000, "only {}", questions.len());
    let begun = std::time::Instant::now();
    let asked = stream::iter(&questions).map(|(number, expected)| {
        let mut client = client.clone();
        async move {
            let reply = client.query_card_info(card_info(number)).await.unwrap();
            (number, *expected, reply.into_inner())
        }
    });
    let mut answered_by = BTreeSet::new();
    let mut replies = asked.buffer_unordered(64);
    while let Some((number, expected, reply)) = replies.next().await {
        assert_eq!(reply.data_version, DATA_VERSION);
        let Some(row) = expected else {
            assert_eq!(reply.result(), CardInfoResult::NoInformation, "{number}");
            assert_eq!((&*reply.bank_code, &*reply.bin), ("", ""), "{number}");
            continue;
        };
        assert_eq!(reply.result(), CardInfoResult::Found, "{number}");
        assert_eq!(reply.bank_code, row.bank, "{number}");
        assert_eq!(reply.bank_name, names[row.bank.as_str()], "{number}");
        assert_eq!(reply.card_type(), row.card_type(), "{number}");
        assert_eq!(reply.bin, row.bin, "{number}");
        answered_by.insert((row.bin.as_str(), row.len));
    }
    assert_eq!(
        answered_by.len(),
        source.bin.len(),
        "some rows never answered"
    );
    println!("{} numbers in {:?}", questions.len(), begun.elapsed());
}

/// What is shown: bank code, card type, network, and the digits that decided.
type Shown<'a> = (&'a str, CardType, CardNetwork, &'a str);

#[rstest]
#[case::full("6222020000000000000", Some(true), ("ICBC", CardType::Debit, CardNetwork::Unionpay, "622202"))]
#[case::as_people_write_it("６２２２-0200 0000 0000 000", Some(true), ("ICBC", CardType::Debit, CardNetwork::Unionpay, "622202"))]
#[case::prefix("622202", None, ("ICBC", CardType::Debit, CardNetwork::Unionpay, "622202"))]
#[case::longer_prefix("62220200000", None, ("ICBC", CardType::Debit, CardNetwork::Unionpay, "622202"))]
#[case::from_abroad("4111 1111 1111 1111", Some(true), ("", CardType::Unspecified, CardNetwork::Visa, ""))]
// ICBC with 18 digits, Bank of Nanjing with 16
#[case::ambiguous_prefix("622305", None, ("", CardType::Unspecified, CardNetwork::Unionpay, ""))]
#[case::its_full_number("6223050000000000", Some(false), ("NJCB", CardType::Debit, CardNetwork::Unionpay, "622305"))]
#[case::nobodys("000000", None, ("", CardType::Unspecified, CardNetwork::Unspecified, ""))]
#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_prefixes_are_recognised(
    #[case] digits: &str,
    #[case] luhn_valid: Option<bool>,
    #[case] expected: Shown<'_>,
) {
    let server = Server::start("");
    let asked = server
        .client()
        .await
        .query_card_info(card_info(digits))
        .await;
    let reply = asked.unwrap().into_inner();
    let shown = (
        &*reply.bank_code,
        reply.card_type(),
        reply.network(),
        &*reply.bin,
    );
    assert_eq!(shown, expected);
    assert_eq!(reply.luhn_valid, luhn_valid);
    let found = !expected.0.is_empty();
    let result = if found {
        CardInfoResult::Found
    } else {
        CardInfoResult::NoInformation
    };
    assert_eq!(reply.result(), result);
    assert_eq!(reply.data_version, DATA_VERSION);
    assert!(DATA_VERSION.starts_with("bankcard-3.1.6+"));
    assert_eq!(
        (reply.charge(), reply.source()),
        (Charge::NotCharged, Source::Embedded)
    );
    assert_eq!(reply.provider, "bin");
    if reply.bank_code == "ICBC" {
        assert_eq!(reply.bank_name, "中国工商银行");
        assert_eq!(
            reply.bank_name_en,
            "Industrial and Commercial Bank of China"
        );
    }
}
