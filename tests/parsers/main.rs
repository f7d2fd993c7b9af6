//! Random and mutated input through every parser, on the compiler that everybody has.
//!
//! `CARDPROOF_INPUTS` says how many per parser, `CARDPROOF_INPUTS_SEED` repeats a run.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test says what it expects, and what it saw"
)]

mod mutate;
mod targets;

use std::{
    env, panic,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use self::{
    mutate::{Dice, Mutator},
    targets::TARGETS,
};

/// In a plain `cargo test`; the suite asks for more.
const USUAL: usize = 5_000;
/// These read a whole table of defaults for each input, and get a tenth.
const SLOW: &[&str] = &["bin_csv", "configuration"];

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

/// What a target finds stays unknown without the input and the seed.
fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let count = number("CARDPROOF_INPUTS").map_or(USUAL, |count| count as usize);
    let count = if SLOW.contains(&name) {
        count / 10
    } else {
        count
    };
    let seed = number("CARDPROOF_INPUTS_SEED").unwrap_or_else(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos() as u64
    });
    let mut dice = Dice::new(seed);
    let mutator = Mutator::new(target.seeds);
    let begun = Instant::now();
    for seed in mutator.seeds() {
        (target.check)(seed);
    }
    for _ in 0..count {
        let input = mutator.input(&mut dice);
        if let Err(cause) = panic::catch_unwind(|| (target.check)(&input)) {
            println!("{name}: seed {seed}: {:?}", String::from_utf8_lossy(&input));
            panic::resume_unwind(cause);
        }
    }
    println!(
        "{name}: {count} inputs in {:.1} s, seed {seed}",
        begun.elapsed().as_secs_f32()
    );
}

macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        $(#[test] fn $name() { run(stringify!($name)); })+

        #[test]
        fn every_parser_has_a_test_and_a_fuzz_target() {
            let tested = [$(stringify!($name)),+];
            let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(tested.as_slice(), known);
            let manifest = include_str!("../../fuzz/Cargo.toml");
            for name in known {
                assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
            }
        }
    };
}

tests![
    card,
    name,
    id_number,
    phone,
    bin_csv,
    configuration,
    grpc_timeout,
    rows,
    ledger
];

/// The samples are worth something: some are taken, and some are refused.
#[test]
fn the_seeds_reach_both_ends() {
    use cardproof::domain::{CardNumber, PersonName, Phone};
    let ends = |name: &str, takes: fn(&str) -> bool| {
        let target = TARGETS.iter().find(|target| target.name == name).unwrap();
        let mutator = Mutator::new(target.seeds);
        let taken: Vec<_> = mutator
            .seeds()
            .map(|seed| takes(str::from_utf8(seed).unwrap()))
            .collect();
        assert!(
            taken.contains(&true) && taken.contains(&false),
            "{name}: {taken:?}"
        );
    };
    ends("card", |seed| CardNumber::parse(seed).is_ok());
    ends("name", |seed| PersonName::parse(seed).is_ok());
    ends("phone", |seed| Phone::parse(seed).is_ok());
}
