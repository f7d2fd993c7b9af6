#!/usr/bin/env python3
"""Three times more questions than the vendor has places for: what is accepted stays fast, the rest is refused.

The vendor is the emulator with a fixed answering time, so that the capacity is known: its places at once
divided by that time. Each question is another one, so that no memory helps.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

from caller import framed, percentile, text_field
from house import House
from peer import Peer

ANSWER_MS = 250
PLACES = 50
CAPACITY = PLACES * 1000 // ANSWER_MS
TIMES = 3
CONNECTIONS = 4
SETTINGS = """
[routes]
verify = ["ace"]
[providers.ace]
kind = "ace"
endpoint = "{url}"
token = {{ file = "{token}" }}
concurrent = {places}
"""


class Timed(Peer):
    """A peer that notes when each of its calls was answered."""

    def __init__(self, address):
        self.begun, self.took = {}, collections.defaultdict(list)
        super().__init__(address)

    def ask(self, number):
        body = framed(text_field(1, f"622848{number:010d}") + text_field(2, "张三"))
        self.begun[self.call(body)] = time.monotonic()

    def _note_headers(self, stream, payload):
        super()._note_headers(stream, payload)
        if stream in self.statuses and stream in self.begun:
            word = f"{self.statuses[stream]} {self.reasons.get(stream, '')}".strip()
            self.took[word].append((time.monotonic() - self.begun.pop(stream)) * 1000)


def load(house, rate, seconds, first):
    """Asks at a rate; the milliseconds of each answer by its status."""
    peers = [Timed(house.address) for _ in range(CONNECTIONS)]
    begun, number = time.monotonic(), 0
    while number < rate * seconds:
        while number < (time.monotonic() - begun) * rate:
            peers[number % CONNECTIONS].ask(first + number)
            number += 1
        for peer in peers:
            peer.look()
        time.sleep(0.001)
    took = collections.defaultdict(list)
    for peer in peers:
        peer.wait_for(lambda peer=peer: not peer.begun, 15)
        for status, times in peer.took.items():
            took[status] += times
        took["lost"] += [0] * len(peer.begun)
        peer.close()
    return took, number


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/cardproof")
    parser.add_argument("--emulator", required=True)
    parser.add_argument("--seconds", type=int, default=4)
    arguments = parser.parse_args()
    emulator = subprocess.Popen([arguments.emulator, "--listen", "127.0.0.1:0", "--quiet"], stdout=subprocess.PIPE, text=True)
    try:
        url = emulator.stdout.readline().split()[-1]
        script = json.dumps({"vendor": "ace", "delay_ms": ANSWER_MS}).encode()
        order = urllib.request.Request(f"{url}/_control/scripts", script, {"content-type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(order, timeout=5) as answer:
            answer.read()
        return judge(arguments, url)
    finally:
        emulator.kill()
        emulator.wait()


def judge(arguments, url):
    """Measures both, and says whether the bar is met."""
    with tempfile.TemporaryDirectory(prefix="abuse-") as folder:
        token = pathlib.Path(folder) / "token"
        token.write_text("emulator-ace-token", encoding="ascii")
        settings = SETTINGS.format(url=url, token=token, places=PLACES)
        with House(arguments.binary, settings=settings) as house:
            quiet, _ = load(house, CAPACITY // 2, arguments.seconds, 0)
            busy, asked = load(house, CAPACITY * TIMES, arguments.seconds, 1_000_000)
    unloaded = percentile(quiet["grpc 0"], 0.99)
    accepted = percentile(busy["grpc 0"], 0.99) if busy["grpc 0"] else float("inf")
    refused = busy["grpc 14 OVERLOADED"]
    refused_p99 = percentile(refused, 0.99) if refused else 0.0
    bar = 2 * unloaded + 50
    print(f"overload: capacity {CAPACITY} a second, asked {CAPACITY * TIMES}: {len(busy['grpc 0'])} of {asked} accepted, p99 {accepted:.0f} ms "
          f"(unloaded {unloaded:.0f} ms, bar {bar:.0f} ms), {len(refused)} got OVERLOADED, p99 {refused_p99:.0f} ms")
    wrong = [f"p99 {accepted:.0f} ms"] if accepted >= bar else []
    wrong += [f"{status}: {len(times)}" for status, times in busy.items() if status not in ("grpc 0", "grpc 14 OVERLOADED") and times]
    wrong += ["nobody was refused"] if not refused else []
    wrong += ["half of the capacity is not used"] if len(busy["grpc 0"]) < CAPACITY * arguments.seconds / 2 else []
    wrong += ["the quiet load was refused"] if len(quiet) > 2 and any(quiet[status] for status in quiet if status != "grpc 0") else []
    print(f"overload: {'FAILED: ' + '; '.join(wrong) if wrong else 'ok'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
