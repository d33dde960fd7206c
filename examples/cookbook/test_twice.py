"""The notebook is executed by a kernel of its own, as Jupyter would do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent / "twice.ipynb"


def printed_by_the_notebook(tmp_path: Path) -> list[str]:
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", [])]
    return [each["text"].strip() for each in outputs if each.get("name") == "stdout"]


def test_the_second_read_sends_no_request(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE", str(tmp_path / "cache"))
    first, second = printed_by_the_notebook(tmp_path)
    assert first.startswith("2026-01-31 {'GetObject': 31} ")
    assert second == "2026-01-01 {} 31 from the folder"
    # Another kernel, another day.
    again, _ = printed_by_the_notebook(tmp_path)
    assert again == "2026-01-31 {} 0 bytes"


def test_it_is_stored_without_outputs() -> None:
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    assert not [each for cell in notebook.cells for each in cell.get("outputs", [])]
