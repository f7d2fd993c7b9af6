//! What a ledger adds up to: calls and cost by day, vendor, operation and caller.
//!
//! Lines may come in any order and from any number of files, rotated ones and those of several
//! replicas among them; the lines of one call find each other by its id, and a line that is read
//! twice counts once. A call belongs to the day (Asia/Shanghai) and the names of its `intent`. An
//! `intent` without a `settled` counts as UNKNOWN: it may have been charged.
//!
//! Lines of a log that carry an event as their message are read as well.

mod render;

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, BufRead},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::Charge,
    service::{
        day::{date_of, day_number},
        ledger::EventKind,
    },
};

/// What a ledger adds up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Summary {
    /// One row for each day, provider, operation, caller and currency, in that order.
    pub rows: Vec<Row>,
    /// The sum of all rows of one currency.
    pub totals: Vec<Total>,
    /// Calls of which only the intent is known; they are among the unknown ones above.
    pub unsettled: u64,
    /// Calls that were refused to spare a card or a budget.
    pub refused: u64,
    /// Changes by operators.
    pub admin: u64,
    /// Lines that are broken, or are no events though they look like some.
    pub malformed: u64,
    /// Lines about something else.
    pub other: u64,
}

/// Calls that have day, provider, operation, caller and currency in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// As `2026-05-31`, in Asia/Shanghai.
    pub day: String,
    /// The vendor.
    pub provider: String,
    /// What was asked of it.
    pub operation: String,
    /// Who asked.
    pub caller: String,
    /// The currency; empty where the operator named no price.
    pub currency: String,
    /// How many there were and what they cost.
    #[serde(flatten)]
    pub sums: Sums,
}

/// All calls whose price is in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Total {
    /// The currency; empty where the operator named no price.
    pub currency: String,
    /// How many there were and what they cost.
    #[serde(flatten)]
    pub sums: Sums,
}

/// How many calls there were, and what they cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sums {
    /// All calls.
    pub calls: u64,
    /// Those that the vendor charged.
    pub charged: u64,
    /// Those that it did not.
    pub not_charged: u64,
    /// Those that it may have charged.
    pub unknown: u64,
    /// What the charged ones cost, in millionths of a unit of the currency.
    pub cost_micros: u64,
    /// What the unknown ones cost if they were charged, in millionths of a unit of the currency.
    pub unknown_cost_micros: u64,
}

/// Adds up a ledger.
///
/// # Errors
/// When it cannot be read. A line that makes no sense is counted, and no error.
pub fn summarize<R: BufRead>(readers: impl IntoIterator<Item = R>) -> io::Result<Summary> {
    let mut tally = Tally::default();
    let mut line = Vec::new();
    for mut reader in readers {
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            tally.read(&line);
        }
    }
    Ok(tally.summary())
}

/// What is known while lines are still coming in.
#[derive(Default)]
struct Tally {
    calls: HashMap<Uuid, Call>,
    /// The names of calls, each combination once: calls are many, combinations are few.
    names: Vec<Names>,
    numbers: HashMap<Names, u32>,
    counts: Summary,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Names {
    provider: String,
    operation: String,
    caller: String,
    currency: String,
}

/// One call, as far as its lines are known.
struct Call {
    day: i64,
    names: u32,
    price_micros: u64,
    intended: bool,
    settled: Option<Charge>,
}

/// A line of the ledger, or of a log around it.
#[derive(Deserialize)]
struct Line {
    time: Option<String>,
    event: Option<String>,
    call_id: Option<String>,
    caller: Option<String>,
    provider: Option<String>,
    operation: Option<String>,
    charge: Option<String>,
    price_micros: Option<u64>,
    currency: Option<String>,
    message: Option<String>,
    fields: Option<Fields>,
}

#[derive(Deserialize)]
struct Fields {
    message: Option<String>,
}

/// What a line turned out to be.
enum Meaning {
    Event(EventKind, Box<Line>),
    Malformed,
    Other,
}

impl Tally {
    fn read(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let meaning = std::str::from_utf8(line).map_or(Meaning::Malformed, meaning_of);
        match meaning {
            Meaning::Event(EventKind::Refused, _) => self.counts.refused += 1,
            Meaning::Event(EventKind::Admin, _) => self.counts.admin += 1,
            Meaning::Event(kind @ (EventKind::Intent | EventKind::Settled), line) => {
                if self.note(kind, *line).is_none() {
                    self.counts.malformed += 1;
                }
            }
            Meaning::Malformed => self.counts.malformed += 1,
            Meaning::Other => self.counts.other += 1,
        }
    }

    /// Notes one line of a call; `None` when something that it needs is missing.
    fn note(&mut self, kind: EventKind, line: Line) -> Option<()> {
        let id = Uuid::parse_str(&line.call_id?).ok()?;
        let time: Timestamp = line.time?.parse().ok()?;
        let charge = match kind {
            EventKind::Settled => Some(charge(&line.charge?)?),
            _ => None,
        };
        let names = self.number(Names {
            provider: line.provider?,
            operation: line.operation?,
            caller: line.caller?,
            currency: line.currency.unwrap_or_default(),
        });
        let price_micros = line.price_micros.unwrap_or_default();
        let call = self.calls.entry(id).or_insert_with(|| Call {
            day: day_number(time),
            names,
            price_micros,
            intended: false,
            settled: None,
        });
        if kind == EventKind::Intent {
            call.day = day_number(time);
            call.names = names;
            call.price_micros = price_micros;
            call.intended = true;
        }
        // two ends of one call cannot be; if there are, the dearer one counts
        call.settled = match (call.settled, charge) {
            (Some(one), Some(other)) => Some(Charge::total([one, other])),
            (one, other) => one.or(other),
        };
        Some(())
    }

    fn number(&mut self, names: Names) -> u32 {
        if let Some(number) = self.numbers.get(&names) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(names.clone());
        self.numbers.insert(names, number);
        number
    }

    fn summary(self) -> Summary {
        let mut summary = self.counts;
        let mut rows: BTreeMap<(i64, &Names), Sums> = BTreeMap::new();
        let mut totals: BTreeMap<&str, Sums> = BTreeMap::new();
        for call in self.calls.values() {
            summary.unsettled += u64::from(call.settled.is_none());
            let Some(names) = self.names.get(call.names as usize) else {
                continue;
            };
            rows.entry((call.day, names)).or_default().add(call);
            totals.entry(&names.currency).or_default().add(call);
        }
        summary.rows = rows
            .into_iter()
            .map(|((day, names), sums)| Row {
                day: date_of(day),
                provider: names.provider.clone(),
                operation: names.operation.clone(),
                caller: names.caller.clone(),
                currency: names.currency.clone(),
                sums,
            })
            .collect();
        summary.totals = totals
            .into_iter()
            .map(|(currency, sums)| Total {
                currency: currency.to_owned(),
                sums,
            })
            .collect();
        summary
    }
}

impl Sums {
    fn add(&mut self, call: &Call) {
        self.calls += 1;
        match call.settled.unwrap_or(Charge::Unknown) {
            Charge::Charged => {
                self.charged += 1;
                self.cost_micros = self.cost_micros.saturating_add(call.price_micros);
            }
            Charge::NotCharged => self.not_charged += 1,
            Charge::Unknown => {
                self.unknown += 1;
                self.unknown_cost_micros =
                    self.unknown_cost_micros.saturating_add(call.price_micros);
            }
        }
    }
}

/// Reads a line: an event, a log line around one, or something else.
fn meaning_of(text: &str) -> Meaning {
    let Some((_, inside)) = text.split_once('{') else {
        return broken_or_other(text);
    };
    let object = &text[text.len() - inside.len() - 1..];
    let line: Line = match serde_json::from_str(object.trim_end()) {
        Ok(line) => line,
        Err(error) if error.is_data() => return broken_or_other(text),
        Err(_) if text.starts_with('{') => return Meaning::Malformed,
        Err(_) => return broken_or_other(text),
    };
    let Some(event) = &line.event else {
        let message = line.message.or(line.fields.and_then(|it| it.message));
        return match message {
            // every level is quoted once more, so this does not go deep
            Some(message) if message.starts_with('{') => meaning_of(&message),
            _ => Meaning::Other,
        };
    };
    let kind = EventKind::ALL.iter().find(|kind| kind.as_str() == event);
    match kind {
        Some(kind) => Meaning::Event(*kind, Box::new(line)),
        None => broken_or_other(text),
    }
}

/// A text that is no event: one that was meant as such mentions the key that all events have.
fn broken_or_other(text: &str) -> Meaning {
    if text.contains("\"call_id\"") {
        Meaning::Malformed
    } else {
        Meaning::Other
    }
}

fn charge(name: &str) -> Option<Charge> {
    let found = Charge::ALL.iter().find(|charge| charge.as_str() == name);
    found.copied()
}

#[cfg(test)]
mod tests;
