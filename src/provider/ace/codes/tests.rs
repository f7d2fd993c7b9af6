//! The readings against a second one, written from the rules and the published table alone.

use std::collections::BTreeMap;

use rstest::rstest;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Published {
    tencent: BTreeMap<String, BTreeMap<String, Row>>,
    ace: BTreeMap<String, BTreeMap<String, Row>>,
    phrases: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize, Clone, PartialEq, Debug)]
struct Row {
    result: String,
    charged: bool,
}

/// Result, whether it is certain, charge.
type Read = (String, bool, Charge);

fn published() -> Published {
    serde_json::from_str(include_str!("../../../../tests/data/result_codes.json")).unwrap()
}

impl Published {
    fn documented(&self, factors: u8) -> BTreeMap<String, Row> {
        if factors != 1 {
            return self.ace["check-2e, check-3e, check-4e (as documented)"].clone();
        }
        let mut table = self.ace["check-1e (as documented)"].clone();
        for code in ["-4", "-5", "-6"] {
            table.insert(code.to_owned(), self.native(1)[code].clone());
        }
        table
    }

    fn native(&self, factors: u8) -> &BTreeMap<String, Row> {
        &self.tencent[["INFO", "2E", "3E", "4E"][usize::from(factors) - 1]]
    }

    fn said(&self, description: &str) -> Option<&str> {
        let plain = |text: &str| {
            let text: String = text.split_whitespace().collect();
            text.to_lowercase().trim_end_matches(['.', '。']).to_owned()
        };
        let said = self.phrases.iter().find(|(_, wordings)| {
            wordings
                .iter()
                .any(|wording| plain(wording) == plain(description))
        });
        said.map(|(result, _)| result.as_str())
    }

    /// The six rules of the published table, one after the other.
    fn by_the_rules(&self, factors: u8, code: &str, description: &str) -> Read {
        let documented = self.documented(factors);
        let (documented, native) = (documented.get(code), self.native(factors).get(code));
        let said = self.said(description);
        let positive = if factors == 1 { "FOUND" } else { "MATCH" };
        let unknown = ("UNKNOWN_PROVIDER_CODE".to_owned(), true, Charge::Unknown);
        let of = |row: &Row| {
            let charge = [Charge::NotCharged, Charge::Charged][usize::from(row.charged)];
            (row.result.clone(), true, charge)
        };
        // 1
        if code == "0" {
            let contradicted = said.is_some_and(|said| said != positive);
            return if contradicted {
                unknown
            } else {
                (positive.to_owned(), true, Charge::Charged)
            };
        }
        if said == Some(positive) {
            return unknown;
        }
        let native_agrees = native.filter(|row| said == Some(row.result.as_str()));
        match (documented, said) {
            // 3
            (Some(row), Some(said)) if row.result == said => of(row),
            // 4 and 6
            (_, Some(_)) => native_agrees.map_or(unknown, of),
            // 5
            (Some(row), None) if factors <= 2 || ["-1", "-2"].contains(&code) => of(row),
            (Some(row), None) => (row.result.clone(), false, Charge::Unknown),
            // 6
            (None, None) => unknown,
        }
    }
}

fn operation(factors: u8) -> Operation {
    Operation::ALL[usize::from((factors + 2) % 4)]
}

fn ours(factors: u8, code: &str, description: &str) -> (Read, Option<&'static str>) {
    if factors == 1 {
        let reading = card_info(code, description);
        let certain = reading.certainty == Certainty::Certain;
        let result = reading.result.as_str().to_owned();
        return ((result, certain, reading.charge), reading.conflict);
    }
    let table = AceCodeTable::Documented;
    let reading = verification(table, operation(factors), code, description);
    let certain = reading.certainty == Certainty::Certain;
    let result = reading.result.as_str().to_owned();
    ((result, certain, reading.charge), reading.conflict)
}

#[test]
fn operations_are_named_as_meant() {
    let names: Vec<_> = (1..=4).map(|factors| operation(factors).as_str()).collect();
    assert_eq!(
        names,
        ["card_info", "verify_two", "verify_three", "verify_four"]
    );
}

/// Every code with every wording, without one, and with one that nobody knows.
#[test]
fn every_code_with_every_description_follows_the_rules() {
    let published = published();
    let mut codes: Vec<String> = (-30..=3).map(|code: i32| code.to_string()).collect();
    codes.extend(["", " 0", "0 ", "00", "-0", "+0", "0.0", "０", "OK", "-1.0"].map(String::from));
    let mut descriptions = vec!["", "something new", "成功"];
    descriptions.extend(published.phrases.values().flatten().map(String::as_str));
    let (mut count, mut matches) = (0, 0);
    for factors in 1..=4 {
        for code in &codes {
            for description in &descriptions {
                let expected = published.by_the_rules(factors, code, description);
                let (read, _) = ours(factors, code, description);
                assert_eq!(
                    read, expected,
                    "{factors} factors, {code:?}, {description:?}"
                );
                matches += usize::from(read.0 == "MATCH");
                count += 1;
            }
        }
    }
    assert!(count > 10_000, "{count}");
    // for each factor count: the code 0 with the two match wordings and the three unknown ones
    assert_eq!(matches, 3 * 5);
}

/// The published text of every code, with its code: what the vendor's pages promise.
#[test]
fn every_documented_code_with_its_own_text_is_what_the_page_says() {
    #[derive(Deserialize)]
    struct Texts {
        ace: BTreeMap<String, BTreeMap<String, Text>>,
    }
    #[derive(Deserialize)]
    struct Text {
        result: String,
        text: String,
        charged: bool,
    }
    let texts: Texts =
        serde_json::from_str(include_str!("../../../../tests/data/result_codes.json")).unwrap();
    let mut count = 0;
    for (operations, table) in &texts.ace {
        let factors = if operations.contains("1e") {
            1..=1
        } else {
            2..=4
        };
        for factors in factors {
            for (code, row) in table {
                let (read, conflict) = ours(factors, code, &row.text);
                let charge = [Charge::NotCharged, Charge::Charged][usize::from(row.charged)];
                assert_eq!(read, (row.result.clone(), true, charge));
                assert_eq!(conflict, None);
                count += 1;
            }
        }
    }
    assert_eq!(count, 3 * 18 + 4);
}

/// The vendor behind the vendor: its codes with its texts are understood as long as the text says
/// which table they are of.
#[test]
fn every_native_code_with_its_own_text_is_understood() {
    let texts: serde_json::Value =
        serde_json::from_str(include_str!("../../../../tests/data/result_codes.json")).unwrap();
    let published = published();
    for factors in 2..=4 {
        for (code, row) in published.native(factors) {
            let key = ["2E", "3E", "4E"][usize::from(factors) - 2];
            for language in ["zh", "en"] {
                let text = texts["tencent"][key][code][language].as_str().unwrap();
                let charge = [Charge::NotCharged, Charge::Charged][usize::from(row.charged)];
                let expected = (row.result.clone(), true, charge);
                assert_eq!(ours(factors, code, text).0, expected, "{factors} {code}");
                let native = verification(AceCodeTable::Native, operation(factors), code, text);
                assert_eq!(native.result.as_str(), row.result);
                assert_eq!((native.charge, native.conflict), (charge, None));
            }
        }
    }
}

#[rstest]
// a match only by the code, and only uncontradicted
#[case(
    4,
    "0",
    "认证未通过",
    "UNKNOWN_PROVIDER_CODE",
    Charge::Unknown,
    Some("0")
)]
#[case(
    4,
    "0",
    "查询成功",
    "UNKNOWN_PROVIDER_CODE",
    Charge::Unknown,
    Some("0")
)]
#[case(
    4,
    "-1",
    "Authentication passed",
    "UNKNOWN_PROVIDER_CODE",
    Charge::Unknown,
    Some("-1")
)]
#[case(
    4,
    "7",
    "Authentication passed",
    "UNKNOWN_PROVIDER_CODE",
    Charge::Unknown,
    None
)]
#[case(4, "0", "welcome", "MATCH", Charge::Charged, None)]
// the native table explains the contradiction: -17 is "attempts exceeded" on the page
#[case(
    3,
    "-17",
    "验证中心服务繁忙",
    "SERVICE_BUSY",
    Charge::NotCharged,
    Some("-17")
)]
#[case(
    4,
    "-5",
    "手机号码不合法",
    "PHONE_INVALID",
    Charge::NotCharged,
    Some("-5")
)]
// no table of this operation explains it
#[case(
    3,
    "-5",
    "手机号码不合法",
    "UNKNOWN_PROVIDER_CODE",
    Charge::Unknown,
    Some("-5")
)]
#[case(
    2,
    "-17",
    "验证中心服务繁忙",
    "UNKNOWN_PROVIDER_CODE",
    Charge::Unknown,
    Some("-17")
)]
// codes that the page does not know
#[case(
    4,
    "-19",
    "验证次数超限，请次日重试",
    "ATTEMPTS_EXCEEDED",
    Charge::NotCharged,
    None
)]
#[case(4, "-19", "此卡已挂失", "UNKNOWN_PROVIDER_CODE", Charge::Unknown, None)]
#[case(4, "-19", "", "UNKNOWN_PROVIDER_CODE", Charge::Unknown, None)]
#[case(
    2,
    "-18",
    "卡状态异常或卡号错误",
    "CARD_STATUS_ABNORMAL",
    Charge::Charged,
    None
)]
#[case(1, "-4", "", "ATTEMPTS_EXCEEDED", Charge::NotCharged, None)]
#[case(
    1,
    "0",
    "未查到信息",
    "UNKNOWN_PROVIDER_CODE",
    Charge::Unknown,
    Some("0")
)]
fn single_cases(
    #[case] factors: u8,
    #[case] code: &str,
    #[case] description: &str,
    #[case] result: &str,
    #[case] charge: Charge,
    #[case] conflict: Option<&str>,
) {
    let (read, told) = ours(factors, code, description);
    assert_eq!(read, (result.to_owned(), true, charge));
    assert_eq!(told, conflict);
}

#[test]
fn a_code_that_a_factor_may_have_shifted_is_shown_and_decides_nothing() {
    for factors in 3..=4 {
        let ((result, certain, charge), conflict) = ours(factors, "-17", "");
        assert_eq!((result.as_str(), certain), ("ATTEMPTS_EXCEEDED", false));
        assert_eq!((charge, conflict), (Charge::Unknown, None));
    }
    let ((_, certain, charge), _) = ours(2, "-17", "");
    assert!(certain && charge == Charge::NotCharged);
}

#[test]
fn the_native_table_holds_by_itself_where_the_operator_checked_it() {
    let native = |code, text| verification(AceCodeTable::Native, Operation::VerifyFour, code, text);
    let busy = native("-18", "");
    assert_eq!(
        (busy.result, busy.certainty),
        (ResultCode::ServiceBusy, Certainty::Certain)
    );
    assert_eq!(busy.charge, Charge::NotCharged);
    let contradicted = native("-18", "此卡已挂失");
    assert_eq!(contradicted.result, ResultCode::UnknownProviderCode);
    let passed = native("-18", "认证通过");
    assert_eq!(passed.result, ResultCode::UnknownProviderCode);
    assert_eq!(
        native("0", "此卡已挂失").result,
        ResultCode::UnknownProviderCode
    );
    assert_eq!(native("0", "").result, ResultCode::Match);
    // the page's own reading of a code, where its text says so
    assert_eq!(
        native("-17", "验证次数超限，请次日重试").result,
        ResultCode::AttemptsExceeded
    );
}

#[test]
fn every_error_code_of_the_page_and_what_the_status_alone_says() {
    use ProviderErrorKind::{Misconfigured, OutOfCredit, OutcomeUnknown, Refused, Throttled};
    let page = "token_mismatched invalid_token no_token token_expired disabled unauthorized \
                api_not_implemented no_api | bad_request invalid_request forbidden | \
                used_up insufficient_balance | too_many_requests rate_limited | \
                api_error upstream_error timeout upstream_timeout";
    let kinds = [
        Misconfigured,
        Refused,
        OutOfCredit,
        Throttled,
        OutcomeUnknown,
    ];
    let mut count = 0;
    for (codes, kind) in page.split('|').zip(kinds) {
        for code in codes.split_whitespace() {
            for status in [200, 400, 401, 403, 429, 500] {
                assert_eq!(error_kind(Some(code), status), kind, "{code}");
            }
            count += 1;
        }
    }
    assert_eq!(count, ERRORS.len());
    for code in [None, Some("new_code"), Some("Timeout"), Some("")] {
        for status in [200, 301, 400, 402, 403, 404, 408, 500, 502, 503, 504] {
            assert_eq!(error_kind(code, status), OutcomeUnknown);
        }
        assert_eq!(error_kind(code, 401), Misconfigured);
        assert_eq!(error_kind(code, 429), Throttled);
    }
}
