"""Draw bars and lines as SVG that can be read on light and dark pages, and on a phone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

__all__ = ["bars", "lines"]

WIDTH = 360
# The background is drawn, because a page may be dark when the system is not.
STYLE = """\
<style>
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 13px } .small { fill: #59636e; font-size: 11px }
.card { fill: #fff; stroke: #d0d7de } .grid { stroke: #e4e8ec }
.bar { fill: #afb8c1 } .ours { fill: #0969da }
.line { fill: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9198a1 }
.card { fill: #0d1117; stroke: #30363d } .grid { stroke: #262c36 }
.bar { fill: #545d68 } .ours { fill: #4493f8 } .line, .dot { filter: brightness(1.35) }
}
</style>"""
COLOURS = (
    "#0969da", "#8250df", "#b07d00", "#cf222e", "#1a7f37", "#d4620c", "#0a8a8a", "#bf3989"
)  # fmt: skip
ROW = 18
TALL = 26 + 2 * (22 + 8 + 8 * ROW) + 14
NAMES, NUMBERS = 92, 70
"""The widths of the columns left and right of the bars."""
TOP, LEFT, RIGHT, BOTTOM = 52, 52, 104, 42
"""The margins around lines."""
HEIGHT = 290
LABEL = 13


def bars(
    title: str,
    blocks: Mapping[str, Mapping[str, float]],
    text_of: Callable[[float], str],
    ours: str,
    width: int = WIDTH,
) -> str:
    """Draw a bar for each amount, in blocks with a heading and a scale of their own."""
    y = 26
    parts = [_text(12, y, title, "title")]
    for heading, amounts in blocks.items():
        if heading:
            y += 22
            parts.append(_text(12, y, heading, "small"))
        y += 8
        most = max(amounts.values())
        for name, amount in amounts.items():
            length = max(1.0, amount / most * (width - 24 - NAMES - NUMBERS))
            kind = "bar ours" if name == ours else "bar"
            parts += [
                _text(12, y + 12, name),
                f'<rect class="{kind}" x="{12 + NAMES}" y="{y + 2}" width="{length:.1f}" '
                f'height="{ROW - 6}" rx="2"/>',
                _text(round(18 + NAMES + length), y + 12, text_of(amount)),
            ]
            y += ROW
    # Plots of two blocks have the same height, so that they are in line beside each other.
    return _svg(width, max(y + 14, TALL if len(blocks) > 1 else 0), parts, title)


def lines(
    title: str,
    heading: str,
    series: Mapping[str, Mapping[float, float]],
    texts: tuple[Callable[[float], str], Callable[[float], str]],
    colours: Mapping[str, int],
) -> str:
    """Draw a line for each series on logarithmic scales; `texts` label the two scales."""
    across = _Scale([x for each in series.values() for x in each], LEFT, WIDTH - RIGHT)
    amounts = [y for each in series.values() for y in each.values()]
    up = _Scale(
        [_power(min(amounts), math.floor), *amounts, _power(max(amounts), math.ceil)],
        HEIGHT - BOTTOM,
        TOP,
    )
    parts = [_text(12, 26, title, "title"), _text(12, 42, heading, "small")]
    for tick in up.ticks():
        y = up.at(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 6, round(y) + 4, texts[1](tick), "small", "end"))
    for tick in sorted({x for each in series.values() for x in each}):
        where = round(across.at(tick)), HEIGHT - BOTTOM + 18
        parts.append(_text(*where, texts[0](tick), "small", "middle"))
    ends = {}
    # The first line is drawn last, on top of the others.
    for name in reversed(list(series)):
        places = [(across.at(x), up.at(y)) for x, y in sorted(series[name].items())]
        parts += _line(places, COLOURS[colours[name]], 1.5 if colours[name] else 3)
        ends[name] = places[-1][1]
    for name, y in _apart(ends).items():
        x = WIDTH - RIGHT + 8
        mark = f'stroke="{COLOURS[colours[name]]}" stroke-width="3" d="M{x} {y:.1f}h8"'
        parts += [f'<path class="line" {mark}/>', _text(x + 12, round(y) + 4, name, "small")]
    return _svg(WIDTH, HEIGHT, parts, title)


def _power(amount: float, rounded: Callable[[float], int]) -> float:
    """Return the power of ten below or above."""
    return 10.0 ** rounded(math.log10(amount))


def _line(places: Sequence[tuple[float, float]], colour: str, width: float) -> list[str]:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dots = [
        f'<circle class="dot" fill="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in places
    ]
    return [f'<path class="line" stroke="{colour}" stroke-width="{width}" d="M{path}"/>', *dots]


class _Scale:
    """A logarithmic scale between two positions."""

    def __init__(self, amounts: Sequence[float], start: float, end: float) -> None:
        self._low, self._high = math.log10(min(amounts)), math.log10(max(amounts))
        self._start, self._end = start, end

    def at(self, amount: float) -> float:
        part = (math.log10(amount) - self._low) / ((self._high - self._low) or 1)
        return self._start + part * (self._end - self._start)

    def ticks(self) -> list[float]:
        """Return the powers of ten in between."""
        first, last = math.ceil(self._low - 1e-9), math.floor(self._high + 1e-9)
        return [10.0**power for power in range(first, last + 1)]


def _apart(ends: Mapping[str, float]) -> dict[str, float]:
    """Return places for labels, near the ends of their lines and not on top of each other."""
    names = sorted(ends, key=lambda name: ends[name])
    placed: dict[str, float] = {}
    highest = -math.inf
    for name in names:
        placed[name] = max(ends[name], highest)
        highest = placed[name] + LABEL
    lowest = HEIGHT - BOTTOM + 8.0
    for name in reversed(names):
        placed[name] = min(placed[name], lowest)
        lowest = placed[name] - LABEL
    return placed


def _text(x: int, y: int, text: str, kind: str = "", anchor: str = "start") -> str:
    kinds = f' class="{kind}"' if kind else ""
    anchors = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x}" y="{y}"{kinds}{anchors}>{escape(text)}</text>'


def _svg(width: int, height: int, parts: Sequence[str], title: str) -> str:
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{escape(title)}</title>",
            STYLE,
            f'<rect class="card" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )
