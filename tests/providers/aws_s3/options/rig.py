"""Providers made from options, before they send anything."""

from __future__ import annotations

from typing import Any

import cshelve
from tests.rigs import provider_of


def provider_from(config: dict[str, Any], flag: str = "c", **call: Any) -> Any:
    """Open a shelf without sending anything, and return its provider."""
    config["default"].setdefault("check_bucket", False)
    return provider_of(cshelve.open_from_dict(config, flag, **call))
