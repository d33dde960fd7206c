"""The tables and plots of docs/figures.md are those of the results that are committed."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.figures import drawing
from benchmarks.figures.pages import COMMAND, FOLDER, PAGES, rendered, slower_list
from benchmarks.figures.results import FILE, Measurement, Results, Run

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def texts() -> dict[Path, str]:
    return rendered(Results.load())


def test_the_pages_and_plots_are_up_to_date(texts: dict[Path, str]) -> None:
    stale = [path.name for path, text in texts.items() if path.read_text("utf-8") != text]
    assert not stale, f"these are out of date: run {COMMAND}"


def test_no_plot_is_left_of_earlier_results(texts: dict[Path, str]) -> None:
    assert set(FOLDER.glob("*.svg")) == {path for path in texts if path not in PAGES}


def test_the_page_shows_each_plot(texts: dict[Path, str]) -> None:
    pages = "".join(texts[page] for page in PAGES)
    shown = set(re.findall(r"images/figures/(\S+\.svg)\)", pages))
    assert shown == {path.name for path in texts if path not in PAGES}


def test_a_plot_is_xml_and_its_texts_are_inside(texts: dict[Path, str]) -> None:
    for path in set(texts) - set(PAGES):
        root = ElementTree.fromstring(texts[path])
        width, height = (int(root.attrib[name]) for name in ("width", "height"))
        for text in root.iter(f"{SVG}text"):
            assert 0 < int(text.attrib["x"]) < width, path.name
            assert 0 < int(text.attrib["y"]) < height, path.name


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    results = Results.load()
    results.save(tmp_path / "results.json")
    assert (tmp_path / "results.json").read_bytes() == FILE.read_bytes()


def test_measuring_a_course_again_keeps_the_others() -> None:
    first, second = Run("a", "2026-01-01", False, {}), Run("b", "2026-01-02", True, {})
    results = Results()
    one, other = (
        Measurement(course, "get", "cshelve", 0, 1, 1.0) for course in ("operations", "keys")
    )
    results.replace(first, [one, other])
    again = Measurement("keys", "get", "cshelve", 0, 1, 2.0)
    results.replace(second, [again])
    assert results.measurements == [one, again]
    assert results.runs == {"operations": first, "keys": second}


def test_it_says_where_another_package_is_faster() -> None:
    measurements = [
        Measurement("operations", "get", "cshelve", 0, 10, 1.0),
        Measurement("operations", "get", "obstore", 0, 10, 0.5),
        Measurement("operations", "get", "boto3", 0, 10, 2.0),
        Measurement("operations", "set", "cshelve", 0, 10, 1.0),
        Measurement("operations", "set", "obstore", 0, 10, 0.99),
    ]
    assert slower_list(Results({}, measurements)) == "- `db[key]`, this machine: obstore (2.00)"


def test_labels_of_lines_that_end_in_the_same_place_are_apart() -> None:
    series = {name: {1.0: 1.0, 10.0: 5.0} for name in ("a", "b", "c")}
    svg = drawing.lines("title", "", series, (str, str), {"a": 0, "b": 1, "c": 2})
    labels = [
        int(each.attrib["y"])
        for each in ElementTree.fromstring(svg).iter(f"{SVG}text")
        if each.text in series
    ]
    heights = sorted(labels)
    assert all(high - low >= 12 for low, high in itertools.pairwise(heights))
