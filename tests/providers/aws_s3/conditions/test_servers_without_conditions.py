"""Servers that ignore or refuse conditions: what is refused there, and what goes on with a warning.

SeaweedFS honours conditions. For a server that does not, there is moto, which checks no signatures,
behind a proxy that leaves their headers out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

import cshelve
from testbed.fault_proxy import FaultProxy
from testbed.faults import Answer, WithHeaders, WithoutHeaders
from testbed.moto import Moto
from tests.providers.aws_s3.conditions.rig import DELETE, kinds, probes, warnings_of
from tests.rigs import Place, object_of, provider_of, s3_config

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

pytestmark = pytest.mark.s3

IF_MATCH, IF_NONE_MATCH = "If-Match", "If-None-Match"
NO_ANSWER = Answer(501, "NotImplemented", "A header you provided implies functionality")
BAD_REQUEST = Answer(400, "InvalidArgument", "Unexpected header")

# What the servers do, as arguments of `inject`.
IGNORES_ALL = [{"fault": WithoutHeaders([IF_MATCH, IF_NONE_MATCH])}]
IGNORANT: dict[str, list[dict[str, Any]]] = {
    "ignores all": IGNORES_ALL,
    "answers 501": [
        {"fault": WithHeaders([IF_MATCH, IF_NONE_MATCH], NO_ANSWER)},
    ],
    "answers 400": [
        {"fault": WithHeaders([IF_MATCH, IF_NONE_MATCH], BAD_REQUEST)},
    ],
}
IGNORANT_OF_ABSENT: dict[str, list[dict[str, Any]]] = {
    "ignores": [{"fault": WithoutHeaders([IF_NONE_MATCH])}],
    "answers 501": [{"fault": WithHeaders([IF_NONE_MATCH], NO_ANSWER)}],
}
IGNORANT_OF_DELETE: dict[str, list[dict[str, Any]]] = {
    "ignores": [{"fault": WithoutHeaders([IF_MATCH]), "operation": DELETE}],
    "answers 400": [{"fault": WithHeaders([IF_MATCH], BAD_REQUEST), "operation": DELETE}],
}


@pytest.fixture(scope="module")
def moto_rig(moto: Moto, quick_clients: None) -> Iterator[tuple[FaultProxy, S3Client]]:
    """A proxy before moto, and plain boto3 round it."""
    client = moto.client()
    with FaultProxy(moto.endpoint_url) as proxy:
        yield proxy, client
    client.close()


class Ignorant:
    """A shelf on a server that does not honour all conditions."""

    BUCKET = "ignorant"

    def __init__(self, moto: Moto, proxy: FaultProxy, client: S3Client) -> None:
        self.proxy = proxy
        self._client = client
        options = {"bucket_name": self.BUCKET, "total_max_attempts": 2, "engine": None}
        self.place = Place(s3_config(moto.admin, proxy.endpoint_url, **options))
        self.db = self.place.open()
        self.db["k"] = "old"

    def names(self) -> list[str]:
        """List round the code under test what is in the bucket."""
        prefix = object_of(self.db, "")
        listed = self._client.list_objects_v2(Bucket=self.BUCKET, Prefix=prefix)
        return [found["Key"].removeprefix(prefix) for found in listed.get("Contents", ())]

    def refuses(self, operation: Callable[[], object], condition: str) -> None:
        """Expect that it says what the server lacks, and that nothing has changed."""
        names, value = self.names(), self.db["k"]
        with pytest.raises(cshelve.ConditionsNotSupportedError, match=condition):
            operation()
        assert self.db["k"] == value
        assert self.names() == names


@pytest.fixture
def ignorant(
    request: pytest.FixtureRequest, moto: Moto, moto_rig: tuple[FaultProxy, S3Client]
) -> Iterator[Ignorant]:
    proxy, client = moto_rig
    made = Ignorant(moto, proxy, client)
    for fault in request.param:
        proxy.inject(times=None, **fault)
    yield made
    proxy.clear()
    made.place.close()


def of(servers: dict[str, list[dict[str, Any]]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("ignorant", servers.values(), ids=servers.keys(), indirect=True)


@of(IGNORANT)
class TestAServerWithoutConditions:
    def test_gets_no_write_that_would_need_one(self, ignorant: Ignorant) -> None:
        db = ignorant.db
        version = db.get_versioned("k")[1]
        ignorant.refuses(lambda: db.modify("k", str.upper), IF_MATCH)
        ignorant.refuses(lambda: db.modify("n", str.upper, default="new"), IF_NONE_MATCH)
        ignorant.refuses(lambda: db.modify("k", lambda _: cshelve.DELETE), IF_MATCH)
        ignorant.refuses(lambda: db.replace("k", "new", version), IF_MATCH)
        ignorant.refuses(lambda: db.replace("n", "new", None), IF_NONE_MATCH)
        ignorant.refuses(lambda: db.delete("k", version), IF_MATCH)

    def test_is_found_out_by_one_put_that_leaves_nothing(self, ignorant: Ignorant) -> None:
        with ignorant.proxy.counting() as seen:
            ignorant.refuses(lambda: ignorant.db.modify("k", str.upper), IF_MATCH)
            ignorant.db.setdefault("n", 1)
            ignorant.db.pop("n")
        found_out = kinds(probes(seen))
        assert found_out[0] == "PutObject If-Match"
        # What a 400 is for, a put without a condition shows.
        without = ["PutObject", "DeleteObject", "DeleteObject"]
        assert found_out[1:] in ([], ["DeleteObject"], without)
        assert ignorant.names() == ["k"]

    def test_lets_setdefault_and_pop_and_popitem_work_with_one_warning(
        self, ignorant: Ignorant, caplog: pytest.LogCaptureFixture
    ) -> None:
        db = ignorant.db
        assert db.setdefault("n", "new") == "new"
        assert db.setdefault("n", "newer") == "new"
        assert db.pop("n") == "new"
        assert db.pop("n", "default") == "default"
        assert db.prefix("k").pop("") == "old"
        assert db.prefix("p").setdefault("", 1) == 1
        assert db.popitem() == ("p", 1)
        assert db.setdefault("m", 1) == 1
        with pytest.raises(KeyError):
            db.pop("n")
        assert ignorant.names() == ["m"]
        (warning,) = warnings_of(caplog)
        assert provider_of(db).location in warning

    def test_does_everything_else_without_a_warning(
        self, ignorant: Ignorant, caplog: pytest.LogCaptureFixture
    ) -> None:
        db = ignorant.db
        db["a"] = 1
        db.update(b=2, c=3)
        del db["a"]
        assert db.setdefault("b", 7) == 2
        assert dict(db.items()) == {"b": 2, "c": 3, "k": "old"}
        db.clear()
        assert not db
        assert warnings_of(caplog) == []


@of(IGNORANT_OF_ABSENT)
class TestAServerWithoutIfNoneMatch:
    def test_creates_nothing_under_that_condition(self, ignorant: Ignorant) -> None:
        db = ignorant.db
        ignorant.refuses(lambda: db.replace("n", "new", None), IF_NONE_MATCH)
        ignorant.refuses(lambda: db.replace("k", "new", None), IF_NONE_MATCH)
        ignorant.refuses(lambda: db.modify("n", str.upper, default="new"), IF_NONE_MATCH)

    def test_replaces_and_deletes_what_is_there(
        self, ignorant: Ignorant, caplog: pytest.LogCaptureFixture
    ) -> None:
        db = ignorant.db
        assert db.modify("k", str.upper) == "OLD"
        stale = db.get_versioned("k")[1]
        db.delete("k", db.replace("k", "new", stale))
        db["k"] = "newer"
        with pytest.raises(cshelve.ConflictError):
            db.replace("k", "newest", stale)
        assert db.pop("k") == "newer"
        assert warnings_of(caplog) == []

    def test_lets_setdefault_work_with_one_warning(
        self, ignorant: Ignorant, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert ignorant.db.setdefault("n", 1) == 1
        assert ignorant.db.setdefault("m", 2) == 2
        assert ignorant.db.setdefault("n", 3) == 1
        assert ignorant.names() == ["k", "m", "n"]
        assert len(warnings_of(caplog)) == 1


@of(IGNORANT_OF_DELETE)
class TestAServerWithoutTheConditionalDelete:
    def test_deletes_nothing_under_that_condition(self, ignorant: Ignorant) -> None:
        db = ignorant.db
        version = db.get_versioned("k")[1]
        ignorant.refuses(lambda: db.delete("k", version), f"{IF_MATCH} with {DELETE}")
        ignorant.refuses(lambda: db.modify("k", lambda _: cshelve.DELETE), IF_MATCH)

    def test_creates_and_replaces(
        self, ignorant: Ignorant, caplog: pytest.LogCaptureFixture
    ) -> None:
        db = ignorant.db
        assert db.setdefault("n", 1) == 1
        assert db.modify("k", str.upper) == "OLD"
        with pytest.raises(cshelve.ConflictError):
            db.replace("k", "new", None)
        db.replace("k", "new", db.get_versioned("k")[1])
        assert dict(db.items()) == {"k": "new", "n": 1}
        assert warnings_of(caplog) == []

    def test_lets_pop_and_popitem_work_with_one_warning(
        self, ignorant: Ignorant, caplog: pytest.LogCaptureFixture
    ) -> None:
        ignorant.db["n"] = 1
        assert ignorant.db.pop("k") == "old"
        assert ignorant.db.popitem() == ("n", 1)
        assert ignorant.names() == []
        assert len(warnings_of(caplog)) == 1
