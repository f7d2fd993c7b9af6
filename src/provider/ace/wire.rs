//! Request bodies and the forms that replies take.

use std::borrow::Cow;

use serde::Serialize;

use crate::{
    domain::{CardType, Verification},
    provider::{
        http::HttpReply,
        vendor_reply::{Ambiguous, Json},
    },
};

/// Bodies are built in a buffer that need not grow, so that no copy of them stays behind.
const BODY_CAPACITY: usize = 2048;

#[derive(Serialize)]
struct CheckBody<'a> {
    bank_card: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_card: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_type: Option<u32>,
}

/// The body of check-2e, check-3e or check-4e.
pub(super) fn verification_body(question: &Verification, cert_type: Option<u32>) -> Vec<u8> {
    json(&CheckBody {
        bank_card: question.card.expose(),
        name: Some(question.name.expose()),
        id_card: question.identity().map(|identity| identity.expose()),
        phone: question.phone().map(|phone| phone.expose()),
        cert_type,
    })
}

/// The body of check-1e.
pub(super) fn card_info_body(bank_card: &str) -> Vec<u8> {
    json(&CheckBody {
        bank_card,
        name: None,
        id_card: None,
        phone: None,
        cert_type: None,
    })
}

fn json(body: &CheckBody<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BODY_CAPACITY);
    // writing texts and numbers into memory cannot fail; an empty body would be refused
    let _ = serde_json::to_writer(&mut bytes, body);
    bytes
}

/// What a reply turned out to be.
pub(super) enum Reply<'a> {
    /// A result.
    Result(ResultBody<'a>),
    /// An error, with the vendor's code where there is one.
    Error(ErrorBody<'a>),
    /// Neither, or both at once: nobody can tell what happened.
    Unusable,
}

pub(super) struct ResultBody<'a> {
    pub(super) code: Cow<'a, str>,
    /// Empty where there is none.
    pub(super) description: &'a str,
    /// Empty where there is none.
    pub(super) account_bank: &'a str,
    pub(super) account_type: Option<CardType>,
    /// Empty where there is none.
    pub(super) trace_id: &'a str,
}

pub(super) struct ErrorBody<'a> {
    pub(super) code: Option<&'a str>,
    /// Empty where there is none.
    pub(super) trace_id: &'a str,
}

/// Reads a reply. `body` is the reply's own, parsed; its content type is not looked at.
pub(super) fn read<'a>(reply: &HttpReply, body: Option<&'a Json>) -> Reply<'a> {
    let Some(body) = body else {
        return Reply::Error(ErrorBody {
            code: None,
            trace_id: "",
        });
    };
    read_object(reply.status, body).unwrap_or(Reply::Unusable)
}

fn read_object(status: u16, body: &Json) -> Result<Reply<'_>, Ambiguous> {
    let result = body.member("result")?.filter(|it| **it != Json::Null);
    let error = body.member("error")?;
    let success = body.member("success")?;
    let description = body.member("description")?.unwrap_or(&Json::Null);
    let trace_id = text(body.member("trace_id")?);
    let bank = body.member("account_bank")?;
    let kind = body.member("account_type")?;
    Ok(match (result, error) {
        (Some(_), Some(_)) => Reply::Unusable,
        (None, Some(Json::Text(code))) => Reply::Error(ErrorBody {
            code: Some(code),
            trace_id,
        }),
        (None, Some(error)) => Reply::Error(ErrorBody {
            code: error.member("code")?.and_then(Json::text),
            trace_id,
        }),
        (None, None) => Reply::Error(ErrorBody {
            code: None,
            trace_id,
        }),
        (Some(result), None) => {
            let denied = !matches!(success, None | Some(Json::Bool(true)));
            let garbled = !matches!(description, Json::Null | Json::Text(_));
            match result.text_or_integer() {
                Some(code) if status == 200 && !denied && !garbled => Reply::Result(ResultBody {
                    code,
                    description: text(Some(description)),
                    account_bank: text(bank),
                    account_type: kind.and_then(card_type),
                    trace_id,
                }),
                _ => Reply::Unusable,
            }
        }
    })
}

fn text(value: Option<&Json>) -> &str {
    value.and_then(Json::text).unwrap_or_default()
}

fn card_type(value: &Json) -> Option<CardType> {
    match value.text_or_integer()?.as_ref() {
        "1" => Some(CardType::Debit),
        "2" => Some(CardType::Credit),
        "3" => Some(CardType::Prepaid),
        "4" => Some(CardType::QuasiCredit),
        _ => None,
    }
}
