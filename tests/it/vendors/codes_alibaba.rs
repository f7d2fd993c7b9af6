//! Alibaba: SubCodes, and every BizCode with every SubCode.

use cardproof_emulator::{Operation, Vendor};
use serde_json::json;

use super::{codes::Case, published::VERIFICATIONS};

/// From the vendor's page of the operation.
const SUB_CODES: [(&str, &str); 23] = [
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
];

/// BizCode, what it costs, what it says without a SubCode, and with one that nobody knows.
const BIZ_CODES: [(&str, &str, &str, &str); 4] = [
    ("1", "CHARGED", "MATCH", "UNKNOWN_PROVIDER_CODE"),
    ("2", "CHARGED", "MISMATCH", "MISMATCH"),
    ("3", "NOT_CHARGED", "UNVERIFIABLE", "UNVERIFIABLE"),
    (
        "4",
        "UNKNOWN",
        "UNKNOWN_PROVIDER_CODE",
        "UNKNOWN_PROVIDER_CODE",
    ),
];

const PROVIDERS: [&str; 5] = [
    "alibaba_intl",
    "alibaba_intl_md5",
    "alibaba_mainland",
    "alibaba_mainland_md5",
    "alibaba_temporary",
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for provider in PROVIDERS {
        for operation in VERIFICATIONS {
            for (sub_code, result) in SUB_CODES {
                let charge = if sub_code < "300" {
                    "CHARGED"
                } else {
                    "NOT_CHARGED"
                };
                let meaning = (result, charge);
                let case = Case::plain(provider, Vendor::Alibaba, operation, sub_code, "", meaning);
                cases.push(case);
            }
        }
    }
    for (biz_code, charge, without, with_unknown) in BIZ_CODES {
        for provider in ["alibaba_intl", "alibaba_mainland"] {
            cases.extend(crossed(provider, biz_code, charge));
            // "" is a SubCode that is not there
            for (sub_code, result) in [(json!(null), without), (json!(""), without)] {
                let mut case = case_of(provider, biz_code, result, charge);
                case.patch = json!({"ResultObject": {"SubCode": sub_code}});
                cases.push(case);
            }
            for unknown in ["199", "299", "0", "1", "10l"] {
                let mut case = case_of(provider, biz_code, with_unknown, charge);
                unknown.clone_into(&mut case.expect.provider_code);
                case.patch = json!({"ResultObject": {"SubCode": unknown}});
                cases.push(case);
            }
        }
    }
    cases
}

/// A BizCode with the SubCodes of the other groups: they contradict each other.
fn crossed(provider: &'static str, biz_code: &str, charge: &'static str) -> Vec<Case> {
    SUB_CODES
        .iter()
        .filter(|(sub_code, _)| !sub_code.starts_with(biz_code))
        .map(|(sub_code, _)| {
            let mut case = case_of(provider, biz_code, "UNKNOWN_PROVIDER_CODE", charge);
            (*sub_code).clone_into(&mut case.expect.provider_code);
            case.patch = json!({"ResultObject": {"SubCode": sub_code}});
            case
        })
        .collect()
}

fn case_of(provider: &'static str, biz_code: &str, result: &str, charge: &'static str) -> Case {
    let meaning = (result, charge);
    Case::plain(
        provider,
        Vendor::Alibaba,
        Operation::Two,
        biz_code,
        "",
        meaning,
    )
}
