//! Ace Data Cloud: `POST /identity/bankcard/check-1e` to `check-4e` with a bearer token.

use http::request::Parts;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::codes;
use crate::exchange::{Asked, Heading, Refusal};
use crate::question::Question;
use crate::state::State;
use crate::vendor::{Operation, Vendor};
use crate::world;

/// What the path names.
pub(crate) fn heading(parts: &Parts) -> Heading {
    let (action, operation) = match parts.uri.path() {
        "/identity/bankcard/check-1e" => ("check-1e", Operation::CardInfo),
        "/identity/bankcard/check-2e" => ("check-2e", Operation::Two),
        "/identity/bankcard/check-3e" => ("check-3e", Operation::Three),
        "/identity/bankcard/check-4e" => ("check-4e", Operation::Four),
        _ => ("", Operation::Unknown),
    };
    Heading {
        vendor: Vendor::Ace,
        operation,
        action,
    }
}

/// Checks token, path and body.
pub(crate) fn verify(
    state: &State,
    heading: &Heading,
    parts: &Parts,
    body: &[u8],
) -> Result<Asked, Refusal> {
    let Some(authorization) = parts.headers.get(http::header::AUTHORIZATION) else {
        return Err(Refusal::new(
            "no_token",
            "Unauthorized, missing authorization token",
        ));
    };
    let token = authorization
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '));
    let Some((_, token)) = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
        return Err(Refusal::new(
            "token_mismatched",
            "Bad request, authorization is no bearer token",
        ));
    };
    if !state.credentials().ace.iter().any(|known| known == token) {
        return Err(Refusal::new(
            "invalid_token",
            "Unauthorized, invalid authorization token",
        ));
    }
    if heading.operation == Operation::Unknown || parts.uri.query().is_some() {
        return Err(Refusal::new("no_api", "Not found, no such API"));
    }
    if parts.method != http::Method::POST {
        return Err(bad("the method must be POST"));
    }
    let content_type = parts.headers.get(http::header::CONTENT_TYPE);
    if !content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/json")) {
        return Err(bad("the content type must be application/json"));
    }
    let fields: Value = serde_json::from_slice(body).map_err(|_| bad("the body is no JSON"))?;
    let Value::Object(fields) = fields else {
        return Err(bad("the body is no JSON object"));
    };
    if fields.get("cert_type").is_some_and(|value| !value.is_i64()) {
        return Err(bad("cert_type must be a number"));
    }
    let text = |name: &str| match fields.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(bad(&format!("{name} must be a string that is not empty"))),
        None => Err(bad(&format!("{name} is required"))),
    };
    let mut question = Question {
        card: text("bank_card")?,
        ..Question::default()
    };
    if heading.operation != Operation::CardInfo {
        question.name = text("name")?;
    }
    if matches!(heading.operation, Operation::Three | Operation::Four) {
        question.id_number = text("id_card")?;
    }
    if heading.operation == Operation::Four {
        question.phone = text("phone")?;
    }
    Ok(Asked {
        question,
        ..Asked::default()
    })
}

fn bad(message: &str) -> Refusal {
    Refusal::new("bad_request", format!("Bad request, {message}"))
}

/// The body of a result.
pub(crate) fn code_body(
    heading: &Heading,
    asked: &Asked,
    code: &str,
    description: Option<&str>,
) -> Value {
    let published = codes::row(Vendor::Ace, heading.operation, code);
    let description = description
        .or(published.map(|row| row.english.as_str()))
        .unwrap_or("Unknown result");
    let mut body = json!({ "result": code, "description": description });
    if heading.operation == Operation::CardInfo && code == "0" {
        let (bank, kind) = world::card_info(asked.question.card.as_deref().unwrap_or_default());
        body["account_bank"] = json!(bank);
        body["account_type"] = json!(kind);
    }
    body
}

/// Status and body of an error.
pub(crate) fn error_body(code: &str, message: Option<&str>) -> (u16, Value) {
    let status = match code {
        "bad_request" | "invalid_request" | "token_mismatched" | "api_not_implemented" => 400,
        "no_token" | "invalid_token" | "token_expired" | "unauthorized" => 401,
        "used_up" | "insufficient_balance" => 402,
        "forbidden" | "disabled" => 403,
        "no_api" => 404,
        "too_many_requests" | "rate_limited" => 429,
        "upstream_error" => 502,
        "timeout" | "upstream_timeout" => 504,
        _ => 500,
    };
    let message = message.map_or_else(|| format!("{code} as scripted"), str::to_owned);
    let body = json!({
        "success": false,
        "error": { "code": code, "message": message },
        "trace_id": Uuid::new_v4().to_string(),
    });
    (status, body)
}

/// Whether a call that ends with this error may have run and been charged.
pub(crate) fn may_have_run(code: &str) -> bool {
    error_body(code, None).0 >= 500
}
