#!/usr/bin/env python3
"""Peers that are gone without a word: their machine has lost its power, or a firewall has forgotten them.

Everything runs in a network namespace of its own. Its loopback interface is taken down, so that no FIN,
no reset and no acknowledgement ever reaches the service again: the peers have vanished, and only the
HTTP/2 keep-alive can tell. A second crowd stays reachable and merely stands still (SIGSTOP), with answers
that it does not take. Then the interface comes back, and the service must answer as before.
"""

import argparse
import concurrent.futures
import ctypes
import fcntl
import multiprocessing
import os
import signal
import socket
import struct
import sys
import time

from caller import ask_once, question
from house import House
from peer import PREFACE, Peer, settings

VANISHED = 200
# silence until the service asks whether they are there, and the time that it gives them to answer
KEEP_ALIVE_S = 30 + 20
SLACK_S = 6
CLONE_NEWUSER, CLONE_NEWNET = 0x1000_0000, 0x4000_0000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def own_network():
    """Leaves the network of this machine for one of our own."""
    libc = ctypes.CDLL(None, use_errno=True)
    # who is not root may have a network where it is one, unless the system forbids that
    if libc.unshare(CLONE_NEWNET) != 0 and libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        raise SystemExit(f"vanish: no network namespace can be made, run it as root: {os.strerror(ctypes.get_errno())}")
    loopback(True)


def loopback(up):
    """Takes the loopback interface up or down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        flags = flags | IFF_UP if up else flags & ~IFF_UP
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", flags, b""))


def _stand_still(address, pipe):
    """Connects, asks, and waits to be stopped."""
    peers = [Peer(address) for _ in range(VANISHED)]
    for peer in peers:
        peer.call(question())
    pipe.send(len(peers))
    signal.pause()


def until_gone(house, rest, began):
    """Seconds until all the descriptors are given back; None when they are not in time."""
    while time.monotonic() - began < KEEP_ALIVE_S + SLACK_S:
        if house.descriptors() <= rest:
            return time.monotonic() - began
        time.sleep(0.2)
    return None


def vanished(house, rest):
    """What is wrong when the network goes; half of the peers say nothing, half have just asked."""
    peers = [Peer(house.address) for _ in range(VANISHED)]
    for peer in peers[::2]:
        peer.call(question())
        peer.wait_for(lambda peer=peer: peer.seen["grpc 0"] or peer.seen["settings ack"], 5)
    held = house.descriptors() - rest
    began = time.monotonic()
    loopback(False)
    took = until_gone(house, rest, began)
    left = house.descriptors() - rest
    loopback(True)
    for peer in peers:
        peer.stream.close()
    print(f"vanish: {held} connections whose peers vanished: "
          f"{f'all ended after {took:.1f} s' if took else f'{left} are left after {KEEP_ALIVE_S + SLACK_S} s'}", flush=True)
    wrong = [f"{held} connections, not {VANISHED}"] if held < VANISHED else []
    wrong += ["vanished peers are kept"] if took is None else []
    # none may be ended before it was asked: a peer that is merely quiet is welcome
    wrong += [f"ended after {took:.1f} s, before they were asked"] if took and took < 29 else []
    return wrong


def stood_still(house, rest):
    """What is wrong when a process with connections is stopped."""
    ours, theirs = multiprocessing.Pipe()
    crowd = multiprocessing.Process(target=_stand_still, args=(house.address, theirs))
    crowd.start()
    try:
        if not ours.poll(30):
            raise SystemExit("vanish: the crowd did not come")
        ours.recv()
        os.kill(crowd.pid, signal.SIGSTOP)
        held, began = house.descriptors() - rest, time.monotonic()
        took = until_gone(house, rest, began)
    finally:
        crowd.kill()
        crowd.join()
    print(f"vanish: {held} connections whose peers stood still: "
          f"{f'all ended after {took:.1f} s' if took else 'some are left'}", flush=True)
    return (["peers that stand still are kept"] if took is None else []) + ([f"only {held} stood still"] if held < VANISHED else [])


def welcome(house):
    """A peer that is quiet and answers PING stays for longer than that; what is wrong when it does not."""
    with socket.create_connection(house.address, timeout=5) as stream:
        stream.sendall(PREFACE + settings() + settings(ack=True))
        until, stream_bytes = time.monotonic() + KEEP_ALIVE_S + SLACK_S, b""
        pings = 0
        while time.monotonic() < until:
            stream.settimeout(max(0.05, until - time.monotonic()))
            try:
                data = stream.recv(4096)
            except TimeoutError:
                break
            if not data:
                return ["a quiet peer that answers was ended"]
            stream_bytes += data
            while len(stream_bytes) >= 9 and len(stream_bytes) >= 9 + int.from_bytes(stream_bytes[:3], "big"):
                length = int.from_bytes(stream_bytes[:3], "big")
                kind, flags, payload = stream_bytes[3], stream_bytes[4], stream_bytes[9:9 + length]
                stream_bytes = stream_bytes[9 + length:]
                if kind == 6 and not flags & 1:
                    pings += 1
                    stream.sendall(bytes([0, 0, 8, 6, 1, 0, 0, 0, 0]) + payload)
    print(f"vanish: a quiet peer that answered {pings} PING stayed", flush=True)
    return [] if pings else ["nobody asked the quiet peer"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/cardproof")
    arguments = parser.parse_args()
    own_network()
    with House(arguments.binary) as house:
        rest = house.descriptors()
        wrong = vanished(house, rest)
        code = ask_once(house.address)
        wrong += [f"afterwards a newcomer got {code}"] if code else []
        # at once: they wait for the same time
        with concurrent.futures.ThreadPoolExecutor() as both:
            stays = both.submit(welcome, house)
            wrong += stood_still(house, rest + 1)
            wrong += stays.result()
        code = house.stop()
        wrong += [f"the service ended with {code}"] if code else []
    print(f"vanish: {'FAILED: ' + '; '.join(wrong) if wrong else 'ok'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
