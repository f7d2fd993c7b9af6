//! Ways in which a vendor can say back what it was asked.

use serde_json::{Value, json};

use super::super::{CARD, ID_NUMBER, NAME, PHONE, secret};
use crate::support::vendor::{Received, json_reply};

/// Stands for the key that the vendor in question knows us by.
const OUR_KEY: &str = "our key";

/// What a vendor does with a request.
#[derive(Clone)]
pub enum Babble {
    /// Closes without a word.
    Nothing,
    /// The request's body as the reply's.
    Body,
    /// Head and body of the request as a text that is no JSON.
    Text,
    /// All of it instead of HTTP.
    NoHttp,
    /// All of it in the reason of the status line.
    StatusLine,
    /// A body that claims to be longer, or compressed, or chunked, and is not.
    Broken(&'static str),
    /// More than a client reads.
    TooLong,
    /// Later than a client waits.
    TooLate,
    /// A value in headers of a reply that is fine.
    Headers(&'static str, String),
    /// A value in all texts of an answer.
    Answer(&'static str, String),
    /// The same beside a code that is known.
    Described(&'static str, String),
    /// A value in all texts of an error, with a status of HTTP.
    Error(&'static str, String, u16),
}

/// What is said back: of questions that have it.
pub fn values() -> Vec<(&'static str, String)> {
    vec![
        ("the card", CARD.to_owned()),
        ("the card in groups", "6222 0291 3746 5028 372".to_owned()),
        ("the card with dots", "6222.0291.3746.5028.372".to_owned()),
        ("the name", NAME.to_owned()),
        ("the id number", ID_NUMBER.to_owned()),
        ("the phone", PHONE.to_owned()),
        ("the phone from abroad", format!("+86-{PHONE}")),
        ("everything", format!("{NAME} {ID_NUMBER} {PHONE} {CARD}")),
    ]
}

/// How many factors a question must have to have a value; 1 is a question about a card alone.
pub fn fewest_factors(what: &str) -> usize {
    match what {
        "the name" => 2,
        "the id number" => 3,
        "the phone" | "the phone from abroad" | "everything" => 4,
        _ => 1,
    }
}

impl Babble {
    /// See [`fewest_factors`].
    pub fn fewest_factors(&self) -> usize {
        match self {
            Self::Headers(what, _)
            | Self::Answer(what, _)
            | Self::Described(what, _)
            | Self::Error(what, ..) => fewest_factors(what),
            _ => 1,
        }
    }

    pub fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Nothing,
            Self::Body,
            Self::Text,
            Self::NoHttp,
            Self::StatusLine,
        ];
        all.extend(["short", "gzip", "chunked"].map(Self::Broken));
        all.extend([Self::TooLong, Self::TooLate]);
        let mut values = values();
        for (what, value) in values.clone() {
            all.push(Self::Headers(what, value.clone()));
            all.push(Self::Answer(what, value.clone()));
            all.push(Self::Described(what, value));
        }
        all.push(Self::Described(OUR_KEY, OUR_KEY.to_owned()));
        values.push((OUR_KEY, OUR_KEY.to_owned()));
        for (what, value) in values {
            for status in [200, 400, 429, 500] {
                all.push(Self::Error(what, value.clone(), status));
            }
        }
        all.push(Self::Error("the card", CARD.to_owned(), 302));
        all.push(Self::Error("the card", CARD.to_owned(), 401));
        all
    }

    pub fn name(&self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Body => "the body".to_owned(),
            Self::Text => "the request as text".to_owned(),
            Self::NoHttp => "the request instead of HTTP".to_owned(),
            Self::StatusLine => "the request in the status line".to_owned(),
            Self::Broken(how) => format!("a {how} body"),
            Self::TooLong => "too much".to_owned(),
            Self::TooLate => "too late".to_owned(),
            Self::Headers(what, _) => format!("{what} in headers"),
            Self::Answer(what, _) => format!("{what} as an answer"),
            Self::Described(what, _) => format!("{what} beside an answer"),
            Self::Error(what, _, status) => format!("{what} in an error with {status}"),
        }
    }

    pub fn reply(&self, received: &Received) -> Vec<u8> {
        let all = format!("{}{}", received.head, received.body);
        let one_line = all.replace(['\r', '\n'], " ");
        let http = |head: &str, body: &str| {
            format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n{body}").into_bytes()
        };
        match self {
            Self::Nothing => Vec::new(),
            Self::Body => json_reply(200, &received.body),
            Self::Text => http("200 OK\r\ncontent-type: text/plain", &all),
            Self::NoHttp => all.into_bytes(),
            Self::StatusLine => http(&format!("200 {one_line}"), &all),
            Self::Broken("gzip") => http("200 OK\r\ncontent-encoding: gzip", &all),
            Self::Broken("chunked") => http("200 OK\r\ntransfer-encoding: chunked", &all),
            Self::Broken(_) => http("200 OK\r\ncontent-length: 60000", &all),
            Self::TooLong => http("200 OK", &all.repeat(65_536 / all.len() + 1)),
            Self::TooLate => {
                std::thread::sleep(std::time::Duration::from_millis(1300));
                json_reply(200, &received.body)
            }
            Self::Headers(_, value) => {
                let lines = [
                    "retry-after",
                    "date",
                    "content-type",
                    "x-request-id",
                    "server",
                ];
                let lines = lines.map(|name| format!("\r\n{name}: {value}")).concat();
                http(&format!("200 OK{lines}"), "{}")
            }
            Self::Answer(_, value) => json_reply(200, &answer(received, value, value).to_string()),
            Self::Described(_, value) => {
                let value = &said_to(received, value);
                let code = if received.head.contains("x-acs-") {
                    "201"
                } else {
                    "-1"
                };
                json_reply(200, &answer(received, code, value).to_string())
            }
            Self::Error(_, value, status) => {
                let value = said_to(received, value);
                json_reply(*status, &error(received, &value).to_string())
            }
        }
    }
}

/// What is said to a request.
fn said_to(received: &Received, value: &str) -> String {
    if value != OUR_KEY {
        return value.to_owned();
    }
    let head = received.head.to_lowercase();
    let name = match () {
        () if head.contains("x-acs-") => "ALIBABA_ID",
        () if head.contains("x-tc-") => "TENCENT_ID",
        () => "ACE_TOKEN",
    };
    secret(name).to_owned()
}

/// An answer in the form of the vendor that was asked.
fn answer(received: &Received, code: &str, said: &str) -> Value {
    let head = received.head.to_lowercase();
    if head.contains("x-acs-") {
        let result = json!({ "BizCode": "2", "SubCode": code });
        json!({ "Code": "200", "Message": said, "RequestId": said, "ResultObject": result })
    } else if head.contains("x-tc-") {
        json!({ "Response": {
            "Result": code, "Description": said, "RequestId": said,
            "AccountBank": said, "AccountType": 1,
        }})
    } else {
        json!({
            "result": code, "description": said, "trace_id": said, "account_bank": said,
            "account_type": 1,
        })
    }
}

fn error(received: &Received, said: &str) -> Value {
    let head = received.head.to_lowercase();
    if head.contains("x-acs-") {
        json!({ "Code": said, "Message": said, "RequestId": said, "HostId": said })
    } else if head.contains("x-tc-") {
        let error = json!({ "Code": said, "Message": said });
        json!({ "Response": { "Error": error, "RequestId": said } })
    } else {
        json!({ "error": { "code": said, "message": said }, "trace_id": said })
    }
}
