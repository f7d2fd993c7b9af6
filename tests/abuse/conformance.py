#!/usr/bin/env python3
"""h2spec against the gRPC port. What it finds must be exactly what is excused here."""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

from house import HOST, House

# the case by its section and words, and why it is no fault
EXCUSED = {
    "http2/3.5: Sends invalid connection preface":
        "the connection is ended by a reset, as hyper leaves unread what follows the 24 bytes that it judges",
}
FEWEST_CASES = 140


def run(h2spec, house):
    """The cases: every name, those that failed, those that were passed over."""
    with tempfile.TemporaryDirectory(prefix="abuse-") as folder:
        report = pathlib.Path(folder) / "report.xml"
        done = subprocess.run(
            [h2spec, "-h", HOST, "-p", str(house.port), "-P", "/bankcard.v1.BankCardService/VerifyBankCard", "-o", "2", "-j", str(report)],
            capture_output=True, text=True, timeout=240, check=False,
        )
        if not report.exists():
            raise SystemExit(f"conformance: h2spec made no report:\n{done.stdout}{done.stderr}")
        suites = xml.etree.ElementTree.parse(report).getroot()
    cases, failed, skipped = [], [], []
    for case in suites.iter("testcase"):
        name = f"{case.get('package')}: {case.get('classname')}"
        cases.append(name)
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is not None:
            skipped.append(name)
    return cases, failed, skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/cardproof")
    parser.add_argument("--h2spec", required=True)
    arguments = parser.parse_args()
    with House(arguments.binary) as house:
        cases, failed, skipped = run(arguments.h2spec, house)
    new = [name for name in failed if name not in EXCUSED]
    gone = [name for name in EXCUSED if name not in failed]
    print(f"conformance: {len(cases)} cases of h2spec, {len(failed)} failed, {len(skipped)} not applicable")
    for name in failed:
        print(f"  excused: {name}: {EXCUSED[name]}" if name in EXCUSED else f"  FAILED: {name}")
    for name in gone:
        print(f"  passes now, take it out of the list: {name}")
    if len(cases) < FEWEST_CASES:
        print(f"conformance: fewer than {FEWEST_CASES} cases")
        return 1
    return 1 if new or gone else 0


if __name__ == "__main__":
    sys.exit(main())
