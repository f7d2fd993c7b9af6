//! What Tencent's result codes mean: one table per operation, because each further factor shifts the
//! codes of the others. Read from the vendor's own SDK models, in which the international and the
//! mainland product agree.

use crate::{
    domain::{
        CardInfoResult, Operation,
        ResultCode::{
            self, AttemptsExceeded, CardConfiscated, CardExpired, CardFraudulentOrRetained,
            CardNumberFormatInvalid, CardNumberInvalid, CardReportedLost, CardRestricted,
            CardStatusAbnormal, CardUninitializedOrDormant, CardholderInfoIncorrect,
            CardlessPaymentNotEnabled, IdNumberInvalid, IdentityTypeUnsupported, IssuerUnsupported,
            Match, Mismatch, NameInvalid, NoIssuingBank, PhoneInvalid, PinAttemptsExceeded,
            ServiceBusy,
        },
    },
    provider::codes::CodeRow,
};

/// `BankCard2EVerification`
pub const TWO: &[CodeRow<ResultCode>] = &[
    CodeRow::charged("0", Match, "认证通过", "Authentication passed"),
    CodeRow::charged("-1", Mismatch, "认证未通过", "Authentication failed"),
    CodeRow::free(
        "-2",
        NameInvalid,
        "姓名校验不通过",
        "Name verification failed",
    ),
    CodeRow::free(
        "-3",
        CardNumberFormatInvalid,
        "银行卡号格式有误",
        "Incorrect bank card number format",
    ),
    CodeRow::charged(
        "-4",
        CardholderInfoIncorrect,
        "持卡人信息有误",
        "Cardholder information is incorrect",
    ),
    CodeRow::charged(
        "-5",
        CardlessPaymentNotEnabled,
        "未开通无卡支付",
        "Cardless payment not enabled",
    ),
    CodeRow::charged("-6", CardConfiscated, "此卡被没收", "Card confiscated"),
    CodeRow::charged("-7", CardNumberInvalid, "无效卡号", "Invalid card number"),
    CodeRow::charged(
        "-8",
        NoIssuingBank,
        "此卡无对应发卡行",
        "No corresponding issuing bank for this card",
    ),
    CodeRow::charged(
        "-9",
        CardUninitializedOrDormant,
        "该卡未初始化或睡眠卡",
        "The card is uninitialized or a Sleep Card",
    ),
    CodeRow::charged(
        "-10",
        CardFraudulentOrRetained,
        "作弊卡、吞卡",
        "Cheat card, card confiscation",
    ),
    CodeRow::charged("-11", CardReportedLost, "此卡已挂失", "Reported lost"),
    CodeRow::charged("-12", CardExpired, "该卡已过期", "The card has expired"),
    CodeRow::charged("-13", CardRestricted, "受限制的卡", "Restricted card"),
    CodeRow::charged(
        "-14",
        PinAttemptsExceeded,
        "密码错误次数超限",
        "Number of password errors exceeds the limit",
    ),
    CodeRow::charged(
        "-15",
        IssuerUnsupported,
        "发卡行不支持此交易",
        "Issuer does not support this transaction",
    ),
    CodeRow::free(
        "-16",
        ServiceBusy,
        "验证中心服务繁忙",
        "Verification Center Service busy",
    ),
    CodeRow::free(
        "-17",
        AttemptsExceeded,
        "验证次数超限，请次日重试",
        "Verification attempts exceeded. Please retry the next day",
    ),
    CodeRow::charged(
        "-18",
        CardStatusAbnormal,
        "卡状态异常或卡号错误",
        "Card status exception or card number error",
    ),
];

/// `BankCardVerification`
pub const THREE: &[CodeRow<ResultCode>] = &[
    CodeRow::charged("0", Match, "认证通过", "Authentication passed"),
    CodeRow::charged("-1", Mismatch, "认证未通过", "Authentication failed"),
    CodeRow::free(
        "-2",
        NameInvalid,
        "姓名校验不通过",
        "Name verification failed",
    ),
    CodeRow::free(
        "-3",
        IdNumberInvalid,
        "身份证号码有误",
        "Identity number error",
    ),
    CodeRow::free(
        "-4",
        CardNumberFormatInvalid,
        "银行卡号格式有误",
        "Incorrect bank card number format",
    ),
    CodeRow::charged(
        "-5",
        CardholderInfoIncorrect,
        "持卡人信息有误",
        "Cardholder information is incorrect",
    ),
    CodeRow::charged(
        "-6",
        CardlessPaymentNotEnabled,
        "未开通无卡支付",
        "Cardless payment not enabled",
    ),
    CodeRow::charged("-7", CardConfiscated, "此卡被没收", "Card confiscated"),
    CodeRow::charged("-8", CardNumberInvalid, "无效卡号", "Invalid card number"),
    CodeRow::charged(
        "-9",
        NoIssuingBank,
        "此卡无对应发卡行",
        "No corresponding issuing bank for this card",
    ),
    CodeRow::charged(
        "-10",
        CardUninitializedOrDormant,
        "该卡未初始化或睡眠卡",
        "The card is uninitialized or a Sleep Card",
    ),
    CodeRow::charged(
        "-11",
        CardFraudulentOrRetained,
        "作弊卡、吞卡",
        "Cheat card, card retention",
    ),
    CodeRow::charged("-12", CardReportedLost, "此卡已挂失", "Reported lost"),
    CodeRow::charged("-13", CardExpired, "该卡已过期", "The card has expired"),
    CodeRow::charged("-14", CardRestricted, "受限制的卡", "Restricted card"),
    CodeRow::charged(
        "-15",
        PinAttemptsExceeded,
        "密码错误次数超限",
        "Exceeded the number of password errors",
    ),
    CodeRow::charged(
        "-16",
        IssuerUnsupported,
        "发卡行不支持此交易",
        "Issuer does not support this transaction",
    ),
    CodeRow::free(
        "-17",
        ServiceBusy,
        "验证中心服务繁忙",
        "Verification Center Service busy",
    ),
    CodeRow::free(
        "-18",
        AttemptsExceeded,
        "验证次数超限，请次日重试",
        "Exceeded verification attempts. Please retry the next day",
    ),
    CodeRow::free(
        "-19",
        IdentityTypeUnsupported,
        "该证件号暂不支持核验，当前仅支持二代身份证",
        "The ID number is not currently supported for verification. Currently only support second-generation resident identity card",
    ),
    CodeRow::charged(
        "-20",
        CardStatusAbnormal,
        "卡状态异常或卡号错误",
        "Card status exception or card number error",
    ),
];

/// `BankCard4EVerification`
pub const FOUR: &[CodeRow<ResultCode>] = &[
    CodeRow::charged("0", Match, "认证通过", "Authentication passed"),
    CodeRow::charged("-1", Mismatch, "认证未通过", "Authentication failed"),
    CodeRow::free(
        "-2",
        NameInvalid,
        "姓名校验不通过",
        "Name verification failed",
    ),
    CodeRow::free(
        "-3",
        IdNumberInvalid,
        "身份证号码有误",
        "Identity number error",
    ),
    CodeRow::free(
        "-4",
        CardNumberFormatInvalid,
        "银行卡号格式有误",
        "Incorrect bank card number format",
    ),
    CodeRow::free("-5", PhoneInvalid, "手机号码不合法", "Invalid phone number"),
    CodeRow::charged(
        "-6",
        CardholderInfoIncorrect,
        "持卡人信息有误",
        "Cardholder information is incorrect",
    ),
    CodeRow::charged(
        "-7",
        CardlessPaymentNotEnabled,
        "未开通无卡支付",
        "Cardless payment not enabled",
    ),
    CodeRow::charged("-8", CardConfiscated, "此卡被没收", "Card confiscated"),
    CodeRow::charged("-9", CardNumberInvalid, "无效卡号", "Invalid card number"),
    CodeRow::charged(
        "-10",
        NoIssuingBank,
        "此卡无对应发卡行",
        "No corresponding issuing bank for this card",
    ),
    CodeRow::charged(
        "-11",
        CardUninitializedOrDormant,
        "该卡未初始化或睡眠卡",
        "The card is uninitialized or a Sleep Card",
    ),
    CodeRow::charged(
        "-12",
        CardFraudulentOrRetained,
        "作弊卡、吞卡",
        "Cheat card, card confiscation",
    ),
    CodeRow::charged("-13", CardReportedLost, "此卡已挂失", "Reported lost"),
    CodeRow::charged("-14", CardExpired, "该卡已过期", "The card has expired"),
    CodeRow::charged("-15", CardRestricted, "受限制的卡", "Restricted card"),
    CodeRow::charged(
        "-16",
        PinAttemptsExceeded,
        "密码错误次数超限",
        "Exceeded the number of password errors",
    ),
    CodeRow::charged(
        "-17",
        IssuerUnsupported,
        "发卡行不支持此交易",
        "Issuer does not support this transaction",
    ),
    CodeRow::free(
        "-18",
        ServiceBusy,
        "验证中心服务繁忙",
        "Verification Center Service busy",
    ),
    CodeRow::free(
        "-19",
        AttemptsExceeded,
        "验证次数超限，请次日重试",
        "Exceeded maximum verification attempts. Please retry the next day",
    ),
    CodeRow::free(
        "-20",
        IdentityTypeUnsupported,
        "该证件号暂不支持核验，当前仅支持二代身份证",
        "The ID number is not currently supported for verification. Currently only support second-generation resident identity card",
    ),
    CodeRow::charged(
        "-21",
        CardStatusAbnormal,
        "卡状态异常或卡号错误",
        "Card status exception or card number error",
    ),
];

/// `CheckBankCardInformation`
pub const CARD_INFO: &[CodeRow<CardInfoResult>] = &[
    CodeRow::charged("0", CardInfoResult::Found, "查询成功", "Query succeeded"),
    CodeRow::charged(
        "-1",
        CardInfoResult::NoInformation,
        "未查到信息",
        "Not found",
    ),
    CodeRow::free(
        "-2",
        CardInfoResult::ServiceBusy,
        "验证中心服务繁忙",
        "Verification Center Service is busy",
    ),
    CodeRow::free(
        "-3",
        CardInfoResult::CardNotFound,
        "银行卡不存在",
        "Bank card not found",
    ),
    CodeRow::free(
        "-4",
        CardInfoResult::AttemptsExceeded,
        "认证次数超过当日限制，请次日重试",
        "Authentication attempts exceeded the daily limit. Retry the next day",
    ),
    CodeRow::charged(
        "-5",
        CardInfoResult::CardNumberInvalid,
        "卡号无效",
        "Invalid card number",
    ),
    CodeRow::free(
        "-6",
        CardInfoResult::CardTypeUnsupported,
        "暂不支持该银行卡种",
        "This bank card type is not currently supported",
    ),
];

/// The table of a verification; empty for card information, which has a vocabulary of its own.
#[must_use]
pub const fn verification(operation: Operation) -> &'static [CodeRow<ResultCode>] {
    match operation {
        Operation::VerifyTwo => TWO,
        Operation::VerifyThree => THREE,
        Operation::VerifyFour => FOUR,
        Operation::CardInfo => &[],
    }
}
