"""Writes the figures into docs/BENCHMARKS.md, between its marks; everything around them is prose."""

import os
import pathlib
import platform
import re
import subprocess

from figures import markdown
from machine import ROOT

PAGE = ROOT / "docs/BENCHMARKS.md"
TITLES = {
    "footprint": "Start, memory, size",
    "hits": "Answers from memory",
    "card-info": "Card information",
    "open": "Latency at a rate",
    "vendor": "Questions that nobody has asked before",
    "sdk": "Beside the vendor's own SDK",
    "scale": "Cost of a large cache",
    "memory": "Memory",
    "redis": "Answers from Redis",
    "replicas": "Several replicas",
    "parts": "Parts",
}


def said(*command):
    """The first line that a program says about itself."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return "not installed"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else "says nothing"


def processor():
    """What was measured on. Groups are measured when they are asked for, not all of them on one machine."""
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return f"{model.group(1) if model else 'unknown'}, {os.cpu_count()} cores"


def machine_lines():
    """What was measured with."""
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text(encoding="utf-8"))
    rows = {
        "memory": f"{int(memory.group(1)) // 1_048_576} GiB" if memory else "unknown",
        "system": f"Linux {platform.release().split('-')[0]}",
        "compiler": said("rustc", "--version"),
        "h2load": said("h2load", "--version"),
        "Go": said("go", "version"),
        "Java": said("java", "-version"),
        "Python": f"Python {platform.python_version()}",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def write(groups):
    """Replaces what stands between the marks of each part for which there are figures."""
    text = PAGE.read_text(encoding="utf-8")
    parts = {"machine": machine_lines()} if groups else {}
    for name, (when, where, figures) in groups.items():
        parts[name] = f"Measured {when} on {where}: `make bench GROUPS={name}`\n\n{markdown(figures)}"
    for name, content in parts.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
        text = marks.sub(lambda found, content=content: f"{found.group(1)}{content}\n{found.group(2)}", text)
    PAGE.write_text(text, encoding="utf-8")
