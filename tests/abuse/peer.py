"""A peer that speaks HTTP/2 frame by frame, and may do with each what it likes.

What `h2` refuses to send is put together from `hyperframe` and `hpack`; sane calls are `h2`'s, in caller.py.
"""

import collections
import contextlib
import select
import ssl
import time

import hpack
from hyperframe import frame as frames

from caller import VERIFY, connected, reasons_of

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SEND_S = 1.0


def settings(values=None, ack=False):
    """A SETTINGS frame; keys are the numbers of RFC 9113."""
    frame = frames.SettingsFrame(0, settings=values or {}, flags=("ACK",) if ack else ())
    return frame.serialize()


def raw(kind, flags, stream, payload):
    """A frame of any kind, however wrong."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def request(path=VERIFY, content_type="application/grpc", extra=()):
    """The head of a call, as a list of headers."""
    return [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
            ("content-type", content_type), ("te", "trailers"), *extra]


class Peer:
    """A connection that has said hello."""

    def __init__(self, address, hello=None, seen=None):
        self.seen = collections.Counter() if seen is None else seen
        self.stream = connected(address)
        self.stream.settimeout(SEND_S)
        self.encoder = hpack.Encoder()
        # indices of an attacker's own making need a table that never changes
        self.encoder.header_table_size = 0
        self.received = b""
        self.statuses = {}
        self.reasons = {}
        self.decoder = hpack.Decoder()
        self.is_open = True
        self.next_stream = 1
        self.send(PREFACE + settings(hello))
        self.wait_for(lambda: self.seen["settings"], 5)

    def send(self, data):
        """Sends; a peer that is closed or does not read is noticed."""
        if not self.is_open:
            return False
        try:
            self.stream.sendall(data)
        except TimeoutError:
            self.seen["backpressure"] += 1
            return False
        except OSError:
            self._closed("reset")
            return False
        return True

    def stream_id(self):
        """The number of a new stream."""
        number = self.next_stream
        self.next_stream += 2
        return number

    def headers(self, stream, fields=None, flags=0x4):
        """A HEADERS frame."""
        return raw(1, flags, stream, self.encoder.encode(fields or request(), huffman=False))

    def call(self, body, fields=None):
        """A whole call; the number of its stream."""
        stream = self.stream_id()
        self.send(self.headers(stream, fields) + raw(0, 0x1, stream, body))
        return stream

    def look(self, seconds=0.0):
        """Takes what has come within that time and notes it."""
        until = time.monotonic() + seconds
        while self.is_open:
            left = max(0.0, until - time.monotonic())
            pending = isinstance(self.stream, ssl.SSLSocket) and self.stream.pending()
            if not pending and not select.select([self.stream], [], [], left)[0]:
                return
            try:
                data = self.stream.recv(262_144)
            except (TimeoutError, ssl.SSLWantReadError):
                return
            except OSError:
                self._closed("reset")
                return
            if not data:
                self._closed("closed")
                return
            self.take(data)
            if seconds == 0.0:
                return

    def wait_for(self, condition, seconds):
        """Looks until something is so, the connection ends or the time is over."""
        until = time.monotonic() + seconds
        while self.is_open and not condition() and time.monotonic() < until:
            self.look(0.05)
        return condition()

    def take(self, data):
        """Notes what has come."""
        self.received += data
        while len(self.received) >= 9:
            length = int.from_bytes(self.received[:3], "big")
            if len(self.received) < 9 + length:
                return
            kind, flags = self.received[3], self.received[4]
            stream = int.from_bytes(self.received[5:9], "big") & 0x7FFF_FFFF
            payload, self.received = self.received[9:9 + length], self.received[9 + length:]
            self._note(kind, flags, stream, payload)

    def _note(self, kind, flags, stream, payload):
        if kind == 4:
            self.seen["settings ack" if flags & 1 else "settings"] += 1
        elif kind == 6:
            self.seen["ping"] += 1
        elif kind == 7:
            self.seen[f"goaway {int.from_bytes(payload[4:8], 'big')}"] += 1
        elif kind == 3:
            self.seen[f"reset {int.from_bytes(payload, 'big')}"] += 1
            self.statuses[stream] = "reset"
        elif kind == 1:
            self._note_headers(stream, payload)

    def _note_headers(self, stream, payload):
        with contextlib.suppress(hpack.HPACKError):
            fields = dict(self.decoder.decode(payload))
            if fields.get(":status", "200") != "200":
                self._ended(stream, f"http {fields[':status']}")
            if "grpc-status" in fields:
                self._ended(stream, f"grpc {fields['grpc-status']}")
                if fields["grpc-status"] != "0":
                    self._note_reason(stream, fields.get("grpc-status-details-bin"))

    def _ended(self, stream, word):
        self.seen[word] += 1
        self.statuses[stream] = word

    def _note_reason(self, stream, details):
        reasons = reasons_of(details) if details else []
        if len(reasons) == 1:
            self.reasons[stream] = reasons[0]
            self.seen[f"reason {reasons[0]}"] += 1
        else:
            self.seen["bare error"] += 1

    def _closed(self, how):
        if self.is_open:
            self.is_open = False
            self.seen[how] += 1
            self.seen["cut"] += 1
            self.stream.close()

    def close(self):
        """Goes without a word."""
        self.is_open = False
        self.stream.close()
