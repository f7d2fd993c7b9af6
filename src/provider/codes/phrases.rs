//! Every wording of a result that the vendors are known to use or have used, in Chinese and English.
//!
//! A wording belongs to a result, not to a code: the codes of one result differ between operations.

use std::{collections::HashMap, sync::LazyLock};

use crate::domain::{CardInfoResult, ResultCode};

/// A known wording and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phrase {
    /// What it says as the answer to a verification; `None` where it says nothing there.
    pub verification: Option<ResultCode>,
    /// What it says as the answer to a question for card information.
    pub card_info: Option<CardInfoResult>,
    /// The wording itself.
    pub text: &'static str,
}

struct Phrases {
    verification: Option<ResultCode>,
    card_info: Option<CardInfoResult>,
    wordings: &'static [&'static str],
}

/// What a vendor's text says, compared without blanks, final punctuation and letter case.
#[must_use]
pub fn phrase_of(text: &str) -> Option<Phrase> {
    let known = exactly(text);
    known.or_else(|| BY_FOLDED_TEXT.get(&folded(text)).copied())
}

/// The known wording that a vendor's text is; the very spelling where it is known.
#[must_use]
pub fn wording_of(text: &str) -> Option<&'static str> {
    phrase_of(text).map(|phrase| phrase.text)
}

/// The phrase of the very same spelling, as vendors nearly always send it.
fn exactly(text: &str) -> Option<Phrase> {
    all().find(|phrase| phrase.text == text)
}

fn all() -> impl Iterator<Item = Phrase> {
    PHRASES.iter().flat_map(|phrases| {
        phrases.wordings.iter().map(|text| Phrase {
            verification: phrases.verification,
            card_info: phrases.card_info,
            text,
        })
    })
}

static BY_FOLDED_TEXT: LazyLock<HashMap<String, Phrase>> =
    LazyLock::new(|| all().map(|phrase| (folded(phrase.text), phrase)).collect());

fn folded(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect::<String>()
        .trim_end_matches(FINAL_PUNCTUATION)
        .to_owned()
}

const FINAL_PUNCTUATION: [char; 15] = [
    '.', '。', '．', '!', '！', '?', '？', ';', '；', ',', '，', ':', '：', '、', '…',
];

const PHRASES: &[Phrases] = &[
    Phrases {
        verification: Some(ResultCode::AttemptsExceeded),
        card_info: Some(CardInfoResult::AttemptsExceeded),
        wordings: &[
            "Authentication attempts exceeded the daily limit. Retry the next day",
            "Exceeded maximum verification attempts. Please retry the next day",
            "Exceeded the limit of verification attempts, please try again the next day",
            "Exceeded verification attempts, please try again the next day",
            "Exceeded verification attempts. Please retry the next day",
            "Verification attempts exceeded. Please retry the next day",
            "认证次数超过当日限制，请次日重试",
            "验证次数超限，请次日重试",
        ],
    },
    Phrases {
        verification: Some(ResultCode::CardholderInfoIncorrect),
        card_info: None,
        wordings: &["Cardholder information is incorrect", "持卡人信息有误"],
    },
    Phrases {
        verification: Some(ResultCode::CardlessPaymentNotEnabled),
        card_info: None,
        wordings: &[
            "Cardless payment not enabled",
            "No card payment activated",
            "未开通无卡支付",
        ],
    },
    Phrases {
        verification: Some(ResultCode::CardConfiscated),
        card_info: None,
        wordings: &[
            "Card confiscated",
            "This card has been confiscated",
            "此卡被没收",
        ],
    },
    Phrases {
        verification: Some(ResultCode::CardExpired),
        card_info: None,
        wordings: &[
            "The card has expired",
            "This card has expired",
            "该卡已过期",
        ],
    },
    Phrases {
        verification: Some(ResultCode::CardFraudulentOrRetained),
        card_info: None,
        wordings: &[
            "Cheat card, card confiscation",
            "Cheat card, card retention",
            "Fraudulent card, card swallowed",
            "作弊卡、吞卡",
        ],
    },
    Phrases {
        verification: None,
        card_info: Some(CardInfoResult::CardNotFound),
        wordings: &[
            "Bank card does not exist",
            "Bank card not found",
            "银行卡不存在",
        ],
    },
    Phrases {
        verification: Some(ResultCode::CardNumberFormatInvalid),
        card_info: None,
        wordings: &[
            "Bank card number is incorrect",
            "Incorrect bank card number format",
            "银行卡号有误",
            "银行卡号格式有误",
            "银行卡号码有误",
        ],
    },
    Phrases {
        verification: Some(ResultCode::CardNumberInvalid),
        card_info: Some(CardInfoResult::CardNumberInvalid),
        wordings: &["Invalid card number", "卡号无效", "无效卡号"],
    },
    Phrases {
        verification: Some(ResultCode::CardReportedLost),
        card_info: None,
        wordings: &[
            "Reported lost",
            "This card has been reported lost",
            "此卡已挂失",
        ],
    },
    Phrases {
        verification: Some(ResultCode::CardRestricted),
        card_info: None,
        wordings: &["Restricted card", "受限制的卡"],
    },
    Phrases {
        verification: Some(ResultCode::CardStatusAbnormal),
        card_info: None,
        wordings: &[
            "Card status exception or card number error",
            "卡状态异常或卡号错误",
        ],
    },
    Phrases {
        verification: None,
        card_info: Some(CardInfoResult::CardTypeUnsupported),
        wordings: &[
            "This bank card type is not currently supported",
            "暂不支持该银行卡种",
        ],
    },
    Phrases {
        verification: Some(ResultCode::CardUninitializedOrDormant),
        card_info: None,
        wordings: &[
            "The card is not initialized or is a dormant card",
            "The card is uninitialized or a Sleep Card",
            "This card is uninitialized or a dormant card",
            "该卡未初始化或睡眠卡",
        ],
    },
    Phrases {
        verification: None,
        card_info: Some(CardInfoResult::Found),
        wordings: &["Query succeeded", "Query successful", "查询成功"],
    },
    Phrases {
        verification: Some(ResultCode::IdentityTypeUnsupported),
        card_info: None,
        wordings: &[
            "The ID number is not currently supported for verification. Currently only support second-generation resident identity card",
            "该证件号暂不支持核验，当前仅支持二代身份证",
        ],
    },
    Phrases {
        verification: Some(ResultCode::IdNumberInvalid),
        card_info: None,
        wordings: &["Identity number error", "身份证号码有误"],
    },
    Phrases {
        verification: Some(ResultCode::IssuerUnsupported),
        card_info: None,
        wordings: &[
            "Issuer does not support this transaction",
            "The issuing bank does not support this transaction",
            "发卡行不支持此交易",
        ],
    },
    Phrases {
        verification: Some(ResultCode::Match),
        card_info: None,
        wordings: &["Authentication passed", "认证通过"],
    },
    Phrases {
        verification: Some(ResultCode::Mismatch),
        card_info: None,
        wordings: &[
            "Authentication failed",
            "Authentication not passed",
            "认证未通过",
        ],
    },
    Phrases {
        verification: Some(ResultCode::NameInvalid),
        card_info: None,
        wordings: &[
            "Name verification failed",
            "Name verification not passed",
            "姓名校验不通过",
        ],
    },
    Phrases {
        verification: None,
        card_info: Some(CardInfoResult::NoInformation),
        wordings: &["No information found", "Not found", "未查到信息"],
    },
    Phrases {
        verification: Some(ResultCode::NoIssuingBank),
        card_info: None,
        wordings: &[
            "No corresponding issuing bank for this card",
            "This card has no corresponding issuing bank",
            "此卡无对应发卡行",
        ],
    },
    Phrases {
        verification: Some(ResultCode::PhoneInvalid),
        card_info: None,
        wordings: &["Invalid phone number", "手机号码不合法"],
    },
    Phrases {
        verification: Some(ResultCode::PinAttemptsExceeded),
        card_info: None,
        wordings: &[
            "Exceeded the limit of incorrect password attempts",
            "Exceeded the number of password errors",
            "Number of password errors exceeds the limit",
            "密码错误次数超限",
        ],
    },
    Phrases {
        verification: Some(ResultCode::ServiceBusy),
        card_info: Some(CardInfoResult::ServiceBusy),
        wordings: &[
            "Verification Center Service busy",
            "Verification Center Service is busy",
            "Verification center service busy",
            "验证中心服务繁忙",
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_list_is_the_published_one() {
        #[derive(serde::Deserialize)]
        struct Published {
            phrases: BTreeMap<String, Vec<String>>,
        }
        let published: Published =
            serde_json::from_str(include_str!("../../../tests/data/result_codes.json")).unwrap();
        let mut count = 0;
        for (result, wordings) in &published.phrases {
            for wording in wordings {
                let phrase = phrase_of(wording).unwrap();
                assert!(phrase.verification.is_some() || phrase.card_info.is_some());
                for name in [
                    phrase.verification.map(ResultCode::as_str),
                    phrase.card_info.map(CardInfoResult::as_str),
                ] {
                    assert!(name.is_none_or(|name| name == result), "{wording}");
                }
                assert_eq!(wording_of(wording), Some(wording.as_str()));
                count += 1;
            }
        }
        let ours: usize = PHRASES.iter().map(|phrases| phrases.wordings.len()).sum();
        assert_eq!(ours, count);
    }

    #[test]
    fn blanks_case_and_final_punctuation_do_not_matter() {
        let result = |text| phrase_of(text).and_then(|phrase| phrase.verification);
        assert_eq!(result(" authentication  PASSED. "), Some(ResultCode::Match));
        assert_eq!(result("认证通过。"), Some(ResultCode::Match));
        assert_eq!(result("认证 未通过！"), Some(ResultCode::Mismatch));
        assert_eq!(result("Authentication failed?"), Some(ResultCode::Mismatch));
        assert_eq!(result("Authentication passed, maybe"), None);
        assert_eq!(result(""), None);
    }

    #[test]
    fn no_wording_says_two_things() {
        for phrase in all() {
            let same = BY_FOLDED_TEXT[&folded(phrase.text)];
            let says = |it: Phrase| (it.verification, it.card_info);
            assert_eq!(says(same), says(phrase), "{}", phrase.text);
        }
    }

    #[test]
    fn a_phrase_of_both_vocabularies_is_known_in_both() {
        let busy = phrase_of("验证中心服务繁忙").unwrap();
        assert_eq!(busy.verification, Some(ResultCode::ServiceBusy));
        assert_eq!(busy.card_info, Some(CardInfoResult::ServiceBusy));
        let found = phrase_of("Query successful").unwrap();
        assert_eq!(
            (found.verification, found.card_info),
            (None, Some(CardInfoResult::Found))
        );
    }
}
