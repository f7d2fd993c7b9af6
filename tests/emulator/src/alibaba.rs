//! Alibaba Cloud ID Verification: `POST /` with everything in the query, signed with
//! ACS3-HMAC-SHA256.

pub(crate) mod acs3;

use std::collections::BTreeMap;

use http::request::Parts;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::exchange::{Asked, Heading, Refusal};
use crate::question::Question;
use crate::signing::header;
use crate::state::State;
use crate::vendor::{Operation, Vendor};

const INTERNATIONAL: &str = "BankMetaVerifyIntl";
const MAINLAND: &str = "BankMetaVerify";
const PROBE: &str = "KeepaliveIntl";

/// What `x-acs-action` and, for the factors, `ProductType` name.
pub(crate) fn heading(parts: &Parts) -> Heading {
    let action = match header(parts, "x-acs-action") {
        Some(INTERNATIONAL) => INTERNATIONAL,
        Some(MAINLAND) => MAINLAND,
        Some(PROBE) => PROBE,
        _ => "",
    };
    let query = parts.uri.query().unwrap_or_default();
    let product = |name: &str| query.split('&').any(|pair| pair == name);
    let operation = if action == PROBE {
        Operation::Probe
    } else if product("ProductType=BANK_CARD_2_META") {
        Operation::Two
    } else if product("ProductType=BANK_CARD_3_META") {
        Operation::Three
    } else if product("ProductType=BANK_CARD_4_META") {
        Operation::Four
    } else {
        Operation::Unknown
    };
    Heading {
        vendor: Vendor::Alibaba,
        operation,
        action,
    }
}

/// Checks signature, credentials, action and parameters.
pub(crate) fn verify(
    state: &State,
    heading: &Heading,
    parts: &Parts,
    body: &[u8],
) -> Result<Asked, Refusal> {
    if parts.method != http::Method::POST && parts.method != http::Method::GET {
        return Err(Refusal::new(
            "UnsupportedHTTPMethod",
            "the method must be POST or GET",
        ));
    }
    let credentials = state.credentials();
    let signed = acs3::verify(&credentials.alibaba, state.vendor_now_ms(), parts, body)?;
    if !state.nonces.first_use(signed.key_id, signed.nonce) {
        return Err(Refusal::new(
            "SignatureNonceUsed",
            "The signature nonce was used before.",
        ));
    }
    if !body.is_empty() {
        return Err(Refusal::new(
            "InvalidParameter",
            "All parameters belong into the query.",
        ));
    }
    let version = match heading.action {
        "" => return Err(Refusal::new("InvalidAction.NotFound", "No such action.")),
        MAINLAND => "2019-03-07",
        _ => "2022-08-09",
    };
    if header(parts, "x-acs-version") != Some(version) {
        return Err(Refusal::new(
            "InvalidVersion",
            "No such version of this action.",
        ));
    }
    let question = if heading.action == PROBE {
        Question::default()
    } else {
        decode(heading, &signed.parameters)?
    };
    Ok(Asked {
        question,
        temporary_credentials: signed.temporary,
        loose_query: signed.loose_query,
        ..Asked::default()
    })
}

fn decode(heading: &Heading, query: &BTreeMap<String, String>) -> Result<Question, Refusal> {
    let take = |name: &str| {
        let value = query.get(name).filter(|value| !value.is_empty());
        value.cloned().ok_or_else(|| {
            Refusal::new(
                "MissingParameter",
                format!("The parameter {name} is missing."),
            )
        })
    };
    let fixed = |name: &str, wanted: &str| {
        if take(name)? == wanted {
            Ok(())
        } else {
            Err(invalid(name))
        }
    };
    if heading.action == INTERNATIONAL {
        fixed("ProductCode", "BANK_CARD_N_META")?;
    }
    fixed("VerifyMode", "VERIFY_BANK_CARD")?;
    take("ProductType")?;
    let masked = match take("ParamType")?.as_str() {
        "normal" => false,
        "md5" => true,
        _ => return Err(invalid("ParamType")),
    };
    let mut question = Question::new(take("BankCard")?, take("UserName")?);
    match heading.operation {
        Operation::Two => {}
        Operation::Three => question.id_number = Some(take("IdentifyNum")?),
        Operation::Four => {
            question.id_number = Some(take("IdentifyNum")?);
            question.phone = Some(take("Mobile")?);
        }
        Operation::CardInfo | Operation::Probe | Operation::Unknown => {
            return Err(invalid("ProductType"));
        }
    }
    let resident = query
        .get("IdentityType")
        .is_none_or(|kind| kind.is_empty() || kind == "01");
    if masked {
        check_masks(&question, resident)?;
    }
    Ok(question)
}

fn invalid(name: &str) -> Refusal {
    Refusal::new(
        "InvalidParameter",
        format!("The parameter {name} is invalid."),
    )
}

/// Whether each value has its 32 lower-case hexadecimal digits where `ParamType=md5` wants them.
fn check_masks(question: &Question, resident: bool) -> Result<(), Refusal> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let card = question.card.as_deref().unwrap_or_default();
    // 12 to 19 digits, of which the last 6 are hashed.
    if !split_hash(card, |head, tail| {
        (6..=13).contains(&head.len()) && digits(head) && tail.is_empty()
    }) {
        return Err(invalid("BankCard"));
    }
    let name = question.name.as_deref().unwrap_or_default();
    if !split_hash(name, |head, tail| head.is_empty() && !tail.is_empty()) {
        return Err(invalid("UserName"));
    }
    if let Some(id) = question.id_number.as_deref() {
        let right = if resident {
            split_hash(id, |head, tail| {
                head.len() == 6 && digits(head) && tail.len() == 4 && digits(&tail[..3])
            })
        } else {
            split_hash(id, |head, tail| !head.is_empty() && tail.is_empty())
        };
        if !right {
            return Err(invalid("IdentifyNum"));
        }
    }
    let phone = question.phone.as_deref();
    if !phone.is_none_or(|phone| split_hash(phone, |head, tail| head.is_empty() && tail.is_empty()))
    {
        return Err(invalid("Mobile"));
    }
    Ok(())
}

/// Whether some 32 lower-case hexadecimal digits in `text` leave a head and a tail that fit.
fn split_hash(text: &str, fits: impl Fn(&str, &str) -> bool) -> bool {
    (0..text.len()).any(|start| {
        let (head, hash, tail) = (
            text.get(..start),
            text.get(start..start + 32),
            text.get(start + 32..),
        );
        match (head, hash, tail) {
            (Some(head), Some(hash), Some(tail)) => {
                hash.bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                    && fits(head, tail)
            }
            _ => false,
        }
    })
}

/// The body of a result. A code of three digits is a SubCode, whose first digit is the BizCode; one
/// of another length is a BizCode without a SubCode.
pub(crate) fn code_body(heading: &Heading, code: &str, description: Option<&str>) -> Value {
    // The vendor's pages say `Success`, its SDKs' comments say `200`: one product has each here.
    let success = if heading.action == MAINLAND {
        "200"
    } else {
        "Success"
    };
    let mut body = json!({
        "RequestId": request_id(),
        "Code": success,
        "Message": description.unwrap_or("success"),
    });
    if heading.action == PROBE {
        body["Result"] = json!({ "Result": code });
    } else if code.len() == 3 {
        body["ResultObject"] = json!({ "BizCode": &code[..1], "SubCode": code });
    } else {
        body["ResultObject"] = json!({ "BizCode": code });
    }
    body
}

fn request_id() -> String {
    Uuid::new_v4().to_string().to_uppercase()
}

/// Status and body of an error.
pub(crate) fn error_body(code: &str, message: Option<&str>) -> (u16, Value) {
    let status = match code {
        // Mainland service codes arrive in the body of a good reply.
        _ if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()) => 200,
        "InternalError" => 500,
        "ServiceUnavailable" => 503,
        "InvalidAccessKeyId.NotFound" | "InvalidAction.NotFound" => 404,
        _ if code.starts_with("Forbidden") || code.starts_with("Throttling") => 403,
        _ => 400,
    };
    let message = message.map_or_else(|| format!("{code} as scripted"), str::to_owned);
    let body = if status == 200 {
        json!({ "RequestId": request_id(), "Code": code, "Message": message })
    } else {
        json!({
            "RequestId": request_id(),
            "HostId": "cloudauth-emulator",
            "Code": code,
            "Message": message,
            "Recommend": "",
        })
    };
    (status, body)
}

/// Whether a call that ends with this error may have run and been charged.
pub(crate) fn may_have_run(code: &str) -> bool {
    let not_run = [
        "Throttling",
        "Forbidden",
        "MissingParameter",
        "InvalidParameter",
        "InvalidAccessKeyId",
        "InvalidAction",
        "InvalidVersion",
        "InvalidTimeStamp",
        "InvalidSecurityToken",
        "SignatureDoesNotMatch",
        "SignatureNonceUsed",
        "UnsupportedHTTPMethod",
        "400",
        "401",
        "403",
        "410",
        "411",
        "412",
    ];
    !not_run.iter().any(|prefix| code.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(question: &Question, resident: bool) -> String {
        check_masks(question, resident).map_or_else(|refusal| refusal.message, |()| "ok".to_owned())
    }

    #[test]
    fn masked_values_need_their_hash_in_the_right_place() {
        let plain = Question::new("6222020000000000000", "张三")
            .id_number("11010519491231002X")
            .phone("13800138000");
        let masked = plain.masked();
        assert_eq!(masks(&masked, true), "ok");
        assert!(masks(&plain, true).contains("BankCard"));
        let with = |change: fn(&mut Question)| {
            let mut changed = masked.clone();
            change(&mut changed);
            masks(&changed, true)
        };
        assert!(
            with(|q| q.card = q.card.as_ref().map(|card| card.to_uppercase())).contains("BankCard")
        );
        assert!(with(|q| q.name = Some("张三".into())).contains("UserName"));
        assert!(
            with(|q| q.name = Some(format!("张{}", crate::question::md5_hex("三"))))
                .contains("UserName")
        );
        assert!(with(|q| q.id_number = Some("11010519491231002X".into())).contains("IdentifyNum"));
        assert!(with(|q| q.phone = Some("13800138000".into())).contains("Mobile"));
        let mut passport = masked.clone();
        passport.id_number = Some(crate::question::mask_other_document("E12345678"));
        assert_eq!(masks(&passport, false), "ok");
        assert!(masks(&passport, true).contains("IdentifyNum"));
    }
}
