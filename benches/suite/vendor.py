"""Questions that nobody has asked before, beside a plain HTTP client that makes the same calls."""

import json
import re
import subprocess

from figures import Figure, ratios
from machine import ROOT, SERVER_CORE, NotMeasured, cardproof, emulator, load, on_core
from setups import BUILT, build_sdk, run

ROUNDS = 5
REQUESTS, WARM_UP = 20_000, 2_000
# one at a time: what a single caller waits for
ALONE = 3_000
CONFIG = """
[server]
listen = "{listen}"
admin_listen = "{admin_listen}"
[routes]
verify = ["tencent"]
card_info = ["bin"]
[providers.bin]
kind = "bin"
[providers.tencent]
kind = "tencent"
endpoint = "EMULATOR"
secret_id = {{ env = "BENCH_ID" }}
secret_key = {{ env = "BENCH_KEY" }}
requests_per_second = 1000000
"""
SECRETS = {"BENCH_ID": "AKIDEMULATOR", "BENCH_KEY": "emulator-tencent-secret"}


def bare(vendor, first, requests, at_once):
    """The plain client, on the service's core."""
    command = [BUILT / "bare", "--url", vendor.url, "--first", first, "--warm-up", WARM_UP, "--requests", requests, "--at-once", at_once]
    done = subprocess.run(on_core(SERVER_CORE, command), capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise NotMeasured(f"the plain client: {done.stderr}")
    return json.loads(done.stdout)


def misses(folder):
    """Throughput with 16 calls at once, and latency with one."""
    ours, theirs, alone, bare_alone = [], [], [], []
    place = 0
    with emulator(folder) as vendor, cardproof(CONFIG.replace("EMULATOR", vendor.url), folder, environment=SECRETS) as service:
        for _ in range(ROUNDS):
            for requests, at_once, through, direct in ((REQUESTS, 16, ours, theirs), (ALONE, 1, alone, bare_alone)):
                total = requests + WARM_UP
                options = ["--connections", 1, "--streams", at_once, "--source", "provider", "--warm-up", WARM_UP, "--requests", requests]
                through.append(load("closed", service, *options, "--first", place, "--questions", total))
                direct.append(bare(vendor, place + total, requests, at_once))
                place += 2 * total
    yield ratios("uncached verification to a bare client, throughput, 16 at once", *([it["per_second"] for it in side] for side in (ours, theirs)), at_least=0.75)
    added = [one["p50_us"] - other["p50_us"] for one, other in zip(alone, bare_alone, strict=True)]
    yield Figure("latency added at the median, one at a time", added, "µs", at_most=150)
    yield Figure("uncached verification", [it["per_second"] for it in ours], "req/s")
    yield Figure("bare client", [it["per_second"] for it in theirs], "req/s")


def cpu(_folder):
    """What a call costs the service's process, beside a plain client's; the bench has its own rounds."""
    said = run(["cargo", "bench", "--locked", "--bench", "vendor_call"], ROOT, may_fail=True)
    numbers = [re.search(rf"^{name} +([0-9.]+)", said, re.M) for name in ("through the service", "bare HTTP client")]
    if not all(numbers):
        raise NotMeasured(f"vendor_call said:\n{said[-1000:]}")
    ours, theirs = (float(found.group(1)) for found in numbers)
    yield Figure("CPU of an uncached verification to a bare call with the same body", [ours / theirs], at_most=1.3)
    yield Figure("uncached verification, CPU", [ours], "µs")
    yield Figure("bare client, CPU", [theirs], "µs")


def sdk(folder):
    """What a user might write instead: the vendor's official Python SDK, one call after the other."""
    python = build_sdk()
    ours, theirs, our_cpu = [], [], []
    place, count = 0, 1_000
    with emulator(folder) as vendor, cardproof(CONFIG.replace("EMULATOR", vendor.url), folder, environment=SECRETS) as service:
        for _ in range(ROUNDS):
            options = ["--connections", 1, "--streams", 1, "--source", "provider", "--requests", count, "--questions", count]
            before = service.cpu_seconds()
            ours.append(load("closed", service, *options, "--first", place))
            our_cpu.append((service.cpu_seconds() - before) / count * 1e6)
            command = [python, ROOT / "benches/peers/sdk/calls.py", vendor.url.removeprefix("http://"), place + count, count]
            done = subprocess.run(on_core(SERVER_CORE, command), capture_output=True, text=True, check=False, timeout=300)
            if done.returncode != 0:
                raise NotMeasured(f"the SDK: {done.stdout}{done.stderr}")
            theirs.append(json.loads(done.stdout))
            place += 3 * count
    yield ratios("uncached verification to the vendor's Python SDK, throughput, one at a time", *([it["per_second"] for it in side] for side in (ours, theirs)))
    yield ratios("the same, CPU", our_cpu, [it["cpu_us"] for it in theirs])
    for name, taken in (("uncached verification", ours), ("the vendor's SDK", theirs)):
        yield Figure(f"{name}, latency at the median, one at a time", [it["p50_us"] for it in taken], "µs")
