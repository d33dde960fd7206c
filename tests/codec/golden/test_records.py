"""Records that were written once can be read for ever, whatever is configured beside their keys."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

import cshelve
from tests.codec.golden.make import RECORDS, VALUES, combinations, functions_of
from tests.rigs import provider_of

GOLDEN = [json.loads(line) for line in RECORDS.read_text().splitlines()]


def marks_of(name: str) -> list[pytest.MarkDecorator]:
    """Name the packages that a combination needs."""
    marks = [pytest.mark.encryption] if "aes256" in name else []
    marks += [pytest.mark.compression] if "zstd" in name else []
    marks += [pytest.mark.lz4] if "lz4" in name else []
    marks += [pytest.mark.msgpack] if "msgpack" in name else []
    return marks


def each_of(records: list[dict[str, Any]]) -> pytest.MarkDecorator:
    params = [pytest.param(each, id=each["name"], marks=marks_of(each["name"])) for each in records]
    return pytest.mark.parametrize("golden", params)


def read(golden: dict[str, Any], **more: Any) -> Any:
    serializer = golden["name"].split()[0]
    config = {**golden["config"], **more}
    config["default"] = {**config["default"], "provider": "in-memory"}
    with cshelve.open_from_dict(config, **functions_of(serializer)) as db:
        store = provider_of(db)
        store.put(golden["key"], base64.b64decode(golden["record"]))
        return db[golden["key"]]


def test_every_combination_is_there() -> None:
    assert {name for name, _ in combinations()} <= {golden["name"] for golden in GOLDEN}


@each_of(GOLDEN)
@pytest.mark.filterwarnings("ignore:.*encrypts with AES-128:UserWarning")
def test_can_be_read_under_any_compression(golden: dict[str, Any]) -> None:
    assert read(golden) == VALUES[golden["name"].split()[0]]
    if "unversioned" in golden["name"]:
        return  # Those without a header do not say how they were made.
    for compression in (None, "zlib"):
        other = {} if compression is None else {"compression": {"algorithm": compression}}
        without = {k: v for k, v in golden["config"].items() if k != "compression"}
        assert read({**golden, "config": without}, **other) == VALUES[golden["name"].split()[0]]
