//! The query that asks, and the forms that replies take.

use std::borrow::Cow;

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use crate::{
    config::providers::{AlibabaParamType, AlibabaProduct},
    domain::{Factors, Identity, IdentityType, Verification},
    provider::{
        http::HttpReply,
        vendor_reply::{Ambiguous, Json},
    },
};

/// Queries are built in a buffer that need not grow, so that no copy of them stays behind.
const QUERY_CAPACITY: usize = 2048;

/// The canonical query of a verification.
pub(super) fn verification_query(
    question: &Verification,
    product: AlibabaProduct,
    param_type: AlibabaParamType,
    identity_type: Option<&str>,
) -> Zeroizing<String> {
    let masks = Masks(param_type);
    let card = masks.bank_card(question.card.expose());
    let name = masks.name(question.name.expose());
    let id_number = question
        .identity()
        .map(|identity| masks.id_number(identity));
    let phone = question.phone().map(|phone| masks.phone(phone.expose()));
    let product_code = match product {
        AlibabaProduct::Intl => Some("BANK_CARD_N_META"),
        AlibabaProduct::Mainland => None,
    };
    let product_type = match question.factors() {
        Factors::Two => "BANK_CARD_2_META",
        Factors::Three => "BANK_CARD_3_META",
        Factors::Four => "BANK_CARD_4_META",
    };
    // sorted by name, as the signature wants them
    let parameters = [
        ("BankCard", Some(card.as_str())),
        ("IdentifyNum", id_number.as_ref().map(|text| text.as_str())),
        ("IdentityType", identity_type),
        ("Mobile", phone.as_ref().map(|text| text.as_str())),
        ("ParamType", Some(masks.param_type())),
        ("ProductCode", product_code),
        ("ProductType", Some(product_type)),
        ("UserName", Some(name.as_str())),
        ("VerifyMode", Some("VERIFY_BANK_CARD")),
    ];
    let given: Vec<_> = parameters
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect();
    canonical_query(&given)
}

/// Names and values, RFC 3986 encoded; sorted by name if they are given so.
pub(super) fn canonical_query(parameters: &[(&str, &str)]) -> Zeroizing<String> {
    let mut query = Zeroizing::new(String::with_capacity(QUERY_CAPACITY));
    for (position, (name, value)) in parameters.iter().enumerate() {
        if position > 0 {
            query.push('&');
        }
        encode(name, &mut query);
        query.push('=');
        encode(value, &mut query);
    }
    query
}

fn encode(raw: &str, query: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in raw.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            query.push(char::from(byte));
        } else {
            query.push('%');
            query.push(char::from(DIGITS[usize::from(byte >> 4)]));
            query.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// The vendor's two ways of writing parameters: as they are, or with a part of each replaced by
/// its MD5 digest. The latter is masking, not protection: the parts are short enough to be guessed.
struct Masks(AlibabaParamType);

impl Masks {
    const fn param_type(&self) -> &'static str {
        match self.0 {
            AlibabaParamType::Normal => "normal",
            AlibabaParamType::Md5 => "md5",
        }
    }

    fn bank_card(&self, card: &str) -> Zeroizing<String> {
        self.replace(card, card.len().saturating_sub(6), card.len())
    }

    fn name(&self, name: &str) -> Zeroizing<String> {
        self.replace(name, 0, name.chars().next().map_or(0, char::len_utf8))
    }

    fn id_number(&self, identity: &Identity) -> Zeroizing<String> {
        let number = identity.expose();
        match identity.kind() {
            // the birth date of the 18 characters
            IdentityType::ResidentId => self.replace(number, 6, 14),
            _ => self.replace(number, number.len().saturating_sub(2), number.len()),
        }
    }

    fn phone(&self, phone: &str) -> Zeroizing<String> {
        self.replace(phone, 0, phone.len())
    }

    /// Replaces the bytes from `start` to `end` by their digest, where that is asked for.
    fn replace(&self, raw: &str, start: usize, end: usize) -> Zeroizing<String> {
        let parts = (raw.get(..start), raw.get(start..end), raw.get(end..));
        match (self.0, parts) {
            (AlibabaParamType::Md5, (Some(before), Some(hidden), Some(after))) => {
                let digest = Zeroizing::new(hex::encode(Md5::digest(hidden)));
                Zeroizing::new([before, digest.as_str(), after].concat())
            }
            _ => Zeroizing::new(raw.to_owned()),
        }
    }
}

/// What a reply turned out to be.
pub(super) enum Reply<'a> {
    /// The vendor carried the call out. `result` is there unless it was a probe.
    Success {
        request_id: &'a str,
        result: Option<ResultObject<'a>>,
    },
    /// It did not, or says so.
    Error {
        code: Option<Cow<'a, str>>,
        request_id: &'a str,
    },
    /// Nobody can tell.
    Unusable,
}

pub(super) struct ResultObject<'a> {
    pub(super) biz_code: &'a str,
    /// `None` where there is none, or an empty one.
    pub(super) sub_code: Option<&'a str>,
}

/// Reads a reply. `body` is the reply's own, parsed; its content type is not looked at.
pub(super) fn read<'a>(reply: &HttpReply, body: Option<&'a Json>) -> Reply<'a> {
    let Some(body) = body else {
        return Reply::Unusable;
    };
    read_object(reply.status, body).unwrap_or(Reply::Unusable)
}

fn read_object(status: u16, body: &Json) -> Result<Reply<'_>, Ambiguous> {
    // errors come in both spellings; two of them in one reply would contradict each other
    let code = body.member_in_any_case("Code")?;
    let object = body.member_in_any_case("ResultObject")?;
    let request_id = body.member_in_any_case("RequestId")?;
    let request_id = request_id.and_then(Json::text).unwrap_or_default();
    let exact = body.member("Code")?.and_then(Json::text);
    let success = exact.is_some_and(|it| it == "200" || it.eq_ignore_ascii_case("success"));
    if success {
        let exact_object = body.member("ResultObject")?.filter(|it| **it != Json::Null);
        return Ok(match (status, exact_object) {
            (200, Some(object)) => match result_object(object)? {
                Some(result) => Reply::Success {
                    request_id,
                    result: Some(result),
                },
                None => Reply::Unusable,
            },
            (200, None) => Reply::Success {
                request_id,
                result: None,
            },
            _ => Reply::Unusable,
        });
    }
    let answered = match object {
        Some(object) => object.member_in_any_case("BizCode")?.is_some(),
        None => false,
    };
    Ok(if answered {
        Reply::Unusable
    } else {
        Reply::Error {
            code: code.and_then(Json::text_or_integer),
            request_id,
        }
    })
}

/// `None` unless both leaves are of the right type: a result is never guessed.
fn result_object(object: &Json) -> Result<Option<ResultObject<'_>>, Ambiguous> {
    let biz_code = object.member("BizCode")?.and_then(Json::text);
    let sub_code = match object.member("SubCode")? {
        None | Some(Json::Null) => Some(None),
        Some(Json::Text(text)) => Some(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => None,
    };
    Ok(biz_code
        .zip(sub_code)
        .map(|(biz_code, sub_code)| ResultObject { biz_code, sub_code }))
}

#[cfg(test)]
mod tests;
