//! The ledger: every call that was received, and what it would have cost.

use std::collections::{BTreeMap, HashMap, VecDeque};

use parking_lot::Mutex;
use serde::Serialize;

use crate::question::QuestionDigest;
use crate::vendor::{Charge, Operation, Vendor};

/// One call that was received.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// 1 for the first call since the start; goes on after a reset of the ledger.
    pub seq: u64,
    /// When its body had arrived, in milliseconds since 1970 by the machine's own clock.
    pub time_unix_ms: u64,
    /// Who was asked.
    pub vendor: Vendor,
    /// What was asked.
    pub operation: Operation,
    /// The vendor's own name for it, or an empty text.
    pub action: &'static str,
    /// Whether credentials, signature and parameters were found to be right.
    pub accepted: bool,
    /// The vendor's result code (Alibaba: the SubCode) or error code; empty when nothing of the
    /// sort was said.
    pub result: String,
    /// What it cost.
    pub charge: Charge,
    /// SHA-256 of the decoded question in hexadecimal, if there was one.
    #[serde(serialize_with = "as_hex")]
    pub question: Option<QuestionDigest>,
    /// Whether temporary credentials were used.
    pub temporary_credentials: bool,
    /// `AES-256-CBC` or `SM4-GCM` if fields came encrypted, else empty.
    pub encrypted: &'static str,
    /// Whether the URL's query was its canonical form byte for byte (always so without a query).
    pub canonical_query: bool,
    /// `1.1` or `2`.
    pub http_version: &'static str,
    /// The number of the connection, from 1.
    pub connection: u64,
    /// The scripted fault, or empty.
    pub fault: &'static str,
    /// Whether an answer was handed to the connection (also one that is then cut off).
    pub answered: bool,
}

/// Counts over the whole ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Calls received.
    pub received: u64,
    /// Calls accepted.
    pub accepted: u64,
    /// Calls answered.
    pub answered: u64,
    /// Calls that cost something.
    pub charged: u64,
    /// Calls whose cost is unknown.
    pub charge_unknown: u64,
    /// Different questions among the charged calls.
    pub charged_questions: u64,
    /// The most charged calls that one question had.
    pub most_charges_of_one_question: u64,
    /// Calls per `vendor/operation`.
    pub calls: BTreeMap<String, u64>,
    /// Charged calls per `vendor/operation`.
    pub charges: BTreeMap<String, u64>,
    /// Calls refused, per error code.
    pub refusals: BTreeMap<String, u64>,
    /// Entries that were dropped because the ledger was full; they are in no count above.
    pub dropped: u64,
    /// Connections opened since the start.
    pub connections: u64,
}

pub(crate) struct Ledger {
    inner: Mutex<Inner>,
    capacity: usize,
}

struct Inner {
    next_seq: u64,
    entries: VecDeque<Entry>,
    dropped: u64,
}

impl Ledger {
    pub(crate) fn new(capacity: usize) -> Self {
        let inner = Inner {
            next_seq: 1,
            entries: VecDeque::new(),
            dropped: 0,
        };
        Self {
            inner: Mutex::new(inner),
            capacity: capacity.max(1),
        }
    }

    /// Writes an entry and gives it its number.
    pub(crate) fn record(&self, mut entry: Entry) -> u64 {
        let mut inner = self.inner.lock();
        entry.seq = inner.next_seq;
        inner.next_seq += 1;
        if inner.entries.len() == self.capacity {
            inner.entries.pop_front();
            inner.dropped += 1;
        }
        let seq = entry.seq;
        inner.entries.push_back(entry);
        seq
    }

    /// Notes that a call was answered; nothing happens if its entry is gone.
    pub(crate) fn answered(&self, seq: u64) {
        let mut inner = self.inner.lock();
        let Some(first) = inner.entries.front().map(|entry| entry.seq) else {
            return;
        };
        let Some(index) = seq
            .checked_sub(first)
            .and_then(|index| usize::try_from(index).ok())
        else {
            return;
        };
        if let Some(entry) = inner.entries.get_mut(index) {
            entry.answered = true;
        }
    }

    pub(crate) fn after(&self, seq: u64) -> Vec<Entry> {
        let inner = self.inner.lock();
        inner
            .entries
            .iter()
            .filter(|entry| entry.seq > seq)
            .cloned()
            .collect()
    }

    pub(crate) fn reset(&self) {
        let mut inner = self.inner.lock();
        inner.entries.clear();
        inner.dropped = 0;
    }

    pub(crate) fn charges_of(&self, question: QuestionDigest) -> u64 {
        let inner = self.inner.lock();
        let charged = inner
            .entries
            .iter()
            .filter(|entry| entry.question == Some(question) && entry.charge == Charge::Yes);
        charged.count() as u64
    }

    pub(crate) fn summary(&self) -> Summary {
        let inner = self.inner.lock();
        let mut summary = Summary {
            dropped: inner.dropped,
            ..Summary::default()
        };
        let mut questions: HashMap<QuestionDigest, u64> = HashMap::new();
        for entry in &inner.entries {
            let name = format!("{}/{}", entry.vendor.as_str(), entry.operation.as_str());
            summary.received += 1;
            summary.answered += u64::from(entry.answered);
            if entry.accepted {
                summary.accepted += 1;
            } else {
                *summary.refusals.entry(entry.result.clone()).or_default() += 1;
            }
            if entry.charge == Charge::Yes {
                summary.charged += 1;
                *summary.charges.entry(name.clone()).or_default() += 1;
                if let Some(question) = entry.question {
                    *questions.entry(question).or_default() += 1;
                }
            }
            summary.charge_unknown += u64::from(entry.charge == Charge::Unknown);
            *summary.calls.entry(name).or_default() += 1;
        }
        summary.charged_questions = questions.len() as u64;
        summary.most_charges_of_one_question = questions.values().copied().max().unwrap_or(0);
        summary
    }
}

fn as_hex<S: serde::Serializer>(
    question: &Option<QuestionDigest>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    question
        .map(|digest| hex::encode(digest.0))
        .serialize(serializer)
}
