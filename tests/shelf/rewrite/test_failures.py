"""`rewrite` that fails: for one key, for the shelf, or by Ctrl-C."""

from __future__ import annotations

import time
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Provider
from cshelve.testing import FailingProvider
from tests.codec.making import ZLIB
from tests.rigs import provider_of
from tests.shelf.rewrite.rig import VALUES, Config, WritesInBetween, opened


class TestFailures:
    def test_of_a_key_are_its_own(self, config: Config) -> None:
        with opened(config, FailingProvider, compression=ZLIB) as db:
            store = provider_of(db)
            store.put("k3", b"\0 no record")
            store.fail("put", cshelve.StorageError("it did not"), name="k5")
            with pytest.raises(cshelve.BulkError, match="2 keys could not be rewritten") as caught:
                db.rewrite()
            assert isinstance(caught.value.failures["k3"], cshelve.CorruptRecordError)
            assert set(caught.value.failures) == {"k3", "k5"}
            del db["k3"]
            assert db.rewrite() == 1

    def test_is_ended_by_ctrl_c_however_long_others_contend(self, config: Config) -> None:
        def in_parallel(inner: Provider) -> Provider:
            wrapped = WritesInBetween(inner, other, 10_000)
            wrapped.concurrency = 4
            return wrapped

        with (
            opened(config) as other,
            opened(config, in_parallel, default={"checksum": True}) as db,
        ):

            def interrupt(progress: cshelve.Progress) -> None:
                raise KeyboardInterrupt

            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                db.rewrite(progress=interrupt)
            assert time.monotonic() - began < 10  # Of the 30 seconds for which it contends.

    def test_of_the_shelf_end_it_and_it_may_be_repeated(self, config: Config) -> None:
        gone = cshelve.StorageError("gone")
        gone.about_shelf = True
        with opened(config, FailingProvider, compression=ZLIB) as db:
            store = provider_of(db)
            store.fail("get", gone, after=3)
            with pytest.raises(cshelve.StorageError, match="gone") as caught:
                db.rewrite()
            assert (caught.value.stored, caught.value.failed) == (3, 1)
            assert db.rewrite() == len(VALUES) - 3

    def test_of_what_would_be_too_large_are_its_key_s_own(self, config: Config) -> None:
        sections: Any = {"default": {"max_value_bytes": 300}, "compression": ZLIB}
        with opened(config, **sections) as db:
            db.clear()
            with pytest.raises(cshelve.ValueTooLargeError, match=r"'k' in memory.*max_value_bytes"):
                db["k"] = bytes(400)
            with pytest.raises(cshelve.BulkError) as caught:
                db.update(a=bytes(400), b=1)
            assert isinstance(caught.value.failures["a"], cshelve.ValueTooLargeError)
            assert list(db) == ["b"]
        with opened(config, default={"serializer": "bytes"}) as plain:
            plain["a"] = bytes(400)
        with opened(config, **sections) as db:
            with pytest.raises(cshelve.BulkError) as caught:
                db.rewrite()
            assert isinstance(caught.value.failures["a"], cshelve.ValueTooLargeError)
