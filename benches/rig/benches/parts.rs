//! The parts of a call, one at a time, against what they took before:
//! `cargo bench --package cardproof-rig --bench parts`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a benchmark stops when it cannot run"
)]

use cardproof_rig::parts::Parts;
use criterion::{Criterion, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn parts(criterion: &mut Criterion) {
    let parts = Parts::new().unwrap();
    for (name, call) in parts.all() {
        criterion.bench_function(name, |bencher| bencher.iter(&call));
    }
}

criterion_group!(benches, parts);
criterion_main!(benches);
