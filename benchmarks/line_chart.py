"""Draw lines through measurements, as an SVG picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["line_chart"]

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 50, 120, 40, 50
COLORS = ("#1f77b4", "#d95f02", "#2ca02c", "#7570b3")
IDEAL = "#888"

Point = tuple[float, float]


def line_chart(
    titles: tuple[str, str], xs: Sequence[int], lines: Mapping[str, Sequence[float]]
) -> str:
    """Return a picture of lines that have a point for each of `xs`, and of the line y = x."""
    highest = xs[-1]

    def place(x: float, y: float) -> Point:
        across = (WIDTH - LEFT - RIGHT) * x / highest
        up = (HEIGHT - TOP - BOTTOM) * y / highest
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text((LEFT, TOP - 18), titles[1], "start"),
        _text((place(highest / 2, 0)[0], HEIGHT - 10), titles[0], "middle"),
    ]
    for number in range(highest + 1):
        left, right = place(0, number), place(highest, number)
        parts += [
            _line([left, right], "#ddd"),
            _text((left[0] - 8, left[1] + 4), str(number), "end"),
        ]
    for x in xs:
        across, down = place(x, 0)
        parts.append(_text((across, down + 20), str(x), "middle"))
    ends = [place(0, 0), place(highest, highest)]
    parts.append(_line(ends, IDEAL, 'stroke-dasharray="5 5"'))
    parts.append(_text((ends[1][0] + 10, ends[1][1] + 4), "ideal", "start", IDEAL))
    for color, (name, ys) in zip(COLORS, lines.items(), strict=False):
        points = [place(*each) for each in zip(xs, ys, strict=True)]
        parts.append(_line(points, color, 'stroke-width="2"'))
        parts += [f'<circle cx="{x}" cy="{y}" r="3.5" fill="{color}"/>' for x, y in points]
        parts.append(_text((points[-1][0] + 10, points[-1][1] + 4), name, "start", color))
    return "\n".join([*parts, "</svg>", ""])


def _text(at: Point, words: str, anchor: str, color: str = "#333") -> str:
    return f'<text x="{at[0]}" y="{at[1]}" text-anchor="{anchor}" fill="{color}">{words}</text>'


def _line(points: Sequence[Point], color: str, style: str = "") -> str:
    joined = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{joined}" fill="none" stroke="{color}" {style}/>'
