"""The service, vendors around it, and calls to it."""

import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import serving

HOST = "127.0.0.1"
BINARY = os.environ["CARDPROOF_BIN"]
EMULATOR = os.environ["EMULATOR_BIN"]
GRPCURL = os.environ["GRPCURL"]
METHOD = "bankcard.v1.BankCardService/VerifyBankCard"

# the emulator's person, and a card of that person's
CARD = "6222020000000000000"
NAME, ID_NUMBER, PHONE = "张三", "11010519491231002X", "13800138000"
# documented numbers of the sandbox: a match at once, and one that takes three seconds
SANDBOX_CARD, SANDBOX_SLOW = "6200000100000012", "6200000300000010"
PERSONAL = [CARD, NAME, ID_NUMBER, PHONE, SANDBOX_CARD, SANDBOX_SLOW]


class Emulator:
    """Plays the vendors."""

    def __init__(self):
        self.process = subprocess.Popen(
            [EMULATOR, "--listen", f"{HOST}:0", "--quiet"], stdout=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        self.url = re.fullmatch(r"listening on (http://\S+)\n", line).group(1)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class BusyVendor:
    """Has no room: 429 to everybody."""

    def __init__(self):
        self.headers = seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                seen.append({name.lower(): value for name, value in self.headers.items()})
                self.rfile.read(int(self.headers["content-length"]))
                body = b'{"error":{"code":"too_many_requests","message":"slow down"}}'
                self.send_response(429)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://{HOST}:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def two_vendors(first, second):
    """Settings for a vendor that has no room, and one that answers."""
    return f"""
[routes]
verify = ["ace", "tencent"]
card_info = ["bin"]
[providers.bin]
kind = "bin"
[providers.ace]
kind = "ace"
endpoint = "{first}"
token = {{ env = "ACE_TOKEN" }}
[providers.tencent]
kind = "tencent"
endpoint = "{second}"
secret_id = {{ env = "TENCENT_SECRET_ID" }}
secret_key = {{ env = "TENCENT_SECRET_KEY" }}
"""


class Service:
    """The running program."""

    def __init__(self, settings="", variables=None):
        self.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.folder.name)
        self.grpc, self.admin = serving.free_ports(2)
        listen = (
            f'[server]\nlisten = "{HOST}:{self.grpc}"\nadmin_listen = "{HOST}:{self.admin}"\n'
            'drain_delay_ms = 0\n[telemetry]\nlog_format = "json"\nlog_requests = "all"\nlog_level = "debug"\n'
        )
        (folder / "cardproof.toml").write_text(listen + settings, encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "CARDPROOF_"))}
        environment |= {
            "ACE_TOKEN": "emulator-ace-token",
            "TENCENT_SECRET_ID": "AKIDEMULATOR",
            "TENCENT_SECRET_KEY": "emulator-tencent-secret",
        }
        self.log_file = folder / "log"
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [BINARY, "serve", "--config", str(folder / "cardproof.toml")],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment | (variables or {}),
            )
        until = time.monotonic() + 30
        while not serving.is_serving(self.grpc, self.admin):
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"does not serve:\n{self.log_text()}")
            time.sleep(0.05)

    def verify(self, question, traceparent=None, headers=(), deadline_s=10):
        """Asks; gives the reply, or the text of the error."""
        given = [("traceparent", traceparent)] if traceparent else []
        options = [part for name, value in [*given, *headers] for part in ("-H", f"{name}: {value}")]
        done = subprocess.run(
            [GRPCURL, "-plaintext", "-max-time", str(deadline_s), *options, "-d", json.dumps(question),
             f"{HOST}:{self.grpc}", METHOD],
            capture_output=True, text=True, check=False,
        )
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    def page(self, path):
        with urllib.request.urlopen(f"http://{HOST}:{self.admin}{path}", timeout=10) as page:
            return page.read().decode()

    def metric(self, series):
        """The value of a series at /metrics; fails when it is not there."""
        lines = self.page("/metrics").splitlines()
        values = [line.rsplit(" ", 1)[1] for line in lines if line.rsplit(" ", 1)[0] == series]
        if len(values) != 1:
            raise AssertionError(f"{series}: {len(values)} times at /metrics")
        return float(values[0])

    def log_text(self):
        return self.log_file.read_text(encoding="utf-8")

    def log(self):
        return [json.loads(line) for line in self.log_text().splitlines()]

    def close(self):
        """Ends it; gives its exit code and how many seconds that took."""
        begun = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(60)
        finally:
            self.process.kill()
            self.folder.cleanup()
        return code, time.monotonic() - begun


def question(card=CARD, **others):
    return {"bankCard": card, "name": NAME, "idNumber": ID_NUMBER} | others
