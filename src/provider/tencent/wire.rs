//! Bodies of requests and replies.
//!
//! The vendor refuses parameters that it does not know, so a request carries nothing else than its
//! action takes. Of a reply, only what decides is read strictly: a member twice, or in another type
//! than the vendor documents, leaves no answer rather than a wrong one.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{
    config::TencentConfig,
    encryption::{Encryption, EncryptionError, PersonalField},
};
use crate::domain::{CardNumber, CardType, Identity, Operation, Verification};

/// More than any body in clear has.
const BODY_CAPACITY: usize = 1024;

/// The name of the action that asks for an operation.
#[must_use]
pub const fn action(operation: Operation) -> &'static str {
    match operation {
        Operation::VerifyTwo => "BankCard2EVerification",
        Operation::VerifyThree => "BankCardVerification",
        Operation::VerifyFour => "BankCard4EVerification",
        Operation::CardInfo => "CheckBankCardInformation",
    }
}

/// Parameters of any of the four actions.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters<'a> {
    #[serde(flatten)]
    fields: Fields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_type: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<Encryption>,
}

/// Personal fields in the order in which they were put.
struct Fields<'a>(&'a [PersonalField<'a>]);

impl Serialize for Fields<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The body of a verification.
///
/// # Errors
/// When the fields are to be encrypted and cannot be.
pub fn verification_body(
    question: &Verification,
    config: &TencentConfig,
) -> Result<Vec<u8>, EncryptionError> {
    let mut fields = Vec::with_capacity(4);
    if let Some(identity) = question.identity() {
        fields.push(("IdCard", identity.expose().into()));
    }
    fields.push(("Name", question.name.expose().into()));
    fields.push(("BankCard", question.card.expose().into()));
    if let Some(phone) = question.phone() {
        fields.push(("Phone", phone.expose().into()));
    }
    let kind = question.identity().map(Identity::kind);
    let cert_type = kind.and_then(|kind| config.cert_types.get(&kind)).copied();
    body(fields, cert_type, config)
}

/// The body of a question for card information.
///
/// # Errors
/// When the fields are to be encrypted and cannot be.
pub fn card_info_body(
    card: &CardNumber,
    config: &TencentConfig,
) -> Result<Vec<u8>, EncryptionError> {
    body(vec![("BankCard", card.expose().into())], None, config)
}

fn body(
    mut fields: Vec<PersonalField<'_>>,
    cert_type: Option<i64>,
    config: &TencentConfig,
) -> Result<Vec<u8>, EncryptionError> {
    let encryption = config
        .encryptor
        .as_ref()
        .map(|encryptor| encryptor.encrypt(&mut fields))
        .transpose()?;
    let parameters = Parameters {
        fields: Fields(&fields),
        cert_type,
        encryption,
    };
    // at once as large as it may become in clear: what it outgrew would not be overwritten
    let mut body = Vec::with_capacity(BODY_CAPACITY);
    serde_json::to_writer(&mut body, &parameters).map_err(|_| EncryptionError::Failed)?;
    Ok(body)
}

/// What stands in a reply.
pub struct Reply {
    /// The vendor's id of the request; empty where there is none.
    pub request_id: String,
    /// The rest.
    pub content: Content,
}

/// An error, or an answer.
pub enum Content {
    /// `Response.Error`.
    Error {
        /// Its code.
        code: String,
        /// Whether a result stands beside it, which no reply of this vendor should have.
        beside_a_result: bool,
    },
    /// `Response.Result`.
    Answer(AnswerBody),
}

/// The members of an answer.
pub struct AnswerBody {
    /// The result code.
    pub code: String,
    /// The vendor's text for it; empty where there is none.
    pub description: String,
    /// The bank's name; empty where there is none.
    pub account_bank: String,
    /// The type of the card, where it is a known one.
    pub account_type: Option<CardType>,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "Response")]
    response: Response,
    // not documented at this level; a reply that has one is not an answer
    #[serde(
        rename = "Error",
        alias = "error",
        default,
        deserialize_with = "present"
    )]
    stray_error: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    #[serde(default, deserialize_with = "if_present")]
    error: Option<ErrorBody>,
    result: Option<String>,
    #[serde(default)]
    description: Value,
    #[serde(default)]
    request_id: Value,
    #[serde(default)]
    account_bank: Value,
    #[serde(default)]
    account_type: Value,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(rename = "Code")]
    code: String,
}

/// Any value at all, null as well, makes it true.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Unlike a plain `Option`, takes null for a malformed value and not for an absent one.
fn if_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ErrorBody>, D::Error> {
    ErrorBody::deserialize(deserializer).map(Some)
}

/// Reads the body of a reply, whatever it claims to be; `None` when it says nothing usable.
#[must_use]
pub fn read(body: &[u8]) -> Option<Reply> {
    // checked as a whole, because members that are skipped are not
    let text = std::str::from_utf8(body).ok()?;
    let envelope: Envelope = serde_json::from_str(text).ok()?;
    if envelope.stray_error {
        return None;
    }
    let response = envelope.response;
    let content = match (response.error, response.result) {
        (Some(error), result) => Content::Error {
            code: error.code,
            beside_a_result: result.is_some(),
        },
        (None, Some(code)) => Content::Answer(AnswerBody {
            code,
            description: text_of(&response.description).into_owned(),
            account_bank: text_of(&response.account_bank).into_owned(),
            account_type: card_type(&response.account_type),
        }),
        (None, None) => return None,
    };
    Some(Reply {
        request_id: text_of(&response.request_id).into_owned(),
        content,
    })
}

/// A text; anything else is as good as none.
fn text_of(value: &Value) -> Cow<'_, str> {
    value.as_str().unwrap_or_default().into()
}

/// 1 to 4, as a number or a text; -1 and anything else mean that the vendor does not know.
fn card_type(value: &Value) -> Option<CardType> {
    let number = value
        .as_i64()
        .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))?;
    match number {
        1 => Some(CardType::Debit),
        2 => Some(CardType::Credit),
        3 => Some(CardType::Prepaid),
        4 => Some(CardType::QuasiCredit),
        _ => None,
    }
}
