//! What counting costs a call: `cargo bench --bench metrics`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue};

use cardproof::{
    domain::{Charge, Finding, Operation, ProviderName, ResultCode, Source},
    telemetry::{
        events::{self, CacheOutcome, RpcMethod, Tier, Took},
        metrics::{self, Identity, InstallError, Observed},
        trace::Span,
    },
};

const ROUNDS: u32 = 200_000;
const REPEATS: usize = 9;

/// Median nanoseconds of one event, on as many threads at once.
fn median_ns(threads: usize, event: impl Fn() + Sync) -> f64 {
    let mut samples = [0.0; REPEATS];
    for sample in &mut samples {
        let started = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        event();
                    }
                });
            }
        });
        *sample = started.elapsed().as_nanos() as f64 / f64::from(ROUNDS);
    }
    samples.sort_by(f64::total_cmp);
    samples[REPEATS / 2]
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

fn main() -> Result<(), InstallError> {
    let providers: Vec<_> = ["bin", "ace", "tencent", "alibaba"]
        .iter()
        .filter_map(|name| ProviderName::new(name))
        .collect();
    let identity = Identity {
        version: "0",
        bin_data_version: "0",
        providers: providers.clone(),
        operations: Vec::new(),
        currencies: Vec::new(),
    };
    let metrics = metrics::install(identity, Observed::default(), None)?;
    let finding = Finding::verified(ResultCode::Match);
    let time = Duration::from_micros(40);
    let took = Took {
        begun: tokio::time::Instant::now(),
        at_once: true,
    };
    let call = || events::call_ended(black_box(RpcMethod::VerifyBankCard), black_box(0), time);
    let lookup = || events::cache_lookup(Tier::Local, black_box(CacheOutcome::Hit));
    let answer = || {
        if let Some(provider) = providers.last() {
            events::answered(
                "VerifyBankCard",
                Operation::VerifyThree,
                black_box(provider),
                &finding,
                Source::Cache,
                Charge::NotCharged,
                took,
            );
        }
    };
    let bare = headers(&[("content-type", "application/grpc"), ("te", "trailers")]);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let told = headers(&[
        ("content-type", "application/grpc"),
        ("traceparent", parent),
    ]);
    // what a call pays that is not recorded: the look at its headers, and one poll with its context
    let span = |headers: &HeaderMap| {
        let span = Span::server(Some(RpcMethod::VerifyBankCard), black_box(headers));
        let _ = black_box(span.within(std::future::ready(1)).now_or_never());
    };
    for threads in [1, 2] {
        println!("{threads} thread(s)");
        println!("  call ended    {:6.1} ns", median_ns(threads, call));
        println!("  cache lookup  {:6.1} ns", median_ns(threads, lookup));
        println!("  answered      {:6.1} ns", median_ns(threads, answer));
        println!(
            "  no context    {:6.1} ns",
            median_ns(threads, || span(&bare))
        );
        println!(
            "  not sampled   {:6.1} ns",
            median_ns(threads, || span(&told))
        );
    }
    let text = metrics.text();
    let started = Instant::now();
    for _ in 0..100 {
        black_box(metrics.text());
    }
    println!(
        "text of {} bytes in {:.0} us",
        text.len(),
        started.elapsed().as_micros() as f64 / 100.0
    );
    Ok(())
}
