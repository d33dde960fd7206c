"""The protections that a shelf may have, each with its configuration."""

from __future__ import annotations

from typing import Any

import pytest

from tests.codec.making import EAX, GCM, HMAC

PROTECTIONS: dict[str, dict[str, Any]] = {
    "aes256-gcm": {"encryption": GCM},
    "hmac-sha256": {"signing": HMAC},
    "aes256": {"encryption": EAX},
    "aes256 and hmac-sha256": {"encryption": EAX, "signing": HMAC},
}
BOUND = [name for name in PROTECTIONS if name != "aes256"]


def marked(names: list[str]) -> list[Any]:
    return [
        pytest.param(name, marks=() if name == "hmac-sha256" else pytest.mark.encryption)
        for name in names
    ]


every_protection = pytest.mark.parametrize("protection", marked(list(PROTECTIONS)))
every_bound_protection = pytest.mark.parametrize("protection", marked(BOUND))
