"""The service under test: started, looked at from outside, and ended."""

import contextlib
import http.client
import json
import os
import pathlib
import resource
import signal
import subprocess
import tempfile
import time

HOST = "127.0.0.1"
START_S = 20
POLL_S = 0.02
# 10,000 connections, in each of the two processes that hold an end of them
DESCRIPTORS = 12_000

# A card of the sandbox that matches at once, and one whose answer takes three seconds.
GOOD_CARD = "6200000100000012"
SLOW_CARD = "6200000300000010"


def raise_descriptor_limit():
    """Takes as many descriptors as this suite needs, for itself and for what it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if wanted < DESCRIPTORS:
        raise SystemExit(f"abuse: {DESCRIPTORS} descriptors are needed, the hard limit is {hard}: ulimit -Hn {DESCRIPTORS}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def make_certificate(folder):
    """A certificate for loopback that signs itself; the paths of it and of its key."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )
    return certificate, key


class Address(tuple):
    """Host and port, and the certificate of who speaks TLS there."""

    certificate = None


class House:
    """One run of the program on ports that the system chooses."""

    def __init__(self, binary, settings="", server="", tls=False, port=0):
        self.folder = tempfile.TemporaryDirectory(prefix="abuse-")
        folder = pathlib.Path(self.folder.name)
        text = f"[server]\nlisten = \"{HOST}:{port}\"\nadmin_listen = \"{HOST}:0\"\n{server}\n"
        self.certificate = None
        if tls:
            self.certificate, key = make_certificate(folder)
            text += f"[server.tls]\ncert_file = \"{self.certificate}\"\nkey_file = \"{key}\"\n"
        text += f"{settings}\n[telemetry]\nlog_format = \"json\"\n"
        (folder / "cardproof.toml").write_text(text, encoding="utf-8")
        self.log = folder / "log"
        variables = {key: value for key, value in os.environ.items() if not key.startswith("CARDPROOF")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [binary, "serve", "--config", str(folder / "cardproof.toml")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=variables,
            )
        self.pid = self.process.pid
        try:
            self.port, self.admin = self._ports()
        except BaseException:
            self.kill()
            raise

    def _ports(self):
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            for line in self.printed().splitlines():
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    if said.get("message") == "serving":
                        return tuple(int(said[name].rpartition(":")[2]) for name in ("grpc", "admin"))
            if self.process.poll() is not None:
                break
            time.sleep(POLL_S)
        raise SystemExit(f"abuse: the service did not start:\n{self.printed()}")

    @property
    def address(self):
        """Where gRPC is served."""
        address = Address((HOST, self.port))
        if self.certificate:
            address.certificate = str(self.certificate)
        return address

    def printed(self):
        """All that it has written."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """Ends it at once."""
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def stop(self):
        """Asks it to stop, and waits for its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    # what the operating system says about it

    def _memory(self, name):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise SystemExit(f"abuse: the service has ended:\n{self.printed()[-2000:]}")

    def resident_bytes(self):
        """Resident memory now."""
        return self._memory("VmRSS")

    def peak_bytes(self):
        """The most resident memory since the last call of `forget_peak`."""
        return self._memory("VmHWM")

    def forget_peak(self):
        """Begins to watch the peak anew."""
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")

    def descriptors(self):
        """Open descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self):
        """Threads, without those that wait a while for further work that blocks."""
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def processor_s(self):
        """Processor time that it has used."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # what it says about itself

    def page(self, path):
        """A page of the admin port."""
        connection = http.client.HTTPConnection(HOST, self.admin, timeout=10)
        try:
            connection.request("GET", path, headers={"connection": "close"})
            return connection.getresponse().read().decode("utf-8")
        finally:
            connection.close()

    def status(self):
        """Its status."""
        return json.loads(self.page("/status"))

    def tasks(self):
        """Connections, calls and vendor calls that it holds: what it runs a task for."""
        status = self.status()
        return status["connections"]["open"] + status["calls"]["in_flight"] + status["calls"]["at_vendors"]

    def answered(self):
        """Calls that were answered with OK since the start."""
        wanted = 'rpc_server_call_duration_seconds_count{'
        lines = (line for line in self.page("/metrics").splitlines() if line.startswith(wanted))
        return sum(float(line.rpartition(" ")[2]) for line in lines if '"OK"' in line)
