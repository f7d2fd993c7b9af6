"""Answers from memory, beside servers that do nothing."""

import contextlib
import urllib.request

from figures import Figure, ratios
from h2load import shoot
from machine import HOST, NotMeasured, load
from setups import TOKEN, echo, service

ROUNDS = 5
SHAPES = {"8 × 64": (8, 64), "50 × 1": (50, 1)}
# enough for two seconds of the fastest, and for a slow one not much longer
REQUESTS = {"8 × 64": 400_000, "50 × 1": 150_000}
SLOW = {"grpcio (Python)": 15_000}
JIT_IS_WARM_AFTER = 1_000_000
OURS = "cardproof"
RUST = ["tonic, tuned", "tonic, stock", "hyper, tuned"]
OTHERS = ["grpc-go", "grpc-java", "grpcio (Python)"]


def hits(process):
    """How many questions the service says it has answered from memory."""
    with urllib.request.urlopen(f"http://{HOST}:{process.admin}/metrics", timeout=5) as page:
        for line in page.read().decode().splitlines():
            if line.startswith("cardproof_cache_lookups_total{") and 'outcome="hit"' in line and 'tier="local"' in line:
                return int(float(line.rpartition(" ")[2]))
    raise NotMeasured("the service does not say how many questions it answered from memory")


def race(servers, method, body, shape, rounds=ROUNDS):
    """Every server in turn, again and again; the shots of each."""
    shots = {name: [] for name in servers}
    for _ in range(rounds):
        for name, server in servers.items():
            requests = SLOW.get(name, REQUESTS[shape])
            shots[name].append(shoot(server, method, body, *SHAPES[shape], requests, TOKEN))
    return shots


def raw(shots, what):
    """Throughput and CPU of each."""
    for name, taken in shots.items():
        yield Figure(f"{name}, {what}", [shot.per_second for shot in taken], "req/s")
        yield Figure(f"{name}, {what}, CPU", [shot.cpu_us for shot in taken], "µs")


def throughput(shots, name):
    return [shot.per_second for shot in shots[name]]


def cpu(shots, name):
    return [shot.cpu_us for shot in shots[name]]


def verification(folder):
    """A cached verification with four factors, the full stack."""
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(service(folder))
        body = f"{folder}/verify.body"
        servers = {OURS: ours} | {kind: stack.enter_context(echo(kind, folder)) for kind in RUST + OTHERS}
        for name, server in servers.items():
            warm = JIT_IS_WARM_AFTER if "java" in name else SLOW.get(name, 50_000)
            shoot(server, "VerifyBankCard", body, 8, 64, warm, TOKEN)
        before = hits(ours)
        shots = race(servers, "VerifyBankCard", body, "8 × 64")
        few = race({name: servers[name] for name in (OURS, "tonic, tuned")}, "VerifyBankCard", body, "50 × 1")
        wanted = ROUNDS * (REQUESTS["8 × 64"] + REQUESTS["50 × 1"])
        if hits(ours) - before != wanted:
            raise NotMeasured(f"of {wanted} questions {hits(ours) - before} were answered from memory")
    against = [
        ("tonic, tuned", dict(at_least=0.80)),
        ("tonic, stock", dict(at_least=1.5)),
        ("grpc-go", dict(at_least=1.8)),
        ("grpc-java", dict(at_least=1.0)),
        ("grpcio (Python)", {}),
    ]
    for name, bar in against:
        yield ratios(f"cached verification to {name}, throughput, 8 × 64", throughput(shots, OURS), throughput(shots, name), **bar)
    yield ratios("cached verification to tonic, tuned, throughput, 50 × 1", throughput(few, OURS), throughput(few, "tonic, tuned"), at_least=0.80)
    yield ratios("cached verification to hyper, tuned, CPU, 8 × 64", cpu(shots, OURS), cpu(shots, "hyper, tuned"), at_most=1.6)
    yield from raw(shots, "8 × 64")
    yield from raw(few, "50 × 1")


def card_info(folder):
    """Card information from the embedded table."""
    with service(folder) as ours, echo("tonic, tuned", folder) as other:
        servers = {OURS: ours, "tonic, tuned": other}
        shots = race(servers, "QueryCardInfo", f"{folder}/card-info.body", "8 × 64")
    yield ratios("card information to tonic, tuned, throughput, 8 × 64", throughput(shots, OURS), throughput(shots, "tonic, tuned"), at_least=0.80)
    yield from raw(shots, "card information, 8 × 64")


def open_loop(folder):
    """10,000 requests per second over 20 connections, whether they are answered or not."""
    with service(folder) as ours:
        options = ["--token", ours.token, "--rate", 10_000, "--connections", 20, "--source", "cache", "--warm-up", 20_000, "--requests", 50_000]
        reports = [load("open", ours, *options) for _ in range(ROUNDS)]
    yield Figure("99th percentile of cached hits at 10,000 req/s, 20 connections, open loop", [it["p99_us"] / 1000 for it in reports], "ms", at_most=1)
    yield Figure("median of the same", [it["p50_us"] / 1000 for it in reports], "ms")
