"""`rewrite` in S3: what it costs, and keys that rotate in use."""

from __future__ import annotations

import threading

import pytest

from tests.codec.making import GCM, KEY, OTHER_KEY, ZLIB
from tests.rigs import S3Rig, provider_of
from tests.shelf.rewrite.rig import VALUES, opened


@pytest.mark.s3
class TestInABucket:
    def test_costs_a_listing_a_get_a_key_and_a_put_for_each_that_is_written(
        self, s3: S3Rig
    ) -> None:
        config = s3.config()
        with opened(config) as db:
            db.update(VALUES)
            db.modify("k0", lambda value: value)
        with opened(config, compression=ZLIB) as db:
            db.modify("k0", lambda value: value)  # From here on the server's conditions are known.
            provider = provider_of(db)
            provider.stats.requests.clear()
            assert db.rewrite() == len(VALUES) - 1
            sent = provider.stats.requests
            assert sent["ListObjectsV2"] == 1
            assert sent["GetObject"] == len(VALUES)
            assert sent["PutObject"] == len(VALUES) - 1
            assert set(sent) <= {"ListObjectsV2", "GetObject", "PutObject"}

    @pytest.mark.encryption
    def test_rotates_keys_with_a_writer_beside_it(
        self, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OLD_KEY", KEY)
        config = s3.config()
        new = {**GCM, "key": OTHER_KEY, "previous_environment_keys": "OLD_KEY"}
        with opened(config, encryption=GCM) as db:
            db.update(VALUES)
        with opened(config, encryption=new) as db, opened(config, encryption=new) as other:
            db["n"] = 0
            thread = threading.Thread(
                target=lambda: [other.modify("n", lambda n: n + 1) for _ in range(20)]
            )
            thread.start()
            db.rewrite()
            thread.join()
            assert db.rewrite() == 0
        with opened(config, encryption={**GCM, "key": OTHER_KEY}) as db:
            assert dict(db.items()) == {**VALUES, "n": 20}
