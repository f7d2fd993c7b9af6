#!/usr/bin/env python3
"""Attacks the service and looks at what somebody else notices of it.

Under each attack: the steady caller's 99th percentile, the peak of resident memory, and how soon after
its end descriptors, threads and tasks are back where they were. A machine that is busy with something
else can only make these figures worse, so a case that misses a bar is measured again, at most twice,
and the last measurement counts.
"""

import argparse
import collections
import multiprocessing
import sys
import time

import floods
import wrongs
from caller import Newcomers, Steady, percentile
from house import House, raise_descriptor_limit

P99_BAR_MS = 50
MEMORY_BAR_BYTES = 300_000_000
RECOVERY_BAR_S = 10
# threads that were made for blocking work and wait ten seconds for more of it
SPARE_THREADS = 2
TRIES = 3

Case = collections.namedtuple("Case", "attack must must_not seconds in_plaintext_only", defaults=((), (), None, False))

# an error that does not say its reason
NEVER = ("bare error",)


def all_of(*kinds):
    """Of these slow ones not one was left."""
    return tuple(f"all ended: {kind}" for kind in kinds)


CASES = [
    # what the attacker has to see, and what it must not see; 11 is ENHANCE_YOUR_CALM
    Case(floods.rapid_reset, must=("cut",)),
    Case(floods.reset_by_the_server, must=("cut",)),
    Case(floods.continuation_flood, must=("goaway 11",)),
    Case(floods.empty_continuations, must=("goaway 11",)),
    Case(floods.settings_flood, must=("cut",)),
    Case(floods.ping_flood, must=("cut",)),
    Case(floods.useless_frames, must=("cut: with DATA", "cut: without DATA")),
    Case(floods.header_bombs, must=("http 431",), must_not=("grpc 0",)),
    # the server looks every ten seconds, and cuts who is found twice
    Case(floods.zero_window, must=("cut",), seconds=24, in_plaintext_only=True),
    Case(floods.churn),
    Case(wrongs.oversize_messages, must=("grpc 3", "reason FACTORS_INVALID"), must_not=("grpc 0", "reason CARD_NUMBER_INVALID")),
    Case(wrongs.endless_messages, must=("refused: one message", "refused: bytes after one"), must_not=("grpc 0",)),
    Case(wrongs.compression_bombs, must=("grpc 12",), must_not=("grpc 0",)),
    Case(wrongs.wrong_content_types, must=("http 415", "grpc 12"), must_not=("grpc 0",)),
    Case(wrongs.truncated_frames, must=("grpc 3",), must_not=("grpc 0",)),
    # one of its calls is good: odd bytes in a header's value are nobody's business
    Case(wrongs.invalid_text, must=("grpc 3", "grpc 0")),
    Case(wrongs.half_open, must=("ended",), must_not=("still open",)),
    Case(wrongs.slow_loris, seconds=13,
         must=(*all_of("silent", "preface", "settings"), "all told: body", "all told: many data")),
]


# only where there is TLS
TLS_CASES = [
    Case(wrongs.stalled_handshakes, seconds=13,
         must=all_of("no word", "hello in bytes", "half a hello", "no key", "no key, in records")),
    Case(wrongs.handshake_flood, must=("answered",)),
]


def name_of(case):
    """The name that people read."""
    return case.attack.__name__.replace("_", " ")


def _attack(attack, address, seconds, pipe):
    seen = collections.Counter()
    try:
        attack(address, seconds, seen)
    finally:
        pipe.send(seen)


def wait_for_rest(house, rest):
    """Seconds until everything is back where it was; what is not, if it is not."""
    begun = time.monotonic()
    while True:
        now = {"descriptors": house.descriptors(), "threads": house.threads() - SPARE_THREADS, "tasks": house.tasks()}
        above = {what: count for what, count in now.items() if count > rest[what]}
        took = time.monotonic() - begun
        if not above or took > RECOVERY_BAR_S:
            return took, above
        time.sleep(0.1)


def measure(case, house, h2load, seconds):
    """One measurement; the figures, what the attacker saw, and what is wrong with them."""
    rest = {"descriptors": house.descriptors(), "threads": house.threads(), "tasks": house.tasks()}
    house.forget_peak()
    answered = house.answered()
    steady = Steady(h2load, house, seconds)
    newcomers = Newcomers(house.address)
    ours, theirs = multiprocessing.Pipe()
    attacker = multiprocessing.Process(target=_attack, args=(case.attack, house.address, seconds, theirs))
    try:
        newcomers.start()
        attacker.start()
        seen = ours.recv() if ours.poll(seconds + 60) else None
        attacker.join(10)
        took, refused = steady.finish()
    finally:
        steady.kill()
        attacker.kill()
        new_ms, failed = newcomers.finish() if newcomers.is_alive() else ([], [])
    if seen is None:
        raise SystemExit(f"abuse: the attacker of '{name_of(case)}' did not end")
    recovery, above = wait_for_rest(house, rest)
    p99, peak = percentile(took, 0.99), house.peak_bytes()
    missing = len(took) - (house.answered() - answered)
    wrong = [f"p99 {p99:.1f} ms"] if p99 >= P99_BAR_MS else []
    wrong += [f"{refused} calls of the other caller refused"] if refused else []
    wrong += [f"{missing:.0f} calls of the other caller not answered well"] if missing > 0 else []
    wrong += [f"newcomer: {failed[0]}"] if failed else []
    wrong += [f"{peak / 1e6:.0f} MB"] if peak >= MEMORY_BAR_BYTES else []
    wrong += [f"not back after {recovery:.0f} s: {above}"] if above else []
    wrong += [f"the attacker never saw '{what}'" for what in case.must if not seen[what]]
    wrong += [f"the attacker saw '{what}' {seen[what]} times" for what in (*NEVER, *case.must_not) if seen[what]]
    figures = (p99, max(took), max(new_ms, default=0.0), peak, recovery)
    return figures, seen, wrong


def run(case, house, h2load, seconds):
    """Measures a case and prints a line; true if it met its bars."""
    for attempt in range(TRIES):
        figures, seen, wrong = measure(case, house, h2load, case.seconds or seconds)
        if not wrong:
            break
        print(f"    {name_of(case)}, measurement {attempt + 1}: {'; '.join(wrong)}", flush=True)
    p99, worst, newcomer, peak, recovery = figures
    saw = ", ".join(f"{what} {count}" for what, count in sorted(seen.items()) if count)
    verdict = "ok" if not wrong else "FAILED"
    print(f"{name_of(case):<24} {verdict:<7} p99 {p99:6.1f} ms  worst {worst:6.1f}  newcomer {newcomer:6.1f}"
          f"  {peak / 1e6:6.1f} MB  back after {recovery:4.1f} s  {saw}", flush=True)
    return not wrong


def main():
    parser = argparse.ArgumentParser(description="attacks the service and measures what others notice")
    parser.add_argument("--binary", default="target/release/cardproof")
    parser.add_argument("--h2load", default="h2load")
    parser.add_argument("--seconds", type=float, default=2, help="how long each attack goes on")
    parser.add_argument("--tls", action="store_true", help="attack over TLS, and TLS itself")
    parser.add_argument("cases", nargs="*", help="only those whose name contains one of these words")
    arguments = parser.parse_args()
    raise_descriptor_limit()
    multiprocessing.set_start_method("spawn")
    cases = [case for case in CASES + TLS_CASES if not case.in_plaintext_only] if arguments.tls else CASES
    chosen = [case for case in cases if not arguments.cases or any(word in name_of(case) for word in arguments.cases)]
    if not chosen:
        raise SystemExit(f"abuse: no such case; there are: {', '.join(map(name_of, cases))}")
    with House(arguments.binary, tls=arguments.tls) as house:
        print(f"abuse: {'over TLS' if arguments.tls else 'in plaintext'}", flush=True)
        met = [run(case, house, arguments.h2load, arguments.seconds) for case in chosen]
        code = house.stop()
    if code != 0:
        print(f"abuse: the service ended with {code}")
    print(f"abuse: {sum(met)} passed, {len(met) - sum(met)} failed")
    return 0 if all(met) and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
