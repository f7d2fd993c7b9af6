//! `phone` of tests/parsers/targets.rs.

#![no_main]
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, reason = "a fuzz target stops at what is wrong")]

#[path = "../../tests/parsers/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::phone(data));
