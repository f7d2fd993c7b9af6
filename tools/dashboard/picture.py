#!/usr/bin/env python3
"""Draws the dashboard with the data of a real Prometheus: picture.py OUT.png [MINUTES]

It starts the service twice before the vendors' emulator (tests/monitoring/live.py), asks and lets
vendors fail for some minutes, then draws every panel at its place from what Prometheus answers to the
panel's own queries. Grafana is not used; its look is only followed. Needs matplotlib, and the variables
CARDPROOF_BIN, CARDPROOF_EMULATOR, PROMETHEUS and REDIS_SERVER, which name the programs.
"""

import json
import math
import pathlib
import random
import re
import sys
import tempfile
import threading
import time

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.dates import DateFormatter
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/monitoring"))
from live import PERSON, Live, filled  # noqa: E402  (the folder must be known first)

INK, PAPER, PANEL, GRID = "#d8d9da", "#111217", "#181b1f", "#2c3235"
PALETTE = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0",
           "#37872d", "#fade2a", "#447ebc", "#c15c17"]
COLORS = {"green": "#56a64b", "yellow": "#e0b400", "red": "#d44a3a"}
UNIT_PX, WIDTH_PX, STEP_S, WINDOW = 26, 1500, 2, "20s"


def shown(value, unit):
    """A number as Grafana writes it, about."""
    if math.isnan(value):
        return "–"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
            if abs(value) >= 2 * size:
                return f"{value / size:.3g} {name}"
        return f"{value:.3g} s" if abs(value) >= 1 or value == 0 else f"{value * 1000:.3g} ms"
    if unit == "bytes":
        for size, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
            if value >= size:
                return f"{value / size:.3g} {name}"
    if value >= 1000:
        return f"{value / 1000:.3g} K"
    return f"{value:.3g}" + {"reqps": " req/s", "ops": " /s"}.get(unit, "")


def legend(template, labels):
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), template)


class Picture:
    """One figure with all panels."""

    def __init__(self, live, dashboard, start, end):
        self.live, self.start, self.end = live, start, end
        panels = dashboard["panels"]
        units = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
        self.height = units * UNIT_PX
        self.figure = plt.figure(figsize=(WIDTH_PX / 100, self.height / 100), dpi=100, facecolor=PAPER)
        for panel in panels:
            self.draw(panel)

    def box(self, panel):
        """Place of a panel in pixels from the top left: left, top, width, height."""
        place = panel["gridPos"]
        cell = WIDTH_PX / 24
        return place["x"] * cell + 4, place["y"] * UNIT_PX + 4, place["w"] * cell - 8, place["h"] * UNIT_PX - 8

    def axes(self, left, top, width, height, **more):
        place = (left / WIDTH_PX, 1 - (top + height) / self.height, width / WIDTH_PX, height / self.height)
        axes = self.figure.add_axes(place, facecolor=PANEL, **more)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(colors=INK, labelsize=7.5, length=0)
        return axes

    def text(self, left, top, text, **more):
        self.figure.text(left / WIDTH_PX, 1 - top / self.height, text, **{"color": INK, "fontsize": 8.5, "va": "center", **more})

    def series(self, panel, over_time):
        """(legend, times, values) of all queries of a panel."""
        found = []
        for target in panel["targets"]:
            query = filled(target["expr"], WINDOW)
            if over_time:
                answer = self.live.query("query_range", query=query, start=self.start, end=self.end, step=STEP_S)["result"]
            else:
                answer = self.live.query("query", query=query, time=self.end)["result"]
            for one in answer:
                points = [(float(at), float(value)) for at, value in one.get("values", [one.get("value")])]
                times, values = zip(*points)
                found.append((legend(target["legendFormat"], one["metric"]), one["metric"], list(times), list(values)))
        return sorted(found, key=lambda one: one[0])

    def draw(self, panel):
        left, top, width, height = self.box(panel)
        if panel["type"] == "row":
            self.text(left + 4, top + 13, panel["title"], fontsize=11, weight="bold")
            return
        back = self.axes(left, top, width, height)
        back.set_xticks([]), back.set_yticks([])
        self.text(left + 8, top + 11, panel["title"])
        inside = (left + 8, top + 24, width - 16, height - 30)
        getattr(self, "draw_" + panel["type"].replace("-", "_"))(panel, *inside)

    def color(self, panel, value):
        found = "green"
        for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
            if step["value"] is None or value >= step["value"]:
                found = step["color"]
        return COLORS[found]

    def nothing(self, left, top, width, height):
        self.text(left + width / 2, top + height / 2, "No data", color="#8e8e8e", ha="center")

    def draw_stat(self, panel, left, top, width, height):
        found = self.series(panel, False)
        if not found:
            return self.nothing(left, top, width, height)
        for number, (name, _, _, values) in enumerate(found):
            part = width / len(found)
            axes = self.axes(left + number * part + 1, top, part - 2, height)
            axes.set_facecolor(self.color(panel, values[-1]))
            axes.set_xticks([]), axes.set_yticks([])
            number_shown = shown(values[-1], panel["fieldConfig"]["defaults"]["unit"])
            axes.text(0.5, 0.58, number_shown, color="white", ha="center", va="center", fontsize=15, weight="bold")
            if len(found) > 1 or panel["targets"][0]["legendFormat"].startswith("{{"):
                axes.text(0.5, 0.14, name, color="white", ha="center", va="center", fontsize=7.5)

    def draw_timeseries(self, panel, left, top, width, height):
        found, defaults = self.series(panel, True), panel["fieldConfig"]["defaults"]
        if not found:
            return self.nothing(left, top, width, height)
        rows = math.ceil(sum(len(name) * 5.2 + 26 for name, *_ in found) / width)
        under = 14 + 13 * min(rows, 4)
        axes = self.axes(left + 42, top, width - 44, height - under)
        axes.grid(color=GRID, linewidth=0.6), axes.set_axisbelow(True)
        grid = [self.start + STEP_S * number for number in range(int((self.end - self.start) / STEP_S) + 1)]
        # matplotlib counts days since 1970
        base, when = [0.0] * len(grid), [at / 86400 for at in grid]
        stacked = defaults["custom"]["stacking"]["mode"] == "normal"
        for number, (name, _, times, values) in enumerate(found):
            known, color = dict(zip([round((at - self.start) / STEP_S) for at in times], values)), PALETTE[number % len(PALETTE)]
            line = [known.get(at, math.nan) for at in range(len(grid))]
            if stacked:
                above = [low + (0 if math.isnan(value) else value) for low, value in zip(base, line)]
                axes.fill_between(when, base, above, color=color, alpha=0.55, linewidth=0, label=name)
                base = above
            else:
                axes.plot(when, line, color=color, linewidth=1.1, label=name)
        axes.set_xlim(when[0], when[-1])
        if "min" in defaults:
            axes.set_ylim(bottom=0)
        if axes.get_ylim()[1] - axes.get_ylim()[0] < 1e-6:
            axes.set_ylim(0, 1)
        axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))
        axes.xaxis.set_major_locator(matplotlib.dates.MinuteLocator(interval=max(1, round((self.end - self.start) / 240))))
        axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
        axes.yaxis.set_major_formatter(lambda value, _: shown(value, defaults["unit"]))
        handles, labels = axes.get_legend_handles_labels()
        columns = max(1, min(len(labels), int(width / (max(len(label) for label in labels) * 5.2 + 26))))
        axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(-42 / (width - 44), -15 / (height - under)), ncol=columns,
                    fontsize=7, frameon=False, labelcolor=INK, handlelength=1, handletextpad=0.5, columnspacing=1,
                    borderpad=0, labelspacing=0.25, borderaxespad=0)

    def draw_bargauge(self, panel, left, top, width, height):
        found = self.series(panel, False)
        if not found:
            return self.nothing(left, top, width, height)
        defaults = panel["fieldConfig"]["defaults"]
        axes = self.axes(left + 110, top + 6, width - 180, min(height - 10, 40 * len(found)))
        most = defaults.get("max", max(values[-1] for _, _, _, values in found) or 1)
        for number, (name, _, _, values) in enumerate(reversed(found)):
            axes.barh(number, most, color=GRID, height=0.7)
            axes.barh(number, min(values[-1], most), color=self.color(panel, values[-1]), height=0.7)
            axes.text(most * 1.02, number, shown(values[-1], defaults["unit"]), color=self.color(panel, values[-1]),
                      va="center", fontsize=9, weight="bold")
        axes.set_xlim(0, most), axes.set_xticks([])
        axes.set_yticks(range(len(found)), [name for name, *_ in reversed(found)])

    def draw_state_timeline(self, panel, left, top, width, height):
        found, defaults = self.series(panel, True), panel["fieldConfig"]["defaults"]
        if not found:
            return self.nothing(left, top, width, height)
        meanings = {int(value): meaning for value, meaning in defaults["mappings"][0]["options"].items()}
        axes = self.axes(left + 110, top, width - 114, height - 34)
        for number, (name, _, times, values) in enumerate(reversed(found)):
            for at, value in zip(times, values):
                color = COLORS[meanings[round(value)]["color"]]
                axes.broken_barh([(at / 86400, STEP_S * 1.1 / 86400)], (number - 0.4, 0.8), facecolors=color)
        axes.set_xlim(self.start / 86400, self.end / 86400)
        axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))
        axes.xaxis.set_major_locator(matplotlib.dates.MinuteLocator(interval=max(1, round((self.end - self.start) / 240))))
        axes.set_yticks(range(len(found)), [name for name, *_ in reversed(found)])
        for number, meaning in enumerate(meanings.values()):
            self.text(left + 110 + number * 90, top + height - 8, "■ " + meaning["text"], color=COLORS[meaning["color"]])

    def draw_table(self, panel, left, top, width, height):
        found = self.series(panel, False)
        names = sorted({name for _, labels, _, _ in found for name in labels})
        for column, name in enumerate(names):
            for row, text in enumerate([name, *[labels.get(name, "") for _, labels, _, _ in found]]):
                self.text(left + 8 + column * width / len(names), top + 14 + row * 20, text, color="#6e9fff" if row == 0 else INK)


def traffic(live, until):
    """Callers of two kinds, and vendors that have their troubles one after the other."""
    begun, whole = time.time(), until - time.time()

    def caller(seed):
        chance = random.Random(seed)
        while time.time() < until:
            part = (time.time() - begun) / whole
            # some cards come again; a mismatch now and then; in the middle somebody tries cards out
            card = f"622202{chance.randrange(400 if chance.random() < 0.6 else 10 ** 8):08}0{chance.randrange(1000):03}"[:19]
            if seed == 1 and chance.random() < 0.02:
                # several callers want to know the same at once
                same = threading.Thread(target=live.ask, args=(card,))
                same.start()
                live.ask(card)
                same.join()
            if seed == 0 and 0.35 < part < 0.6:
                live.ask(f"622609{chance.randrange(10 ** 10):010}", person={"name": "李四"}, caller="onboarding")
            elif chance.random() < 0.15:
                live.ask(card[:8], command="card-info")
            elif chance.random() < 0.5:
                live.ask(f"62220200000{chance.randrange(60):05}")
            else:
                live.ask(card, person=dict(list(PERSON.items())[:chance.choice((1, 2, 3))]))
            time.sleep(chance.random() * 0.2)

    threads = [threading.Thread(target=caller, args=(seed,)) for seed in range(5)]
    for thread in threads:
        thread.start()
    live.script(vendor="tencent", delay_ms=60)
    for wait, scripts in ((0.2, [{"vendor": "tencent", "delay_ms": 400}]),
                          (0.12, [{"vendor": "tencent", "fault": {"kind": "cut_before_body"}}, {"vendor": "alibaba", "delay_ms": 120}]),
                          (0.25, [{"vendor": "tencent", "fault": {"kind": "cut_before_body"}},
                                  {"vendor": "alibaba", "reply": {"kind": "throttled"}, "times": 30},
                                  {"vendor": "alibaba", "fault": {"kind": "cut_after_read"}, "times": 12},
                                  {"vendor": "alibaba", "delay_ms": 120}]),
                          (0.13, [{"vendor": "tencent", "delay_ms": 60},
                                  {"vendor": "ace", "reply": {"kind": "error", "code": "invalid_token"}}])):
        time.sleep(wait * whole)
        live.unscript()
        for script in scripts:
            live.script(**script)
    live.redis.stop()
    time.sleep(0.03 * whole)
    live.redis.start()
    for card in ("6222020000000088888", "6222020000000099999"):
        for name in ("王五", "赵六", "孙七", "周八", "吴九"):
            live.ask(card, person={"name": name})
    live.ask("6222020000000077777", "--provider", "ace")
    for thread in threads:
        thread.join()


def main(target, minutes):
    dashboard = json.loads((ROOT / "helm/cardproof/files/dashboard.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        live = Live(folder, replicas=2, interval="2s", budget=1500, open_s=5)
        try:
            start = time.time()
            traffic(live, start + 60 * minutes)
            time.sleep(5)
            picture = Picture(live, dashboard, start, time.time())
            picture.figure.savefig(target, facecolor=PAPER)
            # flat areas need few colours
            Image.open(target).convert("RGB").quantize(96).save(target, optimize=True)
        finally:
            live.stop()


if __name__ == "__main__":
    matplotlib.use("Agg")
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 8)
