"""A process that runs 1.6."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.cshelve_1x import Cshelve1x, find_python


@pytest.fixture(scope="package")
def old() -> Iterator[Cshelve1x]:
    try:
        find_python()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    with Cshelve1x() as process:
        yield process
