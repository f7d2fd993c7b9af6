#!/usr/bin/env python3
"""Types the sessions that README.md shows and compares what comes back with what it shows.

    check.py README.md [--kind KIND]

Every fenced block of the kind `console` (or KIND) is a session; blocks of any other kind (`sh`, `text`) are
for reading only. In a session

  * a line that starts with `$ ` is a command; it goes on over the next lines while it ends with a
    backslash or has an open quote (those lines may start with `> `, as a shell shows them);
  * the lines up to the next command are what it prints, standard output and error together, and
    nothing else: a command that shows no lines must print none;
  * a line that is only `...` stands for any number of lines;
  * a command that starts the server (`cargo run --release`, `make run`, the binary itself) is run
    in the background until the next such command or the end. It counts as started when it serves
    on the default ports. The lines shown below it must appear in its output in that order, among
    whatever else it and cargo print.

All commands of the file run in one shell, in the folder of the file, so that `cd`, variables and
`$?` work as they read. What differs from run to run is made equal on both sides first: RFC 3339
times, UUIDs, vendor request ids, fractions of a second and other small durations, the colour of a
terminal, blanks at the end of a line. Everything else must agree character by character.

Exit code: 0 all agree, 1 something does not, or there was nothing to run.
"""

import argparse
import dataclasses
import difflib
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from serving import is_free, is_serving  # noqa: E402  (the folder must be known first)

COMMAND_LIMIT_S = 60
# cargo may have to build first
START_LIMIT_S = 900
STOP_LIMIT_S = 30
LOG_LIMIT_S = 5
POLL_S = 0.05

FENCE = re.compile(r"^(?P<indent> *)(?P<mark>`{3,}|~{3,})\s*(?P<kind>[^\s`]*)")
ASSIGNMENTS = r"(?:[A-Za-z_][A-Za-z0-9_]*=\S*\s+)*"
SERVER = re.compile(
    r"^" + ASSIGNMENTS + r"(?:"
    r"cargo run --release(?: --locked)?(?: -- serve\b.*)?"
    r"|make run"
    r"|(?:\./)?(?:target/release/)?cardproof(?: serve\b.*)?"
    r")\s*&?$"
)
NORMALISED = (
    (re.compile(r"\x1b\[[0-9;]*[A-Za-z]"), ""),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(r'("(?:providerRequestId|provider_request_id)":\s*)"[^"]*"'), r'\1"<id>"'),
    (re.compile(r'("latency":\s*)"[\d.]+s"'), r'\1"<duration>"'),
    (re.compile(r"(?<![\w.])\d+\.\d+s\b"), "<duration>"),
    (re.compile(r"(?<![\w.])\d+(?:\.\d+)?\s?(?:ns|us|µs|ms)\b"), "<duration>"),
    # some builds of protobuf for Go print one blank after a field's colon, some two
    (re.compile(r'^(\s*"[^"]+":)\s+'), r"\1 "),
    (re.compile(r"\s+$"), ""),
)
# Reads commands from a descriptor of its own, so that a command which reads standard input does
# not swallow the next one; shows each command the exit code of the one before.
DRIVER = """
code=0
while IFS= read -r -d '' -u "$READS" command; do
    (exit "$code")
    eval "$command" </dev/null
    code=$?
    printf '\\n%s\\n' "$MARK"
done
"""


class Problem(Exception):
    """Why the sessions cannot be run at all."""


@dataclasses.dataclass
class Step:
    """One command of a session and what the file shows below it."""

    line: int
    command: str
    shown: list

    def starts_server(self):
        """Does this command keep running and serve?"""
        return bool(SERVER.match(self.command.strip()))


def normalise(line):
    """The line without what differs from run to run."""
    for pattern, replacement in NORMALISED:
        line = pattern.sub(replacement, line)
    return line


def session_blocks(text, kind):
    """Each fenced block of this kind as (number of its first line, lines)."""
    blocks, block, fence = [], None, None
    for number, line in enumerate(text.splitlines(), 1):
        found = FENCE.match(line)
        if fence is None:
            if found:
                fence = found
                block = (number + 1, [])
        elif found and not found["kind"] and found["mark"].startswith(fence["mark"]):
            if fence["kind"] == kind:
                blocks.append(block)
            fence = None
        else:
            # a block inside a list is indented with its fence
            indent = len(fence["indent"])
            block[1].append(line[indent:] if not line[:indent].strip() else line)
    if fence is not None:
        raise Problem(f"the block that starts at line {block[0] - 1} has no end")
    return blocks


def is_incomplete(command):
    """Would a shell wait for another line of this command?"""
    if re.search(r"(?<!\\)(?:\\\\)*\\$", command):
        return True
    parsed = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
    return "unexpected EOF" in parsed.stderr or "unexpected end of file" in parsed.stderr or "here-document" in parsed.stderr


def steps_of(first_line, lines):
    """The commands of one block, each with the lines shown below it."""
    steps, index = [], 0
    while index < len(lines):
        line = lines[index]
        if not line.startswith("$ "):
            if steps:
                steps[-1].shown.append(line)
            elif line.strip():
                raise Problem(f"line {first_line + index}: a session starts with a command, '$ …'")
            index += 1
            continue
        step = Step(first_line + index, line[2:], [])
        index += 1
        while index < len(lines) and is_incomplete(step.command):
            step.command += "\n" + lines[index].removeprefix("> ")
            index += 1
        if is_incomplete(step.command):
            raise Problem(f"line {step.line}: the command has no end")
        steps.append(step)
    for step in steps:
        while step.shown and not step.shown[-1].strip():
            step.shown.pop()
    if not steps:
        raise Problem(f"line {first_line}: a session without a command")
    return steps


def find(lines, wanted, start):
    """Where the run of lines `wanted` begins in `lines` from `start` on, or None."""
    for index in range(start, len(lines) - len(wanted) + 1):
        if lines[index : index + len(wanted)] == wanted:
            return index
    return None


def agrees(shown, printed):
    """Are these the same lines, where `...` in `shown` stands for any number of them?"""
    parts = [[]]
    for line in shown:
        if line.strip() == "...":
            parts.append([])
        else:
            parts[-1].append(line)
    if len(parts) == 1:
        return shown == printed
    head, *middle, tail = parts
    if len(head) + len(tail) > len(printed) or printed[: len(head)] != head:
        return False
    if tail and printed[-len(tail) :] != tail:
        return False
    position, rest = len(head), printed[: len(printed) - len(tail)]
    for part in middle:
        found = find(rest, part, position)
        if found is None:
            return False
        position = found + len(part)
    return True


class Shell:
    """The one shell that the commands are typed into."""

    def __init__(self, folder):
        self.mark = f"--end-of-{uuid.uuid4()}--"
        reads, self.writes = os.pipe()
        environment = dict(os.environ, READS=str(reads), MARK=self.mark)
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-c", DRIVER], cwd=folder, env=environment, pass_fds=[reads],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )
        os.close(reads)

    def run(self, command):
        """What the command prints, as lines."""
        os.write(self.writes, command.encode() + b"\0")
        ending = f"\n{self.mark}\n".encode()
        printed, until = b"", time.monotonic() + COMMAND_LIMIT_S
        while not printed.endswith(ending):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
            if not ready:
                raise Problem(f"after {COMMAND_LIMIT_S} s still running: {command}")
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                raise Problem(f"the shell ended in: {command}")
            printed += more
        return printed[: -len(ending)].decode("utf-8", "replace").removesuffix("\n").splitlines()

    def close(self):
        """Ends the shell and whatever it still runs."""
        os.close(self.writes)
        end_group(self.process)
        self.process.stdout.close()


def end_group(process):
    """Kills a process and everything it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


class Server:
    """A server that a session started, until it is stopped."""

    def __init__(self, step, folder, ports):
        self.step, self.ports = step, ports
        for port in ports:
            if not is_free(port):
                raise Problem(
                    f"port {port} of 127.0.0.1 is taken by another program, so the session cannot be typed as it stands; "
                    "stop that program and try again"
                )
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-c", step.command.strip().removesuffix("&")], cwd=folder,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True,
        )

    def printed(self):
        """What it has printed so far, as lines."""
        return os.pread(self.log.fileno(), 1 << 24, 0).decode("utf-8", "replace").splitlines()

    def wait_until_serving(self):
        """Returns when it serves; a server that ends or takes too long is a problem."""
        until = time.monotonic() + START_LIMIT_S
        while not is_serving(*self.ports):
            tail = "\n".join(self.printed()[-20:])
            if self.process.poll() is not None:
                raise Problem(f"'{self.step.command}' ended with code {self.process.returncode} before it served:\n{tail}")
            if time.monotonic() > until:
                raise Problem(f"'{self.step.command}' did not serve within {START_LIMIT_S} s:\n{tail}")
            time.sleep(POLL_S)

    def has_printed(self, shown):
        """Have these lines appeared, in this order? Waits a little: logs may come after serving."""
        until = time.monotonic() + LOG_LIMIT_S
        while True:
            waiting = iter(normalise(line) for line in self.printed())
            if all(line in waiting for line in shown):
                return True
            if time.monotonic() > until:
                return False
            time.sleep(POLL_S)

    def stop(self):
        """Ends it as Ctrl-C twice would, and returns a complaint if it does not let go of its ports."""
        try:
            for _ in range(2):
                try:
                    os.killpg(self.process.pid, signal.SIGTERM)
                except ProcessLookupError:
                    break
                # the second signal only if the first leaves it draining
                for _ in range(10):
                    time.sleep(POLL_S)
                    if all(is_free(port) for port in self.ports):
                        return None
            until = time.monotonic() + STOP_LIMIT_S
            while time.monotonic() < until:
                self.process.poll()
                if all(is_free(port) for port in self.ports):
                    return None
                time.sleep(POLL_S)
            return f"'{self.step.command}' had not ended {STOP_LIMIT_S} s after it was asked to"
        finally:
            end_group(self.process)
            self.log.close()


def difference(name, step, shown, printed):
    """A unified diff from what the file shows to what was printed."""
    lines = difflib.unified_diff(
        shown, printed, f"{name}:{step.line} shows", "the command printed", lineterm="", n=max(len(shown), len(printed))
    )
    return "\n".join("    " + line for line in lines)


class Run:
    """One run through all sessions of a file."""

    def __init__(self, name, folder, ports):
        self.name, self.folder, self.ports = name, folder, ports
        self.shell, self.server = Shell(folder), None
        self.passed = self.failed = 0

    def note(self, step, complaint=None):
        """Counts a step and says what it came to."""
        headline = step.command.splitlines()[0]
        if complaint is None:
            self.passed += 1
            print(f"ok      {self.name}:{step.line} $ {headline}")
        else:
            self.failed += 1
            print(f"FAILED  {self.name}:{step.line} $ {headline}\n{complaint}")

    def start_server(self, step, shown):
        """A step that starts the server; one that ran before it is stopped first."""
        self.stop_server()
        self.server = Server(step, self.folder, self.ports)
        self.server.wait_until_serving()
        # there, any line may stand between two shown ones anyway
        if self.server.has_printed([line for line in shown if line.strip() != "..."]):
            self.note(step)
        else:
            printed = [normalise(line) for line in self.server.printed()]
            self.note(step, difference(self.name, step, shown, printed))

    def type_command(self, step, shown):
        """An ordinary step."""
        printed = [normalise(line) for line in self.shell.run(step.command)]
        while printed and not printed[-1]:
            printed.pop()
        self.note(step, None if agrees(shown, printed) else difference(self.name, step, shown, printed))

    def stop_server(self):
        """Stops the server if one runs."""
        if self.server is not None:
            server, self.server = self.server, None
            complaint = server.stop()
            if complaint:
                raise Problem(complaint)

    def all(self, steps):
        """Runs every step and stops what was started, whatever happens."""
        try:
            for step in steps:
                shown = [normalise(line) for line in step.shown]
                if step.starts_server():
                    self.start_server(step, shown)
                else:
                    self.type_command(step, shown)
            self.stop_server()
        finally:
            if self.server is not None:
                self.server.stop()
            self.shell.close()


def give_up(*_):
    """On a signal: leave by the ordinary way, which stops what was started."""
    sys.exit(1)


def main():
    signal.signal(signal.SIGTERM, give_up)
    parser = argparse.ArgumentParser(description="types the sessions of a README and compares")
    parser.add_argument("readme", type=pathlib.Path)
    parser.add_argument("--kind", default="console", help="what the blocks are marked with that hold sessions")
    parser.add_argument("--grpc-port", type=int, default=50051, help="where the server is to be found; for this program's own tests")
    parser.add_argument("--admin-port", type=int, default=9464)
    arguments = parser.parse_args()
    name = arguments.readme.name
    try:
        if not arguments.readme.is_file():
            raise Problem("there is no such file")
        blocks = session_blocks(arguments.readme.read_text(encoding="utf-8"), arguments.kind)
        steps = [step for first_line, lines in blocks for step in steps_of(first_line, lines)]
        if not steps:
            raise Problem(f"there is no block of the kind '{arguments.kind}', so there is nothing to check")
        run = Run(name, arguments.readme.resolve().parent, (arguments.grpc_port, arguments.admin_port))
        run.all(steps)
    except Problem as problem:
        print(f"{name}: {problem}", file=sys.stderr)
        return 1
    print(f"readme: {run.passed} passed, {run.failed} failed")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
