#!/usr/bin/env python3
"""Follows the README of an example word for word, in a copy of its own.

    follow.py examples/python/README.md [--recorder PYTHON FOLDER]

The blocks are taken in their order. `sh`: commands that must succeed. `sh background`: one command
that goes on running until the end. `toml FILE`: the content of a file. `console`: a session whose
output must be what the README shows (as tests/readme/check.py compares it). A cardproof of the PATH
serves on its default ports unless the README starts one itself.

With --recorder, the last command of the README is run once more against tests/clients/recorder.py,
started with the given PYTHON and the stubs in FOLDER: it shows whether deadline, request id, trace
context and retries are really on the wire.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "readme"))
import check  # noqa: E402  (the folder must be known first)

COPIED = ("buf.yaml", "examples", "proto", "scripts")
PORTS = (50051, 9464)
SETUP_LIMIT_S = 900
FENCE = re.compile(r"^```(?P<info>[^`]*)$")
TRACEPARENT = re.compile(r"00-(?P<trace>[0-9a-f]{32})-[0-9a-f]{16}-01")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
# what every example does: four verifications and one card, each within a deadline of five seconds
CALLS = collections.Counter(VerifyBankCard=4, QueryCardInfo=1)
DEADLINE_S = 5


def blocks_of(text):
    """Every fenced block as (words of its info string, number of its first line, lines)."""
    blocks, block = [], None
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if fence and block is None:
            block = (fence["info"].split(), number + 1, [])
        elif fence:
            blocks.append(block)
            block = None
        elif block is not None:
            block[2].append(line)
    if block is not None:
        raise check.Problem(f"the block at line {block[1]} has no end")
    return blocks


def set_up(name, folder, first_line, lines):
    """Runs a block of commands that must succeed."""
    started = time.monotonic()
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-euo", "pipefail", "-c", "\n".join(lines)], cwd=folder,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SETUP_LIMIT_S, check=False,
    )
    if done.returncode != 0:
        raise check.Problem(f"the commands at line {first_line} ended with code {done.returncode}:\n{done.stdout[-4000:]}")
    print(f"ok      {name}:{first_line} {len(lines)} lines of sh in {time.monotonic() - started:.0f} s")


def start(command, folder):
    """Starts a command that goes on running, and waits for the first line that it prints."""
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )
    line = process.stdout.readline()
    if not line:
        check.end_group(process)
        raise check.Problem(f"{command} ended before it printed anything")
    return process, line.strip()


def attempts_allowed():
    """How often the published service config lets a verification be tried."""
    config = json.loads((ROOT / "examples" / "service-config.json").read_text(encoding="utf-8"))
    (allowed,) = (
        method["retryPolicy"]["maxAttempts"]
        for method in config["methodConfig"]
        if any(name["method"] == "VerifyBankCard" for name in method["name"])
    )
    return allowed


def complaints_about(records):
    """What is wrong with the calls that the recorder saw."""
    allowed, ids, traces = attempts_allowed(), collections.defaultdict(list), set()
    for record in records:
        ids[(record["method"], record["request_id"])].append(record)
        trace = TRACEPARENT.fullmatch(record["traceparent"])
        if trace:
            traces.add(trace["trace"])
        else:
            yield f"no W3C traceparent in {record}"
        if not UUID.fullmatch(record["request_id"]):
            yield f"no request id in {record}"
        if record["remaining_s"] is None or not 0 < record["remaining_s"] <= DEADLINE_S:
            yield f"not the deadline of {DEADLINE_S} s in {record}"
    calls = collections.Counter(method for method, _ in ids)
    if calls != CALLS:
        yield f"wanted the calls {dict(CALLS)}, each with an id of its own, saw {dict(calls)}"
    for place, ((method, request_id), attempts) in enumerate(ids.items()):
        # only the first call is answered with UNAVAILABLE; the second with UNKNOWN
        wanted = allowed if place == 0 else 1
        if [attempt["previous_attempts"] for attempt in attempts] != list(range(wanted)):
            yield f"{method} {request_id} was not tried {wanted} times with the same id: {attempts}"
    if len(traces) != 1:
        yield f"wanted one trace for the program, saw {len(traces)}"


def on_the_wire(name, run, step, recorder):
    """Runs the program of a step against the recorder and judges what it saw."""
    python, stubs = recorder
    process, port = start([python, str(ROOT / "tests" / "clients" / "recorder.py"), stubs, str(attempts_allowed() - 1)], ROOT)
    try:
        printed = run.shell.run(f"{step.command} localhost:{port}")
    finally:
        process.send_signal(signal.SIGTERM)
        records = [json.loads(line) for line in process.stdout]
        check.end_group(process)
    complaints = list(complaints_about(records))
    if complaints:
        run.note(step, "\n".join(["    " + line for line in complaints + printed]))
    else:
        print(f"ok      {name}: on the wire: {len(records)} attempts of {sum(CALLS.values())} calls, as wanted")
        run.passed += 1


def follow(readme, copy, recorder):
    """Follows the whole README; returns the finished run."""
    name = str(readme.resolve().relative_to(ROOT))
    folder = copy / pathlib.Path(name).parent
    blocks = blocks_of(readme.read_text(encoding="utf-8"))
    sessions = [step for words, first, lines in blocks if words[:1] == ["console"] for step in check.steps_of(first, lines)]
    if not sessions:
        raise check.Problem("there is no block of the kind 'console', so there is nothing to check")
    run, background = check.Run(name, folder, PORTS), []
    try:
        if not any(step.starts_server() for step in sessions):
            run.start_server(check.Step(0, "cardproof", []), [])
        for words, first, lines in blocks:
            if words == ["sh"]:
                set_up(name, folder, first, lines)
            elif words == ["sh", "background"]:
                background.append(start(["bash", "-c", "exec " + " ".join(lines)], folder)[0])
            elif words[:1] == ["toml"] and len(words) == 2:
                (folder / words[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")
            elif words == ["console"]:
                for step in check.steps_of(first, lines):
                    shown = [check.normalise(line) for line in step.shown]
                    (run.start_server if step.starts_server() else run.type_command)(step, shown)
            elif words and words[0] in ("sh", "toml", "console"):
                raise check.Problem(f"line {first - 1}: nobody knows what to do with a block of the kind '{' '.join(words)}'")
        run.stop_server()
        if recorder:
            on_the_wire(name, run, sessions[-1], recorder)
    finally:
        if run.server is not None:
            run.server.stop()
        run.shell.close()
        for process in background:
            check.end_group(process)
    return run


def main():
    signal.signal(signal.SIGTERM, check.give_up)
    parser = argparse.ArgumentParser(description="follows the README of an example")
    parser.add_argument("readme", type=pathlib.Path)
    parser.add_argument("--copy", type=pathlib.Path, help="where to work; kept afterwards")
    parser.add_argument("--recorder", nargs=2, metavar=("PYTHON", "FOLDER"))
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        copy = arguments.copy or pathlib.Path(temporary)
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *COPIED],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout
        for path in filter(None, listing.split("\0")):
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, copy / path)
        try:
            run = follow(arguments.readme, copy.resolve(), arguments.recorder)
        except (check.Problem, subprocess.TimeoutExpired) as problem:
            print(f"{arguments.readme}: {problem}", file=sys.stderr)
            return 1
    print(f"{arguments.readme}: {run.passed} passed, {run.failed} failed in {time.monotonic() - started:.0f} s", flush=True)
    return 1 if run.failed else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
