//! Scripts: what a test wants the vendor to do with the next calls.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::question::mask_card;
use crate::vendor::{Charge, Operation, Vendor};

/// What to do with calls of one vendor, in JSON as in Rust.
///
/// The first script (in the order of addition) that fits a call and has calls left is used.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The vendor.
    pub vendor: Vendor,
    /// The operation; `None` for every one.
    #[serde(default)]
    pub operation: Option<Operation>,
    /// The card number of the question; `None` for every one. In Alibaba's `md5` mode the plain
    /// number is given here too.
    #[serde(default)]
    pub card: Option<String>,
    /// How many calls it answers; `None` for all until it is removed.
    #[serde(default)]
    pub times: Option<u64>,
    /// How long to wait before the answer, in milliseconds; counted after `hold`.
    #[serde(default)]
    pub delay_ms: u64,
    /// The name of a gate: the answer is held until the gate is released.
    #[serde(default)]
    pub hold: Option<String>,
    /// What is answered.
    #[serde(default)]
    pub reply: Reply,
    /// Headers that the answer carries besides its own, such as `retry-after`.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// How the answer is delivered, or not.
    #[serde(default)]
    pub fault: Fault,
    /// What the ledger says that the call cost, against the emulator's own judgement.
    #[serde(default)]
    pub charge: Option<Charge>,
}

/// What is answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// What the world answers.
    #[default]
    World,
    /// A result code with its published text (Alibaba: a SubCode with its BizCode).
    Code {
        /// The vendor's code; for Alibaba a SubCode (`201`) or a BizCode alone (`2`).
        code: String,
        /// A text other than the published one.
        #[serde(default)]
        description: Option<String>,
        /// HTTP status; `None` is 200.
        #[serde(default)]
        status: Option<u16>,
        /// A JSON merge patch (RFC 7386) on the vendor's body; `null` removes a member.
        #[serde(default)]
        patch: Value,
    },
    /// An error in the vendor's own shape.
    Error {
        /// The vendor's error code.
        code: String,
        /// The message; `None` is one made up from the code.
        #[serde(default)]
        message: Option<String>,
        /// HTTP status; `None` is the one the vendor sends with this code.
        #[serde(default)]
        status: Option<u16>,
        /// A JSON merge patch (RFC 7386) on the vendor's body.
        #[serde(default)]
        patch: Value,
    },
    /// The vendor's throttling error.
    Throttled,
    /// Any bytes.
    Raw {
        /// HTTP status.
        status: u16,
        /// Header names and values, in order. None are added but `date` and `content-length`.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// The body as text.
        #[serde(default)]
        body: String,
        /// The body as hexadecimal digits, for what is no UTF-8; wins over `body`.
        #[serde(default)]
        body_hex: Option<String>,
    },
}

/// How the answer is delivered, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// It is delivered whole.
    #[default]
    None,
    /// One byte at a time.
    Drip {
        /// Milliseconds between two bytes.
        interval_ms: u64,
    },
    /// The connection is cut when the headers have arrived, before the body is read. The call is
    /// not verified and counts as not run; `card`, `hold` and `delay_ms` are ignored.
    CutBeforeBody,
    /// The connection is cut after the whole request was read: the call ran.
    CutAfterRead {
        /// A TCP reset instead of an orderly end.
        #[serde(default)]
        reset: bool,
    },
    /// The head and a part of the body are delivered, then the connection is reset.
    ResetMidBody {
        /// How many bytes of the body are delivered; `None` is half of them.
        #[serde(default)]
        after_bytes: Option<usize>,
    },
    /// The call runs, but HTTP/2 is told by GOAWAY (no error, last stream 0) that no stream was
    /// processed, then the connection closes. On HTTP/1.1 like `cut_after_read`.
    GoAwayUnprocessed,
    /// The call runs; HTTP/2 gets a graceful GOAWAY (no error, highest stream), and the connection
    /// closes without an answer. On HTTP/1.1 like `cut_after_read`.
    GoAwayGraceful,
    /// HTTP/2 only: the stream is reset with REFUSED_STREAM and counts as not run.
    RefuseStream,
}

impl Fault {
    /// The name used in JSON and in the ledger; empty for [`Fault::None`].
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::None => "",
            Fault::Drip { .. } => "drip",
            Fault::CutBeforeBody => "cut_before_body",
            Fault::CutAfterRead { .. } => "cut_after_read",
            Fault::ResetMidBody { .. } => "reset_mid_body",
            Fault::GoAwayUnprocessed => "go_away_unprocessed",
            Fault::GoAwayGraceful => "go_away_graceful",
            Fault::RefuseStream => "refuse_stream",
        }
    }
}

impl Script {
    /// A script that leaves every call of a vendor to the world.
    pub fn new(vendor: Vendor) -> Self {
        Self {
            vendor,
            operation: None,
            card: None,
            times: None,
            delay_ms: 0,
            hold: None,
            reply: Reply::World,
            headers: Vec::new(),
            fault: Fault::None,
            charge: None,
        }
    }

    /// Only calls of this operation.
    #[must_use]
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only questions about this card number.
    #[must_use]
    pub fn card(mut self, card: impl Into<String>) -> Self {
        self.card = Some(card.into());
        self
    }

    /// Only so many calls.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Waits so many milliseconds before answering.
    #[must_use]
    pub fn delay_ms(mut self, delay_ms: u64) -> Self {
        self.delay_ms = delay_ms;
        self
    }

    /// Holds the answer until the gate of this name is released.
    #[must_use]
    pub fn hold(mut self, gate: impl Into<String>) -> Self {
        self.hold = Some(gate.into());
        self
    }

    /// Answers with a result code and its published text.
    #[must_use]
    pub fn code(self, code: impl Into<String>) -> Self {
        self.reply(Reply::Code {
            code: code.into(),
            description: None,
            status: None,
            patch: Value::Null,
        })
    }

    /// Answers with the vendor's error of this code.
    #[must_use]
    pub fn error(self, code: impl Into<String>) -> Self {
        self.reply(Reply::Error {
            code: code.into(),
            message: None,
            status: None,
            patch: Value::Null,
        })
    }

    /// Answers with these bytes.
    #[must_use]
    pub fn raw(self, status: u16, content_type: &str, body: &[u8]) -> Self {
        self.reply(Reply::Raw {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: String::new(),
            body_hex: Some(hex::encode(body)),
        })
    }

    /// Answers with any reply.
    #[must_use]
    pub fn reply(mut self, reply: Reply) -> Self {
        self.reply = reply;
        self
    }

    /// Applies a JSON merge patch to the body of a code or error; `null` removes a member. Call it
    /// after [`Script::code`] or [`Script::error`]; it has no effect on other replies.
    #[must_use]
    pub fn patch(mut self, merge: Value) -> Self {
        if let Reply::Code { patch, .. } | Reply::Error { patch, .. } = &mut self.reply {
            *patch = merge;
        }
        self
    }

    /// Sends a code or error with this HTTP status. Call it after [`Script::code`] or
    /// [`Script::error`]; it has no effect on other replies.
    #[must_use]
    pub fn status(mut self, http: u16) -> Self {
        if let Reply::Code { status, .. } | Reply::Error { status, .. } = &mut self.reply {
            *status = Some(http);
        }
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Delivers the answer so.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// Says what the ledger notes as the cost.
    #[must_use]
    pub fn charge(mut self, charge: Charge) -> Self {
        self.charge = Some(charge);
        self
    }

    pub(crate) fn fits(&self, vendor: Vendor, operation: Operation, card: Option<&str>) -> bool {
        self.vendor == vendor
            && self.operation.is_none_or(|wanted| wanted == operation)
            && match (&self.card, card) {
                (None, _) => true,
                (Some(wanted), Some(card)) => wanted == card || mask_card(wanted) == card,
                (Some(_), None) => false,
            }
    }
}
