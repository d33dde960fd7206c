"""Places whose shelves are for asyncio, so that the suites of other folders run over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import rigs
from tests.aio.facade import Facade, LoopThread, kinds_of_loops


class AsyncPlace(rigs.Place):
    """A place whose shelves are for asyncio, behind a facade."""

    def __init__(self, config: dict[str, dict[str, Any]], loop: LoopThread) -> None:
        super().__init__(config)
        self._loop = loop

    def open(self, flag: str = "c", **options: Any) -> Any:
        shelf: Any = Facade.open(self._loop, self.config, flag, **options)
        self.opened.append(shelf)
        return shelf

    def close(self) -> None:
        for shelf in self.opened:
            shelf.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_kind(request: pytest.FixtureRequest) -> str:
    if request.param not in kinds_of_loops():
        pytest.skip("uvloop is not installed")
    return str(request.param)


@pytest.fixture
def loop_thread() -> Iterator[LoopThread]:
    loop = LoopThread()
    yield loop
    loop.close()


# Threads send the requests of boto3, as those in memory.
@pytest.fixture(
    params=["in-memory", pytest.param("aws-s3", marks=[pytest.mark.s3, pytest.mark.once])]
)
def place(
    request: pytest.FixtureRequest, loop_thread: LoopThread, tmp_path: Path
) -> Iterator[AsyncPlace]:
    match request.param:
        case "in-memory":
            config = rigs.memory_config()
        case "filesystem":  # Some tests ask for it.
            config = rigs.folder_config(tmp_path / "shelf")
        case _:
            config = request.getfixturevalue("s3_rig").config_past_the_proxy()
    place = AsyncPlace(config, loop_thread)
    yield place
    place.close()


@pytest.fixture
def s3_place(s3: rigs.S3Rig, loop_thread: LoopThread) -> Iterator[AsyncPlace]:
    place = AsyncPlace(s3.config(), loop_thread)
    yield place
    place.close()
