"""The token: which puts carry it, and that it is the shelf's own."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import cshelve
from testbed.faults import AfterActing, EditResponse, Reset
from testbed.http_messages import Response
from tests.providers.aws_s3.conditions.rig import (
    HEAD,
    PUT,
    TOKEN,
    Write,
    add_it,
    etag,
    replace_it,
    tokens,
)
from tests.rigs import Place, S3Rig, object_of

pytestmark = pytest.mark.s3


class TestTheToken:
    @pytest.mark.parametrize(
        "write",
        [
            replace_it,
            add_it,
            lambda db: db.setdefault("n", "new"),
            lambda db: db.modify("k", str.upper),
            lambda db: db.modify("n", str.upper, default="new"),
            lambda db: db.prefix("k").modify("", str.upper),
        ],
        ids=["replace", "replace None", "setdefault", "modify", "modify default", "view"],
    )
    def test_is_carried_by_every_put_with_a_condition(
        self, write: Write, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with s3.proxy.counting() as seen:
            write(db)
        (token,) = tokens(seen)
        assert token is not None
        assert re.fullmatch("[0-9a-f]{32}", token)

    @pytest.mark.parametrize(
        "write",
        [
            lambda db: db.__setitem__("k", "new"),
            lambda db: db.update(k="new"),
            lambda db: db.set_many({"k": "new"}),
        ],
        ids=["set", "update", "set_many"],
    )
    def test_is_carried_by_no_plain_put(
        self, write: Write, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        replace_it(db)
        with s3.proxy.counting() as seen:
            write(db)
        assert tokens(seen) == [None]

    def test_is_another_one_for_each_put(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        with s3.proxy.counting() as seen:
            for _ in range(5):
                replace_it(db)
        assert len(set(tokens(seen))) == 5

    def test_goes_beside_the_users_metadata(self, s3: S3Rig) -> None:
        place = Place({**s3.config(), "put_params": {"Metadata.origin": "mine"}})
        db = place.open()
        db["plain"] = 1
        db.replace("n", 1, None)
        db["plain again"] = 1
        metadata = {
            key: s3.client.head_object(Bucket=s3.bucket, Key=object_of(db, key))["Metadata"]
            for key in ("plain", "n", "plain again")
        }
        token = metadata["n"].pop("cshelve-token")
        assert token
        assert metadata == {key: {"origin": "mine"} for key in metadata}
        place.close()


def test_a_server_may_write_the_tokens_name_in_capitals(s3: S3Rig, db: cshelve.CloudShelf) -> None:
    """As those written in Go do; the names of headers have no case."""

    def edit(answer: Response) -> Response:
        headers = [(n.title() if n.lower() == TOKEN else n, v) for n, v in answer.headers]
        return replace(answer, headers=headers)

    s3.proxy.inject(AfterActing(Reset()), operation=PUT, key=object_of(db))
    s3.proxy.inject(EditResponse(edit), operation=HEAD, key=object_of(db))
    assert replace_it(db) == etag(s3, db)


@pytest.mark.parametrize("name", ["cshelve-token", "Cshelve-Token"])
def test_the_users_metadata_may_not_have_the_tokens_name(name: str, s3: S3Rig) -> None:
    config = s3.config()
    config["put_params"] = {f"Metadata.{name}": "mine"}
    with pytest.raises(cshelve.ConfigurationError, match="set by the shelf itself"):
        cshelve.open_from_dict(config)
