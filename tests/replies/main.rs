//! Random and mutated replies through the vendors' decoders: no panic, and a match exactly where an
//! independent judge sees one.
//!
//! `CARDPROOF_REPLIES` says how many per vendor, `CARDPROOF_REPLIES_SEED` repeats a run.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test says what it expects, and what it saw"
)]

mod dice;
mod judge;
mod mutate;

use std::{env, time::Instant};

use self::{
    dice::Dice,
    judge::{Seen, Setting, Vendor, check},
    mutate::{reply, seeds},
};

/// In a plain `cargo test`; the suite asks for a million.
const USUAL: usize = 20_000;

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

fn run(vendor: Vendor) {
    let count = number("CARDPROOF_REPLIES").map_or(USUAL, |count| count as usize);
    let seed = number("CARDPROOF_REPLIES_SEED").unwrap_or_else(|| {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        time.unwrap().as_nanos() as u64
    });
    println!("{vendor:?}: seed {seed}");
    let mut dice = Dice::new(seed);
    let (mut matches, mut answers) = (0_usize, 0_usize);
    let begun = Instant::now();
    for _ in 0..count {
        let setting = Setting::from_byte(vendor, dice.byte());
        match check(setting, &reply(vendor, &mut dice)) {
            Seen::Match => matches += 1,
            Seen::OtherAnswer => answers += 1,
            Seen::NoAnswer => {}
        }
    }
    println!(
        "{vendor:?}: {count} replies in {:.1} s: {matches} matches, {answers} other answers, {} none",
        begun.elapsed().as_secs_f32(),
        count - matches - answers
    );
    // a run that saw only garbage would prove little
    assert!(matches * 100 > count, "only {matches} matches");
    assert!(answers * 100 > count, "only {answers} other answers");
}

#[test]
fn ace_replies() {
    run(Vendor::Ace);
}

#[test]
fn tencent_replies() {
    run(Vendor::Tencent);
}

#[test]
fn alibaba_replies() {
    run(Vendor::Alibaba);
}

/// The judge itself: it says yes where it should, and no one edit away from there.
#[test]
fn the_judge_can_tell() {
    for vendor in Vendor::ALL {
        let setting = Setting {
            vendor,
            operation: cardproof::domain::Operation::VerifyThree,
            status: 200,
            other: false,
        };
        let good = seeds(vendor)[0];
        assert_eq!(check(setting, good.as_bytes()), Seen::Match, "{vendor:?}");
        let bad = Setting {
            status: 500,
            ..setting
        };
        assert_eq!(check(bad, good.as_bytes()), Seen::NoAnswer, "{vendor:?}");
        let none = good.replace("\"0\"", "\"7\"").replace("\"101\"", "\"7\"");
        assert_eq!(
            check(setting, none.as_bytes()),
            Seen::OtherAnswer,
            "{vendor:?}"
        );
    }
}
