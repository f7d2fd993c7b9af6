#!/usr/bin/env python3
"""Runs the benchmarks, prints a table of figures beside their bars, and writes docs/BENCHMARKS.md.

    run.py                 everything: builds, measures, writes the page
    run.py hits scale …    some groups; what the others measured last is kept
    run.py --report        only writes the page, from what was measured last

Everything runs on this machine over loopback. The server under measurement has one core and the
generator of load another. Sides of a comparison take turns within one run; a figure is the median
of its rounds.

Exit code 1 if a figure misses its bar, 2 if one could not be measured.
"""

import argparse
import json
import signal
import sys
import tempfile
import time

import footprint
import hits
import page
import parts
import replicas
import scale
import setups
import vendor
from figures import Figure, table
from machine import ROOT, NotMeasured

RESULTS = ROOT / "target/bench"
GROUPS = {
    "footprint": (footprint.footprint,),
    "hits": (hits.verification,),
    "card-info": (hits.card_info,),
    "open": (hits.open_loop,),
    "vendor": (vendor.misses, vendor.cpu),
    "sdk": (vendor.sdk,),
    "redis": (replicas.hits,),
    "replicas": (replicas.misses,),
    "scale": (scale.throughput,),
    "memory": (scale.memory,),
    "parts": (parts.parts, parts.allocations),
}


def measure(name):
    """One group; its figures are kept for the page."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for step in GROUPS[name]:
            figures += step(folder)
    RESULTS.mkdir(parents=True, exist_ok=True)
    taken = {"when": time.strftime("%Y-%m-%d"), "where": page.processor(), "figures": [vars(figure) for figure in figures]}
    (RESULTS / f"{name}.json").write_text(json.dumps(taken, ensure_ascii=False, indent=1), encoding="utf-8")
    return figures


def kept():
    """What was measured last, by group."""
    groups = {}
    for name in GROUPS:
        file = RESULTS / f"{name}.json"
        if file.is_file():
            taken = json.loads(file.read_text(encoding="utf-8"))
            groups[name] = (taken["when"], taken["where"], [Figure(**figure) for figure in taken["figures"]])
    return groups


def main():
    # servers under measurement must not outlive a time limit
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    parser = argparse.ArgumentParser(description="the benchmarks of cardproof")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of: {', '.join(GROUPS)}")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--no-build", action="store_true", help="take what was built last")
    arguments = parser.parse_args()
    names = [] if arguments.report else arguments.groups or list(GROUPS)
    unknown = sorted(set(names) - set(GROUPS))
    if unknown:
        parser.error(f"no such group: {', '.join(unknown)}")
    if names and not arguments.no_build:
        setups.build_ours()
        if "hits" in names:
            setups.build_peers()
    code = 0
    for name in names:
        print(f"\n== {name}", flush=True)
        try:
            figures = measure(name)
            print(table(figures), flush=True)
            code = max(code, 0 if all(figure.met is not False for figure in figures) else 1)
        except NotMeasured as problem:
            print(f"not measured: {problem}", file=sys.stderr, flush=True)
            code = 2
    page.write(kept())
    return code


if __name__ == "__main__":
    sys.exit(main())
