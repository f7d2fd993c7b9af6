use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    cache::Digests,
    config::providers::Money,
    domain::{Operation, ProviderName, VendorToken},
    service::ledger::{self, Event, Settlement},
};

fn of(text: &str) -> Summary {
    summarize([text.as_bytes()]).unwrap()
}

/// A line written by hand.
fn line(time: &str, event: &str, id: u8, charge: &str, rest: &str) -> String {
    format!(
        "{{\"time\":\"{time}\",\"event\":\"{event}\",\
         \"call_id\":\"00000000-0000-4000-8000-0000000000{id:02}\",\"charge\":{charge},{rest}}}\n"
    )
}

const ACE: &str = r#""caller":"checkout","provider":"ace","operation":"verify_two","price_micros":1000000,"currency":"CNY""#;
const TENCENT: &str = r#""caller":"risk","provider":"tencent","operation":"verify_four","price_micros":150000,"currency":"USD""#;
const FREE: &str = r#""caller":"risk","provider":"mine","operation":"card_info","price_micros":null,"currency":null"#;

/// Five calls over midnight in Shanghai (16:00 in UTC), in two currencies and without one.
fn ledger() -> String {
    [
        line("2026-06-01T15:59:59.900Z", "intent", 1, "null", ACE),
        line("2026-06-01T16:00:01.000Z", "settled", 1, "\"CHARGED\"", ACE),
        line("2026-06-01T16:00:02.000Z", "intent", 2, "null", ACE),
        line(
            "2026-06-01T16:00:02.100Z",
            "settled",
            2,
            "\"NOT_CHARGED\"",
            ACE,
        ),
        line("2026-06-01T16:00:03.000Z", "intent", 3, "null", ACE),
        line("2026-06-01T16:00:04.000Z", "intent", 4, "null", TENCENT),
        line(
            "2026-06-01T16:00:05.000Z",
            "settled",
            4,
            "\"UNKNOWN\"",
            TENCENT,
        ),
        line("2026-06-01T16:00:06.000Z", "intent", 5, "null", FREE),
        line(
            "2026-06-01T16:00:06.500Z",
            "settled",
            5,
            "\"CHARGED\"",
            FREE,
        ),
        line("2026-06-01T16:00:07.000Z", "refused", 6, "null", ACE),
        line("2026-06-01T16:00:08.000Z", "admin", 7, "null", ACE),
    ]
    .concat()
}

#[test]
fn calls_and_cost_are_added_up_and_the_unsettled_are_unknown() {
    let csv = of(&ledger()).to_csv();
    let expected = "\
day,provider,operation,caller,currency,calls,charged,not_charged,unknown,cost,unknown_cost
2026-06-01,ace,verify_two,checkout,CNY,1,1,0,0,1.00,0.00
2026-06-02,ace,verify_two,checkout,CNY,2,0,1,1,0.00,1.00
2026-06-02,mine,card_info,risk,,1,1,0,0,0.00,0.00
2026-06-02,tencent,verify_four,risk,USD,1,0,0,1,0.00,0.15
";
    assert_eq!(csv, expected);
}

#[test]
fn the_table_has_totals_and_notes() {
    let table = of(&ledger()).to_table();
    let expected = [
        "day         provider  operation    caller    currency  calls  charged  not charged  unknown  cost  unknown cost",
        "2026-06-01  ace       verify_two   checkout  CNY           1        1            0        0  1.00          0.00",
        "2026-06-02  ace       verify_two   checkout  CNY           2        0            1        1  0.00          1.00",
        "2026-06-02  mine      card_info    risk                    1        1            0        0  0.00          0.00",
        "2026-06-02  tencent   verify_four  risk      USD           1        0            0        1  0.00          0.15",
        "total                                                      1        1            0        0  0.00          0.00",
        "total                                        CNY           3        1            1        1  1.00          1.00",
        "total                                        USD           1        0            0        1  0.00          0.15",
        "calls without an end, counted as unknown: 1",
        "calls refused: 1",
        "changes by operators: 1",
        "",
    ];
    assert_eq!(table, expected.join("\n"));
}

#[test]
fn the_json_says_the_same() {
    let value: serde_json::Value = serde_json::from_str(&of(&ledger()).to_json()).unwrap();
    assert_eq!(value["rows"].as_array().unwrap().len(), 4);
    assert_eq!(value["rows"][1]["day"], "2026-06-02");
    assert_eq!(value["rows"][1]["unknown_cost_micros"], 1_000_000);
    assert_eq!(value["totals"][2]["currency"], "USD");
    assert_eq!(value["totals"][2]["calls"], 1);
    assert_eq!(value["unsettled"], 1);
    assert_eq!((&value["refused"], &value["admin"]), (&1.into(), &1.into()));
    assert_eq!(
        (&value["malformed"], &value["other"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn order_files_and_repetition_change_nothing() {
    let whole = of(&ledger());
    let text = ledger();
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines.reverse();
    assert_eq!(of(&lines.concat()), whole);
    let (first, second) = text.split_at(text.match_indices('\n').nth(2).unwrap().0 + 1);
    assert_eq!(
        summarize([second.as_bytes(), first.as_bytes()]).unwrap(),
        whole
    );
    let calls_only = |text: &str| {
        let mut summary = summarize([text.as_bytes(), text.as_bytes()]).unwrap();
        summary.refused /= 2;
        summary.admin /= 2;
        summary
    };
    assert_eq!(calls_only(&text), whole);
}

#[test]
fn of_two_ends_of_one_call_the_dearer_counts() {
    let time = "2026-06-01T02:00:00Z";
    let ends = [
        line(time, "settled", 1, "\"NOT_CHARGED\"", ACE),
        line(time, "settled", 1, "\"CHARGED\"", ACE),
    ];
    let sums = |text: &str| of(text).rows[0].sums;
    assert_eq!(sums(&ends.concat()).charged, 1);
    assert_eq!(sums(&format!("{}{}", ends[1], ends[0])).charged, 1);
}

#[test]
fn a_settlement_whose_intent_is_elsewhere_counts_by_itself() {
    let summary = of(&line(
        "2026-06-01T02:00:00Z",
        "settled",
        1,
        "\"CHARGED\"",
        ACE,
    ));
    assert_eq!(summary.rows[0].day, "2026-06-01");
    assert_eq!(summary.rows[0].sums.cost_micros, 1_000_000);
    assert_eq!(summary.unsettled, 0);
}

#[test]
fn broken_lines_are_counted_and_the_rest_still_adds_up() {
    let good = ledger();
    let torn = &line("2026-06-01T16:00:09Z", "intent", 9, "null", ACE)[..40];
    let mut text = format!("{torn}\n{good}");
    // an event without its id, with a charge that there is not, of a kind that there is not
    text += &format!("{{\"time\":\"2026-06-01T16:00:09Z\",\"event\":\"intent\",{ACE}}}\n");
    text += &line("2026-06-01T16:00:09Z", "settled", 9, "\"MAYBE\"", ACE);
    text += &line("2026-06-01T16:00:09Z", "later", 9, "null", ACE);
    text += &line("yesterday", "intent", 9, "null", ACE);
    text += "\n";
    text += "a word from somebody else\n";
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(b"{\"time\":\"\xff\xfe\n");
    // the last line of all has no end
    bytes.extend_from_slice(torn.as_bytes());
    let summary = summarize([bytes.as_slice()]).unwrap();
    assert_eq!((summary.malformed, summary.other), (7, 1));
    assert_eq!(summary.rows, of(&good).rows);
}

#[test]
fn events_are_found_in_a_log() {
    let mut text = String::new();
    for event in ledger().lines() {
        let quoted = serde_json::to_string(event).unwrap();
        text += &match text.lines().count() % 3 {
            0 => format!("2026-06-01T15:59:59Z  INFO ledger: {event}\n"),
            1 => format!("{{\"level\":\"INFO\",\"target\":\"ledger\",\"message\":{quoted}}}\n"),
            _ => format!("{{\"level\":\"INFO\",\"fields\":{{\"message\":{quoted}}}}}\n"),
        };
    }
    text += "2026-06-01T15:59:59Z  INFO cardproof: listening {port: 1}\n";
    text += "{\"level\":\"INFO\",\"fields\":{\"message\":\"listening\"}}\n";
    text += "{\"level\":\"INFO\",\"caller\":7}\n";
    let summary = of(&text);
    assert_eq!(summary.rows, of(&ledger()).rows);
    assert_eq!((summary.malformed, summary.other), (0, 3));
}

#[test]
fn a_name_drives_no_terminal() {
    let rest = ACE.replace("checkout", "\\u001b[31mred");
    let table = of(&line("2026-06-01T02:00:00Z", "intent", 1, "null", &rest)).to_table();
    assert!(table.contains("?[31mred"));
    assert!(!table.contains('\u{1b}'));
}

/// One call of a random day.
#[derive(Debug, Clone)]
struct Told {
    second: i64,
    provider: usize,
    price: Option<u64>,
    charge: Option<Charge>,
    intent: bool,
}

fn told() -> impl Strategy<Value = Told> {
    let charge = proptest::option::of(proptest::sample::select(Charge::ALL));
    (
        0i64..400_000,
        0usize..3,
        proptest::option::of(0u64..1_000_000),
        charge,
        any::<bool>(),
    )
        .prop_map(|(second, provider, price, charge, intent)| Told {
            second,
            provider,
            price,
            charge,
            intent: intent || charge.is_none(),
        })
}

proptest! {
    /// What the service writes is read back in full, whatever the order.
    #[test]
    fn what_is_written_adds_up(
        calls in proptest::collection::vec(told(), 0..40),
        order in any::<u64>(),
    ) {
        let providers = ["ace", "tencent", "alibaba"];
        let mut lines: Vec<String> = Vec::new();
        for (at, told) in calls.iter().enumerate() {
            let time = Timestamp::from_second(1_800_000_000 + told.second).unwrap();
            let call = ledger::Call {
                call_id: Uuid::from_u128(at as u128),
                caller: Arc::from("checkout"),
                provider: ProviderName::new(providers[told.provider]).unwrap(),
                operation: Operation::CardInfo,
                price: told.price.map(|micros| Money { currency: String::from("CNY"), micros }),
                request_id: None,
                consent_reference: None,
                card_tag: Digests::new(b"key").ledger_card("x"),
            };
            if told.intent {
                lines.push(call.intent(time).line());
            }
            if let Some(charge) = told.charge {
                let provider_request_id = VendorToken::default();
                let settlement = Settlement { result: "FOUND", charge, provider_request_id };
                lines.push(call.settled(&settlement, time).line());
            }
            lines.push(Event::new(EventKind::Refused, Arc::from("checkout"), time).line());
        }
        lines.sort_by_key(|line| line.bytes().fold(order, |hash, byte| {
            hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
        }));
        let summary = of(&lines.concat());

        prop_assert_eq!(summary.refused as usize, calls.len());
        prop_assert_eq!((summary.malformed, summary.other), (0, 0));
        let unsettled = calls.iter().filter(|told| told.charge.is_none()).count();
        prop_assert_eq!(summary.unsettled as usize, unsettled);
        for (provider, name) in providers.iter().enumerate() {
            let of_provider = || calls.iter().filter(|told| told.provider == provider);
            let cost = |charge: Option<Charge>| -> u64 {
                of_provider()
                    .filter(|told| told.charge == charge)
                    .filter_map(|told| told.price)
                    .sum()
            };
            let rows = || summary.rows.iter().filter(|row| row.provider == *name);
            let calls: u64 = rows().map(|row| row.sums.calls).sum();
            prop_assert_eq!(calls as usize, of_provider().count());
            let charged: u64 = rows().map(|row| row.sums.cost_micros).sum();
            prop_assert_eq!(charged, cost(Some(Charge::Charged)));
            let unknown: u64 = rows().map(|row| row.sums.unknown_cost_micros).sum();
            prop_assert_eq!(unknown, cost(Some(Charge::Unknown)) + cost(None));
        }
    }
}
