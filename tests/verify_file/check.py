"""`verify-file` as an operator runs it, against the service and the emulator's own ledger.

    check.py CARDPROOF EMULATOR [ROWS]

What the rows must come to is known from how they were made, and what was paid from the emulator,
which counts by itself.
"""

import csv
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import serving  # noqa: E402

HOLDER, ID_NUMBER = "张三", "11010519491231002X"
STRANGER = "李四"
FIRST_CARD = 6222020000000000000
MAX_MEMORY_KIB = 64 * 1024
PATIENCE_S = 120

CONFIG = """
[server]
listen = "127.0.0.1:{grpc}"
admin_listen = "127.0.0.1:{admin}"
drain_delay_ms = 200
[routes]
verify = ["ace"]
[providers.ace]
kind = "ace"
endpoint = "{emulator}"
token = {{ env = "ACE_TOKEN" }}
requests_per_second = 1000000
concurrent = 1000
[idempotency]
max_entries_per_caller = 1000000
# no answer is kept: nothing but the request id of a row stands between it and a second charge
[cache.ttl_s]
match = 0
mismatch = 0
[telemetry]
log_requests = "none"
"""


class Emulator:
    """Plays the vendor, and keeps the books."""

    def __init__(self, program):
        self.process = subprocess.Popen([program, "--listen", "127.0.0.1:0", "--quiet"],
                                        stdout=subprocess.PIPE, text=True)
        said = self.process.stdout.readline()
        assert said.startswith("listening on "), f"the emulator did not start: {said!r}"
        self.url = said.removeprefix("listening on ").strip()

    def control(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=PATIENCE_S)
        connection.request(method, f"/_control/{path}", None if body is None else json.dumps(body))
        reply = connection.getresponse()
        text = reply.read()
        assert reply.status < 300, f"{method} {path}: {reply.status}"
        return json.loads(text) if text else None

    def books(self):
        return self.control("GET", "summary")


class Service:
    """The service, on the same ports whenever it is started."""

    def __init__(self, program, folder, emulator):
        self.program = program
        self.grpc, self.admin = serving.free_ports(2)
        self.config = folder / "cardproof.toml"
        self.config.write_text(CONFIG.format(grpc=self.grpc, admin=self.admin, emulator=emulator.url))
        self.log = open(folder / "service.log", "ab")
        self.process = None

    def start(self):
        self.process = subprocess.Popen([self.program, "--config", str(self.config)],
                                        stdout=self.log, stderr=self.log,
                                        env={**os.environ, "ACE_TOKEN": "emulator-ace-token"})
        wait_until(lambda: serving.is_serving(self.grpc, self.admin), "the service serves")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=PATIENCE_S)


class Job:
    """One input and its output."""

    def __init__(self, program, service, folder, name, ending="csv"):
        self.command = [program, "verify-file", str(folder / f"{name}.csv"), "--out",
                        str(folder / f"{name}.out.{ending}"), "--concurrency", "64",
                        "--addr", f"http://127.0.0.1:{service.grpc}"]
        self.input = folder / f"{name}.csv"
        self.out = folder / f"{name}.out.{ending}"
        self.journal = folder / f"{name}.out.{ending}.journal"
        self.said = folder / f"{name}.said"
        self.memory_kib = 0

    def start(self, *arguments):
        with open(self.said, "ab") as said:
            return subprocess.Popen([*self.command, *arguments], stdout=said, stderr=said)

    def wait(self, process):
        """The exit code; negative for a signal."""
        end = time.monotonic() + PATIENCE_S
        while process.poll() is None:
            assert time.monotonic() < end, f"it does not end; see {self.said}"
            self.look_at_memory(process)
            time.sleep(0.05)
        return process.returncode

    def look_at_memory(self, process):
        """The most so far. What wait4 tells begins with the memory of this program."""
        try:
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        except OSError:
            return
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        if found and b"verify-file" in pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes():
            self.memory_kib = max(self.memory_kib, int(found[1]))

    def run(self, *arguments):
        return self.wait(self.start(*arguments))

    def answers(self):
        return self.journal.read_bytes().count(b"\n") - 1 if self.journal.exists() else 0

    def end_at(self, count, how):
        """Starts it and ends it once so many rows have an answer."""
        process = self.start()
        wait_until(lambda: self.answers() >= count or process.poll() is not None, f"{count} answers")
        assert process.poll() is None, f"it ended by itself before {count} answers; see {self.said}"
        self.look_at_memory(process)
        process.send_signal(how)
        return self.wait(process)

    def rows(self):
        with open(self.out, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def assert_private(self, questions):
        """Nothing of a question may be in what it writes and says."""
        for path in (self.out, self.journal, self.said):
            text = path.read_text(encoding="utf-8")
            assert HOLDER not in text and STRANGER not in text, f"a name in {path.name}"
            assert ID_NUMBER not in text.upper(), f"an ID number in {path.name}"
            found = set(re.findall(r"\d{19}", text)) & questions
            assert not found, f"{len(found)} card numbers in {path.name}"
        assert self.out.stat().st_mode & 0o777 == 0o600 == self.journal.stat().st_mode & 0o777


def wait_until(true, what):
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, f"in vain waited until {what}"
        time.sleep(0.02)


def write_questions(path, names, first_card):
    """A row for each name; returns the card numbers."""
    cards = [str(first_card + index * 100) for index in range(len(names))]
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "bank_card", "id_number", "customer"])
        table.writerows([name, card, ID_NUMBER, "x"] for name, card in zip(names, cards))
    return set(cards)


def large_file(program, service, emulator, folder, count):
    """Ended by force and by Ctrl-C, each row is still asked, answered and paid for once."""
    job = Job(program, service, folder, "large")
    names = [STRANGER if index % 7 == 3 else HOLDER for index in range(count)]
    cards = write_questions(job.input, names, FIRST_CARD)
    job.command += ["--ignore", "customer"]
    before = emulator.books()
    for part, how, code in ((0.15, signal.SIGKILL, -9), (0.35, signal.SIGINT, 2),
                            (0.5, signal.SIGKILL, -9), (0.75, signal.SIGKILL, -9)):
        ended = job.end_at(int(count * part), how)
        assert ended == code, f"{how.name}: exit code {ended}"
        assert not job.out.exists(), "an output before the end"
        print(f"  {how.name} after {job.answers():,} rows", flush=True)
    # as if the last word had been cut off by the end of the power
    with open(job.journal, "ab") as journal:
        journal.write(b'{"row":1,"verdict":"VERDICT_MIS')
    assert job.run() == 0
    rows = job.rows()
    assert [row["row"] for row in rows] == [str(row + 1) for row in range(count)], "rows or their order"
    for name, row in zip(names, rows):
        verdict = "MATCH" if name == HOLDER else "MISMATCH"
        assert row["verdict"] == verdict, f"row {row['row']} is {row['verdict']}, not {verdict}"
    books = emulator.books()
    asked = books["received"] - before["received"]
    charged = books["charged"] - before["charged"]
    assert (asked, charged) == (count, count), f"{asked} calls, {charged} charged, for {count} rows"
    assert books["most_charges_of_one_question"] == 1, "a question was charged twice"
    # finished is finished
    written = job.out.read_bytes()
    assert job.run() == 0 and job.out.read_bytes() == written
    assert emulator.books()["received"] == books["received"]
    job.assert_private(cards)
    assert 0 < job.memory_kib < MAX_MEMORY_KIB, f"{job.memory_kib} KiB of memory"
    print(f"  {count:,} rows once each, {charged:,} charges, {job.memory_kib / 1024:.0f} MiB of memory at most")


def unknown_outcomes(program, service, emulator, folder):
    """A row whose outcome is unknown is told, left alone, and asked anew when that is wanted."""
    job = Job(program, service, folder, "unknown", "jsonl")
    job.command += ["--ignore", "customer", "--json"]
    first_card = FIRST_CARD + 10**15
    cards = write_questions(job.input, [HOLDER] * 20, first_card)
    with open(job.input, "a", encoding="utf-8") as file:
        file.write(f"{HOLDER},{first_card + 10**6},{ID_NUMBER}\n{HOLDER},12,{ID_NUMBER},x\n")
    emulator.control("POST", "scripts", [{"vendor": "ace", "card": str(first_card + row * 100), "times": 1,
                                          "fault": {"kind": "cut_after_read"}} for row in (4, 9)])
    before = emulator.books()
    calls = lambda: emulator.books()["received"] - before["received"]
    assert job.run() == 1
    assert calls() == 20, calls()
    lines = [json.loads(line) for line in job.out.read_text(encoding="utf-8").splitlines()]
    assert [line["row"] for line in lines] == list(range(1, 23))
    reasons = {line["row"]: line["error"]["reason"] for line in lines if "error" in line}
    assert reasons == {5: "OUTCOME_UNKNOWN", 10: "OUTCOME_UNKNOWN",
                       21: "ROW_UNUSABLE", 22: "CARD_NUMBER_INVALID"}, reasons
    assert all(line["verdict"] == "VERDICT_MATCH" for line in lines if "error" not in line)
    said = job.said.read_text(encoding="utf-8")
    for told in ("line 22: 3 fields where the first line names 4 columns", "line 23: bank_card: ", "line 6: OUTCOME_UNKNOWN"):
        assert told in said, f"not told: {told}"
    assert job.run() == 1 and calls() == 20, "an unknown outcome was asked anew unasked"
    assert job.run("--ask-again") == 1 and calls() == 22
    lines = [json.loads(line) for line in job.out.read_text(encoding="utf-8").splitlines()]
    assert [line["row"] for line in lines if "error" in line] == [21, 22]
    summary = json.loads(job.said.read_text(encoding="utf-8").splitlines()[-1])
    assert summary["verdicts"]["MATCH"] == 20, summary
    assert summary["vendorCalls"] == {"charged": 20, "perhaps": 2, "notCharged": 0}, summary
    job.assert_private(cards)
    print("  unknown outcomes and unusable rows are told by line and field; --ask-again asks two rows")


def restarted_service(program, service, emulator, folder):
    """The service stops in an orderly way and comes back: the run waits for it and goes on."""
    count = 4_000
    job = Job(program, service, folder, "restart")
    job.command += ["--ignore", "customer"]
    write_questions(job.input, [HOLDER] * count, FIRST_CARD + 2 * 10**15)
    before = emulator.books()
    process = job.start()
    wait_until(lambda: job.answers() >= count // 8, "some answers")
    service.stop()
    service.start()
    assert job.wait(process) == 0, f"see {job.said.read_text(encoding='utf-8')[-600:]}"
    assert [row["verdict"] for row in job.rows()] == ["MATCH"] * count
    charged = emulator.books()["charged"] - before["charged"]
    assert charged == count, f"{charged} charges for {count} rows"
    print(f"  {count:,} rows over a restart of the service, {charged:,} charges")


def main():
    program, emulator_program = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:3])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 100_000
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        emulator = Emulator(emulator_program)
        service = Service(program, folder, emulator)
        try:
            service.start()
            large_file(program, service, emulator, folder, count)
            unknown_outcomes(program, service, emulator, folder)
            restarted_service(program, service, emulator, folder)
        finally:
            for process in (service.process, emulator.process):
                if process and process.poll() is None:
                    process.kill()
                    process.wait()
    print(f"verify-file: all as wanted, in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
