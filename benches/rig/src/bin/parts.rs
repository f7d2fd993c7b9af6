//! The parts of a call, one at a time: nanoseconds of each, or so many rounds of one of them for an
//! instruction counter. `parts` alone prints all; `parts NAME ROUNDS` does one so often.

#![expect(clippy::print_stdout, reason = "the result is what it is run for")]

use std::{env, error::Error, time::Instant};

use cardproof_rig::parts::Parts;
use serde_json::{Map, Value};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPEATS: usize = 9;

/// Median nanoseconds of one call.
fn median_ns(call: &dyn Fn(), rounds: u32) -> f64 {
    let mut samples = [0.0; REPEATS];
    for sample in &mut samples {
        let begun = Instant::now();
        for _ in 0..rounds {
            call();
        }
        *sample = begun.elapsed().as_nanos() as f64 / f64::from(rounds);
    }
    samples.sort_by(f64::total_cmp);
    samples[REPEATS / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let parts = Parts::new()?;
    let parts = parts.all();
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [name, rounds] = &arguments[..] {
        let part = parts.iter().find(|(known, _)| known == name);
        let (_, call) = part.ok_or("no such part")?;
        (0..rounds.parse::<u32>()?).for_each(|_| call());
        return Ok(());
    }
    let taken: Map<String, Value> = parts
        .iter()
        .map(|(name, call)| ((*name).to_owned(), median_ns(call, 50_000).into()))
        .collect();
    println!("{}", Value::Object(taken));
    Ok(())
}
