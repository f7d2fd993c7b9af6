"""The parts of a call: nanoseconds, and instructions where time is too noisy; and what is allocated."""

import json
import re
import subprocess
import tempfile

from figures import Figure
from machine import ROOT, SERVER_CORE, NotMeasured, on_core
from setups import BUILT, run

ROUNDS = 5
INSTRUCTIONS = re.compile(r"Collected : (\d+)")
BARS_NS = {"sign": 5000}


def instructions(part, rounds):
    """Instructions of a run, as callgrind counts them."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", BUILT / "parts", part, rounds]
        try:
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=300)
        except OSError as error:
            raise NotMeasured("valgrind is missing: apt-get install -y valgrind") from error
    counted = INSTRUCTIONS.search(done.stderr)
    if done.returncode != 0 or not counted:
        raise NotMeasured(f"callgrind: {done.stderr[-1000:]}")
    return int(counted.group(1))


def parts(_folder):
    taken = []
    for _ in range(ROUNDS):
        done = subprocess.run(on_core(SERVER_CORE, [BUILT / "parts"]), capture_output=True, text=True, check=True)
        taken.append(json.loads(done.stdout))
    for part in taken[0]:
        yield Figure(part, [each[part] for each in taken], "ns", at_most=BARS_NS.get(part))
        each = (instructions(part, 3000) - instructions(part, 1000)) / 2000
        yield Figure(f"{part}, instructions", [each])


def allocations(_folder):
    """Of a cached verification, and of a server that does nothing; the test compares them."""
    done = run(["cargo", "test", "--locked", "--package", "cardproof-rig", "--test", "allocations", "--", "--nocapture"], ROOT)
    ours, echo = map(float, re.search(r"allocations of a request: ([0-9.]+), of an empty server's ([0-9.]+)", done).groups())
    yield Figure("allocations of a cached verification", [ours])
    yield Figure("more than those of tonic, tuned", [ours - echo], at_most=5)
