"""A shelf whose boto3 session is the caller's own: `provider_params={"boto3_session": session}`."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials

import cshelve
from testbed.fault_proxy import Count, Seen
from tests.providers.aws_s3.rig import engine_of
from tests.rigs import BUCKET, Place, S3Rig, unique_name

pytestmark = [pytest.mark.s3, pytest.mark.once]

Opener = Callable[..., cshelve.CloudShelf]


@pytest.fixture
def session(s3: S3Rig) -> boto3.Session:
    who = s3.server.admin
    return boto3.Session(who.access_key, who.secret_key, region_name="us-east-1")


@pytest.fixture
def opened(s3: S3Rig) -> Iterator[Opener]:
    places = []

    def open_one(session: Any, **default: Any) -> cshelve.CloudShelf:
        options = {"auth_type": "default", "key_id": None, "key_secret": None, **default}
        config = s3.config(**{"engine": "auto", **options})
        config["provider_params"]["boto3_session"] = session
        places.append(Place(config))
        return places[-1].open()

    yield open_one
    for place in places:
        place.close()


def use(db: cshelve.CloudShelf) -> None:
    db["k"] = 1
    assert db["k"] == 1
    assert "k" in db
    db.update(a=2, b=3)
    assert dict(db.items()) == {"k": 1, "a": 2, "b": 3}
    db.modify("k", lambda value: value)
    db.delete_many(["a", "b"])


def is_by_boto3(request: Seen) -> bool:
    return "Boto3/" in request.headers.get("User-Agent", "")


def key_ids(seen: Count) -> list[str]:
    """Return the keys by which requests were signed, in their order."""
    return [
        each.headers["Authorization"].split("Credential=")[1].split("/")[0]
        for each in seen.requests
    ]


def test_a_plain_one_is_served_directly_with_its_credentials(
    s3: S3Rig, session: boto3.Session, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-environment")
    with s3.proxy.counting() as seen:
        db = opened(session)
        use(db)
    assert engine_of(db) == "direct"
    assert not any(map(is_by_boto3, seen.requests))
    assert set(key_ids(seen)) == {s3.server.admin.access_key}


def test_a_mock_that_is_only_imported_is_no_reason(session: boto3.Session, opened: Opener) -> None:
    moto = pytest.importorskip("moto")
    with moto.mock_aws():  # Has it imported all of itself.
        pass
    assert engine_of(opened(session)) == "direct"


@pytest.mark.parametrize("engine", ["direct", "boto3"])
class TestCredentialsThatAreRenewed:
    """As a program makes them that takes on a role: asked anew well before they expire."""

    @pytest.fixture
    def renewed(self) -> list[datetime]:
        return []

    @pytest.fixture
    def session(self, s3: S3Rig, renewed: list[datetime], seconds: float) -> boto3.Session:
        who = s3.server.admin

        def renew() -> dict[str, Any]:
            renewed.append(datetime.now(UTC))
            expiry = datetime.now(UTC) + timedelta(seconds=seconds)
            return {
                "access_key": who.access_key,
                "secret_key": who.secret_key,
                "token": "",
                "expiry_time": expiry.isoformat(),
            }

        core = botocore.session.Session()
        # Renewed at the latest this long before they expire, where that can be helped.
        core._credentials = RefreshableCredentials.create_from_metadata(  # type: ignore[attr-defined]
            renew(), renew, "a-test", advisory_timeout=10, mandatory_timeout=5
        )
        return boto3.Session(botocore_session=core, region_name="us-east-1")

    @pytest.mark.parametrize("seconds", [3600])
    def test_they_are_kept_while_they_are_good(
        self, engine: str, session: boto3.Session, opened: Opener, renewed: list[datetime]
    ) -> None:
        db = opened(session, engine=engine)
        assert engine_of(db) == engine
        use(db)
        assert len(renewed) == 1

    @pytest.mark.parametrize("seconds", [7])
    def test_they_are_renewed_before_they_expire(
        self, engine: str, session: boto3.Session, opened: Opener, renewed: list[datetime]
    ) -> None:
        """These have less to live than they should when they are new: each request renews them."""
        db = opened(session, engine=engine)
        assert engine_of(db) == engine
        for _ in range(3):
            before = len(renewed)
            db["k"] = 1
            assert len(renewed) > before
            before = len(renewed)
            db.update(a=1, b=2)
            assert len(renewed) > before

    @pytest.mark.parametrize("seconds", [3600])
    def test_new_ones_sign_from_the_next_request_on(
        self, engine: str, session: boto3.Session, opened: Opener, s3: S3Rig
    ) -> None:
        db = opened(session, engine=engine)
        db["k"] = 1
        credentials: Any = session.get_credentials()
        # What the program of a user does that has new ones: no shelf is opened again.
        reader = s3.server.reader
        credentials.access_key, credentials.secret_key = reader.access_key, reader.secret_key
        frozen = credentials._frozen_credentials
        credentials._frozen_credentials = frozen._replace(
            access_key=reader.access_key, secret_key=reader.secret_key
        )
        with s3.proxy.counting() as seen:
            assert db["k"] == 1
            assert dict(db.get_many(["k"])) == {"k": 1}
            with pytest.raises(cshelve.AuthError):
                db["k"] = 2
        assert set(key_ids(seen)) == {reader.access_key}

    @pytest.mark.parametrize("seconds", [3600])
    def test_a_failure_to_renew_is_told_as_what_it_is(
        self, engine: str, session: boto3.Session, opened: Opener
    ) -> None:
        db = opened(session, engine=engine)
        credentials: Any = session.get_credentials()

        def fails() -> Mapping[str, str]:
            raise RuntimeError("the role is gone")

        credentials._refresh_using = fails
        credentials._expiry_time = datetime.now(UTC)
        for act in (lambda: db["k"], lambda: db.update(a=1, b=2), lambda: list(db)):
            with pytest.raises(cshelve.AuthError, match="the role is gone"):
                act()


@pytest.mark.parametrize("event", ["before-sign.s3", "before-send.s3", "request-created.s3"])
def test_one_with_handlers_of_events_is_boto3s(
    event: str, s3: S3Rig, session: boto3.Session, opened: Opener
) -> None:
    calls: list[str] = []

    def listen(event_name: str, **_: object) -> None:
        calls.append(event_name)

    session.events.register(event, listen)
    with s3.proxy.counting() as seen:
        db = opened(session)
        use(db)
    assert engine_of(db) == "boto3"
    assert len(calls) == seen.total
    with pytest.raises(cshelve.ConfigurationError, match="event handlers"):
        opened(session, engine="direct")


def state_of(session: boto3.Session) -> Any:
    """Return all that clients could change in a session, in a form that can be compared."""
    core: Any = session._session
    emitter = core.get_component("event_emitter")._emitter
    handlers = []
    nodes = [emitter._handlers._root]
    while nodes:
        node = nodes.pop()
        nodes += node["children"].values()
        handlers += [each for part in node["values"] or () for each in part]
    loader = core.get_component("data_loader")
    return (
        len(handlers),
        dict(core._components._components),
        loader,
        list(loader.search_paths),
        dict(core.session_var_map),
        dict(core._session_instance_vars),
        core.user_agent_extra,
        core.get_default_client_config(),
    )


@pytest.mark.parametrize("engine", ["direct", "boto3"])
def test_it_is_never_changed(
    engine: str, session: boto3.Session, opened: Opener, s3: S3Rig
) -> None:
    # What any client of it does to it is not our doing.
    session.client("s3", endpoint_url=s3.proxy.endpoint_url).list_buckets()
    before = state_of(session)
    db = opened(session, engine=engine)
    use(db)
    db.close()
    assert state_of(session) == before


class TestWhatItGoesWith:
    def test_a_url(
        self, s3: S3Rig, session: boto3.Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3.proxy.endpoint_url)
        params = {"boto3_session": session}
        with cshelve.open(f"s3://{BUCKET}/{unique_name()}", provider_params=params) as db:
            use(db)

    def test_no_keys_of_the_configuration(self, s3: S3Rig, session: boto3.Session) -> None:
        config = s3.config()
        for params in (config["provider_params"], {"boto3_session": session}):
            params["boto3_session"] = session
            with pytest.raises(cshelve.AuthArgumentError, match="auth_type = access_key"):
                cshelve.open_from_dict(config, provider_params=params)

    def test_no_text_of_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "shelf.ini"
        path.write_text(
            "[default]\nprovider = aws-s3\nbucket_name = bucket\nauth_type = default\n"
            "[provider_params]\nboto3_session = mine\n"
        )
        with pytest.raises(cshelve.ConfigurationError, match=r"boto3_session.*pass it to open"):
            cshelve.open(str(path))

    def test_a_file_beside_it(self, s3: S3Rig, session: boto3.Session, tmp_path: Path) -> None:
        path = tmp_path / "shelf.ini"
        path.write_text(
            f"[default]\nprovider = aws-s3\nbucket_name = {BUCKET}\nauth_type = default\n"
            f"key_prefix = {unique_name()}\n"
            f"[provider_params]\nendpoint_url = {s3.proxy.endpoint_url}\n"
        )
        with cshelve.open(str(path), provider_params={"boto3_session": session}) as db:
            use(db)

    @pytest.mark.parametrize("wrong", ["text", 7, object(), {}, boto3.Session])
    def test_nothing_that_is_no_session(self, wrong: Any, opened: Opener) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="boto3_session"):
            opened(wrong)

    def test_no_client_in_its_place(self, s3: S3Rig, opened: Opener) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"boto3\.Session, not .*S3"):
            opened(s3.client)

    def test_no_pickle(self, session: boto3.Session, opened: Opener) -> None:
        db = opened(session)
        for shelf in (db, db.prefix("a/")):
            with pytest.raises(cshelve.NotPicklableError, match="boto3_session"):
                pickle.dumps(shelf)


def test_plugins_of_botocores_are_boto3s(
    s3: S3Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BOTOCORE_EXPERIMENTAL__PLUGINS", "mine=json")
    with cshelve.open_from_dict(s3.config(engine="auto")) as db:
        assert engine_of(db) == "boto3"
        with s3.proxy.counting() as seen:
            use(db)
        assert all(map(is_by_boto3, seen.requests))
    with pytest.raises(cshelve.ConfigurationError, match="PLUGINS"):
        cshelve.open_from_dict(s3.config(engine="direct"))
