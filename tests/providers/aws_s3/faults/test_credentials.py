"""Credentials that expire while the shelf is open."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import cshelve
from tests.providers.aws_s3.faults.misbehaviour import assert_numbers, is_botos
from tests.providers.aws_s3.faults.operations import (
    BEFORE,
    OPERATIONS,
    WRITES,
    Case,
    changed_in_cache,
)
from tests.rigs import S3Rig
from tests.shelf.pickling.rig import again

pytestmark = pytest.mark.s3


@dataclass
class Wallet:
    """A program that gives out credentials, as `credential_process` wants it."""

    folder: Path

    @property
    def times_asked(self) -> int:
        asked = self.folder / "asked"
        return len(asked.read_text().splitlines()) if asked.exists() else 0

    def hold(self, key_id: str, secret: str, *, good_for: timedelta) -> None:
        document = {
            "Version": 1,
            "AccessKeyId": key_id,
            "SecretAccessKey": secret,
            "Expiration": (datetime.now(UTC) + good_for).isoformat(),
        }
        self.give(f"cat <<'END'\n{json.dumps(document)}\nEND\n")

    def give(self, script: str) -> None:
        """Have the program do this from now on."""
        text = f"echo once >> {self.folder / 'asked'}\n{script}"
        written = self.folder / "new"
        written.write_text(text)
        written.replace(self.folder / "program.sh")


class WithAWallet:
    @pytest.fixture
    def wallet(self, s3: S3Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wallet:
        wallet = Wallet(tmp_path)
        program = tmp_path / "program.sh"
        config = tmp_path / "config"
        config.write_text(f"[profile short]\ncredential_process = sh {program}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        admin = s3.server.admin
        # boto3 renews them when less than ten minutes are left: before each request.
        wallet.hold(admin.access_key, admin.secret_key, good_for=timedelta(minutes=2))
        return wallet

    @pytest.fixture
    def expiring(self, case: Case, wallet: Wallet) -> cshelve.CloudShelf:
        config = {**case.config, "default": {**case.config["default"], "auth_type": "profile"}}
        del config["default"]["key_id"], config["default"]["key_secret"]
        config["default"]["profile_name"] = "short"
        case.opened.append(cshelve.open_from_dict(config))
        return case.opened[0]


class TestCredentialsThatExpire(WithAWallet):
    def test_and_are_renewed_are_not_noticed_by_any_operation(
        self, case: Case, wallet: Wallet, expiring: cshelve.CloudShelf
    ) -> None:
        asked = wallet.times_asked
        for name, operation in OPERATIONS.items():
            if operation.prepare is changed_in_cache:
                continue
            case.reset()
            value = operation.run(expiring, operation.prepare(case))
            assert (name, value) == (name, operation.value)
            assert (name, case.stored()) == (name, operation.after)
            assert wallet.times_asked > asked
            asked = wallet.times_asked

    def test_are_replaced_by_the_new_ones(
        self, case: Case, wallet: Wallet, expiring: cshelve.CloudShelf
    ) -> None:
        reader, admin = case.s3.server.reader, case.s3.server.admin
        wallet.hold(reader.access_key, reader.secret_key, good_for=timedelta(minutes=2))
        with pytest.raises(cshelve.AuthError, match="s3:PutObject"):
            expiring["k"] = 8
        wallet.hold(admin.access_key, admin.secret_key, good_for=timedelta(minutes=2))
        expiring["k"] = 8
        assert case.stored() == BEFORE | {"k": 8}

    @pytest.mark.parametrize(
        "name", [name for name, each in OPERATIONS.items() if each.prepare is not changed_in_cache]
    )
    def test_and_cannot_be_renewed_are_an_auth_error_about_the_shelf(
        self, name: str, case: Case, wallet: Wallet, expiring: cshelve.CloudShelf
    ) -> None:
        operation = OPERATIONS[name]
        prepared = operation.prepare(case)
        wallet.give("echo the door is shut >&2; exit 1\n")
        with pytest.raises(cshelve.AuthError, match="the door is shut") as caught:
            operation.run(expiring, prepared)
        assert caught.value.about_shelf
        assert is_botos(caught.value.__cause__)
        if operation.keys and operation.sends[0] in WRITES:
            assert_numbers(caught.value, operation, case)
        assert case.stored() == BEFORE


class TestUnpickledShelvesWhoseCredentialsExpire(WithAWallet):
    def test_share_the_new_ones(
        self, case: Case, wallet: Wallet, expiring: cshelve.CloudShelf
    ) -> None:
        reader, admin = case.s3.server.reader, case.s3.server.admin
        wallet.hold(reader.access_key, reader.secret_key, good_for=timedelta(minutes=2))
        with again(expiring) as one, again(expiring) as other:
            assert one.provider is other.provider
            for each in (one, other):
                with pytest.raises(cshelve.AuthError, match="s3:PutObject"):
                    each["k"] = 8
            wallet.hold(admin.access_key, admin.secret_key, good_for=timedelta(minutes=2))
            one["k"] = 8
            other["k"] = 9
        assert case.stored() == BEFORE | {"k": 9}

    def test_renew_them_for_a_later_one(self, wallet: Wallet, expiring: cshelve.CloudShelf) -> None:
        with again(expiring) as one:
            one["k"] = 8
            provider = one.provider
        wallet.give("echo the door is shut >&2; exit 1\n")
        with again(expiring) as later:
            assert later.provider is provider
            with pytest.raises(cshelve.AuthError, match="the door is shut"):
                later["k"]


class TestAProgramThatGivesNoCredentials(WithAWallet):
    @pytest.mark.parametrize("script", ["echo hello\n", "exec /no/such/program\n"])
    def test_is_an_auth_error(
        self, script: str, wallet: Wallet, expiring: cshelve.CloudShelf
    ) -> None:
        wallet.give(script)
        with pytest.raises(cshelve.AuthError) as caught:
            expiring["k"]
        assert caught.value.__cause__ is not None
        assert caught.value.about_shelf

    def test_that_are_still_good_is_an_auth_error(
        self, case: Case, wallet: Wallet, expiring: cshelve.CloudShelf
    ) -> None:
        admin = case.s3.server.admin
        wallet.hold(admin.access_key, admin.secret_key, good_for=-timedelta(minutes=2))
        with pytest.raises(cshelve.AuthError) as caught:
            expiring["k"]
        assert caught.value.__cause__ is not None
        assert caught.value.about_shelf
