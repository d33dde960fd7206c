"""Turn the results into tables on the pages, and into plots.

    python -m benchmarks.figures.pages

The tables are between markers; the text around them is written by hand. A test fails if the pages
or the plots are not those of the results.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from benchmarks.figures import drawing
from benchmarks.figures.cold import PYTHON
from benchmarks.figures.programs import LOCAL, OURS, PROGRAMS
from benchmarks.figures.results import Results
from testbed.environments import ROOT

__all__ = ["COMMAND", "FOLDER", "rendered", "update"]

COMMAND = "python -m benchmarks.figures.pages"
FOLDER = ROOT / "docs" / "images" / "figures"
PAGES = (ROOT / "docs" / "figures.md", ROOT / "README.md")
PLACE = re.compile(r"(<!-- figures: ([\w -]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)

ACTS = {
    "set": "`db[key] = value`",
    "get": "`db[key]`",
    "in": "`key in db`",
    "modify": "`db.modify(key, …)`",
    "write": "`db.update(…)`",
    "read": "`db.get_many(…)`",
    "list": "`list(db)`",
    "len": "`len(db)`",
    "clear": "`db.clear()`",
}
DELAYS = {0: "this machine", 20: "20 ms away"}
COURSES = {
    "operations": "operations",
    "cold start": "cold-starts",
    "cold memory": "cold-starts",
    "sizes": "sizes",
    "memory": "sizes",
    "keys": "growth",
    "simulated keys": "growth",
}
"""What each course is called on the command line."""
NOTICED = 1.05
"""What is less than this many times as fast counts as equally fast."""
COLOURS = {name: number for number, name in enumerate(PROGRAMS) if name != LOCAL}


def main() -> None:
    update(Results.load())


def update(results: Results) -> None:
    """Write the pages and plots, and delete plots that are no longer drawn."""
    texts = rendered(results)
    FOLDER.mkdir(exist_ok=True)
    for old in set(FOLDER.glob("*.svg")) - set(texts):
        old.unlink()
    for path, text in texts.items():
        path.write_text(text, "utf-8")


def rendered(results: Results) -> dict[Path, str]:
    """Return the text of each page and plot."""
    blocks = tables(results)

    def filled(place: re.Match[str]) -> str:
        begin, name, end = place.groups()
        return f"{begin}\n{blocks[name]}\n\n{end}"

    pages = {page: PLACE.sub(filled, page.read_text("utf-8")) for page in PAGES}
    return pages | {FOLDER / f"{name}.svg": text for name, text in plots(results).items()}


def tables(results: Results) -> dict[str, str]:
    """Return the text for each marker."""
    found = {f"operations {delay}": operations_table(results, delay) for delay in DELAYS}
    found |= {
        f"sizes {act} {delay}": growth_table(results, "sizes", act, delay, bytes_text)
        for act in ("set", "get")
        for delay in DELAYS
    }
    for course, delay in (("keys", 0), ("simulated keys", 20)):
        found |= {
            f"{course} {act}": growth_table(results, course, act, delay, count_text)
            for act in ("len", "list", "in")
        }
    found |= {f"made with {course}": made_with(results, course) for course in results.runs}
    found["cold start"] = cold_table(results)
    found["memory"] = memory_table(results)
    found["slower"] = slower_list(results)
    found["readme"] = readme_table(results)
    return found


def operations_table(results: Results, delay: int) -> str:
    names = [name for name in PROGRAMS if name != LOCAL or delay == 0]
    rows = []
    for act, title in ACTS.items():
        rates = results.rates("operations", act, delay)
        best = max((rate for name, rate in rates.items() if name != LOCAL), default=0)
        cells = {name: _marked(f"{rate:,.0f}", rate == best) for name, rate in rates.items()}
        rows.append([title, *(cells.get(name, "") for name in names)])
    return table(["a second", *names], rows)


def growth_table(
    results: Results, course: str, act: str, delay: int, text_of: Callable[[float], str]
) -> str:
    found = results.of(course, act, delay)
    names = [name for name in PROGRAMS if any(each.contestant == name for each in found)]
    rows = []
    for size in sorted({each.size for each in found}):
        amounts = results.amounts(course, act, delay, size)
        best = min(amount for name, amount in amounts.items() if name != LOCAL)
        cells = {
            name: _marked(seconds_text(amount), amount == best) for name, amount in amounts.items()
        }
        rows.append([text_of(size), *(cells.get(name, "") for name in names)])
    return table(["bytes" if course == "sizes" else "keys", *names], rows)


def cold_table(results: Results) -> str:
    names = [*PROGRAMS, PYTHON]
    seconds = {delay: results.amounts("cold start", "get", delay) for delay in DELAYS}
    memory = results.amounts("cold memory", "get", 0)
    rows = []
    for name in names:
        times = [
            seconds_text(seconds[delay][name])
            # Without a server, nothing is delayed.
            if delay == 0 or name not in (LOCAL, PYTHON)
            else ""
            for delay in DELAYS
        ]
        rows.append([name, *times, f"{memory[name] / 1e6:,.0f} MB"])
    return table(["", *DELAYS.values(), "memory"], rows)


def memory_table(results: Results) -> str:
    size = results.of("memory", "set", 0)[0].size
    both = [results.amounts("memory", act, 0) for act in ("set", "get")]
    rows = [[name, *(f"{each[name] / size:.1f}" for each in both)] for name in both[0]]
    rows.sort(key=lambda row: list(PROGRAMS).index(row[0]))
    return table([f"times {bytes_text(size)}", ACTS["set"], ACTS["get"]], rows)


def slower_list(results: Results) -> str:
    """Name each operation in which another package is faster, and how much."""
    lines = []
    for what, amounts in _races(results):
        others = {name: amounts[OURS] / each for name, each in amounts.items() if name != LOCAL}
        ahead = {name: each for name, each in others.items() if each >= NOTICED}
        if ahead:
            names = sorted(ahead, key=lambda name: -ahead[name])
            lines.append(f"- {what}: {', '.join(f'{name} ({ahead[name]:.2f})' for name in names)}")
    return "\n".join(lines) or "In none of these."


def _races(results: Results) -> Iterable[tuple[str, Mapping[str, float]]]:
    """Yield what was measured, and the seconds or bytes that each contestant needed."""
    for delay, where in DELAYS.items():
        for act, title in ACTS.items():
            rates = results.rates("operations", act, delay)
            if OURS in rates:
                yield f"{title}, {where}", {name: 1 / rate for name, rate in rates.items()}
        cold = results.amounts("cold start", "get", delay)
        yield f"cold start, {where}", {name: cold[name] for name in cold if name != PYTHON}
        for act in ("set", "get"):
            for size in sorted({each.size for each in results.of("sizes", act, delay)}):
                amounts = results.amounts("sizes", act, delay, size)
                yield f"{ACTS[act]}, a value of {bytes_text(size)}, {where}", amounts
    cold = results.amounts("cold memory", "get", 0)
    yield "memory of a process", {name: cold[name] for name in cold if name != PYTHON}
    for act in ("set", "get"):
        yield f"memory for a large value, {ACTS[act]}", results.amounts("memory", act, 0)
    for course, delay, where in (
        ("keys", 0, "this machine"),
        ("simulated keys", 20, "simulated, 20 ms away"),
    ):
        for act in ("len", "list", "in"):
            for size in sorted({each.size for each in results.of(course, act, delay)}):
                amounts = results.amounts(course, act, delay, size)
                yield f"{ACTS[act]} with {count_text(size)} keys, {where}", amounts


def made_with(results: Results, course: str) -> str:
    """Say how a course's figures are made again, and what they were made with."""
    run = results.runs[course]
    arguments = ["--quick"] * run.is_quick + [COURSES[course]]
    versions = dict.fromkeys(each for text in run.versions.values() for each in text.split(", "))
    rounds = ", a quick run that other work may have distorted," if run.is_quick else ""
    return (
        f'Made by `make figures FIGURES_ARGS="{" ".join(arguments)}"`{rounds} on {run.date}.\n'
        f"{run.machine}; {', '.join(versions)}."
    )


def readme_table(results: Results) -> str:
    columns = {
        "values read a second, one by one": results.rates("operations", "get", 0),
        "many at once, 20 ms away": results.rates("operations", "read", 20),
        "keys listed a second": results.rates("operations", "list", 0),
    }
    cold = results.amounts("cold start", "get", 0)
    rows = []
    for name in COLOURS:
        rates = [f"{each[name]:,.0f}" if name in each else "" for each in columns.values()]
        rows.append([name, *rates, seconds_text(cold[name])])
    return table(["", *columns, "cold start"], rows)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)


def plots(results: Results) -> dict[str, str]:
    """Return the SVG of each plot."""
    found = {}
    for act, title in ACTS.items():
        rates = {
            where: _sorted(results.rates("operations", act, delay), reverse=True)
            for delay, where in DELAYS.items()
        }
        found[act] = drawing.bars(f"{_plain(title)}, a second", rates, rate_text, OURS)
    cold = {
        where: _sorted(results.amounts("cold start", "get", delay))
        for delay, where in DELAYS.items()
    }
    found["cold-start"] = drawing.bars("Start, read one value, end", cold, seconds_text, OURS)
    memory = {"of such a process": _sorted(results.amounts("cold memory", "get", 0))}
    found["cold-memory"] = drawing.bars("Memory", memory, megabytes_text, OURS)
    size = results.of("memory", "set", 0)[0].size
    copies = {
        _plain(ACTS[act]): {
            name: amount / size
            for name, amount in _sorted(results.amounts("memory", act, 0)).items()
        }
        for act in ("set", "get")
    }
    found["memory"] = drawing.bars(
        f"Memory for {bytes_text(size)}, in multiples", copies, "{:.1f}".format, OURS
    )
    for act in ("set", "get"):
        for delay, where in DELAYS.items():
            found[f"sizes-{act}-{delay}"] = growth_plot(
                results, "sizes", act, delay, f"by size; {where}", bytes_text
            )
    for act in ("len", "list", "in"):
        for course, delay, where in (
            ("keys", 0, "by number of keys; this machine"),
            ("simulated keys", 20, "by number of keys; SIMULATED server, 20 ms away"),
        ):
            name = f"{course.replace(' ', '-')}-{act}"
            found[name] = growth_plot(results, course, act, delay, where, count_text)
    many = {"": _sorted(results.rates("operations", "read", 20), reverse=True)}
    found["readme"] = drawing.bars(
        "Many values from a server 20 ms away: read a second", many, rate_text, OURS, 480
    )
    return found


def growth_plot(
    results: Results,
    course: str,
    act: str,
    delay: int,
    heading: str,
    text_of: Callable[[float], str],
) -> str:
    series: dict[str, dict[float, float]] = {name: {} for name in COLOURS}
    for each in results.of(course, act, delay):
        if each.contestant in series:
            series[each.contestant][each.size] = each.amount
    present = {name: points for name, points in series.items() if points}
    title = f"{_plain(ACTS[act])}: time"
    return drawing.lines(title, heading, present, (text_of, tick_text), COLOURS)


def _sorted(amounts: Mapping[str, float], reverse: bool = False) -> dict[str, float]:
    """Return the amounts from the best to the worst, without what has no server."""
    names = sorted(amounts, key=lambda name: amounts[name], reverse=reverse)
    return {name: amounts[name] for name in names if name not in (LOCAL, PYTHON)}


def _marked(text: str, is_best: bool) -> str:
    return f"**{text}**" if is_best else text


def _plain(title: str) -> str:
    return title.replace("`", "")


def rate_text(rate: float) -> str:
    return f"{rate:,.0f}"


def megabytes_text(amount: float) -> str:
    return f"{amount / 1e6:,.0f} MB"


def seconds_text(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2f} ms"


def tick_text(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def bytes_text(size: float) -> str:
    for unit, of in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= of:
            return f"{size / of:g} {unit}"
    return f"{size:g} B"


def count_text(number: float) -> str:
    return (
        f"{number / 1e6:g}M"
        if number >= 1e6
        else f"{number / 1e3:g}k"
        if number >= 1e3
        else f"{number:g}"
    )


if __name__ == "__main__":
    main()
