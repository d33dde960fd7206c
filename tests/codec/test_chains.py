"""Any value through any chain: it comes back, and where the record vouches for it, no bit flips."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cshelve
from tests.codec.golden.make import from_text, to_text
from tests.codec.making import EAX, GCM, HMAC
from tests.rigs import provider_of
from tests.values.test_serializers import json_values, msgpack_values


def has(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) for module in modules)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers())
    ),
    max_leaves=10,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "pickle": anything,
    "bytes": st.binary(max_size=2000),
    "json": json_values,
    "functions": json_values,
}
COMPRESSIONS: list[dict[str, Any]] = [{}, {"compression": {"algorithm": "zlib"}}]
PROTECTIONS: list[dict[str, Any]] = [{}, {"signing": HMAC}]
if has("msgpack"):
    VALUES["msgpack"] = msgpack_values
if sys.version_info >= (3, 14) or (has("backports") and has("backports.zstd")):
    COMPRESSIONS.append({"compression": {"algorithm": "zstd"}})
if has("lz4"):
    COMPRESSIONS.append({"compression": {"algorithm": "lz4"}})
if has("Crypto", "cryptography"):
    PROTECTIONS += [{"encryption": GCM}, {"encryption": EAX}, {"encryption": EAX, "signing": HMAC}]


@st.composite
def chains(draw: st.DrawFn, *, checksum: bool | None = None) -> tuple[str, Any, dict[str, Any]]:
    """Draw a serializer, a value for it, and a configuration of all the rest."""
    name = draw(st.sampled_from(sorted(VALUES)))
    config: dict[str, Any] = {"default": {"provider": "in-memory"}}
    if name != "functions":
        config["default"]["serializer"] = name
    config["default"]["checksum"] = draw(st.booleans()) if checksum is None else checksum
    config |= draw(st.sampled_from(COMPRESSIONS)) | draw(st.sampled_from(PROTECTIONS))
    return name, draw(VALUES[name]), config


def opened(name: str, config: dict[str, Any]) -> cshelve.CloudShelf:
    functions: dict[str, Any] = (
        {"serializer": to_text, "deserializer": from_text} if name == "functions" else {}
    )
    return cshelve.open_from_dict(config, **functions)


keys = st.text(min_size=1, max_size=20)


@given(chain=chains(), key=keys)
@settings(max_examples=60)
def test_what_is_stored_comes_back(chain: tuple[str, Any, dict[str, Any]], key: str) -> None:
    name, value, config = chain
    with opened(name, config) as db:
        db[key] = value
        assert db[key] == value
        assert pickle.dumps(type(db[key])) == pickle.dumps(type(value))


@given(chain=chains(checksum=True), key=keys, data=st.data())
@settings(max_examples=60)
def test_a_flipped_bit_of_what_vouches_for_itself_is_found(
    chain: tuple[str, Any, dict[str, Any]], key: str, data: st.DataObject
) -> None:
    name, value, config = chain
    config["default"]["checksum"] = data.draw(st.booleans()) or not (
        "signing" in config or config.get("encryption") is GCM
    )
    with opened(name, config) as db:
        db[key] = value
        store = provider_of(db)
        record = bytearray(store.get(key).data)
        bit = data.draw(st.integers(0, 8 * len(record) - 1))
        record[bit // 8] ^= 1 << bit % 8
        store.put(key, bytes(record))
        with pytest.raises(cshelve.RecordError):
            db[key]
