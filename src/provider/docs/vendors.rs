//! One section per vendor.

use super::{card_info_table, charged, code, table, verification_table};
use crate::{
    domain::Operation,
    provider::{
        ace,
        alibaba::{self, codes::ErrorClass},
        codes::CodeRow,
        tencent,
    },
};

pub(super) fn tencent() -> String {
    let mut text = "\
## Tencent Cloud FaceID: `kind = \"tencent\"`

International host `faceid.intl.tencentcloudapi.com`, mainland host `faceid.tencentcloudapi.com`,
version 2018-03-01, signed with TC3-HMAC-SHA256. The vendor allows 20 requests per second for each
action and account. `CertType` is a whole number of which the vendor publishes only 0, the resident
identity card; it is sent for mapped kinds of documents alone.

`provider_code` is the vendor's `Result`. The code decides; its text is looked at only to refuse a
`0` that the text contradicts, which is then `UNKNOWN_PROVIDER_CODE`.
"
    .to_owned();
    for (operation, codes) in [
        (Operation::VerifyTwo, tencent::codes::TWO),
        (Operation::VerifyThree, tencent::codes::THREE),
        (Operation::VerifyFour, tencent::codes::FOUR),
    ] {
        text.push_str(&heading(operation, tencent::wire::action(operation)));
        text.push_str(&verification_table(codes));
    }
    let card_info = Operation::CardInfo;
    text.push_str(&heading(card_info, tencent::wire::action(card_info)));
    text.push_str(&card_info_table(tencent::codes::CARD_INFO));
    let errors = tencent::errors::ERRORS.iter().map(|row| {
        [
            code(row.code),
            code(row.kind.as_str()),
            row.detail.to_owned(),
        ]
    });
    text.push_str(&format!(
        "\n### Errors of tencent\n\n\
         The exact code first, then the longest beginning (`*`); every other code, every HTTP \
         status but\n200 and every reply that cannot be read is `OUTCOME_UNKNOWN`.\n\n{}",
        table(["`Response.Error.Code`", "read as", "meaning"], errors)
    ));
    text.push_str(
        "\n### Field encryption\n\n\
         Off by default. `AES-256-CBC` wraps a key for every request with the vendor's RSA key,\n\
         `SM4-GCM` with its SM2 key. The vendor's format has one initialisation vector for all \
         fields of a\nrequest, also with `SM4-GCM`, where two fields of one request then share a \
         key stream: of the two,\n`AES-256-CBC` gives less away. Either travels inside TLS.\n",
    );
    text
}

pub(super) fn ace() -> String {
    let mut text = "\
## Ace Data Cloud: `kind = \"ace\"`

`https://api.acedata.cloud`, a bearer token. No rate limit is published. `cert_type` is a number of
which only 0, the resident identity card, has a known meaning; it is sent for mapped kinds of
documents alone. `provider_code` is the vendor's `result`.

The vendor publishes one table for 2, 3 and 4 factors. It is word for word the 2-factor table of
Tencent, whose codes shift by one with each further factor, so it may be wrong for 3 and 4 factors.
Code and text are therefore read together:

1. Only `0` is a match, and only if the text is not a known wording of another result. A text never
   makes a match.
2. Code and text agree: that result, with its charge.
3. They disagree: the text's result holds only if the published table or Tencent's table of this
   very operation gives it for this code. Otherwise `UNKNOWN_PROVIDER_CODE`, charge unknown.
4. The text is no known wording: the table holds for card information and 2 factors. With 3 and 4
   factors it holds for `0`, `-1` and `-2`; any other code shows its published result, with verdict
   INCONCLUSIVE and charge unknown.
5. A code that is not in the table counts only if its text and Tencent's table of this very
   operation agree on it, and it is no match.

`code_table = \"native\"` reads 3 and 4 factors by Tencent's tables instead, for operators who have
checked.

Not offered: `encryption`. The vendor publishes the parameter with a schema that is obviously wrong,
and no key to encrypt with.
"
    .to_owned();
    text.push_str("\n### 2, 3 and 4 factors (`check-2e`, `check-3e`, `check-4e`)\n\n");
    text.push_str(&verification_table(ace::codes::VERIFICATION));
    text.push_str(&heading(Operation::CardInfo, "check-1e"));
    text.push_str(&card_info_table(ace::codes::CARD_INFO));
    text.push_str(
        "\n`-4`, `-5` and `-6` are not on the vendor's page: they are Tencent's newer codes.\n",
    );
    let errors = ace::codes::ERRORS
        .iter()
        .map(|(error, kind)| [code(error), code(kind.as_str())]);
    text.push_str(&format!(
        "\n### Errors of ace\n\n\
         By `error.code`, whatever the HTTP status; without a known one, only the statuses 401\n\
         (`MISCONFIGURED`) and 429 (`THROTTLED`) say that the request was not run. Everything else \
         is\n`OUTCOME_UNKNOWN`.\n\n{}",
        table(["`error.code`", "read as"], errors)
    ));
    text
}

pub(super) fn alibaba() -> String {
    let mut text = "\
## Alibaba Cloud ID Verification: `kind = \"alibaba\"`

`BankMetaVerifyIntl` (2022-08-09) at `cloudauth-intl.cn-hongkong.aliyuncs.com`, or with
`product = \"mainland\"` `BankMetaVerify` (2019-03-07) at `cloudauth.aliyuncs.com`, signed with
ACS3-HMAC-SHA256. The vendor allows 50 requests per second. It has no operation for card
information. `provider_code` is `SubCode`, or `BizCode` where there is none; the vendor sends no
text.

The charge comes from `BizCode` alone. A match is `BizCode` 1 with `SubCode` 101 or none. A `SubCode`
that belongs to another `BizCode` is `UNKNOWN_PROVIDER_CODE`, charged as the `BizCode` says; so is
every unknown `BizCode`, with charge unknown. `param_type = \"md5\"` replaces parts of the fields by
their digests: that is masking, not protection.

### 2, 3 and 4 factors (`BANK_CARD_2_META`, `BANK_CARD_3_META`, `BANK_CARD_4_META`)

"
    .to_owned();
    let rows = alibaba::codes::GROUPS.iter().flat_map(|group| {
        let line = |sub_code: String, result: crate::domain::ResultCode| {
            [
                code(group.biz_code),
                sub_code,
                code(result.as_str()),
                result.verdict().as_str().to_owned(),
                charged(group.charge).to_owned(),
            ]
        };
        let known = group
            .rows
            .iter()
            .map(move |row: &CodeRow<_>| line(code(row.code), row.result));
        known.chain([
            line("none".to_owned(), group.without_sub_code),
            line("unknown".to_owned(), group.with_unknown_sub_code),
        ])
    });
    text.push_str(&table(
        ["`BizCode`", "`SubCode`", "result", "verdict", "charged"],
        rows,
    ));
    text.push_str(
        "\n### Errors of alibaba\n\n\
         The exact `Code` first, then its longest known beginning; without a known one, only the \
         HTTP\nstatuses 401 (`MISCONFIGURED`) and 429 (`THROTTLED`) say that the request was not \
         run. Everything\nelse is `OUTCOME_UNKNOWN`.\n\n",
    );
    text.push_str(&error_table(alibaba::codes::ERRORS));
    text.push_str("\nThe mainland product's own codes:\n\n");
    text.push_str(&error_table(alibaba::codes::MAINLAND_ERRORS));
    text
}

fn error_table(rows: &[alibaba::codes::ErrorRow]) -> String {
    table(
        ["`Code`", "read as"],
        rows.iter().map(|row| {
            let star = if row.is_prefix { "*" } else { "" };
            let class = match row.class {
                ErrorClass::Error(kind) => code(kind.as_str()),
                ErrorClass::AttemptsExceeded => {
                    "the answer `ATTEMPTS_EXCEEDED`, not charged".to_owned()
                }
            };
            [code(format!("{}{star}", row.code)), class]
        }),
    )
}

fn heading(operation: Operation, call: &str) -> String {
    let what = match operation {
        Operation::VerifyTwo => "2 factors",
        Operation::VerifyThree => "3 factors",
        Operation::VerifyFour => "4 factors",
        Operation::CardInfo => "Card information",
    };
    format!("\n### {what} (`{call}`)\n\n")
}
