"""The other caller, whom an attack must not touch: a steady load by h2load, and newcomers."""

import base64
import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import h2.config
import h2.connection
import h2.events

from house import GOOD_CARD

VERIFY = "/bankcard.v1.BankCardService/VerifyBankCard"
HEALTH = "/grpc.health.v1.Health/Check"


def text_field(number, text):
    """A protobuf field of a text or of bytes."""
    raw = text if isinstance(text, bytes) else text.encode()
    length, size = b"", len(raw)
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + raw


def framed(message, compressed=0):
    """A message as gRPC frames it."""
    return bytes([compressed]) + len(message).to_bytes(4, "big") + message


def question(card=GOOD_CARD, name="张三"):
    """A verification by two factors, framed."""
    return framed(text_field(1, card) + text_field(2, name))


def _fields(message):
    """The fields of a protobuf message that are bytes, as pairs of number and value."""
    at = 0

    def number():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 0:
            number()
            continue
        if key & 7 != 2:
            raise ValueError("no field of a status")
        length = number()
        yield key >> 3, message[at:at + length]
        at += length


def reasons_of(details):
    """The reasons in a `grpc-status-details-bin`: of each `google.rpc.ErrorInfo` of our domain."""
    status = base64.b64decode(details + "=" * (-len(details) % 4))
    found = []
    for detail in (dict(_fields(value)) for number, value in _fields(status) if number == 3):
        if detail[1].endswith(b"/google.rpc.ErrorInfo"):
            info = dict(_fields(detail[2]))
            if info[2] == b"cardproof":
                found.append(info[1].decode())
    return found


def connected(address, timeout=5.0):
    """A socket to the service, after the handshake where it speaks TLS."""
    stream = socket.create_connection(address, timeout=timeout)
    certificate = getattr(address, "certificate", None)
    if certificate:
        context = ssl.create_default_context(cafile=certificate)
        context.set_alpn_protocols(["h2"])
        try:
            stream = context.wrap_socket(stream, server_hostname="localhost")
        except BaseException:
            stream.close()
            raise
    return stream


def percentile(values, share):
    """The smallest value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Steady:
    """A caller with several connections that asks a fixed number of questions each second."""

    def __init__(self, h2load, house, seconds, rate=200, connections=4, body=None):
        self.folder = tempfile.TemporaryDirectory(prefix="abuse-caller-")
        folder = pathlib.Path(self.folder.name)
        (folder / "body").write_bytes(body or question())
        self.log = folder / "log"
        scheme = "https" if house.certificate else "http"
        self.process = subprocess.Popen(
            [h2load, f"--rps={rate / connections:.3f}", f"--clients={connections}", "--max-concurrent-streams=100",
             f"--duration={seconds * 1000:.0f}ms", f"--log-file={self.log}", f"--data={folder / 'body'}",
             "--header=content-type: application/grpc", "--header=te: trailers",
             f"{scheme}://{house.address[0]}:{house.port}{VERIFY}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={"PATH": os.environ["PATH"]},
        )

    def finish(self):
        """Waits for its end; the milliseconds that each answer took."""
        said, _ = self.process.communicate(timeout=120)
        # h2load that fails at once writes no log
        written = self.log.read_text(encoding="ascii") if self.log.exists() else ""
        rows = [row.split("\t") for row in written.splitlines()]
        self.folder.cleanup()
        if self.process.returncode != 0 or not rows:
            raise SystemExit(f"abuse: h2load failed:\n{said}")
        refused = sum(row[1] != "200" for row in rows)
        return [int(row[2]) / 1000 for row in rows], refused

    def kill(self):
        """Ends it at once."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def ask_once(address, path=HEALTH, body=framed(b""), timeout=5.0):
    """One call on a connection of its own; the code of its gRPC status."""
    with connected(address, timeout) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        http2.initiate_connection()
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
                   ("content-type", "application/grpc"), ("te", "trailers")]
        http2.send_headers(1, headers)
        http2.send_data(1, body, end_stream=True)
        stream.sendall(http2.data_to_send())
        while True:
            data = stream.recv(65536)
            if not data:
                raise OSError("the connection was closed without an answer")
            for event in http2.receive_data(data):
                if isinstance(event, (h2.events.TrailersReceived, h2.events.ResponseReceived)):
                    for name, value in event.headers:
                        if name == "grpc-status":
                            return int(value)
                if isinstance(event, h2.events.StreamReset):
                    raise OSError(f"the call was reset with code {event.error_code}")
            stream.sendall(http2.data_to_send())


class Newcomers(threading.Thread):
    """Somebody new, ten times a second: connects, asks once, goes."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.took_ms = []
        self.failed = []
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.1):
            begun = time.monotonic()
            try:
                code = ask_once(self.address)
                if code != 0:
                    self.failed.append(f"code {code}")
            except OSError as error:
                self.failed.append(str(error))
            self.took_ms.append((time.monotonic() - begun) * 1000)

    def finish(self):
        """Ends; the milliseconds that each took, and what went wrong."""
        self.over.set()
        self.join()
        return self.took_ms, self.failed
