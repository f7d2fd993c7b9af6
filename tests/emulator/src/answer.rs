//! What a call is answered: by its script, or by the world.

use bytes::Bytes;

use crate::exchange::{Asked, Heading};
use crate::script::{Fault, Reply, Script};
use crate::state::State;
use crate::vendor::{Charge, Operation, Vendor};
use crate::world::{self, Trouble, Verdict};
use crate::{ace, alibaba, codes, tencent};

/// A reply ready to be delivered.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Rendered {
    /// A JSON reply, after a merge patch.
    pub(crate) fn json(
        status: u16,
        mut body: serde_json::Value,
        patch: &serde_json::Value,
    ) -> Self {
        merge_patch(&mut body, patch);
        Self {
            status,
            // Exactly so: Tencent's SDK overlooks an error whose content type has a parameter.
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Bytes::from(body.to_string()),
        }
    }
}

/// The reply, what the ledger calls it, and what it costs.
pub(crate) struct Outcome {
    pub(crate) rendered: Rendered,
    pub(crate) result: String,
    pub(crate) charge: Charge,
}

/// What is answered, and the fault that the world itself asks for.
pub(crate) fn decide(
    state: &State,
    heading: &Heading,
    asked: &Asked,
    script: &Script,
) -> (Outcome, Fault) {
    let throttled = || error_outcome(heading, throttling_code(heading.vendor), None, None);
    match &script.reply {
        Reply::World if !state.limits.allow(heading.vendor, heading.operation) => {
            (throttled(), Fault::None)
        }
        Reply::World => match world::answer(heading.vendor, heading.operation, &asked.question) {
            Verdict::Code(code) => (code_outcome(heading, asked, &code), Fault::None),
            Verdict::Trouble(Trouble::Throttled) => (throttled(), Fault::None),
            Verdict::Trouble(Trouble::OutOfCredit) => (
                error_outcome(heading, credit_code(heading.vendor), None, None),
                Fault::None,
            ),
            Verdict::Trouble(Trouble::InternalError) => (
                error_outcome(heading, internal_code(heading.vendor), None, None),
                Fault::None,
            ),
            Verdict::Trouble(Trouble::CutAfterReading) => {
                let code = codes::code_of(heading.vendor, heading.operation, "MATCH");
                let outcome = code_outcome(heading, asked, code.unwrap_or("0"));
                (outcome, Fault::CutAfterRead { reset: false })
            }
        },
        Reply::Code {
            code,
            description,
            status,
            patch,
        } => {
            let rendered =
                render_code(heading, asked, code, description.as_deref(), *status, patch);
            let charge = codes::charge(heading.vendor, heading.operation, code);
            (
                Outcome {
                    rendered,
                    result: code.clone(),
                    charge,
                },
                Fault::None,
            )
        }
        Reply::Error {
            code,
            message,
            status,
            patch,
        } => {
            let mut outcome = error_outcome(heading, code, message.as_deref(), *status);
            let body = serde_json::from_slice(&outcome.rendered.body).unwrap_or_default();
            outcome.rendered = Rendered::json(outcome.rendered.status, body, patch);
            (outcome, Fault::None)
        }
        Reply::Throttled => (throttled(), Fault::None),
        Reply::Raw {
            status,
            headers,
            body,
            body_hex,
        } => {
            let bytes = body_hex
                .as_ref()
                .and_then(|digits| hex::decode(digits).ok());
            let body = bytes.map_or_else(|| Bytes::from(body.clone()), Bytes::from);
            let rendered = Rendered {
                status: *status,
                headers: headers.clone(),
                body,
            };
            (
                Outcome {
                    rendered,
                    result: String::new(),
                    charge: Charge::Unknown,
                },
                Fault::None,
            )
        }
    }
}

fn code_outcome(heading: &Heading, asked: &Asked, code: &str) -> Outcome {
    let patch = serde_json::Value::Null;
    let charge = match heading.operation {
        Operation::Probe => Charge::No,
        _ => codes::charge(heading.vendor, heading.operation, code),
    };
    Outcome {
        rendered: render_code(heading, asked, code, None, None, &patch),
        result: code.to_owned(),
        charge,
    }
}

fn error_outcome(
    heading: &Heading,
    code: &str,
    message: Option<&str>,
    status: Option<u16>,
) -> Outcome {
    let rendered = render_error(heading, code, message, status);
    let may_have_run = match heading.vendor {
        Vendor::Ace => ace::may_have_run(code),
        Vendor::Tencent => tencent::may_have_run(code),
        Vendor::Alibaba => alibaba::may_have_run(code),
    };
    let charge = if may_have_run {
        Charge::Unknown
    } else {
        Charge::No
    };
    Outcome {
        rendered,
        result: code.to_owned(),
        charge,
    }
}

fn render_code(
    heading: &Heading,
    asked: &Asked,
    code: &str,
    description: Option<&str>,
    status: Option<u16>,
    patch: &serde_json::Value,
) -> Rendered {
    let body = match heading.vendor {
        Vendor::Ace => ace::code_body(heading, asked, code, description),
        Vendor::Tencent => tencent::code_body(heading, asked, code, description),
        Vendor::Alibaba => alibaba::code_body(heading, code, description),
    };
    Rendered::json(status.unwrap_or(200), body, patch)
}

pub(crate) fn render_error(
    heading: &Heading,
    code: &str,
    message: Option<&str>,
    status: Option<u16>,
) -> Rendered {
    let (usual, body) = match heading.vendor {
        Vendor::Ace => ace::error_body(code, message),
        Vendor::Tencent => tencent::error_body(code, message),
        Vendor::Alibaba => alibaba::error_body(code, message),
    };
    Rendered::json(status.unwrap_or(usual), body, &serde_json::Value::Null)
}

fn throttling_code(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Ace => "too_many_requests",
        Vendor::Tencent => "RequestLimitExceeded",
        Vendor::Alibaba => "Throttling.Api",
    }
}

fn credit_code(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Ace => "used_up",
        Vendor::Tencent => "UnauthorizedOperation.Arrears",
        Vendor::Alibaba => "Forbidden.AccountAccessDenied",
    }
}

fn internal_code(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Ace => "api_error",
        Vendor::Tencent | Vendor::Alibaba => "InternalError",
    }
}

/// JSON merge patch, RFC 7386; a patch of `null` at the top changes nothing.
fn merge_patch(target: &mut serde_json::Value, patch: &serde_json::Value) {
    use serde_json::Value;
    match (target, patch) {
        (_, Value::Null) => {}
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    target.remove(name);
                } else {
                    merge_patch(target.entry(name.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}
