"""What a newcomer and an operator feel first: how long the release binary takes from being started to
serving, how much memory it holds when idle, and how large it is.

Serving means that both the admin port and the gRPC port serve, in the sense of serving.py. The clock
starts before the process is made and stops at the later of the two.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from figures import Figure
from machine import ROOT, NotMeasured, Process
from serving import free_ports, is_ready, speaks_http2

# MB is 10^6 bytes throughout, the stricter reading
MB = 1_000_000
STARTS = 20
GIVE_UP_S = 20
IDLE_S = 1
POLL_S = 0.000_5


def start(binary):
    """Starts the binary with its defaults; the process and the moment before it was made."""
    grpc, admin = free_ports(2)
    environment = {"CARDPROOF__SERVER__LISTEN": f"127.0.0.1:{grpc}", "CARDPROOF__SERVER__ADMIN_LISTEN": f"127.0.0.1:{admin}"}
    began = time.monotonic()
    return began, Process("cardproof", [binary, "serve"], grpc, environment, core=None), admin


def until_serving(began, process, admin):
    """Milliseconds from the start to serving on both ports."""
    waiting = [(is_ready, admin), (speaks_http2, process.port)]
    while waiting:
        if waiting[0][0](waiting[0][1]):
            waiting.pop(0)
            continue
        if process.process.poll() is not None or time.monotonic() - began > GIVE_UP_S:
            raise NotMeasured(f"the server does not serve:\n{process.output()}")
        time.sleep(POLL_S)
    return (time.monotonic() - began) * 1000


def stripped_size(binary):
    """Bytes of the binary without symbols, whatever the build left in."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "stripped"
        shutil.copy(binary, copy)
        done = subprocess.run(["strip", str(copy)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotMeasured(f"the binary could not be stripped: {done.stderr.strip()}")
        return copy.stat().st_size


def footprint(_folder):
    binary = pathlib.Path(os.environ.get("CARDPROOF_BINARY") or ROOT / "target/release/cardproof")
    if not os.access(binary, os.X_OK):
        raise NotMeasured(f"there is no {binary}; build it with: cargo build --release --locked")
    times = []
    for _ in range(STARTS):
        began, process, admin = start(binary)
        with process:
            times.append(until_serving(began, process, admin))
    began, process, admin = start(binary)
    with process:
        until_serving(began, process, admin)
        time.sleep(IDLE_S)
        resident = process.resident_bytes()
    yield Figure("start to serving", times, "ms", at_most=50)
    yield Figure(f"resident memory after {IDLE_S} s idle", [resident / MB], "MB", at_most=20)
    yield Figure("binary, stripped", [stripped_size(binary) / MB], "MB", at_most=20)
