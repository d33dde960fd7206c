"""What happens if the connection breaks in the middle of a request."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cshelve
from cshelve.providers.sftp.provider import Sftp
from testbed.openssh import OpenSSH
from tests.providers.sftp.rig import on_odd_server, on_server

if TYPE_CHECKING:
    from testbed.odd_sftp import OddSftp


@pytest.mark.parametrize("operation", ["open", "write", "fsync", "posix_rename"])
@pytest.mark.parametrize("lost", [True, False], ids=["response lost", "not carried out"])
def test_a_put_is_settled(odd: OddSftp, over_odd: Sftp, operation: str, lost: bool) -> None:
    over_odd.put("k", b"old")
    (odd.lose_response if lost else odd.break_before)(operation)
    over_odd.put("k", b"new")
    assert over_odd.get("k").data == b"new"
    assert odd.seen["posix_rename"] == (3 if operation == "posix_rename" and not lost else 2)


def test_a_put_whose_response_was_lost_does_not_replace_a_later_one(
    odd: OddSftp, over_odd: Sftp
) -> None:
    over_odd.put("k", b"old")
    odd.lose_response("posix_rename")
    # The first request after the connection is back looks whether the rename was carried out.
    odd.meanwhile("stat", lambda: (odd.root / "shelf/k").write_bytes(b"later"))
    over_odd.put("k", b"ours")
    assert over_odd.get("k").data == b"later"


@pytest.mark.parametrize("operation", ["open", "write", "link"])
@pytest.mark.parametrize("lost", [True, False], ids=["response lost", "not carried out"])
def test_a_put_if_absent_is_settled(
    odd: OddSftp, over_odd: Sftp, operation: str, lost: bool
) -> None:
    (odd.lose_response if lost else odd.break_before)(operation)
    over_odd.put("k", b"ours", if_absent=True)
    assert over_odd.get("k").data == b"ours"
    with pytest.raises(cshelve.ConflictError):
        over_odd.put("k", b"ours", if_absent=True)


def test_a_put_if_absent_that_was_not_carried_out_sees_who_was_faster(
    odd: OddSftp, over_odd: Sftp
) -> None:
    over_odd.put("other", b"")

    def others() -> None:
        (odd.root / "shelf/k").write_bytes(b"ours")

    def act(server: object, _: object) -> None:
        others()
        server.break_connection()  # type: ignore[attr-defined]  # a private class of the testbed

    odd.rules["link"] = act
    with pytest.raises(cshelve.OutcomeUnknownError, match="others have written since"):
        over_odd.put("k", b"ours", if_absent=True)
    assert over_odd.get("k").data == b"ours"


@pytest.mark.parametrize("lost", [True, False], ids=["response lost", "not carried out"])
def test_a_delete_is_settled(odd: OddSftp, over_odd: Sftp, lost: bool) -> None:
    over_odd.put("k", b"value")
    # The first `remove` is of the place for a value that is being moved.
    second = "remove"

    def first(server: object, carry_out: object) -> object:
        (odd.lose_response if lost else odd.break_before)(second)
        return carry_out()  # type: ignore[operator]

    odd.rules["remove"] = first
    assert over_odd.delete("k") is (None if lost else True)
    assert not over_odd.contains("k")


@pytest.mark.parametrize("operation", ["open", "read"])
def test_a_read_is_repeated(odd: OddSftp, over_odd: Sftp, operation: str) -> None:
    over_odd.put("k", b"value")
    odd.break_before(operation)
    assert over_odd.get("k").data == b"value"


def test_a_server_that_breaks_each_connection_is_an_error(odd: OddSftp, over_odd: Sftp) -> None:
    over_odd.put("k", b"value")

    def again(server: object, _: object) -> None:
        odd.rules["open"] = again
        server.break_connection()  # type: ignore[attr-defined]

    odd.rules["open"] = again
    with pytest.raises(cshelve.StorageError, match=r"'k' in sftp://alice@.*the connection broke"):
        over_odd.get("k")
    odd.rules.clear()
    assert over_odd.get("k").data == b"value"


def test_a_response_that_does_not_arrive_in_time_is_lost(odd: OddSftp) -> None:
    with closing(on_odd_server(odd, timeout=0.3)) as provider:
        provider.put("k", b"value")
        odd.hang("open")
        assert provider.get("k").data == b"value"
        odd.hang("stat")
        assert provider.contains("k")


def test_a_connection_that_broke_while_nothing_was_sent_is_opened_again(
    openssh: OpenSSH, folder: Path
) -> None:
    with closing(on_server(openssh, str(folder))) as provider:
        provider.put("k", b"old")
        openssh.drop_connections()
        provider.put("k", b"new")
        openssh.drop_connections()
        assert provider.get("k").data == b"new"
        openssh.drop_connections()
        assert list(provider.names()) == ["k"]


def test_a_restart_of_the_server_in_the_middle_of_many_writes_loses_nothing(
    openssh: OpenSSH, folder: Path
) -> None:
    names = [f"{number}" for number in range(60)]
    with closing(on_server(openssh, str(folder))) as provider:
        outcomes = provider.put_many((name, name.encode()) for name in names)
        failed = [outcome.failure for outcome in outcomes if _drop_once(openssh, outcome.name)]
        assert set(failed) <= {None}
        found = {name: item and item.data for name, item in provider.get_many(names)}
    assert found == {name: name.encode() for name in names}


def _drop_once(server: OpenSSH, name: str) -> bool:
    if name == "20":
        server.drop_connections()
    return True
