"""Attacks by form: messages, heads and frames that are not what they should be, and slow ones."""

import gzip
import socket
import ssl
import time

from caller import connected, framed, question, text_field
from peer import PREFACE, Peer, raw, request, settings

MAX_MESSAGE_BYTES = 65_536
WINDOW_BYTES = 131_072
# what a socket says that has nothing to say just now
WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def _rounds(address, seconds, seen, act):
    until = time.monotonic() + seconds
    peer = None
    while time.monotonic() < until:
        if peer is None or not peer.is_open:
            peer = Peer(address, None, seen)
            seen["connections"] += 1
        act(peer)
        peer.look(0.02)
    if peer is not None:
        peer.look(0.5)
        peer.close()


def _in_pieces(stream, body):
    """DATA frames of the usual greatest size, of which the last ends the stream."""
    pieces = [body[at:at + 16_384] for at in range(0, len(body), 16_384)]
    last = len(pieces) - 1
    return b"".join(raw(0, 0x1 if number == last else 0, stream, piece) for number, piece in enumerate(pieces))


def oversize_messages(address, seconds, seen):
    """Messages beyond the limit, told and sent, or only told."""
    long = framed(text_field(2, "a" * MAX_MESSAGE_BYTES))
    lie = b"\x00\xff\xff\xff\xff" + b"a" * 16_000

    def act(peer):
        for body in (long, lie):
            stream = peer.stream_id()
            peer.send(peer.headers(stream) + _in_pieces(stream, body))
            seen["attacks"] += 1

    _rounds(address, seconds, seen, act)


def endless_messages(address, seconds, seen):
    """Bodies without an end, as fast as the window lets them through: of one message, and of bytes after one."""
    beginnings = {"one message": b"\x00\xff\xff\xff\xff", "bytes after one": b"\x00\x00\x00\xff\xff"}

    def act(peer):
        for kind, beginning in beginnings.items():
            stream = peer.stream_id()
            peer.send(peer.headers(stream) + raw(0, 0, stream, beginning + b"a" * 16_000))
            for _ in range(WINDOW_BYTES // 16_384 - 1):
                peer.send(raw(0, 0, stream, b"a" * 16_384))
                seen["attacks"] += 1
            peer.look(0.02)
            seen[f"refused: {kind}"] += peer.reasons.get(stream) == "FACTORS_INVALID"

    _rounds(address, seconds, seen, act)


def compression_bombs(address, seconds, seen):
    """A few kilobytes that unpack to sixty-four megabytes."""
    bomb = framed(gzip.compress(text_field(2, bytes(64 * 1024 * 1024))), compressed=1)
    small = framed(gzip.compress(question()[5:]), compressed=1)

    def act(peer):
        for body in (bomb[:60_000], small):
            fields = request(extra=[("grpc-encoding", "gzip"), ("grpc-accept-encoding", "gzip")])
            stream = peer.stream_id()
            peer.send(peer.headers(stream, fields) + _in_pieces(stream, body))
            seen["attacks"] += 1

    _rounds(address, seconds, seen, act)


def wrong_content_types(address, seconds, seen):
    """Calls that say to be something else, or of no method that there is."""
    kinds = ["application/json", "text/html", "", "application/grp", "multipart/form-data", "application/x-protobuf"]

    def act(peer):
        for kind in kinds:
            peer.call(question(), request(content_type=kind))
            seen["attacks"] += 1
        without = [field for field in request() if field[0] != "content-type"]
        peer.call(question(), without)
        peer.call(question(), request(path="/nothing.v1.Such/Method"))

    _rounds(address, seconds, seen, act)


def truncated_frames(address, seconds, seen):
    """Messages and frames that stop in their middle."""
    whole = question()

    def act(peer):
        for cut in (0, 1, 4, 5, len(whole) - 1):
            peer.call(whole[:cut])
            seen["attacks"] += 1
        # a frame of HTTP/2 that promises more, and then the end of the connection
        other = Peer(address, None, seen)
        stream = other.stream_id()
        head = other.headers(stream)
        other.send(head[: len(head) // 2] if peer.next_stream % 4 == 1 else head + b"\x00\x40\x00\x00\x01\x00\x00\x00\x01abc")
        other.close()
        seen["attacks"] += 1

    _rounds(address, seconds, seen, act)


def invalid_text(address, seconds, seen):
    """Bytes that are no UTF-8 where text is expected: in messages, values and names of headers."""
    bad = b"\xff\xfe\xc0\xaf\xed\xa0\x80"

    def act(peer):
        for number in (1, 2, 3, 4, 7, 8, 9):
            peer.call(framed(text_field(number, bad)))
            seen["attacks"] += 1
        # a value may hold them, and the call goes on
        peer.call(question(), [*request(), (b"x-odd", b"caf\xe9 " + bad)])
        for name in (b"X-Upper", b"x bad", b"x\x00zero", bad):
            other = Peer(address, None, seen)
            other.call(question(), [*request(), (name, b"value")])
            other.look(0.02)
            other.close()
            seen["attacks"] += 1

    _rounds(address, seconds, seen, act)


class _Trickle:
    """A socket that gets one byte after the other of something, and then nothing."""

    def __init__(self, address, first, rest, hello=False, connect=None):
        self.peer = Peer(address) if hello else None
        if hello:
            self.stream = self.peer.stream
        else:
            self.stream = (connect or connected)(address)
        self.stream.setblocking(False)
        self.rest = rest
        self._send(first)

    def _send(self, data):
        try:
            self.stream.send(data)
        except WAITS:
            pass

    def step(self):
        """Sends the next byte; false once the server has ended it."""
        try:
            said = self.stream.recv(65536)
            if said == b"":
                return False
            if self.peer:
                self.peer.take(said)
        except WAITS:
            pass
        except OSError:
            return False
        try:
            self._send(self.rest[:1])
        except OSError:
            return False
        self.rest = self.rest[1:]
        return True


def _trickle(kinds, seconds, seen):
    """Sixty of each kind, each sending a byte a second; how many the server ended is noted."""
    open_ones = {kind: [make() for _ in range(60)] for kind, make in kinds.items()}
    seen["connections"] = sum(map(len, open_ones.values()))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for kind, loris in open_ones.items():
            left = [one for one in loris if one.step()]
            seen[f"ended: {kind}"] += len(loris) - len(left)
            open_ones[kind] = left
        time.sleep(0.95)
    for kind, loris in open_ones.items():
        seen[f"all ended: {kind}"] = int(not loris)
        # DEADLINE_EXCEEDED, each once
        seen[f"all told: {kind}"] = int(bool(loris) and all(one.peer and one.peer.seen["grpc 4"] for one in loris))
        for one in loris:
            one.stream.close()


def slow_loris(address, seconds, seen):
    """Hundreds that say hello, their headers or their message one byte a second, or nothing at all.

    Those that have not said hello must be ended by the server; so must the calls, at their deadline.
    """
    probe = Peer(address)
    head = probe.headers(1)
    probe.close()
    body = question()
    hello = PREFACE + settings()
    kinds = {
        "silent": lambda: _Trickle(address, b"", b""),
        "preface": lambda: _Trickle(address, hello[:5], hello[5:24]),
        "settings": lambda: _Trickle(address, hello[:-4], b""),
        "headers": lambda: _Trickle(address, head[:12], head[12:], hello=True),
        "body": lambda: _Trickle(address, head + raw(0, 0, 1, body[:3]), b"", hello=True),
        "many data": lambda: _Trickle(address, head, raw(0, 0, 1, body[:1]) * 9, hello=True),
    }
    _trickle(kinds, seconds, seen)


def half_open(address, seconds, seen):
    """Peers of which one half is gone: they have said that they send nothing more, or hear nothing."""
    streams = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if len(streams) < 600:
            for hello in (b"", PREFACE[:10], PREFACE + settings()):
                stream = connected(address)
                stream.sendall(hello)
                # a FIN, and yet the socket stays
                stream.shutdown(socket.SHUT_WR)
                streams.append(stream)
                seen["connections"] += 1
        time.sleep(0.005)
    # each was ended by the server, which read the end of what there is to read
    for stream in streams:
        stream.settimeout(0.5)
        try:
            while stream.recv(65536):
                pass
            seen["ended"] += 1
        except TimeoutError:
            seen["still open"] += 1
        except OSError:
            seen["ended"] += 1
        stream.close()
        if seen["still open"] >= 5:
            # enough is known
            break


def client_hello():
    """The first words of a TLS handshake, as OpenSSL says them."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2"])
    outgoing = ssl.MemoryBIO()
    half = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    try:
        half.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise SystemExit("abuse: a handshake that needs no answer")


def stalled_handshakes(address, seconds, seen):
    """Handshakes that stop at each stage, or go on a byte a second. All must be ended by the server."""
    plain = lambda to: socket.create_connection(to, timeout=5)  # noqa: E731
    hello = client_hello()
    # a record that says nothing of its own, before the keys are exchanged
    change = b"\x14\x03\x03\x00\x01\x01"
    kinds = {
        "no word": lambda: _Trickle(address, b"", b"", connect=plain),
        "hello in bytes": lambda: _Trickle(address, hello[:3], hello[3:], connect=plain),
        "half a hello": lambda: _Trickle(address, hello[: len(hello) // 2], b"", connect=plain),
        "no key": lambda: _Trickle(address, hello, b"", connect=plain),
        "no key, in records": lambda: _Trickle(address, hello, change * 3, connect=plain),
    }
    _trickle(kinds, seconds, seen)


def handshake_flood(address, seconds, seen):
    """Handshakes that make the server sign, and are left at once."""
    hello = client_hello()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with socket.create_connection(address, timeout=1) as stream:
                stream.sendall(hello)
                seen["answered"] += stream.recv(1) == b"\x16"
            seen["attacks"] += 1
        except OSError:
            seen["refused"] += 1
