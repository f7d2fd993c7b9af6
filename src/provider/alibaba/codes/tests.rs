//! The tables against the vendor's page, copied by hand in its own layout.

use rstest::rstest;

use super::*;
use crate::provider::ProviderErrorKind::{
    ClockSkewed, Misconfigured, NonceReused, OutOfCredit, OutcomeUnknown, Refused, Throttled,
};

const PAGE: &str = "
    1 101 MATCH
    2 201 CARDHOLDER_INFO_INCORRECT     2 202 CARDLESS_PAYMENT_NOT_ENABLED
    2 203 CARD_EXPIRED                  2 204 CARD_RESTRICTED
    2 205 CARD_CONFISCATED              2 206 CARD_NUMBER_INVALID
    2 207 NO_ISSUING_BANK               2 208 CARD_UNINITIALIZED_OR_DORMANT
    2 209 CARD_FRAUDULENT_OR_RETAINED   2 210 CARD_REPORTED_LOST
    2 211 PIN_ATTEMPTS_EXCEEDED         2 212 ISSUER_UNSUPPORTED
    2 213 CARD_STATUS_ABNORMAL          2 214 PHONE_NOT_REGISTERED
    2 215 CARD_CREDENTIALS_INCORRECT    2 216 CARD_OTHER_EXCEPTION
    3 301 CARD_UNSUPPORTED              3 302 BANK_REFUSED
    3 303 PHONE_VERIFICATION_UNSUPPORTED 3 304 CARD_NUMBER_FORMAT_INVALID
    3 305 UNVERIFIABLE                  3 306 ATTEMPTS_EXCEEDED";

fn page() -> Vec<(&'static str, &'static str, &'static str)> {
    let words: Vec<_> = PAGE.split_whitespace().collect();
    words
        .chunks(3)
        .map(|row| (row[0], row[1], row[2]))
        .collect()
}

fn charge_of(biz_code: &str) -> Charge {
    if biz_code == "3" {
        Charge::NotCharged
    } else {
        Charge::Charged
    }
}

#[test]
fn every_code_is_what_the_page_says_and_nothing_else_in_another_group() {
    let page = page();
    assert_eq!(page.len(), 23);
    for (group, sub_code, result) in &page {
        for biz_code in ["1", "2", "3"] {
            let (read, charge) = verification(biz_code, Some(sub_code));
            let expected = if biz_code == *group {
                result
            } else {
                "UNKNOWN_PROVIDER_CODE"
            };
            assert_eq!(read.as_str(), expected, "{biz_code}/{sub_code}");
            assert_eq!(charge, charge_of(biz_code));
        }
    }
    let rows: Vec<_> = GROUPS.iter().flat_map(|group| group.rows).collect();
    assert_eq!(rows.len(), page.len());
    for (row, (group, ..)) in rows.iter().zip(&page) {
        assert_eq!(row.charge, charge_of(group));
    }
}

#[rstest]
#[case("1", None, Match, Charge::Charged)]
#[case("1", Some("102"), UnknownProviderCode, Charge::Charged)]
#[case("1", Some("0101"), UnknownProviderCode, Charge::Charged)]
#[case("2", None, Mismatch, Charge::Charged)]
#[case("2", Some("217"), Mismatch, Charge::Charged)]
#[case("3", None, Unverifiable, Charge::NotCharged)]
#[case("3", Some("399"), Unverifiable, Charge::NotCharged)]
#[case("4", None, UnknownProviderCode, Charge::Unknown)]
#[case("4", Some("101"), UnknownProviderCode, Charge::Unknown)]
#[case("", Some("101"), UnknownProviderCode, Charge::Unknown)]
#[case("01", Some("101"), UnknownProviderCode, Charge::Unknown)]
#[case("1 ", Some("101"), UnknownProviderCode, Charge::Unknown)]
fn what_the_page_does_not_list(
    #[case] biz_code: &str,
    #[case] sub_code: Option<&str>,
    #[case] result: ResultCode,
    #[case] charge: Charge,
) {
    assert_eq!(verification(biz_code, sub_code), (result, charge));
}

const BOTH: [AlibabaProduct; 2] = [AlibabaProduct::Intl, AlibabaProduct::Mainland];

#[rstest]
#[case("Throttling", Throttled)]
#[case("Throttling.Api", Throttled)]
#[case("Throttling.User", Throttled)]
#[case("ThrottlingUser", Throttled)]
#[case("ServiceUnavailable", OutcomeUnknown)]
#[case("InternalError", OutcomeUnknown)]
#[case("InternalError.Timeout", OutcomeUnknown)]
#[case("MissingParameter", Refused)]
#[case("MissingParameter.BankCard", Refused)]
#[case("InvalidParameter", Refused)]
#[case("InvalidParameter.ProductType", Refused)]
#[case("InvalidParameterValue", Refused)]
#[case("Forbidden.RAMUserAccessDenied", Misconfigured)]
#[case("Forbidden.AccountAccessDenied", Misconfigured)]
#[case("InvalidAccessKeyId.NotFound", Misconfigured)]
#[case("InvalidAccessKeyId.Inactive", Misconfigured)]
#[case("SignatureDoesNotMatch", Misconfigured)]
#[case("InvalidTimeStamp.Expired", ClockSkewed)]
#[case("InvalidTimeStamp.Format", ClockSkewed)]
#[case("SignatureNonceUsed", NonceReused)]
fn errors_by_their_code_whatever_the_status(#[case] code: &str, #[case] kind: ProviderErrorKind) {
    for product in BOTH {
        for status in [200, 400, 401, 403, 429, 500, 503] {
            let class = error_class(product, Some(code), status);
            assert_eq!(class, ErrorClass::Error(kind), "{code} {status}");
        }
    }
}

#[test]
fn a_card_asked_about_too_often_is_an_answer() {
    for product in BOTH {
        for status in [200, 400, 403] {
            let code = Some("Forbidden.ExceptionRepeatedInvoke");
            assert_eq!(
                error_class(product, code, status),
                ErrorClass::AttemptsExceeded
            );
        }
    }
}

#[rstest]
#[case("400", Refused)]
#[case("401", Refused)]
#[case("402", OutcomeUnknown)]
#[case("410", Misconfigured)]
#[case("411", Misconfigured)]
#[case("412", OutOfCredit)]
#[case("500", OutcomeUnknown)]
fn the_mainland_has_codes_of_its_own(#[case] code: &str, #[case] kind: ProviderErrorKind) {
    let class = |product, status| error_class(product, Some(code), status);
    for status in [200, 400, 429] {
        assert_eq!(
            class(AlibabaProduct::Mainland, status),
            ErrorClass::Error(kind)
        );
    }
    // the international product does not know them
    assert_eq!(
        class(AlibabaProduct::Intl, 200),
        ErrorClass::Error(OutcomeUnknown)
    );
    let too_often = |product| error_class(product, Some("403"), 200);
    assert_eq!(
        too_often(AlibabaProduct::Mainland),
        ErrorClass::AttemptsExceeded
    );
    assert_eq!(
        too_often(AlibabaProduct::Intl),
        ErrorClass::Error(OutcomeUnknown)
    );
}

#[test]
fn by_the_status_alone_only_two_say_not_run() {
    let codes = [
        None,
        Some(""),
        Some("Forbidden"),
        Some("Forbidden.Other"),
        Some("SignatureDoesNotMatchAtAll"),
        Some("MissingParameters"),
        Some("throttling"),
    ];
    for product in BOTH {
        for code in codes {
            for status in [200, 204, 302, 400, 402, 403, 404, 408, 500, 502, 503, 504] {
                let class = error_class(product, code, status);
                assert_eq!(class, ErrorClass::Error(OutcomeUnknown), "{code:?}");
            }
            let class = |status| error_class(product, code, status);
            assert_eq!(class(401), ErrorClass::Error(Misconfigured));
            assert_eq!(class(429), ErrorClass::Error(Throttled));
        }
    }
}
