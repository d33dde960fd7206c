"""Requests whose response is lost: whether they were carried out is found out, or said not to be.

The server answers as Google documents it. The SDK would send a conditional request again, and take
the refusal of the second one for another writer.
"""

from __future__ import annotations

import pytest

import cshelve
from testbed.scripted_server import RESET, Answer, ScriptedRequest
from tests.providers.gcs.wire import (
    NO_OBJECT,
    NOT_HELD,
    Asked,
    asked_by,
    error,
    response,
    wire,
    written,
)

pytestmark = pytest.mark.gcs

LOST: list[Answer] = [[RESET], response(503), response(500), error(504, "late"), response(408)]


class Store:
    """One object on a server that carries out writes; `lost` are the responses to the first ones.

    `acts` tells whether a request whose response is lost is carried out.
    """

    def __init__(self, lost: list[Answer], *, acts: bool) -> None:
        self.generation: int | None = 7
        self.token: str | None = None
        self.lost = list(lost)
        self.acts = acts
        self.looks = 0

    def __call__(self, _: int, request: ScriptedRequest) -> Answer:
        asked = asked_by(request)
        if asked.method == "GET":
            self.looks += 1
            return self._metadata()
        if self.lost:
            lost = self.lost.pop(0)
            if self.acts:
                self._carried_out(asked)
            return lost
        return self._carried_out(asked)

    def written_by_another(self) -> None:
        self.generation, self.token = 100, "another's"

    def _metadata(self) -> bytes:
        if self.generation is None:
            return error(404, NO_OBJECT)
        metadata = {} if self.token is None else {"metadata": {"cshelve-token": self.token}}
        return response(200, {"generation": str(self.generation), **metadata})

    def _carried_out(self, asked: Asked) -> bytes:
        wanted = asked.query.get("ifGenerationMatch")
        if wanted is not None and wanted != str(self.generation or 0):
            return error(412, NOT_HELD)
        if asked.method == "DELETE":
            existed, self.generation = self.generation is not None, None
            return response(204) if existed else error(404, NO_OBJECT)
        self.generation = (self.generation or 0) + 1
        self.token = asked.properties.get("metadata", {}).get("cshelve-token")
        return written(self.generation)


@pytest.fixture(params=LOST, ids=["reset", "503", "500", "504", "408"])
def lost(request: pytest.FixtureRequest) -> Answer:
    found: Answer = request.param
    return found


class TestConditionalPuts:
    def test_that_were_carried_out_have_succeeded(self, lost: Answer) -> None:
        store = Store([lost], acts=True)
        with wire(store) as server:
            assert server.provider.put("k", b"new", if_version="7") == "8"
            assert server.methods == ["POST", "GET"]

    def test_that_were_not_carried_out_are_sent_again(self, lost: Answer) -> None:
        store = Store([lost], acts=False)
        with wire(store) as server:
            assert server.provider.put("k", b"new", if_version="7") == "8"
            assert server.methods == ["POST", "GET", "POST"]
            assert server.provider.stats.retries == 1

    def test_of_an_absent_name_too(self, lost: Answer) -> None:
        for acts, methods in ((True, ["POST", "GET"]), (False, ["POST", "GET", "POST"])):
            store = Store([lost], acts=acts)
            store.generation = None
            with wire(store) as server:
                assert server.provider.put("k", b"new", if_absent=True) == "1"
                assert server.methods == methods

    def test_after_which_others_have_written_have_an_unknown_outcome(self) -> None:
        store = Store([[RESET]], acts=True)

        def meanwhile(number: int, request: ScriptedRequest) -> Answer:
            if request.method == "GET":
                store.written_by_another()
            return store(number, request)

        with wire(meanwhile) as server, pytest.raises(cshelve.OutcomeUnknownError, match="others"):
            server.provider.put("k", b"new", if_version="7")

    def test_that_are_lost_each_time_have_an_unknown_outcome(self) -> None:
        store = Store([response(503)] * 9, acts=False)
        with wire(store, total_max_attempts=3) as server:
            with pytest.raises(cshelve.OutcomeUnknownError, match="no attempt"):
                server.provider.put("k", b"new", if_version="7")
            assert server.methods == ["POST", "GET"] * 3

    def test_that_were_throttled_did_nothing_and_are_sent_again_without_a_look(self) -> None:
        store = Store([error(429, "rate limit"), error(429, "rate limit")], acts=False)
        with wire(store) as server:
            assert server.provider.put("k", b"new", if_version="7") == "8"
            assert server.methods == ["POST"] * 3

    def test_that_another_writer_beats_are_a_conflict(self, lost: Answer) -> None:
        store = Store([], acts=False)
        store.written_by_another()
        with wire(store) as server:
            with pytest.raises(cshelve.ConflictError):
                server.provider.put("k", b"new", if_version="7")
            assert server.methods == ["POST"]


class TestConditionalDeletes:
    def test_that_were_not_carried_out_are_sent_again(self, lost: Answer) -> None:
        store = Store([lost], acts=False)
        with wire(store) as server:
            assert server.provider.delete("k", if_version="7") is True
            assert server.methods == ["DELETE", "GET", "DELETE"]

    def test_that_may_have_been_carried_out_have_an_unknown_outcome(self, lost: Answer) -> None:
        store = Store([lost], acts=True)
        with wire(store) as server, pytest.raises(cshelve.OutcomeUnknownError):
            server.provider.delete("k", if_version="7")


class TestPlainWrites:
    def test_are_sent_again(self, lost: Answer) -> None:
        for acts in (True, False):
            store = Store([lost], acts=acts)
            with wire(store) as server:
                assert server.provider.put("k", b"new") == str(9 if acts else 8)
                assert server.methods == ["POST", "POST"]
                assert server.provider.stats.retries == 1

    def test_a_delete_after_a_lost_response_does_not_know_who_deleted(self, lost: Answer) -> None:
        for acts, outcome in ((True, None), (False, True)):
            store = Store([lost], acts=acts)
            with wire(store) as server:
                assert server.provider.delete("k") is outcome
                assert server.methods == ["DELETE", "DELETE"]
