//! The service with a full memory, and what that took; see [`cardproof_rig::full`].

use std::{error::Error, fs, net::SocketAddr, path::PathBuf, time::Instant};

use cardproof_rig::full::Full;
use clap::Parser;
use serde::Serialize;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves until it is killed.
#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Answers to fill the cache with.
    #[arg(long)]
    entries: u64,
    /// `cache.capacity_mb`.
    #[arg(long)]
    capacity_mb: u64,
    /// Where to write what filling came to.
    #[arg(long)]
    report: PathBuf,
}

/// What filling came to.
#[derive(Serialize)]
struct Report {
    entries: u64,
    weight_bytes: u64,
    resident_bytes_before: u64,
    resident_bytes: u64,
    nanoseconds_per_put: f64,
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments = Arguments::parse();
    let full = Full::new(arguments.capacity_mb)?;
    let resident_bytes_before = resident_bytes()?;
    let begun = Instant::now();
    full.fill(arguments.entries)?;
    let nanoseconds = begun.elapsed().as_nanos() as f64;
    let report = Report {
        entries: full.service.cache().entries(),
        weight_bytes: full.service.cache().weight_bytes(),
        resident_bytes_before,
        resident_bytes: resident_bytes()?,
        nanoseconds_per_put: nanoseconds / arguments.entries as f64,
    };
    fs::write(&arguments.report, serde_json::to_string(&report)?)?;
    full.serve(std::net::TcpListener::bind(arguments.listen)?)
}

/// Resident memory as the kernel counts it.
fn resident_bytes() -> Result<u64, Box<dyn Error + Send + Sync>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.ok_or("the kernel tells no resident memory")?;
    let kilobytes: u64 = kilobytes.trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}
