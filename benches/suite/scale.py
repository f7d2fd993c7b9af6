"""What a large cache costs: throughput over many questions, and memory."""

import json

from figures import Figure
from machine import HOST, LOAD_CORE, SERVER_CORE, Process, load
from serving import free_ports, speaks_http2
from setups import BUILT, TOKEN

ROUNDS = 5
MIB = 1024 * 1024
REQUESTS = 500_000
SIZES = {1_000: 64, 100_000: 256, 1_000_000: 512, 10_000_000: 4800}
FILL_LIMIT_S = 300


def filled(folder, entries, capacity_mb):
    """A service whose cache was filled, and what it said about that."""
    [port] = free_ports(1)
    report = f"{folder}/filled-{entries}.json"
    command = [BUILT / "filled", "--listen", f"{HOST}:{port}", "--entries", entries, "--capacity-mb", capacity_mb, "--report", report]
    process = Process(f"a cache of {entries} entries", command, port, core=SERVER_CORE)
    try:
        process.wait_until(speaks_http2, port, patience=FILL_LIMIT_S)
        with open(report, encoding="utf-8") as file:
            return process, json.load(file)
    except BaseException:
        process.__exit__()
        raise


def throughput(folder):
    """Uniform questions over caches of several sizes, one size after the other within a round."""
    samples = {size: [] for size in (1_000, 100_000, 10_000_000)}
    cpu = {size: [] for size in samples}
    memory = {}
    servers = {}
    try:
        for size in samples:
            servers[size], memory[size] = filled(folder, size, SIZES[size])
        for _ in range(ROUNDS):
            for size, process in servers.items():
                options = ["--token", TOKEN, "--questions", size, "--order", "random", "--source", "cache", "--warm-up", 50_000, "--requests", REQUESTS]
                before = process.cpu_seconds()
                report = load("closed", process, *options, core=LOAD_CORE)
                samples[size].append(report["per_second"])
                cpu[size].append((process.cpu_seconds() - before) / (REQUESTS + 50_000) * 1e6)
    finally:
        for process in servers.values():
            process.__exit__()
    slowest = [min(each) / max(each) for each in zip(*samples.values(), strict=True)]
    yield Figure("cached hits, slowest to fastest of 1,000 / 100,000 / 10,000,000 entries", slowest, at_least=0.60)
    by_cpu = [min(each) / max(each) for each in zip(*cpu.values(), strict=True)]
    yield Figure("the same by the server's CPU, where the generator sets no limit", by_cpu, at_least=0.60)
    for size in samples:
        yield Figure(f"cached hits, {size:,} entries", samples[size], "req/s")
        yield Figure(f"cached hits, {size:,} entries, CPU", cpu[size], "µs")
    yield from per_entry(10_000_000, memory[10_000_000])


def memory(folder):
    """Bytes of an answer, and whether the configured capacity is what the process takes."""
    process, report = filled(folder, 1_000_000, SIZES[1_000_000])
    process.__exit__()
    yield from per_entry(1_000_000, report)
    # more than fits: the cache is as full as it gets
    process, report = filled(folder, 1_200_000, 256)
    process.__exit__()
    grown = report["resident_bytes"] - report["resident_bytes_before"]
    yield Figure("memory of a full cache to capacity_mb = 256", [grown / (256 * MIB)], at_least=0.85, note="and at most 1.15")
    yield Figure("memory of a full cache to capacity_mb = 256, upper side", [grown / (256 * MIB)], at_most=1.15)


def per_entry(size, report):
    grown = report["resident_bytes"] - report["resident_bytes_before"]
    yield Figure(f"memory per cached answer, {size:,} entries", [grown / report["entries"]], "bytes", at_most=480)
    yield Figure(f"weight that the cache counts for the same, {size:,} entries", [report["weight_bytes"] / report["entries"]], "bytes")
