#!/usr/bin/env python3
"""What the service holds at once, and what that costs: idle connections, and calls that wait.

    held.py idle      10,000 connections after TLS and the exchange of SETTINGS, and 1,000 calls a second beside them
    held.py waiting   50,000 calls that wait for a place at a vendor
"""

import argparse
import contextlib
import multiprocessing
import os
import socket
import ssl
import sys
import time

from caller import Steady, framed, percentile, text_field
from house import SLOW_CARD, House, raise_descriptor_limit
from peer import PREFACE, Peer, raw, settings

IDLE = 10_000
IDLE_RATE = 1_000
IDLE_BAR_BYTES = 400_000_000
WAITING = 50_000
WAITING_BAR_BYTES = 500_000_000
STREAMS = 250
# of the calls beside ten thousand idle connections
P99_BAR_MS = 50


def _idle_connections(address, certificate, count, pipe):
    """Makes the connections, tells so, holds them until told to let go."""
    context = ssl.create_default_context(cafile=certificate)
    context.set_alpn_protocols(["h2"])
    streams = []
    for number in range(count):
        # an address of its own for each few thousand, so that ports do not run out
        stream = socket.create_connection(address, timeout=20, source_address=(f"127.0.0.{2 + number // 4000}", 0))
        stream = context.wrap_socket(stream, server_hostname="localhost")
        stream.sendall(PREFACE + settings() + settings(ack=True))
        greeting = b""
        while len(greeting) < 9 or len(greeting) < 9 + int.from_bytes(greeting[:3], "big"):
            greeting += stream.recv(4096)
        if greeting[3] != 4:
            raise SystemExit("held: the server did not begin with SETTINGS")
        streams.append(stream)
    pipe.send(len(streams))
    pipe.recv()
    # none was ended in the meantime
    gone = 0
    for stream in streams:
        stream.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError):
            gone += stream.recv(4096) == b""
    pipe.send(gone)
    os._exit(0)


def idle(binary, h2load, count, seconds):
    """Memory with idle connections, and how soon others are answered."""
    with House(binary, tls=True) as house:
        ours, theirs = multiprocessing.Pipe()
        holder = multiprocessing.Process(target=_idle_connections, args=(house.address, str(house.certificate), count, theirs))
        began = time.monotonic()
        holder.start()
        try:
            if not ours.poll(300):
                raise SystemExit("held: the connections could not be made")
            held = ours.recv()
            print(f"held: {held} connections made in {time.monotonic() - began:.1f} s", flush=True)
            before = house.answered()
            steady = Steady(h2load, house, seconds, rate=IDLE_RATE, connections=10)
            took, refused = steady.finish()
            rate = (house.answered() - before) / seconds
            resident, open_ones = house.peak_bytes(), house.status()["connections"]["open"]
            ours.send("let go")
            gone = ours.recv()
        finally:
            holder.kill()
            holder.join()
        p99 = percentile(took, 0.99)
        print(f"held: {open_ones} idle connections in {resident / 1e6:.0f} MB ({resident / count / 1e3:.1f} kB each), beside them "
              f"{rate:.0f} calls a second answered, p99 {p99:.1f} ms", flush=True)
        wrong = []
        wrong += [f"{open_ones} connections, not {count}"] if open_ones < count or gone else []
        wrong += [f"{resident / 1e6:.0f} MB"] if resident >= IDLE_BAR_BYTES else []
        wrong += [f"only {rate:.0f} calls a second"] if rate < 0.97 * IDLE_RATE or refused else []
        wrong += [f"p99 {p99:.1f} ms"] if p99 >= P99_BAR_MS else []
        return wrong


def waiting(binary, count):
    """Memory with calls that wait until a vendor has a place for them."""
    # the sandbox takes three seconds for this card and has sixty-four places: all others wait
    with House(binary, server="max_deadline_ms = 60000\nmax_queue_ms = 60000") as house:
        peers = []
        for number in range(0, count, STREAMS):
            peer = Peer(house.address)
            burst = b""
            for at in range(number, min(number + STREAMS, count)):
                # each asks something else: nobody waits for somebody else's answer
                body = framed(text_field(1, SLOW_CARD) + text_field(2, name_of(at)))
                stream = peer.stream_id()
                burst += peer.headers(stream) + raw(0, 1, stream, body)
            peer.send(burst)
            peers.append(peer)
        until, inside = time.monotonic() + 30, 0
        while inside < count * 0.98 and time.monotonic() < until:
            time.sleep(0.1)
            inside = house.status()["calls"]["in_flight"]
        resident = house.resident_bytes()
        for peer in peers:
            peer.close()
        # who has gone is not worked for
        while house.status()["calls"]["in_flight"] and time.monotonic() < until:
            time.sleep(0.1)
        left = house.status()["calls"]["in_flight"]
        print(f"held: {inside} calls wait in {resident / 1e6:.0f} MB ({resident / max(inside, 1) / 1e3:.1f} kB each)", flush=True)
        wrong = [f"only {inside} calls at once"] if inside < count * 0.98 else []
        wrong += [f"{resident / 1e6:.0f} MB"] if resident >= WAITING_BAR_BYTES else []
        wrong += [f"{left} calls left when all callers had gone"] if left else []
        return wrong


def name_of(number):
    """A name of three letters for a number."""
    return "".join(chr(0x4E00 + number // 100**place % 100) for place in range(3))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["idle", "waiting"])
    parser.add_argument("--binary", default="target/release/cardproof")
    parser.add_argument("--h2load", default="h2load")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--count", type=int)
    arguments = parser.parse_args()
    raise_descriptor_limit()
    multiprocessing.set_start_method("spawn")
    if arguments.what == "idle":
        wrong = idle(arguments.binary, arguments.h2load, arguments.count or IDLE, arguments.seconds)
    else:
        wrong = waiting(arguments.binary, arguments.count or WAITING)
    print(f"held: {'FAILED: ' + '; '.join(wrong) if wrong else 'ok'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
