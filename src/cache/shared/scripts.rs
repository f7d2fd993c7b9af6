//! The scripts that make every operation whole, and how they are called.

use redis::{Script, Value};
use serde::Serialize;
use serde_json::json;

/// All scripts.
pub(super) struct Scripts {
    pub(super) board: Script,
    pub(super) stay: Script,
    pub(super) stake: Script,
    pub(super) settle: Script,
    pub(super) land: Script,
    pub(super) begin: Script,
    pub(super) ids_sent: Script,
    pub(super) end_ids: Script,
    pub(super) notice: Script,
    pub(super) show: Script,
    pub(super) beat: Script,
    pub(super) seed: Script,
}

const PRELUDE: &str = include_str!("scripts/prelude.lua");
const FLIGHT: &str = include_str!("scripts/flight.lua");
const CARD: &str = include_str!("scripts/card.lua");
const MONEY: &str = include_str!("scripts/money.lua");
const IDS: &str = include_str!("scripts/ids.lua");

impl Scripts {
    pub(super) fn new() -> Self {
        let script = |parts: &[&str], own: &str| {
            let mut code = String::from(PRELUDE);
            for part in parts.iter().chain([&own]) {
                code.push('\n');
                code.push_str(part);
            }
            Script::new(&code)
        };
        let everything = &[FLIGHT, CARD, MONEY, IDS];
        Self {
            board: script(&[FLIGHT], include_str!("scripts/board.lua")),
            stay: script(&[FLIGHT], include_str!("scripts/stay.lua")),
            stake: script(everything, include_str!("scripts/stake.lua")),
            settle: script(&[FLIGHT, CARD, MONEY], include_str!("scripts/settle.lua")),
            land: script(everything, include_str!("scripts/land.lua")),
            begin: script(&[IDS], include_str!("scripts/begin.lua")),
            ids_sent: script(&[IDS], include_str!("scripts/ids_sent.lua")),
            end_ids: script(&[IDS], include_str!("scripts/end_ids.lua")),
            notice: script(&[CARD], include_str!("scripts/notice.lua")),
            show: script(&[CARD], include_str!("scripts/show.lua")),
            beat: script(&[], include_str!("scripts/beat.lua")),
            seed: script(everything, include_str!("scripts/seed.lua")),
        }
    }

    /// Each of them.
    pub(super) fn all(&self) -> [&Script; 12] {
        [
            &self.board,
            &self.stay,
            &self.stake,
            &self.settle,
            &self.land,
            &self.begin,
            &self.ids_sent,
            &self.end_ids,
            &self.notice,
            &self.show,
            &self.beat,
            &self.seed,
        ]
    }
}

/// The arguments of one call: a JSON object, and sealed values that it names by position.
#[derive(Debug, Clone, Default)]
pub(super) struct Arguments {
    pub(super) json: serde_json::Map<String, serde_json::Value>,
    pub(super) values: Vec<Vec<u8>>,
}

impl Arguments {
    /// Arguments from a JSON object. What is null there is absent to the script.
    pub(super) fn new(mut json: serde_json::Value) -> Self {
        drop_nulls(&mut json);
        let mut arguments = Self::default();
        if let serde_json::Value::Object(json) = json {
            arguments.json = json;
        }
        arguments
    }

    /// Sets one more.
    pub(super) fn set(&mut self, name: &str, mut value: serde_json::Value) {
        drop_nulls(&mut value);
        if !value.is_null() {
            self.json.insert(name.to_owned(), value);
        }
    }

    /// Adds sealed values; returns their positions.
    pub(super) fn values(
        &mut self,
        values: impl IntoIterator<Item = Vec<u8>>,
    ) -> serde_json::Value {
        let mut positions = Vec::new();
        for value in values {
            self.values.push(value);
            // the JSON object is the first argument, and Lua counts from 1
            positions.push(self.values.len() + 1);
        }
        json!(positions)
    }
}

fn drop_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// What every script is told beside its arguments.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    /// Where the store's epoch stands.
    pub(super) epoch_key: &'a str,
    /// How far the service's clock is ahead of the host's.
    pub(super) offset_ms: i64,
    /// The epoch that the script is to find.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) epoch: Option<&'a str>,
    #[serde(flatten)]
    pub(super) arguments: &'a serde_json::Map<String, serde_json::Value>,
}

/// What a script says: a word, then what belongs to it.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) word: String,
    rest: std::vec::IntoIter<Value>,
}

impl Said {
    /// Reads a reply; `None` if no script of ours speaks like that.
    pub(super) fn read(reply: Value) -> Option<Self> {
        let Value::Array(parts) = reply else {
            return None;
        };
        let mut rest = parts.into_iter();
        let word = as_text(rest.next()?)?;
        Some(Self { word, rest })
    }

    pub(super) fn number(&mut self) -> Option<i64> {
        match self.rest.next()? {
            Value::Int(number) => Some(number),
            other => as_text(other)?.parse().ok(),
        }
    }

    pub(super) fn text(&mut self) -> Option<String> {
        as_text(self.rest.next()?)
    }

    pub(super) fn bytes(&mut self) -> Option<Vec<u8>> {
        match self.rest.next()? {
            Value::BulkString(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn list(&mut self) -> Option<Vec<Value>> {
        match self.rest.next()? {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }
}

pub(super) fn as_text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

pub(super) const fn as_number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}
