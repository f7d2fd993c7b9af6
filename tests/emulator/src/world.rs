//! The small deterministic world that answers when nothing is scripted. The README describes it to
//! users.

use crate::codes;
use crate::question::Question;
use crate::vendor::{Operation, Vendor};

/// A card holder of the world. All data is made up; the ID numbers are the ones that the standard
/// for resident IDs and its textbooks use as examples.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// Name in the bank's records.
    pub name: &'static str,
    /// ID number in the bank's records.
    pub id_number: &'static str,
    /// Phone number in the bank's records.
    pub phone: &'static str,
}

/// Holder of every card that [`LISTED`] does not name.
pub const EVERYBODY: Person = Person {
    name: "张三",
    id_number: "11010519491231002X",
    phone: "13800138000",
};

/// Cards with holders of their own.
pub const LISTED: [(&str, Person); 3] = [
    (
        "6226090210146748",
        Person {
            name: "韦小宝",
            id_number: "440524188001010014",
            phone: "13900139000",
        },
    ),
    (
        "6217001234567890122",
        Person {
            name: "阿卜杜拉·买买提",
            id_number: "810000199408230021",
            phone: "15912345678",
        },
    ),
    (
        "6225760000000005",
        Person {
            name: "Wei Xiaobao",
            id_number: "110108199003072433",
            phone: "18600000000",
        },
    ),
];

/// What the world does with a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The vendor's result code (Alibaba: the SubCode).
    Code(String),
    /// One of the four kinds of trouble that a card number can ask for.
    Trouble(Trouble),
}

/// Trouble that a card number ending in `99990` to `99993` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Throttled,
    OutOfCredit,
    InternalError,
    CutAfterReading,
}

/// The world's answer. Cards ending in `999` and two more digits NN select an answer: `01` to `89`
/// a result code, `90` to `93` trouble; any other card is compared with its holder.
pub(crate) fn answer(vendor: Vendor, operation: Operation, question: &Question) -> Verdict {
    if operation == Operation::Probe {
        return Verdict::Code("Success".to_owned());
    }
    let card = question.card.as_deref().unwrap_or_default();
    match selector(card) {
        Some(90) => return Verdict::Trouble(Trouble::Throttled),
        Some(91) => return Verdict::Trouble(Trouble::OutOfCredit),
        Some(92) => return Verdict::Trouble(Trouble::InternalError),
        Some(93) => return Verdict::Trouble(Trouble::CutAfterReading),
        Some(number) => {
            let code = selected_code(vendor, number);
            if codes::row(vendor, operation, &code).is_some() {
                return Verdict::Code(code);
            }
        }
        None => {}
    }
    Verdict::Code(compare(vendor, operation, question, card))
}

fn selector(card: &str) -> Option<u32> {
    // A masked card ends in hexadecimal digits, which select nothing.
    if card.len() >= 32 {
        return None;
    }
    let start = card.len().checked_sub(5)?;
    card.get(start..)?.strip_prefix("999")?.parse().ok()
}

/// `01` is `-1` at Tencent and Ace. At Alibaba `01` to `16` are 201 to 216, `31` to `36` 301 to 306.
fn selected_code(vendor: Vendor, number: u32) -> String {
    match (vendor, number) {
        (Vendor::Alibaba, 1..=16) => format!("{}", 200 + number),
        (Vendor::Alibaba, 31..=36) => format!("{}", 270 + number),
        (Vendor::Alibaba, _) => String::new(),
        (Vendor::Ace | Vendor::Tencent, _) => format!("-{number}"),
    }
}

fn compare(vendor: Vendor, operation: Operation, question: &Question, card: &str) -> String {
    let code = |meaning| codes::code_of(vendor, operation, meaning).map(str::to_owned);
    let plain = card.len() < 32;
    if plain && !((12..=19).contains(&card.len()) && card.bytes().all(|b| b.is_ascii_digit())) {
        let invalid = code("CARD_NUMBER_FORMAT_INVALID").or_else(|| code("CARD_NUMBER_INVALID"));
        return invalid
            .or_else(|| code("CARD_NOT_FOUND"))
            .unwrap_or_default();
    }
    if operation == Operation::CardInfo {
        return "0".to_owned();
    }
    let agrees = if plain {
        let holder = LISTED
            .iter()
            .find(|(number, _)| *number == card)
            .map(|(_, person)| person);
        holds(
            question,
            &record(card, operation, holder.unwrap_or(&EVERYBODY)),
        )
    } else {
        let listed = LISTED
            .iter()
            .find(|(number, _)| crate::question::mask_card(number) == card);
        let person = listed.map_or(&EVERYBODY, |(_, person)| person);
        let mut masked = record("", operation, person).masked();
        masked.card = Some(card.to_owned());
        holds(question, &masked)
    };
    let meaning = if agrees { "MATCH" } else { "MISMATCH" };
    // Alibaba has no bare mismatch.
    code(meaning)
        .or_else(|| code("CARDHOLDER_INFO_INCORRECT"))
        .unwrap_or_default()
}

fn record(card: &str, operation: Operation, person: &Person) -> Question {
    let mut record = Question::new(card, person.name);
    if matches!(operation, Operation::Three | Operation::Four) {
        record = record.id_number(person.id_number);
    }
    if operation == Operation::Four {
        record = record.phone(person.phone);
    }
    record
}

fn holds(question: &Question, record: &Question) -> bool {
    let upper = |id: &Option<String>| id.as_ref().map(|id| id.replace('x', "X"));
    question.name == record.name
        && upper(&question.id_number) == upper(&record.id_number)
        && question.phone == record.phone
}

/// Issuing bank and card type that the world knows for a card number.
/// Card types as the vendors number them: 1 debit, 2 credit, 3 prepaid, 4 quasi-credit.
pub(crate) fn card_info(card: &str) -> (&'static str, i64) {
    match card.get(..6).unwrap_or_default() {
        "622609" | "622576" => ("招商银行", 2),
        "621700" => ("中国建设银行", 1),
        "622848" => ("中国农业银行", 1),
        "622230" => ("中国工商银行", 4),
        "622126" => ("中国银联支付", 3),
        _ => ("中国工商银行", 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(vendor: Vendor, operation: Operation, question: &Question) -> String {
        match answer(vendor, operation, question) {
            Verdict::Code(code) => code,
            Verdict::Trouble(trouble) => format!("{trouble:?}"),
        }
    }

    fn four(card: &str) -> Question {
        Question::new(card, "张三")
            .id_number("11010519491231002x")
            .phone("13800138000")
    }

    #[test]
    fn the_holder_matches_and_nobody_else() {
        let right = four("6222020000000000000");
        for vendor in Vendor::ALL {
            let want = if vendor == Vendor::Alibaba {
                ["101", "201"]
            } else {
                ["0", "-1"]
            };
            assert_eq!(code(vendor, Operation::Four, &right), want[0]);
            let wrong = right.clone().phone("13800138001");
            assert_eq!(code(vendor, Operation::Four, &wrong), want[1]);
        }
        assert_eq!(
            code(Vendor::Alibaba, Operation::Four, &right.masked()),
            "101"
        );
        let wrong = right.id_number("110105194912310011").masked();
        assert_eq!(code(Vendor::Alibaba, Operation::Four, &wrong), "201");
    }

    #[test]
    fn the_last_five_digits_select_an_answer() {
        let ask = |vendor, card: &str| code(vendor, Operation::Four, &four(card));
        assert_eq!(ask(Vendor::Tencent, "6222020000000099914"), "-14");
        assert_eq!(ask(Vendor::Ace, "6222020000000099917"), "-17");
        assert_eq!(ask(Vendor::Alibaba, "6222020000000099914"), "214");
        assert_eq!(ask(Vendor::Alibaba, "6222020000000099936"), "306");
        assert_eq!(ask(Vendor::Tencent, "6222020000000099990"), "Throttled");
        assert_eq!(
            ask(Vendor::Tencent, "6222020000000099970"),
            "0",
            "no such code: compared"
        );
    }

    #[test]
    fn what_is_no_card_number_is_said_to_be_none() {
        let question = four(" 6226090210146748");
        assert_eq!(code(Vendor::Tencent, Operation::Four, &question), "-4");
        assert_eq!(code(Vendor::Tencent, Operation::CardInfo, &question), "-5");
        assert_eq!(code(Vendor::Ace, Operation::CardInfo, &question), "-3");
    }
}
