"""Questions that nobody has asked before, beside a plain HTTP client that makes the same calls."""

import json
import subprocess

from figures import Figure, ratios
from machine import LOAD_CORE, ROOT, SERVER_CORE, NotMeasured, cardproof, emulator, load, on_core, peer
from setups import BUILT, build_sdk

ROUNDS = 5
# what a call costs in CPU depends on what else the machine does, more than throughput does
CPU_ROUNDS = 9
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


def bare(vendor, first, requests, at_once, core=SERVER_CORE, own=False):
    """The plain client, on the service's core; or the service's own client for the vendor, without the service."""
    command = [BUILT / "bare", *(["--own"] if own else []), "--url", vendor.url, "--first", first, "--warm-up", WARM_UP, "--requests", requests, "--at-once", at_once]
    done = subprocess.run(on_core(core, command), capture_output=True, text=True, check=False, timeout=300)
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


def through(server, first, core=LOAD_CORE):
    """Questions to a server that asks the vendor, and its microseconds of CPU for each."""
    options = ["--connections", 1, "--streams", 16, "--source", "provider"]
    load("closed", server, *options, "--first", first, "--requests", WARM_UP, "--questions", WARM_UP, core=core)
    before = server.cpu_seconds()
    report = load("closed", server, *options, "--first", first + WARM_UP, "--requests", REQUESTS, "--questions", REQUESTS, core=core)
    return report | {"cpu_us": (server.cpu_seconds() - before) / REQUESTS * 1e6}


def cpu(folder):
    """Microseconds of CPU, on one core and on two, beside the plain client and beside what the bars leave: a server
    that asks the vendor with the plain client and does nothing else."""
    for where, server_core, load_core in (("one core", SERVER_CORE, LOAD_CORE), ("two cores", None, None)):
        ours, own, empty, plain = [], [], [], []
        place = 0
        with emulator(folder, load_core) as vendor:
            command = [BUILT / "forward", "--listen", "127.0.0.1:{port}", "--url", vendor.url]
            config = CONFIG.replace("EMULATOR", vendor.url)
            with cardproof(config, folder, environment=SECRETS, core=server_core) as service, peer("forward", command, core=server_core) as forward:
                for _ in range(CPU_ROUNDS):
                    for side, server in ((ours, service), (empty, forward)):
                        side.append(through(server, place, load_core))
                        place += REQUESTS + WARM_UP
                    for side in (own, plain):
                        side.append(bare(vendor, place, REQUESTS, 16, server_core, own=side is own))
                        place += REQUESTS + WARM_UP
        used, client, floor, least = ([it["cpu_us"] for it in side] for side in (ours, own, empty, plain))
        yield ratios(f"CPU of a call by the vendor's client alone to a bare call with the same body, {where}", client, least, at_most=1.3)
        yield ratios(f"CPU of an uncached verification to a bare call with the same body, {where}", used, least, at_most=1.3)
        yield ratios(f"the same of a server that only asks, {where}", floor, least)
        yield ratios(f"throughput of a server that only asks, to a bare client, {where}", *([it["per_second"] for it in side] for side in (empty, plain)))
        for name, values in (("uncached verification", used), ("the vendor's client alone", client), ("a server that only asks", floor), ("bare client", least)):
            yield Figure(f"{name}, CPU, {where}", values, "µs")


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
