//! The scripts in force.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::script::{Fault, Script};
use crate::vendor::{Operation, Vendor};

/// Names one script that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptId(pub u64);

/// A script in force.
#[derive(Clone, Debug, Serialize)]
pub struct ScriptInForce {
    /// Its name.
    pub id: ScriptId,
    /// How many calls it has answered.
    pub used: u64,
    /// What it says.
    pub script: Script,
}

/// All scripts in force.
#[derive(Default)]
pub(crate) struct ScriptBook {
    scripts: Mutex<Inner>,
    /// Lets a load without scripts pass without the lock.
    count: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    next_id: u64,
    scripts: Vec<ScriptInForce>,
}

impl ScriptBook {
    pub(crate) fn add(&self, script: Script) -> ScriptId {
        let mut inner = self.scripts.lock();
        inner.next_id += 1;
        let id = ScriptId(inner.next_id);
        inner.scripts.push(ScriptInForce {
            id,
            used: 0,
            script,
        });
        self.count.store(inner.scripts.len(), Ordering::Release);
        id
    }

    pub(crate) fn remove(&self, id: ScriptId) -> bool {
        let mut inner = self.scripts.lock();
        let before = inner.scripts.len();
        inner.scripts.retain(|entry| entry.id != id);
        self.count.store(inner.scripts.len(), Ordering::Release);
        inner.scripts.len() < before
    }

    pub(crate) fn clear(&self) {
        self.scripts.lock().scripts.clear();
        self.count.store(0, Ordering::Release);
    }

    pub(crate) fn list(&self) -> Vec<ScriptInForce> {
        self.scripts.lock().scripts.clone()
    }

    /// Takes the script for a call whose headers have arrived, if it cuts the connection there.
    pub(crate) fn take_before_body(&self, vendor: Vendor, operation: Operation) -> Option<Script> {
        self.take(|script| {
            script.fault == Fault::CutBeforeBody
                && script.vendor == vendor
                && script.operation.is_none_or(|wanted| wanted == operation)
        })
    }

    /// Takes the script for a call that was read and accepted.
    pub(crate) fn take_for(
        &self,
        vendor: Vendor,
        operation: Operation,
        card: Option<&str>,
    ) -> Option<Script> {
        self.take(|script| {
            script.fault != Fault::CutBeforeBody && script.fits(vendor, operation, card)
        })
    }

    fn take(&self, fits: impl Fn(&Script) -> bool) -> Option<Script> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut inner = self.scripts.lock();
        let entry = inner.scripts.iter_mut().find(|entry| {
            entry.script.times.is_none_or(|times| entry.used < times) && fits(&entry.script)
        })?;
        entry.used += 1;
        Some(entry.script.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::mask_card;
    use crate::script::Reply;

    #[test]
    fn scripts_are_used_in_order_and_run_out() {
        let book = ScriptBook::default();
        book.add(Script::new(Vendor::Tencent).code("-5").times(1));
        book.add(
            Script::new(Vendor::Tencent)
                .operation(Operation::Two)
                .code("-6")
                .times(2),
        );
        let mut codes = Vec::new();
        for operation in [
            Operation::Four,
            Operation::Four,
            Operation::Two,
            Operation::Two,
        ] {
            codes.push(
                book.take_for(Vendor::Tencent, operation, None)
                    .map(|script| script.reply),
            );
        }
        let codes: Vec<_> = codes
            .into_iter()
            .map(|reply| match reply {
                Some(Reply::Code { code, .. }) => code,
                _ => "none".to_owned(),
            })
            .collect();
        assert_eq!(codes, ["-5", "none", "-6", "-6"]);
        assert!(
            book.take_for(Vendor::Tencent, Operation::Two, None)
                .is_none()
        );
    }

    #[test]
    fn a_card_is_found_in_its_masked_form_too() {
        let book = ScriptBook::default();
        book.add(
            Script::new(Vendor::Alibaba)
                .card("6222020000000000000")
                .code("203"),
        );
        let masked = mask_card("6222020000000000000");
        assert!(
            book.take_for(Vendor::Alibaba, Operation::Two, Some(&masked))
                .is_some()
        );
        assert!(
            book.take_for(Vendor::Alibaba, Operation::Two, Some("6222"))
                .is_none()
        );
        assert!(
            book.take_for(Vendor::Ace, Operation::Two, Some(&masked))
                .is_none()
        );
    }
}
