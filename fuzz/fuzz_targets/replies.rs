//! Replies of all vendors: no panic, and a match exactly where the judge sees one.
//!
//! The first byte chooses the vendor, the second operation and HTTP status, the rest is the body.

#![no_main]
#![allow(missing_docs, clippy::unwrap_used, reason = "a fuzz target stops at what is wrong")]

#[path = "../../tests/replies/judge.rs"]
mod judge;

use judge::{Setting, Vendor, check};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let [vendor, setting, body @ ..] = data {
        let vendor = Vendor::ALL[usize::from(*vendor) % Vendor::ALL.len()];
        let _ = check(Setting::from_byte(vendor, *setting), body);
    }
});
