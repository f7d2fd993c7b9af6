//! How long a lookup in the BIN table takes: `cargo bench --bench bin_lookup`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::hint::black_box;
use std::time::Instant;

use cardproof::provider::bin::{BinTable, DATA_VERSION};

const ROUNDS: u32 = 200;
const REPEATS: usize = 9;

/// Full numbers of every row, padded with zeros.
fn numbers() -> Vec<String> {
    let rows = include_str!("../data/bins.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1);
    rows.filter_map(|row| {
        let mut fields = row.split('\t');
        let (prefix, length) = (fields.next()?, fields.next()?.parse().ok()?);
        Some(format!("{prefix:0<length$}"))
    })
    .collect()
}

/// Median nanoseconds of one lookup over all questions.
fn median_ns(table: &BinTable, questions: &[&[u8]]) -> f64 {
    let mut samples = [0.0; REPEATS];
    for sample in &mut samples {
        let started = Instant::now();
        for _ in 0..ROUNDS {
            for question in questions {
                black_box(table.lookup(black_box(question)));
            }
        }
        *sample = started.elapsed().as_nanos() as f64 / f64::from(ROUNDS) / questions.len() as f64;
    }
    samples.sort_by(f64::total_cmp);
    samples[REPEATS / 2]
}

fn main() {
    let table = BinTable::embedded();
    let numbers = numbers();
    let full: Vec<&[u8]> = numbers.iter().map(String::as_bytes).collect();
    let six: Vec<&[u8]> = full.iter().filter_map(|number| number.get(..6)).collect();
    println!("{DATA_VERSION}, {} rows", full.len());
    println!("full number  {:6.1} ns", median_ns(&table, &full));
    println!("six digits   {:6.1} ns", median_ns(&table, &six));
    println!(
        "no issuer    {:6.1} ns",
        median_ns(&table, &[b"4242424242424242", b"9792000000000000"])
    );
}
