from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "memoized.py"


def test_of_several_processes_one_computes_each_result(store: str) -> None:
    command = [sys.executable, "-W", "error", str(PROGRAM), "1", "2", "3", "4"]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        for _ in range(3)
    ]
    outputs = [each.communicate(timeout=60)[0] for each in running]
    assert [each.returncode for each in running] == [0, 0, 0]
    computed = [seed for text in outputs for seed in re.findall(r"computing seed (\d)", text)]
    assert sorted(computed) == ["1", "2", "3", "4"]
    assert len({text.splitlines()[-1].split()[0] for text in outputs}) == 1
