"""A shelf in each store, and a dict, put through the same random operations, never differ."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from tests import rigs
from tests.behaviour.state_machine.machine import machine
from tests.behaviour.state_machine.strategies import (
    ANY_KEY,
    LOCAL,
    POOL,
    VALUES,
    Config,
    with_sections,
)

REMOTE = settings(LOCAL, max_examples=5, stateful_step_count=20)

# What S3 refuses, and what SeaweedFS makes other keys of, is left out; and `a` beside `a/b`, of
# which it says to If-None-Match that it is there, as a folder.
S3_KEY = st.sampled_from(POOL[1:]) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cn"], exclude_characters="/\\."),
    min_size=1,
    max_size=8,
)


def test_a_shelf_in_memory_is_a_dict() -> None:
    run_state_machine_as_test(machine(rigs.memory_config, ANY_KEY, VALUES), settings=LOCAL)


def test_a_shelf_in_a_folder_is_a_dict(tmp_path: Path) -> None:
    def config() -> Config:
        return rigs.folder_config(tmp_path / rigs.unique_name())

    run_state_machine_as_test(machine(config, ANY_KEY, VALUES), settings=LOCAL)


def test_a_local_shelf_is_a_dict(tmp_path: Path, dbm_backend: str) -> None:
    def config() -> Config:
        return rigs.local_config(tmp_path / rigs.unique_name())

    # `dbm.ndbm` holds an empty key and does not list it, as with `shelve`.
    keys = ANY_KEY.filter(bool) if dbm_backend == "dbm.ndbm" else ANY_KEY
    run_state_machine_as_test(machine(config, keys, VALUES), settings=LOCAL)


@pytest.mark.s3
def test_a_shelf_in_a_bucket_is_a_dict(s3: rigs.S3Rig) -> None:
    def config() -> Config:
        # No faults are injected here, so we go without the proxy, which takes its time.
        params = {"endpoint_url": s3.server.endpoint_url}
        return with_sections(s3.config(), provider_params=params)

    run_state_machine_as_test(machine(config, S3_KEY, VALUES), settings=REMOTE)
