//! Ace: the published table, codes whose text says otherwise, and the native tables.

use cardproof_emulator::{Operation, Vendor};

use super::{
    codes::Case,
    published::{VERIFICATIONS, charge, published},
};

const UNKNOWN: (&str, &str) = ("UNKNOWN_PROVIDER_CODE", "UNKNOWN");
const UNKNOWN_TEXT: &str = "a wording that nobody has seen";

pub fn cases() -> Vec<Case> {
    let mut cases = documented();
    cases.extend(without_a_known_text());
    cases.extend(shifted());
    cases.extend(contradicted());
    cases.extend(native());
    cases.extend(card_info());
    cases
}

fn case(operation: Operation, code: &str, text: &str, meaning: (&str, &'static str)) -> Case {
    Case::plain("ace", Vendor::Ace, operation, code, text, meaning)
}

/// Code and text as published.
fn documented() -> Vec<Case> {
    let published = published();
    let mut cases = Vec::new();
    for operation in VERIFICATIONS {
        for (code, row) in published.ace(operation) {
            let meaning = (row.result.as_str(), charge(row.charged));
            cases.push(case(operation, code, &row.text, meaning));
        }
    }
    cases
}

/// With 2 factors the table holds. With 3 and 4 the code may have been shifted: it is shown, and
/// decides nothing, but for the three that no further factor shifts.
fn without_a_known_text() -> Vec<Case> {
    let published = published();
    let mut cases = Vec::new();
    for operation in VERIFICATIONS {
        for (code, row) in published.ace(operation) {
            for text in ["", UNKNOWN_TEXT] {
                let meaning = (row.result.as_str(), charge(row.charged));
                let mut case = case(operation, code, text, meaning);
                let holds = ["0", "-1", "-2"].contains(&code.as_str());
                if operation != Operation::Two && !holds {
                    case.expect.verdict = "INCONCLUSIVE";
                    case.expect.charge = "UNKNOWN";
                }
                cases.push(case);
            }
        }
        for code in ["-18", "-19", "-99", "1", "00", "0.0"] {
            cases.push(case(operation, code, UNKNOWN_TEXT, UNKNOWN));
        }
    }
    cases
}

/// The codes of the operation behind it, with their own texts in either language, passed through:
/// the text settles what was meant, and what it cost.
fn shifted() -> Vec<Case> {
    let published = published();
    let mut cases = Vec::new();
    for operation in VERIFICATIONS {
        for (code, row) in published.tencent(operation) {
            for text in [&row.en, &row.zh] {
                let meaning = (row.result.as_str(), charge(row.charged));
                cases.push(case(operation, code, text, meaning));
            }
        }
    }
    cases
}

/// Texts that no table of the operation has for the code.
fn contradicted() -> Vec<Case> {
    let mut cases = Vec::new();
    for operation in VERIFICATIONS {
        for (code, text) in [
            // nothing but `0` is a match, and not even that against its own text
            ("0", "Authentication not passed"),
            ("0", "This card has expired"),
            ("0", "认证未通过"),
            ("0", "Query successful"),
            ("-1", "Authentication passed"),
            ("-1", "认证通过"),
            ("-5", "Authentication passed"),
            ("-18", "Authentication passed"),
            ("-99", "Authentication passed"),
            ("1", "Authentication passed"),
            // further off than any factor shifts
            (
                "-5",
                "Exceeded the limit of verification attempts, please try again the next day",
            ),
            ("-17", "Name verification not passed"),
            ("-2", "Verification center service busy"),
            ("-99", "Verification center service busy"),
            ("-99", "This card has expired"),
        ] {
            cases.push(case(operation, code, text, UNKNOWN));
        }
    }
    // the very codes where the two tables of 3 and 4 factors part: code, text, result, charge
    for (operation, code, text, meaning) in [
        (
            Operation::Three,
            "-3",
            "身份证号码有误",
            ("ID_NUMBER_INVALID", "NOT_CHARGED"),
        ),
        (
            Operation::Three,
            "-4",
            "银行卡号格式有误",
            ("CARD_NUMBER_FORMAT_INVALID", "NOT_CHARGED"),
        ),
        (
            Operation::Three,
            "-17",
            "验证中心服务繁忙",
            ("SERVICE_BUSY", "NOT_CHARGED"),
        ),
        (
            Operation::Three,
            "-18",
            "验证次数超限，请次日重试",
            ("ATTEMPTS_EXCEEDED", "NOT_CHARGED"),
        ),
        (
            Operation::Three,
            "-16",
            "发卡行不支持此交易",
            ("ISSUER_UNSUPPORTED", "CHARGED"),
        ),
        (
            Operation::Four,
            "-5",
            "手机号码不合法",
            ("PHONE_INVALID", "NOT_CHARGED"),
        ),
        (
            Operation::Four,
            "-16",
            "密码错误次数超限",
            ("PIN_ATTEMPTS_EXCEEDED", "CHARGED"),
        ),
        (
            Operation::Four,
            "-17",
            "发卡行不支持此交易",
            ("ISSUER_UNSUPPORTED", "CHARGED"),
        ),
        (
            Operation::Four,
            "-14",
            "该卡已过期",
            ("CARD_EXPIRED", "CHARGED"),
        ),
        // a code of 3 factors in 4, and the other way round: no table of the operation has it
        (
            Operation::Four,
            "-3",
            "Bank card number is incorrect",
            ("CARD_NUMBER_FORMAT_INVALID", "NOT_CHARGED"),
        ),
        (
            Operation::Four,
            "-13",
            "Restricted card",
            ("CARD_RESTRICTED", "CHARGED"),
        ),
        (Operation::Four, "-14", "Restricted card", UNKNOWN),
        (Operation::Three, "-15", "Restricted card", UNKNOWN),
        (Operation::Three, "-5", "手机号码不合法", UNKNOWN),
        (Operation::Two, "-3", "身份证号码有误", UNKNOWN),
        (Operation::Two, "-5", "手机号码不合法", UNKNOWN),
    ] {
        cases.push(case(operation, code, text, meaning));
    }
    cases
}

/// `code_table = "native"`: the tables of the operations behind it, texts or no texts.
fn native() -> Vec<Case> {
    let published = published();
    let mut cases = Vec::new();
    for operation in VERIFICATIONS {
        for (code, row) in published.tencent(operation) {
            for text in [row.zh.as_str(), row.en.as_str(), UNKNOWN_TEXT] {
                let meaning = (row.result.as_str(), charge(row.charged));
                let mut case = case(operation, code, text, meaning);
                case.provider = "ace_native";
                cases.push(case);
            }
        }
        for (code, text) in [
            ("0", "认证未通过"),
            ("-1", "认证通过"),
            ("-99", "认证通过"),
            ("-99", UNKNOWN_TEXT),
        ] {
            let mut case = case(operation, code, text, UNKNOWN);
            case.provider = "ace_native";
            cases.push(case);
        }
    }
    cases
}

/// check-1e, with the newer codes of the operation behind it.
fn card_info() -> Vec<Case> {
    let published = published();
    let operation = Operation::CardInfo;
    let mut cases = Vec::new();
    for (code, row) in published.ace(operation) {
        let meaning = (row.result.as_str(), charge(row.charged));
        for text in [row.text.as_str(), "", UNKNOWN_TEXT] {
            cases.push(case(operation, code, text, meaning));
        }
    }
    for (code, row) in published.tencent(operation) {
        let meaning = (row.result.as_str(), charge(row.charged));
        for text in [row.en.as_str(), row.zh.as_str()] {
            cases.push(case(operation, code, text, meaning));
        }
    }
    for (code, text) in [
        ("0", "No information found"),
        ("0", "卡号无效"),
        ("-1", "Query successful"),
        ("-7", UNKNOWN_TEXT),
        ("-99", "Query successful"),
    ] {
        cases.push(case(operation, code, text, UNKNOWN));
    }
    cases
}
