//! What is blotted out, and what is not.

use std::io::Write as _;

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn cleaned(text: &str) -> String {
    clean_str(text).into_owned()
}

// numbers with a right check digit, made by hand from the published rules: the test numbers of
// card networks, and ID numbers of nobody
#[rstest]
#[case::visa("card 4111111111111111 was", "card **************** was")]
#[case::thirteen("4222222222222", "*************")]
#[case::american_express("(378282246310005)", "(***************)")]
#[case::nineteen("\"6222029137465028372\"", "\"*******************\"")]
#[case::in_a_json_string(r#"{"a":"x 4111111111111111"}"#, r#"{"a":"x ****************"}"#)]
#[case::after_a_quote(r#"{"a":"\"4111111111111111"}"#, r#"{"a":"\"****************"}"#)]
#[case::a_bare_json_number(r#"{"a":4111111111111111,"b":2}"#, r#"{"a":null,"b":2}"#)]
#[case::spaces("4111 1111 1111 1111", "*******************")]
#[case::hyphens("no=4111-1111-1111-1111;", "no=*******************;")]
#[case::of_a_url("?c=4111%201111%201111%201111&", "?c=*************************&")]
#[case::nineteen_in_groups("6222 0291 3746 5028 372", "***********************")]
#[case::american_groups("3782 822463 10005", "*****************")]
#[case::after_a_date("2026-11-25 4111 1111 1111 1111", "2026-11-25 *******************")]
#[case::beside_a_word("card4111111111111111ok", "card****************ok")]
#[case::two("4111111111111111,4222222222222", "****************,*************")]
#[case::an_end_of_a_sentence("4111111111111111.", "****************.")]
#[case::resident_id("id=11010519491231002X", "id=******************")]
#[case::small_x("11010519491231002x!", "******************!")]
#[case::digits_alone("440524198001010013", "******************")]
#[case::phone("phone=13812345678", "phone=***********")]
#[case::phone_key(r#"{"phone":"13812345678"}"#, r#"{"phone":"***********"}"#)]
#[case::phone_groups("mobile 138-1234-5678", "mobile *************")]
#[case::country_code("call +8613812345678", "call +*************")]
#[case::long_country_code("call 0086 138 1234 5678", "call ******************")]
fn personal_numbers_are_blotted_out(#[case] text: &str, #[case] expected: &str) {
    let before = hits();
    assert_eq!(cleaned(text), expected);
    assert!(hits() > before);
}

#[rstest]
#[case::time(r#"{"time":"2026-11-25T21:18:40.123Z"}"#)]
#[case::nanoseconds_since_1970("1795640320123456782")]
#[case::microseconds_since_1970("1795640320123451")]
#[case::milliseconds_since_1970("1795640320128")]
#[case::trace_id("0af7651916cd43dd8448eb211c80319c")]
#[case::trace_id_with_a_card_in_it("a4111111111111111f8448eb211c8031")]
#[case::trace_id_of_digits("41111111111111114111111111111111")]
#[case::span_id("411111111111111f")]
#[case::uuid("4111a111-1111-4111-8111-1111deadbeef")]
#[case::uuid_of_digits("12345678-4111-4111-8111-111111111111")]
#[case::uuid_with_groups("41111111-1111-4111-8111-a11111111111")]
#[case::fraction("0.4111111111111111")]
#[case::version_like("4111111111111111.25")]
#[case::wrong_luhn_digit("4111111111111112")]
#[case::twelve("411111111111")]
#[case::twenty("41111111111111111111")]
#[case::wrong_check_character("110105194912310021")]
#[case::no_date("11010519491331002X")]
#[case::eleven_digits_alone("took 13812345678 ns")]
#[case::landline("phone=02112345678")]
#[case::latency(r#"{"latency_ms":1234,"provider":"ace"}"#)]
#[case::address("127.0.0.1:50051")]
fn other_numbers_stay(#[case] text: &str) {
    assert!(numbers::find(text.as_bytes()).is_empty());
    assert!(matches!(clean(text.as_bytes()), Cow::Borrowed(_)));
}

#[test]
fn a_writer_cleans_and_tells_the_length_that_it_was_given() {
    let mut page = Vec::new();
    let mut writer = RedactingWriter(&mut page);
    let line = b"{\"a\":4111111111111111}\n";
    assert_eq!(writer.write(line).unwrap(), line.len());
    writer.flush().unwrap();
    assert_eq!(page, b"{\"a\":null}\n");
}

fn luhn_digit(digits: &str) -> u32 {
    // the textbook's way: from the right, every second digit from the last on is doubled
    let doubled = |digit: u32| digit * 2 / 10 + digit * 2 % 10;
    let digits: Vec<u32> = digits.chars().filter_map(|it| it.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 0 { doubled(*digit) } else { *digit })
        .sum();
    (10 - sum % 10) % 10
}

proptest! {
    #[test]
    fn every_card_is_found(body in "[2-9][0-9]{11,17}", before in "[ ,:=\"(]", after in "[ ,;\")]") {
        let card = format!("{body}{}", luhn_digit(&body));
        let text = format!("x{before}{card}{after}y");
        prop_assert_eq!(cleaned(&text), format!("x{before}{}{after}y", "*".repeat(card.len())));
    }

    #[test]
    fn cleaning_never_panics_and_keeps_text_text(text in "\\PC{0,80}") {
        let _ = clean_str(&text);
    }

    #[test]
    fn cleaning_takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = clean(&bytes);
    }

    #[test]
    fn uuids_are_left_alone(value in any::<u128>()) {
        let id = uuid::Uuid::from_u128(value).to_string();
        prop_assert!(numbers::find(id.as_bytes()).is_empty());
    }

    #[test]
    fn uuids_of_digits_are_left_alone(id in "[0-9]{8}-[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{12}") {
        prop_assert!(numbers::find(id.as_bytes()).is_empty());
    }
}
