//! Tencent Cloud FaceID: `POST /` with `X-TC-Action`, signed with TC3-HMAC-SHA256.

pub(crate) mod encryption;
pub(crate) mod tc3;

use http::request::Parts;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::codes;
use crate::exchange::{Asked, Heading, Refusal};
use crate::question::Question;
use crate::signing::header;
use crate::state::State;
use crate::vendor::{Operation, Vendor};
use crate::world;

const VERSION: &str = "2018-03-01";

/// What `X-TC-Action` names.
pub(crate) fn heading(parts: &Parts) -> Heading {
    let action = parts
        .headers
        .get("x-tc-action")
        .map(http::HeaderValue::as_bytes);
    let (action, operation) = match action.unwrap_or_default() {
        b"BankCard2EVerification" => ("BankCard2EVerification", Operation::Two),
        b"BankCardVerification" => ("BankCardVerification", Operation::Three),
        b"BankCard4EVerification" => ("BankCard4EVerification", Operation::Four),
        b"CheckBankCardInformation" => ("CheckBankCardInformation", Operation::CardInfo),
        _ => ("", Operation::Unknown),
    };
    Heading {
        vendor: Vendor::Tencent,
        operation,
        action,
    }
}

/// Checks signature, credentials, action and parameters, and decrypts.
pub(crate) fn verify(
    state: &State,
    heading: &Heading,
    parts: &Parts,
    body: &[u8],
) -> Result<Asked, Refusal> {
    if parts.method != http::Method::POST {
        return Err(Refusal::new(
            "UnsupportedProtocol",
            "the method must be POST",
        ));
    }
    let temporary_credentials = tc3::verify(
        &state.credentials().tencent,
        state.vendor_now_s(),
        parts,
        body,
    )?;
    if header(parts, "x-tc-version") != Some(VERSION) {
        return Err(Refusal::new(
            "NoSuchVersion",
            "The specified version does not exist.",
        ));
    }
    if heading.operation == Operation::Unknown {
        return Err(Refusal::new(
            "InvalidAction",
            "The specified action does not exist.",
        ));
    }
    let fields: Value = serde_json::from_slice(body)
        .map_err(|_| Refusal::new("InvalidParameter", "The request body is no JSON."))?;
    let Value::Object(fields) = fields else {
        return Err(Refusal::new(
            "InvalidParameter",
            "The request body is no JSON object.",
        ));
    };
    check_parameters(heading.operation, &fields)?;
    let (question, encrypted) = decode(state, heading.operation, &fields)?;
    Ok(Asked {
        question,
        chinese: header(parts, "x-tc-language") == Some("zh-CN"),
        temporary_credentials,
        encrypted,
        loose_query: false,
    })
}

/// The text parameters of an operation, all required.
fn text_parameters(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::Two => &["Name", "BankCard"],
        Operation::Three => &["IdCard", "Name", "BankCard"],
        Operation::Four => &["IdCard", "Name", "BankCard", "Phone"],
        Operation::CardInfo | Operation::Probe | Operation::Unknown => &["BankCard"],
    }
}

fn check_parameters(operation: Operation, fields: &Map<String, Value>) -> Result<(), Refusal> {
    let texts = text_parameters(operation);
    let takes_type = matches!(operation, Operation::Three | Operation::Four);
    for (name, value) in fields {
        let right_type = match name.as_str() {
            name if texts.contains(&name) => value.is_string(),
            "CertType" if takes_type => value.is_i64(),
            "Encryption" => value.is_object(),
            _ => {
                let message = format!("The parameter `{name}` is not recognized.");
                return Err(Refusal::new("UnknownParameter", message));
            }
        };
        if !right_type {
            let message = format!("The value type of parameter `{name}` is not valid.");
            return Err(Refusal::new("InvalidParameter", message));
        }
    }
    for name in texts {
        if !fields.contains_key(*name) {
            let message = format!("The request is missing a required parameter `{name}`.");
            return Err(Refusal::new("MissingParameter", message));
        }
    }
    if fields.get("CertType").and_then(Value::as_i64).unwrap_or(0) != 0 {
        return Err(Refusal::new(
            "InvalidParameterValue",
            "CertType is not supported.",
        ));
    }
    Ok(())
}

fn decode(
    state: &State,
    operation: Operation,
    fields: &Map<String, Value>,
) -> Result<(Question, &'static str), Refusal> {
    let mut texts: Map<String, Value> = fields.clone();
    let mut algorithm = "";
    if let Some(encryption) = texts.remove("Encryption") {
        let known = text_parameters(operation);
        algorithm = encryption::open(&state.keys, &encryption, known, &mut texts)?;
    }
    let text = |name: &str| match texts.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    let question = Question {
        card: text("BankCard"),
        name: text("Name"),
        id_number: text("IdCard"),
        phone: text("Phone"),
    };
    let empty = [
        &question.card,
        &question.name,
        &question.id_number,
        &question.phone,
    ]
    .into_iter()
    .flatten()
    .any(String::is_empty);
    if empty {
        return Err(Refusal::new(
            "InvalidParameterValue",
            "A parameter is empty.",
        ));
    }
    Ok((question, algorithm))
}

/// The body of a result.
pub(crate) fn code_body(
    heading: &Heading,
    asked: &Asked,
    code: &str,
    description: Option<&str>,
) -> Value {
    let row = codes::row(Vendor::Tencent, heading.operation, code);
    let published = row.map(|row| {
        if asked.chinese {
            &row.chinese
        } else {
            &row.english
        }
    });
    let description = description
        .or(published.map(String::as_str))
        .unwrap_or("Unknown result");
    let mut response = json!({
        "Result": code,
        "Description": description,
        "RequestId": Uuid::new_v4().to_string(),
    });
    if heading.operation == Operation::CardInfo {
        let card = asked.question.card.as_deref().unwrap_or_default();
        let (bank, kind) = if code == "0" {
            world::card_info(card)
        } else {
            ("", -1)
        };
        response["AccountBank"] = json!(bank);
        response["AccountType"] = json!(kind);
    }
    json!({ "Response": response })
}

/// Status (always 200) and body of an error.
pub(crate) fn error_body(code: &str, message: Option<&str>) -> (u16, Value) {
    let message = message.map_or_else(|| format!("{code} as scripted"), str::to_owned);
    let body = json!({
        "Response": {
            "Error": { "Code": code, "Message": message },
            "RequestId": Uuid::new_v4().to_string(),
        }
    });
    (200, body)
}

/// Whether a call that ends with this error may have run and been charged.
pub(crate) fn may_have_run(code: &str) -> bool {
    let not_run = [
        "RequestLimitExceeded",
        "FailedOperation.RequestLimitExceeded",
        "FailedOperation.DecryptSystemError",
        "FailedOperation.StsUnAuthErrError",
        "AuthFailure",
        "UnauthorizedOperation",
        "LimitExceeded",
        "IpInBlacklist",
        "IpNotInWhitelist",
        "InvalidParameter",
        "MissingParameter",
        "UnknownParameter",
        "InvalidRequest",
        "RequestSizeLimitExceeded",
        "InvalidAction",
        "NoSuch",
        "ActionOffline",
        "Unsupported",
        "OperationDenied",
    ];
    !not_run.iter().any(|prefix| code.starts_with(prefix))
}
