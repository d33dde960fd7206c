"""A shelf with each chain of codecs and serializers is a dict as well."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

import cshelve
from tests import rigs
from tests.behaviour.state_machine.machine import machine
from tests.behaviour.state_machine.strategies import ANY_KEY, LOCAL, VALUES, Config, with_sections

# What is done with a shelf is tried in each store; this is about what becomes of its values.
FEW = settings(LOCAL, max_examples=8)


def test_a_compressed_shelf_is_a_dict() -> None:
    def config() -> Config:
        return with_sections(rigs.memory_config(), compression={"algorithm": "zlib", "level": 1})

    run_state_machine_as_test(machine(config, ANY_KEY, VALUES), settings=FEW)


@pytest.mark.encryption
def test_an_encrypted_and_compressed_shelf_is_a_dict() -> None:
    def config() -> Config:
        return with_sections(
            rigs.memory_config(),
            compression={"algorithm": "zlib"},
            encryption={"algorithm": "aes256", "key": "k" * 32},
        )

    run_state_machine_as_test(machine(config, ANY_KEY, VALUES), settings=FEW)


@pytest.mark.encryption
@pytest.mark.compression
def test_a_sealed_and_compressed_shelf_is_a_dict() -> None:
    def config() -> Config:
        return with_sections(
            rigs.memory_config(),
            compression={"algorithm": "zstd", "min_size_bytes": 30},
            encryption={"algorithm": "aes256-gcm", "key": cshelve.generate_key()},
        )

    run_state_machine_as_test(machine(config, ANY_KEY, VALUES), settings=FEW)


def test_a_signed_shelf_is_a_dict() -> None:
    def config() -> Config:
        return with_sections(
            rigs.memory_config(),
            signing={"algorithm": "hmac-sha256", "key": cshelve.generate_key()},
            default={"checksum": True},
        )

    run_state_machine_as_test(machine(config, ANY_KEY, VALUES), settings=FEW)


def test_a_shelf_of_bytes_is_a_dict() -> None:
    def config() -> Config:
        return with_sections(rigs.memory_config(), default={"use_pickle": False})

    run_state_machine_as_test(machine(config, ANY_KEY, st.binary(max_size=20)), settings=FEW)


def test_a_shelf_without_record_headers_is_a_dict() -> None:
    def config() -> Config:
        return with_sections(rigs.memory_config(), default={"use_versioning": False})

    run_state_machine_as_test(machine(config, ANY_KEY, VALUES), settings=FEW)


def test_a_shelf_of_bare_bytes_is_a_dict() -> None:
    def config() -> Config:
        options = {"use_pickle": False, "use_versioning": False}
        return with_sections(rigs.memory_config(), default=options)

    run_state_machine_as_test(machine(config, ANY_KEY, st.binary(max_size=20)), settings=FEW)
