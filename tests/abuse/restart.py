#!/usr/bin/env python3
"""Three replicas are restarted one after the other under load; a client spreads its calls over them.

The client is gRPC's own for Python with `round_robin` and no retry policy: what it may send again is
only what it knows to be untouched. Not one call may fail.
"""

import argparse
import collections
import sys
import threading
import time

import grpc

from caller import VERIFY, question
from house import HOST, House

REPLICAS = 3
RATE = 200
DRAIN_DELAY_MS = 500


class Fleet:
    """Replicas, each on a port that it keeps."""

    def __init__(self, binary):
        self.binary = binary
        self.houses = [self._start() for _ in range(REPLICAS)]

    def _start(self, port=0):
        return House(self.binary, server=f"drain_delay_ms = {DRAIN_DELAY_MS}\n", port=port)

    def restart(self, number):
        """Ends a replica as a rolling update does, and puts another in its place."""
        old = self.houses[number]
        code = old.stop()
        port = old.port
        old.kill()
        self.houses[number] = self._start(port)
        return code

    def kill(self):
        """Ends all."""
        for house in self.houses:
            house.kill()


class Load:
    """A steady stream of calls."""

    def __init__(self, target):
        options = [("grpc.lb_policy_name", "round_robin"),
                   # a list of addresses makes no host name
                   ("grpc.default_authority", "localhost"),
                   ("grpc.initial_reconnect_backoff_ms", 100),
                   ("grpc.min_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]
        self.channel = grpc.insecure_channel(target, options=options)
        self.call = self.channel.unary_unary(VERIFY, request_serializer=bytes, response_deserializer=bytes)
        self.over = threading.Event()
        self.ends = collections.Counter()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        message = question()[5:]
        begun, number, under_way = time.monotonic(), 0, []
        while not self.over.is_set():
            under_way.append(self.call.future(message, timeout=10))
            number += 1
            time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
            while under_way and under_way[0].done():
                self._note(under_way.pop(0))
        for future in under_way:
            self._note(future)

    def _note(self, future):
        error = future.exception()
        self.ends["answered" if error is None else f"{error.code().name}: {error.details()}"] += 1

    def __enter__(self):
        grpc.channel_ready_future(self.channel).result(timeout=20)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.channel.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/cardproof")
    parser.add_argument("--rounds", type=int, default=1, help="how often each replica is restarted")
    arguments = parser.parse_args()
    fleet = Fleet(arguments.binary)
    codes = []
    began = time.monotonic()
    try:
        target = "ipv4:" + ",".join(f"{HOST}:{house.port}" for house in fleet.houses)
        with Load(target) as load:
            time.sleep(1)
            for number in list(range(REPLICAS)) * arguments.rounds:
                codes.append(fleet.restart(number))
                # until the client has found it again; a rolling update waits for readiness as well
                time.sleep(1)
        served = [house.answered() for house in fleet.houses]
    finally:
        fleet.kill()
    failed = sum(load.ends.values()) - load.ends["answered"]
    print(f"restart: {len(codes)} restarts in {time.monotonic() - began:.1f} s, {load.ends['answered']} calls answered, {failed} failed")
    for end, count in load.ends.items():
        if end != "answered":
            print(f"  {count} × {end}")
    wrong = failed or any(codes) or load.ends["answered"] < RATE
    if not all(served):
        print("restart: a replica got no call after it was back")
        wrong = True
    print(f"restart: {'FAILED' if wrong else 'ok'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
