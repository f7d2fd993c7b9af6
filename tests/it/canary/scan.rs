//! The watch: remembers what came out where, and finds what should not have.

use std::{collections::BTreeSet, fmt, sync::LazyLock};

use serde_json::Value;
use tonic::{Status, metadata::KeyAndValueRef};

use super::forms::{self, Form, View, compact};

/// Where something can come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sink {
    Stdout,
    Stderr,
    /// The text of a gRPC status.
    StatusText,
    /// Its details, decoded as far as they are text.
    StatusDetails,
    /// All metadata that came with it.
    Trailers,
    /// What a caller gets, but for what it gave itself.
    Reply,
    /// The lines about paid calls, without the two references that belong there.
    Ledger,
    /// Status line, headers and body of an HTTP reply.
    AdminPage,
    /// The `Debug` output of a message or a value.
    Debug,
    /// What is written beside a file of questions: answers and the journal.
    File,
    /// Spans on their way to a collector.
    OtlpTraces,
    /// Metrics on their way to a collector.
    OtlpMetrics,
    /// Keys and values of the store that replicas share.
    Redis,
    /// What the store is told: commands with all their arguments.
    RedisCommands,
}

impl Sink {
    pub const ALL: [Self; 14] = [
        Self::Stdout,
        Self::Stderr,
        Self::StatusText,
        Self::StatusDetails,
        Self::Trailers,
        Self::Reply,
        Self::Ledger,
        Self::AdminPage,
        Self::Debug,
        Self::File,
        Self::OtlpTraces,
        Self::OtlpMetrics,
        Self::Redis,
        Self::RedisCommands,
    ];
}

struct Seen {
    path: String,
    sink: Sink,
    text: String,
    /// What is looked at for values that nobody planted.
    plain: Option<String>,
}

/// Something that should not have come out. Does not show what.
#[derive(Debug, PartialEq, Eq)]
pub struct Leak {
    pub path: String,
    pub sink: Sink,
    pub what: &'static str,
    pub encoding: &'static str,
    /// What stood before it.
    pub before: String,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            sink,
            what,
            encoding,
            before,
        } = self;
        write!(
            f,
            "{path}: {what}, {encoding}, in {sink:?} after {before:?}"
        )
    }
}

/// Everything that came out.
#[derive(Default)]
pub struct Watch {
    seen: Vec<Seen>,
}

impl Watch {
    /// Remembers a text.
    pub fn see(&mut self, path: &str, sink: Sink, text: &str) {
        self.seen.push(Seen {
            path: path.to_owned(),
            sink,
            text: text.to_owned(),
            plain: None,
        });
    }

    /// Remembers what a store holds or is told. Its tags and its times have digits enough for
    /// anything, so the values that were planted alone are looked for in these.
    pub fn store(&mut self, path: &str, sink: Sink, text: &str) {
        self.see(path, sink, text);
        if let Some(seen) = self.seen.last_mut() {
            seen.plain = Some(without_tags_and_times(text));
        }
    }

    /// Remembers a log. A line of the ledger may name the caller's references, under their own keys
    /// and nowhere else; its random ids look like anything, so their form alone is checked.
    pub fn log(&mut self, path: &str, log: &str) {
        let (mut ledger, mut others) = (String::new(), String::new());
        for line in log.lines() {
            let mut json: Value = serde_json::from_str(line).expect("a log line is JSON");
            if json["target"] != "ledger" {
                without_trace(&mut json);
                others += &format!("{json}\n");
                continue;
            }
            ledger += &cleared(json["message"].as_str().unwrap());
        }
        self.see(path, Sink::Stdout, &others);
        self.see(path, Sink::Ledger, &ledger);
    }

    /// Remembers a ledger that has a file of its own; true if there was anything in it.
    pub fn ledger(&mut self, path: &str, file: &str) -> bool {
        let ledger: String = file.lines().map(cleared).collect();
        self.see(path, Sink::Ledger, &ledger);
        !ledger.is_empty()
    }

    /// Remembers all that an error consists of.
    pub fn status(&mut self, path: &str, status: &Status) {
        self.see(path, Sink::StatusText, status.message());
        self.see(
            path,
            Sink::StatusDetails,
            &String::from_utf8_lossy(status.details()),
        );
        let mut trailers = String::new();
        for entry in status.metadata().iter() {
            let (key, value) = match &entry {
                KeyAndValueRef::Ascii(key, value) => (key.as_str(), value.as_bytes().to_vec()),
                KeyAndValueRef::Binary(key, value) => {
                    (key.as_str(), value.to_bytes().unwrap().to_vec())
                }
            };
            trailers += &format!("{key}: {}\n", String::from_utf8_lossy(&value));
        }
        self.see(path, Sink::Trailers, &trailers);
        self.see(path, Sink::Debug, &format!("{status:?}"));
    }

    /// How many different ways were gone.
    pub fn paths(&self) -> usize {
        let paths: BTreeSet<_> = self.seen.iter().map(|seen| &seen.path).collect();
        paths.len()
    }

    /// Whether a text came out on a way whose name ends so.
    pub fn heard_on(&self, ending: &str, sink: Sink, text: &str) -> bool {
        let mut seen = self.seen.iter().filter(|seen| seen.sink == sink);
        seen.any(|seen| seen.path.ends_with(ending) && seen.text.contains(text))
    }

    /// Whether a text came out somewhere.
    pub fn heard(&self, sink: Sink, text: &str) -> bool {
        let mut seen = self.seen.iter().filter(|seen| seen.sink == sink);
        seen.any(|seen| seen.text.contains(text))
    }

    pub fn texts(&self) -> usize {
        self.seen.len()
    }

    pub fn bytes(&self) -> usize {
        self.seen.iter().map(|seen| seen.text.len()).sum()
    }

    /// All that should not have come out; at most one for each text and spelling.
    pub fn leaks(&self) -> Vec<Leak> {
        self.seen.iter().flat_map(leaks_of).collect()
    }
}

/// Takes the ids of a trace out of a log line; they are random, so their form alone is checked.
fn without_trace(line: &mut Value) {
    for (key, bytes) in [("trace_id", 16), ("span_id", 8)] {
        if let Some(id) = line.as_object_mut().and_then(|line| line.remove(key)) {
            assert_eq!(hex::decode(id.as_str().unwrap()).unwrap().len(), bytes);
        }
    }
}

/// A line of the ledger without what belongs there and may look like anything.
fn cleared(line: &str) -> String {
    let record: Value = serde_json::from_str(line).expect("a record of the ledger is JSON");
    let Value::Object(mut record) = record else {
        panic!("a record of the ledger is an object")
    };
    record.remove("request_id");
    record.remove("consent_reference");
    // what an operator changed is no call, and may be about no card
    let is_call = record["event"] != "admin";
    if let Some(call_id) = record.remove("call_id").unwrap().as_str() {
        assert!(call_id.parse::<uuid::Uuid>().is_ok());
    } else {
        assert!(!is_call, "a call without its id");
    }
    if let Some(card_tag) = record.remove("card_tag").unwrap().as_str() {
        assert_eq!(hex::decode(card_tag).unwrap().len(), 8);
    } else {
        assert!(!is_call, "a call without its card");
    }
    format!("{}\n", Value::Object(record))
}

fn leaks_of(seen: &Seen) -> Vec<Leak> {
    static FORMS: LazyLock<Vec<Form>> = LazyLock::new(forms::all);
    let lower = seen.text.to_lowercase();
    let compact = compact(&seen.text);
    let leak = |what, encoding, text: &str, at: usize| Leak {
        path: seen.path.clone(),
        sink: seen.sink,
        what,
        encoding,
        before: before(text, at),
    };
    let mut leaks = Vec::new();
    for form in FORMS.iter() {
        let text = match form.view {
            View::Exact => &seen.text,
            View::Lower => &lower,
            View::Compact => &compact,
        };
        if let Some(at) = text.find(&form.needle) {
            leaks.push(leak(form.what, form.encoding, text, at));
        }
    }
    let plain = seen.plain.as_ref().unwrap_or(&seen.text);
    for run in digit_runs(plain) {
        if has_card_number(&run.digits) {
            leaks.push(leak("like a card number", "any", plain, run.at));
        }
        if has_resident_id(&run.digits) {
            leaks.push(leak("like a resident ID", "any", plain, run.at));
        }
    }
    leaks
}

/// A text without words of 32 or more hexadecimal digits that have letters among them, and without
/// times within a year of now in milliseconds or microseconds.
fn without_tags_and_times(text: &str) -> String {
    let now = jiff::Timestamp::now().as_millisecond();
    let year = 366 * 24 * 3_600_000;
    let is_time = |word: &str| {
        let milliseconds = match word.len() {
            13 => word.parse().ok(),
            16 => word.parse().ok().map(|it: i64| it / 1000),
            _ => None,
        };
        milliseconds.is_some_and(|it: i64| (it - now).abs() < year)
    };
    let is_tag = |word: &str| {
        word.len() >= 32
            && word.bytes().all(|it| it.is_ascii_hexdigit())
            && word.bytes().any(|it| it.is_ascii_alphabetic())
    };
    let mut plain = String::with_capacity(text.len());
    for word in text.split_inclusive(|it: char| !it.is_ascii_alphanumeric()) {
        let bare = word.trim_end_matches(|it: char| !it.is_ascii_alphanumeric());
        if is_time(bare) || is_tag(bare) {
            plain.push('#');
            plain.push_str(&word[bare.len()..]);
        } else {
            plain.push_str(word);
        }
    }
    plain
}

/// The end of what stands before a leak, with its digits hidden.
fn before(text: &str, at: usize) -> String {
    let mut end: Vec<char> = text[..at].chars().rev().take(60).collect();
    end.reverse();
    end.into_iter()
        .map(|character| {
            if character.is_numeric() {
                '*'
            } else {
                character
            }
        })
        .collect()
}

struct DigitRun {
    at: usize,
    /// The digits, and an X that ends a resident ID.
    digits: String,
}

/// Digits with at most one blank or hyphen between two of them; times such as
/// `2026-01-02T03:04:05.678Z` are broken up by their other characters into runs that are too short
/// to be anything.
fn digit_runs(text: &str) -> Vec<DigitRun> {
    let mut runs = Vec::new();
    let mut run: Option<DigitRun> = None;
    let mut separated = false;
    for (at, character) in text.char_indices() {
        match character {
            '0'..='9' => {
                let run = run.get_or_insert_with(|| DigitRun {
                    at,
                    digits: String::new(),
                });
                run.digits.push(character);
                separated = false;
            }
            ' ' | '-' | '\u{a0}' if run.is_some() && !separated => separated = true,
            other => {
                if let Some(mut ended) = run.take() {
                    if matches!(other, 'X' | 'x') && !separated {
                        ended.digits.push('X');
                    }
                    runs.push(ended);
                }
                separated = false;
            }
        }
    }
    runs.extend(run);
    runs
}

/// Whether 13 to 19 digits in a row pass the Luhn check (ISO/IEC 7812-1).
fn has_card_number(digits: &str) -> bool {
    let digits: Vec<u32> = digits.chars().filter_map(|it| it.to_digit(10)).collect();
    // zeros pass every check
    let passes =
        |window: &[u32]| luhn_sum(window).is_multiple_of(10) && window.iter().any(|it| *it != 0);
    (13..=19).any(|length| digits.windows(length).any(passes))
}

fn luhn_sum(digits: &[u32]) -> u32 {
    let places = digits.iter().rev().enumerate();
    places
        .map(|(place, digit)| match place % 2 {
            0 => *digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum()
}

/// Whether 18 characters in a row are a resident ID by form, month, day and check character
/// (GB 11643: the sum over all places, each with 2 to the power of its place from the right, is 1
/// modulo 11).
fn has_resident_id(digits: &str) -> bool {
    let characters: Vec<char> = digits.chars().collect();
    characters.windows(18).any(|window| {
        let value = |character: &char| character.to_digit(10).unwrap_or(10);
        let number = |from: usize| value(&window[from]) * 10 + value(&window[from + 1]);
        let sum: u32 = (0..18)
            .map(|place| value(&window[place]) * (2u32.pow(17 - place as u32) % 11))
            .sum();
        let check_is_last = window[..17].iter().all(char::is_ascii_digit);
        let century = matches!(number(6), 18..=20);
        check_is_last
            && century
            && (1..=12).contains(&number(10))
            && (1..=31).contains(&number(12))
            && sum % 11 == 1
    })
}
