"""A figure: what was measured, how often, and what it has to be."""

import dataclasses
import statistics


@dataclasses.dataclass
class Figure:
    """One line of the report. `samples` are what the median was taken of."""

    name: str
    samples: list
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def median(self):
        return statistics.median(self.samples)

    @property
    def met(self):
        """Whether the bar is met; None where there is none."""
        if self.at_least is not None:
            return self.median >= self.at_least
        if self.at_most is not None:
            return self.median <= self.at_most
        return None

    @property
    def bar(self):
        if self.at_least is not None:
            return f"at least {self.at_least:g} {self.unit}".strip()
        if self.at_most is not None:
            return f"at most {self.at_most:g} {self.unit}".strip()
        return ""

    @property
    def verdict(self):
        return {True: "met", False: "MISSED", None: ""}[self.met]

    def shown(self, value):
        digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
        return f"{value:,.{digits}f}"

    @property
    def value(self):
        return f"{self.shown(self.median)} {self.unit}".strip()

    @property
    def spread(self):
        if len(self.samples) < 2:
            return ""
        return f"{self.shown(min(self.samples))} … {self.shown(max(self.samples))}"


def ratios(name, ours, theirs, **bars):
    """The ratio of two series, round by round: both sides of a round were taken side by side."""
    return Figure(name, [one / other for one, other in zip(ours, theirs, strict=True)], **bars)


def table(figures):
    """The figures as a table for people."""
    rows = [("", "median", "lowest … highest", "bar", "")]
    rows += [(it.name, it.value, it.spread, it.bar, it.verdict) for it in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(figures):
    """The same for a page."""
    lines = ["| figure | median | lowest … highest | bar | |", "|---|---|---|---|---|"]
    for it in figures:
        note = f"<br>{it.note}" if it.note else ""
        lines.append(f"| {it.name}{note} | {it.value} | {it.spread} | {it.bar} | {it.verdict} |")
    return "\n".join(lines)
