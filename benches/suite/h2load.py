"""h2load: one fixed body, the same for every server."""

import re
import subprocess

from machine import HOST, LOAD_CORE, NotMeasured, on_core, tool

FINISHED = re.compile(r"finished in .*?, ([0-9.]+) req/s")
DONE = re.compile(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored")


class Shot:
    """One run: requests per second, and microseconds of the server's CPU for each."""

    def __init__(self, per_second, cpu_us):
        self.per_second, self.cpu_us = per_second, cpu_us


def shoot(process, method, body, connections, streams, requests, token):
    """Sends a body so many times. Whoever is measured gets the same request, the token too."""
    headers = ["content-type: application/grpc", "te: trailers", f"authorization: Bearer {token}"]
    command = [
        tool("h2load"), "-n", requests, "-c", connections, "-m", streams, "-t", 1, "-d", body,
        *(part for header in headers for part in ("-H", header)),
        f"http://{HOST}:{process.port}/bankcard.v1.BankCardService/{method}",
    ]
    before = process.cpu_seconds()
    done = subprocess.run(on_core(LOAD_CORE, command), capture_output=True, text=True, check=False, timeout=600)
    cpu = process.cpu_seconds() - before
    finished, counts = FINISHED.search(done.stdout), DONE.search(done.stdout)
    if done.returncode != 0 or not finished or not counts:
        raise NotMeasured(f"h2load against {process.name}:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    total, succeeded, failed, errored = map(int, counts.groups())
    if succeeded != requests or failed or errored:
        raise NotMeasured(f"h2load against {process.name}: {counts.group(0)}")
    return Shot(float(finished.group(1)), cpu / requests * 1e6)
