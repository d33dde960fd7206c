"""Building clients: one at a time, in sessions of ours, from data files that are read once."""

from __future__ import annotations

import functools
import json
import threading
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.loaders import Loader

from cshelve.providers.aws_s3.session import loader_of
from tests.providers.aws_s3.options.rig import provider_from
from tests.rigs import S3Rig

pytestmark = [pytest.mark.s3, pytest.mark.once]


def test_clients_are_built_one_at_a_time(s3: S3Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3.session

    inside, most = 0, 0
    build = boto3.session.Session.client

    @functools.wraps(build)
    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            return build(self, *args, **kwargs)
        finally:
            inside -= 1

    monkeypatch.setattr(boto3.session.Session, "client", counted)
    configs = [s3.config(engine="boto3") for _ in range(6)]
    threads = [threading.Thread(target=provider_from, args=(each,)) for each in configs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_no_session_of_botos_is_shared(s3: S3Rig) -> None:
    import boto3

    provider_from(s3.config())
    assert boto3.DEFAULT_SESSION is None


class TestDataFiles:
    """boto3's data about S3, which botocore's loader reads once in a process."""

    def test_are_shared_by_all_shelves(self, s3: S3Rig) -> None:
        providers = [provider_from(s3.config()) for _ in range(2)]
        models = [each._requests.clients.meta.service_model for each in providers]
        assert models[0]._service_description is models[1]._service_description

    def test_may_be_in_folders_of_the_users(
        self, tmp_path: Path, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """botocore's variable AWS_DATA_PATH: a model of S3 that has an operation more."""
        model = Loader().load_service_model("s3", "service-2")
        model["operations"]["HeadAll"] = {**model["operations"]["HeadBucket"], "name": "HeadAll"}
        folder = tmp_path / "s3" / "2099-01-01"
        folder.mkdir(parents=True)
        (folder / "service-2.json").write_text(json.dumps(model))
        rules = Loader().load_service_model("s3", "endpoint-rule-set-1")
        (folder / "endpoint-rule-set-1.json").write_text(json.dumps(rules))
        monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
        provider = provider_from(s3.config())
        assert "HeadAll" in provider._requests.clients.meta.service_model.operation_names
        monkeypatch.delenv("AWS_DATA_PATH")
        provider = provider_from(s3.config())
        assert "HeadAll" not in provider._requests.clients.meta.service_model.operation_names

    def test_do_not_pile_up(self, s3: S3Rig) -> None:
        provider_from(s3.config())
        before = list(loader_of(botocore.session.get_session()).search_paths)
        for _ in range(3):
            provider_from(s3.config())
        assert loader_of(botocore.session.get_session()).search_paths == before
