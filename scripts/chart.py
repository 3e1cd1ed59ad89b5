# SPDX-License-Identifier: BSD-2-Clause
"""Shows measurements: as Markdown tables, and as SVG that is readable on light and on dark pages.

    draw("Title", [("a", "way a"), ("b", "way b")], [
        Ranges("Ratios", [("read", [("b", 0.9, {"q1": .8, "q3": 1, "min": .7, "max": 1.1})])], marks=[1]),
        Logarithmic("Counts", [("calls", [("a", 0), ("b", 1e6)])])])
"""
import math
from dataclasses import dataclass, field
from html import escape

WIDTH, LEFT, RIGHT, ROW, GAP = 900, 300, 70, 15, 12
COLOURS = ["#7d8590", "#a371c9", "#2f81d7", "#d1702a", "#2da05a", "#c2a018"]
STYLE = """
text { font: 12px sans-serif; fill: #24292f }
.title { font-weight: bold; font-size: 15px } .head { font-weight: bold } .small { font-size: 11px }
.dot { stroke: #ffffff; stroke-width: 1.2 }
.page { fill: #ffffff } .grid { stroke: #d0d7de } .mark { stroke: #57606a; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .page { fill: #0d1117 } .dot { stroke: #0d1117 } .grid { stroke: #30363d } .mark { stroke: #9198a1 }
}
"""


def table(rows):
    """A Markdown table that is also readable as text."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1, y1, x2, y2, kind="", extra=""):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}" {extra}/>'


@dataclass
class Panel:
    title: str
    groups: list  # (name, [(series, value, ...)])

    def draw(self, top, colours):
        """The panel's elements from `top` down, and where it ends."""
        parts, y = [text(20, top + 14, self.title, "head")], top + 40
        bottom = y + sum(len(rows) * ROW + GAP for _, rows in self.groups)
        for value, words, kind in self.ticks():
            x = self.x(value)
            parts += [line(x, y - 6, x, bottom - GAP + 4, kind), text(x, y - 10, words, "small", "middle")]
        for name, rows in self.groups:
            parts.append(text(20, y + len(rows) * ROW / 2 + 4, name))
            for row in rows:
                parts += self.row(y + ROW / 2, colours[row[0]], *row[1:])
                y += ROW
            y += GAP
        return parts, bottom

    def at(self, share):
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def dot(self, y, colour, x, words, end=0):
        return [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}" class="dot"/>',
                text(max(x, end) + 9, y + 4, words, "small")]


@dataclass
class Ranges(Panel):
    """Values with their quartiles and extremes, on a linear axis."""

    marks: list = field(default_factory=list)

    def __post_init__(self):
        ends = [of[key] for _, rows in self.groups for _, _, of in rows for key in ("min", "max")] + self.marks
        # A single wild value must not make the rest unreadable; it is cut off at the edge.
        self.low = max(0, math.floor(min(ends) * 10) / 10)
        self.high = min(2, math.ceil(max(ends) * 10) / 10)

    def x(self, value):
        return self.at((min(max(value, self.low), self.high) - self.low) / (self.high - self.low))

    def ticks(self):
        step = 0.1 if self.high - self.low <= 1 else 0.2
        count = round((self.high - self.low) / step)
        ticks = [(self.low + i * step, f"{self.low + i * step:.1f}", "grid") for i in range(count + 1)]
        # No words where a tick has them.
        return ticks + [(mark, "" if any(abs(mark - tick[0]) < step * .7 for tick in ticks) else f"{mark}", "mark")
                        for mark in self.marks]

    def row(self, y, colour, value, of):
        stroke = f'stroke="{colour}" stroke-width='
        ends = [self.x(of[key]) for key in ("min", "max", "q1", "q3")]
        return [line(ends[0], y, ends[1], y, "", stroke + '"1.5"'), line(ends[2], y, ends[3], y, "", stroke + '"6"'),
                *self.dot(y, colour, self.x(value), f"{value:.2f}", ends[1])]


class Logarithmic(Panel):
    """Counts; none at all stands at the left edge."""

    def exponent(self):
        return max([1, *(math.ceil(math.log10(value)) for _, rows in self.groups for _, value in rows if value > 1)])

    def x(self, value):
        # Between nothing and one there is a step as between powers of ten.
        return self.at(0 if value <= 0 else (1 + max(0, math.log10(value))) / (1 + self.exponent()))

    def ticks(self):
        names = ["1", "10", "100", "1000", "10⁴", "10⁵", "10⁶", "10⁷", "10⁸", "10⁹", "10¹⁰", "10¹¹"]
        return [(0, "0", "grid")] + [(10**power, names[power], "grid") for power in range(self.exponent() + 1)]

    def row(self, y, colour, value):
        x = self.x(value)
        words = f"{value:,.0f}".replace(",", " ") if value >= 10 or value == 0 else f"{value:.1f}"
        return [line(self.at(0), y, x, y, "", f'stroke="{colour}" stroke-width="3"'), *self.dot(y, colour, x, words)]


class Spans(Panel):
    """From when to when, on a linear axis that begins at 0."""

    def end(self):
        return max(end for _, rows in self.groups for _, _, end in rows)

    def x(self, value):
        return self.at(value / self.end())

    def ticks(self):
        step = 10 ** math.floor(math.log10(self.end()))
        step /= 5 if self.end() / step < 2 else 2 if self.end() / step < 5 else 1
        return [(i * step, f"{i * step:g}", "grid") for i in range(math.floor(self.end() / step) + 1)]

    def row(self, y, colour, begin, end):
        return [line(self.x(begin), y, max(self.x(end), self.x(begin) + 1), y, "", f'stroke="{colour}" stroke-width="9"'),
                text(self.x(end) + 6, y + 4, f"{end - begin:.3f}", "small")]


def draw(title, series, panels):
    """series: (key, name); returns the SVG's text."""
    colours = {key: COLOURS[number % len(COLOURS)] for number, (key, _) in enumerate(series)}
    parts, y = [text(20, 28, title, "title")], 52
    x = 20
    for key, name in series:
        width = 26 + 6.4 * len(name)
        if x + width > WIDTH - 20:
            x, y = 20, y + 20
        parts += [f'<circle cx="{x + 5}" cy="{y - 4}" r="4.5" fill="{colours[key]}"/>', text(x + 15, y, name)]
        x += width
    y += 24
    for panel in panels:
        more, y = panel.draw(y, colours)
        parts += more
        y += 16
    return ("<!-- SPDX-License-Identifier: BSD-2-Clause -->\n"
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0f}" width="{WIDTH}" height="{y:.0f}">\n'
            f"<style>{STYLE}</style>\n"
            f'<rect width="{WIDTH}" height="{y:.0f}" class="page"/>\n' + "\n".join(parts) + "\n</svg>\n")
