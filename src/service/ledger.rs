//! Every call that may cost money is written down before it is sent, and again when it has ended.
//!
//! One JSON line for each event. `intent` and `settled` of one call are joined by its `call_id`;
//! an `intent` without a `settled` stands for a call of which nobody knows how it ended. When an
//! `intent` cannot be written, the call is not sent; a `settled` that cannot be written is kept
//! and written as soon as that is possible, before any further call is allowed.
//!
//! Lines go to the log, under the target `ledger`, or to a file of their own. The file is written
//! by a thread of its own; a caller waits for its line, and not for longer than [`PATIENCE`]. Who
//! stops waiting can be sure that the line is not written, or that one which takes it back follows.

mod event;
mod file;
pub mod summary;
mod writer;

use std::{io, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;

pub use self::event::{Call, Event, EventKind, Settlement};
use self::{file::FileSink, writer::Writer};
use crate::domain::{Charge, Reason, VendorToken};

/// The longest that a call waits for its line to be written.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// A line could not be written: nothing may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ledger could not be written")]
pub struct Unavailable;

/// Where events are written down. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Ledger {
    /// `None`: the log.
    writer: Option<Arc<Writer>>,
    patience: Duration,
}

impl Ledger {
    /// A ledger in the log, under the target `ledger`.
    #[must_use]
    pub fn in_log() -> Self {
        Self {
            writer: None,
            patience: PATIENCE,
        }
    }

    /// A ledger in a file of its own, which is made if it is not there, readable by its owner only.
    /// When the file is moved away or removed, a new one is made in its place.
    ///
    /// # Errors
    /// When the file cannot be opened, or no thread can be started.
    pub fn in_file(path: &Path) -> io::Result<Self> {
        Self::on(FileSink::open(path)?, PATIENCE)
    }

    fn on(sink: impl writer::Sink, patience: Duration) -> io::Result<Self> {
        Ok(Self {
            writer: Some(Arc::new(Writer::start(sink)?)),
            patience,
        })
    }

    /// Writes down that a call is about to be sent. Only when this has succeeded may it be.
    ///
    /// # Errors
    /// When the line could not be written in time.
    pub async fn intent(&self, call: &Call, now: Timestamp) -> Result<(), Unavailable> {
        let line = call.intent(now).line();
        let Some(writer) = &self.writer else {
            log(&line);
            return Ok(());
        };
        let not_sent = Settlement {
            result: Reason::LedgerUnavailable.as_str(),
            charge: Charge::NotCharged,
            provider_request_id: VendorToken::default(),
        };
        let take_back = call.settled(&not_sent, now).line();
        let on_its_way = writer.write(line, take_back).ok_or(Unavailable)?;
        if on_its_way.written(self.patience).await {
            Ok(())
        } else {
            Err(Unavailable)
        }
    }

    /// Writes down how a call has ended. Does not wait and does not fail: a line that cannot be
    /// written now is kept.
    pub fn settled(&self, call: &Call, settlement: &Settlement, now: Timestamp) {
        let line = call.settled(settlement, now).line();
        match &self.writer {
            Some(writer) => writer.keep(line),
            None => log(&line),
        }
    }

    /// Writes down a change by an operator. Does not wait and does not fail, as [`Self::settled`].
    pub fn admin(&self, event: &Event) {
        match &self.writer {
            Some(writer) => writer.keep(event.line()),
            None => log(&event.line()),
        }
    }

    /// Writes down a refusal. Does not wait; when it cannot be written it is counted and dropped.
    pub fn refused(&self, event: &Event) {
        match &self.writer {
            Some(writer) => writer.note(event.line()),
            None => log(&event.line()),
        }
    }

    /// Waits until everything so far is written: before the process ends. Says whether it is.
    pub async fn flush(&self, patience: Duration) -> bool {
        let Some(writer) = &self.writer else {
            return true;
        };
        tokio::time::timeout(patience, writer.flush())
            .await
            .unwrap_or(false)
    }

    /// How many lines could not be written when they should have been.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.errors())
    }

    /// How many lines that must not be lost wait for the next chance to be written.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        self.writer.as_ref().map_or(0, |writer| writer.kept())
    }
}

fn log(line: &str) {
    tracing::info!(target: "ledger", "{}", line.trim_end());
}

#[cfg(test)]
mod tests;
