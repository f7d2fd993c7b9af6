//! Answers and errors for people.

use jiff::Timestamp;

use super::{
    meaning,
    output::{self, Colour, Sheet, Style, clean},
    span,
};
use crate::grpc::client::{
    AttemptLine, CallFailure, CardInfoAnswer, ClientError, Symbol, VerifyAnswer, Violation,
};

/// The answer to a verification.
pub(super) fn verify(answer: &VerifyAnswer, style: Style, now: Timestamp) -> String {
    let mut sheet = Sheet::default();
    let colour = meaning::colour_of_verdict(answer.verdict);
    sheet.row("verdict", style.paint(colour, &answer.verdict.to_string()));
    sheet.row(
        "result",
        with_meaning(answer.result, meaning::of_result(answer.result)),
    );
    sheet.row("factors", meaning::of_factors(answer.factors));
    sheet.row("card number", luhn(answer.luhn_valid));
    from_where(
        &mut sheet,
        &Origin {
            charge: answer.charge,
            source: answer.source,
            provider: &answer.provider,
            code: &answer.provider_code,
            message: &answer.provider_message,
            request_id: &answer.provider_request_id,
            data_version: "",
            answered_at: answer.answered_at,
        },
        now,
    );
    sheet.render() + &attempts(&answer.attempts)
}

/// The answer to a question for card information.
pub(super) fn card_info(answer: &CardInfoAnswer, style: Style, now: Timestamp) -> String {
    let mut sheet = Sheet::default();
    let colour = if answer.result.short_name() == Some("FOUND") {
        Colour::Green
    } else {
        Colour::Yellow
    };
    let result = style.paint(colour, &answer.result.to_string());
    let meaning = meaning::of_card_info(answer.result);
    sheet.row("result", format!("{result}: {meaning}"));
    sheet.text("bank", &answer.bank_name);
    sheet.text("bank in English", &answer.bank_name_en);
    sheet.text("bank code", &answer.bank_code);
    for (label, value) in [("card type", answer.card_type), ("network", answer.network)] {
        if !value.is_unspecified() {
            sheet.row(label, value.to_string());
        }
    }
    sheet.text("decided by", &answer.bin);
    if let Some(valid) = answer.luhn_valid {
        sheet.row("card number", luhn(valid));
    }
    from_where(
        &mut sheet,
        &Origin {
            charge: answer.charge,
            source: answer.source,
            provider: &answer.provider,
            code: &answer.provider_code,
            message: &answer.provider_message,
            request_id: &answer.provider_request_id,
            data_version: &answer.data_version,
            answered_at: answer.answered_at,
        },
        now,
    );
    sheet.render() + &attempts(&answer.attempts)
}

/// Why there is no answer, as lines after the word "error".
pub(super) fn error(error: &anyhow::Error) -> String {
    let Some(ClientError::Call(failure)) = error.downcast_ref::<ClientError>() else {
        return clean(&format!("{error:#}"));
    };
    let CallFailure {
        code,
        reason,
        message,
        metadata,
        violations,
        quota,
        retry_after: _,
        never_sent: _,
    } = &**failure;
    let repeats = |violation: &Violation| message.contains(&violation.description);
    let message = if violations.iter().any(repeats) {
        // the lines below say the same, better
        "the request cannot be used".to_owned()
    } else {
        clean(message)
    };
    let mut lines = vec![if reason.is_empty() {
        format!("{code}: {message}")
    } else {
        format!("{}: {message} ({code})", clean(reason))
    }];
    lines.extend(violations.iter().map(|violation| {
        let field = clean(&violation.field);
        let description = clean(&violation.description);
        format!("  {field}: {description} ({})", clean(&violation.reason))
    }));
    lines.extend(quota.iter().map(|violation| {
        let subject = clean(&violation.subject);
        format!("  {subject}: {}", clean(&violation.description))
    }));
    lines.extend(
        metadata
            .iter()
            .map(|(key, value)| format!("  {}: {}", clean(key), clean(value))),
    );
    lines.extend(hint(failure).map(|hint| format!("  {hint}")));
    lines.join("\n")
}

fn hint(failure: &CallFailure) -> Option<String> {
    if failure.reason == "OUTCOME_UNKNOWN" {
        return Some(
            "it may have been charged; asked again, this question gets the same reply for a while"
                .into(),
        );
    }
    if let Some(wait) = failure.retry_after {
        return Some(format!("ask again in {}", span::wait(wait)));
    }
    // without a reason it is the word of somebody between, who does not know what a vendor got
    let by_the_service = !failure.reason.is_empty();
    (by_the_service && failure.code == "UNAVAILABLE").then(|| "safe to ask again".into())
}

/// What both kinds of answers say about their origin.
struct Origin<'a> {
    charge: Symbol,
    source: Symbol,
    provider: &'a str,
    code: &'a str,
    message: &'a str,
    request_id: &'a str,
    data_version: &'a str,
    answered_at: Option<Timestamp>,
}

fn from_where(sheet: &mut Sheet, origin: &Origin<'_>, now: Timestamp) {
    sheet.row("charge", origin.charge.to_string());
    sheet.row("source", origin.source.to_string());
    sheet.text("provider", origin.provider);
    sheet.text("  code", origin.code);
    sheet.text("  message", origin.message);
    sheet.text("  request id", origin.request_id);
    sheet.text("data version", origin.data_version);
    if let Some(at) = origin.answered_at {
        let seconds = now.as_second().saturating_sub(at.as_second());
        let shown = at.strftime("%Y-%m-%dT%H:%M:%SZ");
        sheet.row("answered at", format!("{shown} ({})", span::ago(seconds)));
    }
}

fn with_meaning(symbol: Symbol, meaning: &str) -> String {
    if meaning.is_empty() {
        symbol.to_string()
    } else {
        format!("{symbol}: {meaning}")
    }
}

fn luhn(valid: bool) -> String {
    if valid {
        "passes the Luhn check".into()
    } else {
        "fails the Luhn check (a hint only: some banks issue such numbers)".into()
    }
}

fn attempts(lines: &[AttemptLine]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let header = ["provider", "outcome", "charge", "took", "reason"].map(str::to_owned);
    let mut rows = vec![header.to_vec()];
    rows.extend(lines.iter().map(|line| {
        vec![
            clean(&line.provider),
            line.outcome.to_string(),
            line.charge.to_string(),
            line.latency.map(span::took).unwrap_or_default(),
            clean(&line.error_reason),
        ]
    }));
    format!("attempts\n{}", output::table(&rows))
}
