from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.dataset
import pyarrow.parquet
import pytest

from testbed.seaweedfs import SeaweedFS

PROGRAM = Path(__file__).parent / "data_frames.py"
# Without these, the interpreter has no cshelve to import.
WITHOUT_CSHELVE = "import sys; sys.modules['cshelve'] = None\n"


def test_the_program_reads_what_it_wrote(store: str) -> None:
    command = [sys.executable, "-W", "error", str(PROGRAM)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "2026-01  apple    3.5" in printed
    assert "pear     4.75" in printed
    assert printed.splitlines()[-3:] == [
        "     month fruit",
        "0  2026-01  pear",
        "1  2026-02  pear",
    ]


def test_an_object_is_the_parquet_file_and_nothing_else(store: str, server: SeaweedFS) -> None:
    module = importlib.import_module("data_frames")
    frame = pd.DataFrame({"a": [1, 2], "when": pd.to_datetime(["2026-01-01", "2026-02-01"])})
    with module.tables:
        module.save("one", frame)
        pd.testing.assert_frame_equal(module.load("one"), frame)
    bucket, _, prefix = store.removeprefix("s3://").partition("/")
    body = server.client().get_object(Bucket=bucket, Key=f"{prefix}/tables/one.parquet")["Body"]
    data = body.read()
    assert (data[:4], data[-4:]) == (b"PAR1", b"PAR1")


def test_pandas_reads_it_in_a_process_without_cshelve(store: str) -> None:
    module = importlib.import_module("data_frames")
    with module.tables:
        module.save("one", pd.DataFrame({"a": [1, 2]}))
    program = f"import pandas; print(pandas.read_parquet('{store}/tables/one.parquet').a.sum())"
    command = [sys.executable, "-c", WITHOUT_CSHELVE + program]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "3\n"


def test_in_a_folder_it_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", tmp_path.as_uri())
    module = importlib.import_module("data_frames")
    with module.tables:
        module.save("2026/01", pd.DataFrame({"a": [1, 2]}))
        module.save("2026/02", pd.DataFrame({"a": [3]}))
    assert pyarrow.parquet.read_table(tmp_path / "tables/2026/02.parquet").to_pylist() == [{"a": 3}]
    # The folder of locks, %tmp, is no part of the data set.
    everything = pyarrow.dataset.dataset(tmp_path / "tables/2026")
    assert sorted(everything.to_table()["a"].to_pylist()) == [1, 2, 3]
