"""Processes under measurement: started on a core of their own, ended whatever happens."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from serving import HOST, free_ports, is_serving, speaks_http2  # noqa: E402  (the folder must be known first)

SERVER_CORE, LOAD_CORE = 0, 1
PATIENCE_S = 30
TICKS = os.sysconf("SC_CLK_TCK")


class NotMeasured(Exception):
    """A figure could not be taken; the text says why."""


def tool(name):
    """The path of a tool that scripts/tool knows, installed if it is missing."""
    done = subprocess.run([ROOT / "scripts/tool", name], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotMeasured(f"{name} is missing and could not be installed:\n{done.stderr}")
    return done.stdout.strip()


def on_core(core, command):
    """The command, bound to one core (of a machine with fewer, to the last); None: to none."""
    if core is None:
        return [str(part) for part in command]
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[min(core, len(cores) - 1)]), *map(str, command)]


class Process:
    """A server under measurement."""

    def __init__(self, name, command, port, environment=None, core=SERVER_CORE):
        self.name, self.port = name, port
        self.log = tempfile.TemporaryFile()
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("CARDPROOF", "OTEL_"))}
        self.process = subprocess.Popen(
            on_core(core, command), cwd="/", env=clean | (environment or {}),
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
        )

    def output(self):
        """The end of what it printed."""
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")[-2000:]

    def wait_until(self, ready, *arguments, patience=PATIENCE_S):
        """Waits until a check of serving.py holds."""
        deadline = time.monotonic() + patience
        while not ready(*arguments):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise NotMeasured(f"{self.name} does not serve:\n{self.output()}")
            time.sleep(0.02)
        return self

    def cpu_seconds(self):
        """CPU time so far, in nanosecond steps where the kernel tells, of all threads."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
        if total:
            return total / 1e9
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_bytes(self):
        """Resident memory as the kernel counts it."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise NotMeasured("the kernel tells no resident memory")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # killed, not asked: how long a graceful end takes is not the question here
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()


def cardproof(config, folder, binary=None, environment=None, core=SERVER_CORE):
    """A running service with a configuration, given without its two addresses."""
    grpc, admin = free_ports(2)
    file = pathlib.Path(folder) / f"cardproof-{grpc}.toml"
    file.write_text(config.format(listen=f"{HOST}:{grpc}", admin_listen=f"{HOST}:{admin}"), encoding="utf-8")
    binary = binary or os.environ.get("CARDPROOF_BINARY") or ROOT / "target/release/cardproof"
    process = Process("cardproof", [binary, "serve", "--config", file], grpc, environment, core)
    process.admin = admin
    return process.wait_until(is_serving, grpc, admin)


def peer(name, command, environment=None, core=SERVER_CORE):
    """A running server that does nothing; `{port}` in its command is where it listens."""
    [port] = free_ports(1)
    process = Process(name, [str(part).replace("{port}", str(port)) for part in command], port, environment, core)
    return process.wait_until(speaks_http2, port)


def emulator(folder, core=LOAD_CORE):
    """The vendors' emulator; its url is `process.url`."""
    [port] = free_ports(1)
    binary = ROOT / "target/release/cardproof-emulator"
    process = Process("emulator", [binary, "--listen", f"{HOST}:{port}", "--quiet"], port, core=core)
    process.url = f"http://{HOST}:{port}"

    def answers(port):
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return True
        return False

    return process.wait_until(answers, port)


def load(mode, process, *options, core=LOAD_CORE):
    """Runs the generator of load against a server; what it reports."""
    command = [ROOT / "target/release/load", mode, "--to", f"{HOST}:{process.port}", *options]
    done = subprocess.run(on_core(core, command), capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode != 0:
        raise NotMeasured(f"load {mode} against {process.name}: {done.stderr.strip()}\n{process.output()}")
    report = json.loads(done.stdout)
    if report["failed"]:
        raise NotMeasured(f"{report['failed']} of {report['requests']} calls of load {mode} against {process.name} failed")
    return report
