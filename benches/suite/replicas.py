"""Replicas that share one Redis: an answer that another one has paid for, and distinct questions."""

import concurrent.futures
import contextlib
import json
import socket
import subprocess
import urllib.request

from figures import Figure, ratios
from machine import HOST, LOAD_CORE, SERVER_CORE, NotMeasured, Process, cardproof, emulator, load, on_core, tool
from serving import free_ports
from setups import BUILT
from vendor import CONFIG, SECRETS

ROUNDS = 5
ANSWERS = 50_000
QUESTIONS = 12_000
STREAMS = 16
# a replica of one core, as most pods are
ALONE = CONFIG.replace("[server]", "[server]\nworkers = 1")
SHARED = ALONE + """
[cache]
key = {{ env = "BENCH_KEY_OF_TAGS" }}
[cache.redis]
url = {{ env = "BENCH_REDIS" }}
# all of them share two cores here, which is no loss of the store
timeout_ms = 5000
"""


@contextlib.contextmanager
def redis(folder):
    """A Redis that keeps nothing on disk, on the core of the load."""
    [port] = free_ports(1)
    command = [tool("redis-server"), "--port", port, "--bind", HOST, "--save", "", "--appendonly", "no", "--dir", folder]
    with Process("redis-server", command, port, core=LOAD_CORE) as process:
        process.wait_until(answers_ping, port)
        process.url = f"redis://{HOST}:{port}"
        yield process


def answers_ping(port):
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(5) == b"+PONG"
    return False


def replica(folder, vendor, store, core=SERVER_CORE):
    """One replica, with a memory that is empty yet; without a store, one that shares nothing."""
    if store is None:
        return cardproof(ALONE.replace("EMULATOR", vendor.url), folder, environment=SECRETS, core=core)
    secrets = SECRETS | {"BENCH_KEY_OF_TAGS": "a key of the benchmark, long enough for the configuration", "BENCH_REDIS": store.url}
    return cardproof(SHARED.replace("EMULATOR", vendor.url), folder, environment=secrets, core=core)


def gets(store, requests):
    """The bare client, on the service's core."""
    command = [BUILT / "gets", "--url", store.url, "--keys", ANSWERS, "--warm-up", 5_000, "--requests", requests, "--at-once", 512]
    done = subprocess.run(on_core(SERVER_CORE, command), capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise NotMeasured(f"the bare client of Redis: {done.stderr}")
    return json.loads(done.stdout)


def hits(folder):
    """Answers that another replica has paid for: each is asked for once, by a replica that knows nothing."""
    ours, theirs, cpu = [], [], []
    with emulator(folder) as vendor, redis(folder) as store:
        with replica(folder, vendor, store) as first:
            load("closed", first, "--connections", 1, "--streams", 64, "--source", "provider", "--requests", ANSWERS, "--questions", ANSWERS)
        for _ in range(ROUNDS):
            with replica(folder, vendor, store) as fresh:
                before = fresh.cpu_seconds()
                ours.append(load("closed", fresh, "--source", "shared-cache", "--requests", ANSWERS, "--questions", ANSWERS)["per_second"])
                cpu.append((fresh.cpu_seconds() - before) / ANSWERS * 1e6)
            theirs.append(gets(store, 200_000)["per_second"])
    yield ratios("a hit in Redis to a bare GET, throughput, 512 at once", ours, theirs, at_least=0.75)
    yield Figure("a hit in Redis", ours, "req/s")
    yield Figure("a hit in Redis, CPU", cpu, "µs")
    yield Figure("a bare GET", theirs, "req/s")


def vendor_calls(vendor):
    """How many calls the vendor has received."""
    with urllib.request.urlopen(f"{vendor.url}/_control/summary", timeout=5) as page:
        return json.load(page)["received"]


def misses(folder):
    """Distinct questions to 1, 2 and 4 replicas at once, each with as many callers: with a store, and without.

    Bound to no core: four of them on one would measure how they take turns. What they cost more without a store is
    what this machine does to four processes on its cores.
    """
    rates = {1: [], 2: [], 4: []}
    cpu, apart = ({count: [] for count in rates} for _ in range(2))
    place = 0
    with emulator(folder) as vendor:
        for _ in range(ROUNDS):
            for count in rates:
                used, per_second = ask_all(folder, vendor, count, place, shares=True)
                cpu[count].append(used)
                rates[count].append(per_second)
                used, _ = ask_all(folder, vendor, count, place + QUESTIONS, shares=False)
                apart[count].append(used)
                place += 2 * QUESTIONS
        made = vendor_calls(vendor)
    yield Figure("vendor calls to questions, 1, 2 and 4 replicas", [made / place], at_most=1)
    growths = [[max(each) / min(each) for each in zip(*side.values(), strict=True)] for side in (cpu, apart)]
    yield Figure("CPU of an uncached verification, most to least of 1, 2, 4 replicas", growths[0], at_most=1.2)
    yield Figure("the same of replicas that share nothing", growths[1])
    yield ratios("what the store adds to it", *growths, at_most=1.2)
    for count in rates:
        yield Figure(f"uncached verification, {count} of them, CPU", cpu[count], "µs")
        yield Figure(f"uncached verification, {count} of them, without a store, CPU", apart[count], "µs")
        yield Figure(f"uncached verification, {count} of them", rates[count], "req/s")


def ask_all(folder, vendor, count, first, shares):
    """Distinct questions, divided among that many replicas: microseconds of CPU for each, and how many per second."""
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(redis(folder)) if shares else None
        replicas = [stack.enter_context(replica(folder, vendor, store, core=None)) for _ in range(count)]
        each = QUESTIONS // count
        before = sum(it.cpu_seconds() for it in replicas)

        def ask(number):
            options = ["--connections", 1, "--streams", STREAMS, "--source", "provider", "--requests", each]
            return load("closed", replicas[number], *options, "--first", first + number * each, "--questions", each)

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            reports = list(pool.map(ask, range(count)))
        used = sum(it.cpu_seconds() for it in replicas) - before
        return used / QUESTIONS * 1e6, sum(it["per_second"] for it in reports)
