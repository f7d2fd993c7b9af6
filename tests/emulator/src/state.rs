//! What all connections of one emulator share.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::gate::Gates;
use crate::ledger::Ledger;
use crate::script_book::ScriptBook;
use crate::tencent::encryption::KeyPairs;
use crate::vendor::{Operation, Vendor};

/// One key pair of Tencent or Alibaba.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    /// Tencent: SecretId; Alibaba: AccessKey ID.
    pub id: String,
    /// Tencent: SecretKey; Alibaba: AccessKey secret.
    pub secret: String,
    /// Set for temporary credentials: the token that must come with this id.
    #[serde(default)]
    pub token: Option<String>,
}

impl KeyPair {
    /// Long-term credentials.
    pub fn long_term(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: secret.into(),
            token: None,
        }
    }

    /// Temporary credentials.
    pub fn temporary(
        id: impl Into<String>,
        secret: impl Into<String>,
        token: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            secret: secret.into(),
            token: Some(token.into()),
        }
    }
}

/// All credentials that the emulator knows. They are made up and open nothing anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Bearer tokens of Ace.
    pub ace: Vec<String>,
    /// Key pairs of Tencent.
    pub tencent: Vec<KeyPair>,
    /// Key pairs of Alibaba.
    pub alibaba: Vec<KeyPair>,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            ace: vec!["emulator-ace-token".to_owned()],
            tencent: vec![
                KeyPair::long_term("AKIDEMULATOR", "emulator-tencent-secret"),
                KeyPair::temporary(
                    "AKIDEMULATORTEMPORARY",
                    "emulator-tencent-temporary-secret",
                    "emulator-tencent-session-token",
                ),
            ],
            alibaba: vec![
                KeyPair::long_term("LTAIEMULATOR", "emulator-alibaba-secret"),
                KeyPair::temporary(
                    "STS.EMULATOR",
                    "emulator-alibaba-temporary-secret",
                    "emulator-alibaba-security-token",
                ),
            ],
        }
    }
}

pub(crate) struct State {
    pub(crate) credentials: RwLock<Arc<Credentials>>,
    pub(crate) keys: KeyPairs,
    pub(crate) scripts: ScriptBook,
    pub(crate) gates: Gates,
    pub(crate) ledger: Ledger,
    pub(crate) nonces: Nonces,
    pub(crate) limits: Limits,
    pub(crate) connections: AtomicU64,
    clock_offset_ms: AtomicI64,
    date: Mutex<(u64, http::HeaderValue)>,
}

impl State {
    pub(crate) fn new(credentials: Credentials, keys: KeyPairs, ledger_capacity: usize) -> Self {
        Self {
            credentials: RwLock::new(Arc::new(credentials)),
            keys,
            scripts: ScriptBook::default(),
            gates: Gates::default(),
            ledger: Ledger::new(ledger_capacity),
            nonces: Nonces::default(),
            limits: Limits::default(),
            connections: AtomicU64::new(0),
            clock_offset_ms: AtomicI64::new(0),
            date: Mutex::new((0, http::HeaderValue::from_static(""))),
        }
    }

    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials.read())
    }

    pub(crate) fn set_clock_offset_ms(&self, offset: i64) {
        self.clock_offset_ms.store(offset, Ordering::Release);
    }

    pub(crate) fn clock_offset_ms(&self) -> i64 {
        self.clock_offset_ms.load(Ordering::Acquire)
    }

    /// The vendor's clock: the machine's and the offset that a test has set. Milliseconds since 1970.
    pub(crate) fn vendor_now_ms(&self) -> i64 {
        let machine = i64::try_from(machine_now_ms()).unwrap_or(i64::MAX);
        machine.saturating_add(self.clock_offset_ms())
    }

    /// The vendor's clock in seconds since 1970.
    pub(crate) fn vendor_now_s(&self) -> i64 {
        self.vendor_now_ms().div_euclid(1000)
    }

    /// The `Date` header by the vendor's clock; written once a second.
    pub(crate) fn date_header(&self) -> http::HeaderValue {
        let second = u64::try_from(self.vendor_now_s()).unwrap_or(0);
        let mut date = self.date.lock();
        if date.0 != second {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            if let Ok(value) = http::HeaderValue::from_str(&text) {
                *date = (second, value);
            }
        }
        date.1.clone()
    }

    /// Forgets scripts, gates, nonces, limits and the ledger, and sets the clock right.
    pub(crate) fn reset(&self) {
        self.scripts.clear();
        self.gates.clear();
        self.ledger.reset();
        self.nonces.clear();
        self.limits.clear();
        self.set_clock_offset_ms(0);
    }
}

/// The machine's clock in milliseconds since 1970.
pub(crate) fn machine_now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Nonces seen in the last 15 to 30 minutes.
#[derive(Default)]
pub(crate) struct Nonces {
    generations: Mutex<Option<Generations>>,
}

struct Generations {
    young: HashSet<u128>,
    old: HashSet<u128>,
    began: Instant,
}

impl Nonces {
    const WINDOW: Duration = Duration::from_secs(15 * 60);

    /// Whether this nonce is new for this key; remembers it.
    pub(crate) fn first_use(&self, key_id: &str, nonce: &str) -> bool {
        let mut hash = Sha256::new();
        hash.update(key_id);
        hash.update([0]);
        hash.update(nonce);
        let digest: [u8; 32] = hash.finalize().into();
        let mut short = [0_u8; 16];
        short.copy_from_slice(&digest[..16]);
        let short = u128::from_be_bytes(short);

        let mut slot = self.generations.lock();
        let seen = slot.get_or_insert_with(|| Generations {
            young: HashSet::new(),
            old: HashSet::new(),
            began: Instant::now(),
        });
        if seen.began.elapsed() > Self::WINDOW {
            seen.old = std::mem::take(&mut seen.young);
            seen.began = Instant::now();
        }
        !seen.old.contains(&short) && seen.young.insert(short)
    }

    fn clear(&self) {
        *self.generations.lock() = None;
    }
}

/// Requests per second that a vendor's account may make, per operation.
#[derive(Default)]
pub(crate) struct Limits {
    inner: Mutex<LimitsInner>,
}

#[derive(Default)]
struct LimitsInner {
    per_second: HashMap<Vendor, u32>,
    /// Calls of the second that began then.
    used: HashMap<(Vendor, Operation), (Instant, u32)>,
}

impl Limits {
    pub(crate) fn set(&self, vendor: Vendor, per_second: Option<u32>) {
        let mut inner = self.inner.lock();
        match per_second {
            Some(limit) => inner.per_second.insert(vendor, limit),
            None => inner.per_second.remove(&vendor),
        };
        inner.used.retain(|(owner, _), _| *owner != vendor);
    }

    /// Whether one more call is allowed now; counts it.
    pub(crate) fn allow(&self, vendor: Vendor, operation: Operation) -> bool {
        let mut inner = self.inner.lock();
        let Some(limit) = inner.per_second.get(&vendor).copied() else {
            return true;
        };
        let now = Instant::now();
        let (began, used) = inner.used.entry((vendor, operation)).or_insert((now, 0));
        if now.duration_since(*began) >= Duration::from_secs(1) {
            (*began, *used) = (now, 0);
        }
        *used += 1;
        *used <= limit
    }

    fn clear(&self) {
        *self.inner.lock() = LimitsInner::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_per_key() {
        let nonces = Nonces::default();
        assert!(nonces.first_use("a", "1"));
        assert!(!nonces.first_use("a", "1"));
        assert!(nonces.first_use("b", "1"));
        assert!(nonces.first_use("a", "2"));
    }

    #[test]
    fn a_limit_counts_per_operation() {
        let limits = Limits::default();
        assert!(limits.allow(Vendor::Ace, Operation::Two), "no limit is set");
        limits.set(Vendor::Ace, Some(1));
        assert!(limits.allow(Vendor::Ace, Operation::Two));
        assert!(!limits.allow(Vendor::Ace, Operation::Two));
        assert!(limits.allow(Vendor::Ace, Operation::Four));
    }
}
