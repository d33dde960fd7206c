"""What `cshelve.ray` says where Ray is not installed, as in most environments."""

from __future__ import annotations

import importlib
import sys

import pytest

import cshelve


def test_importing_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cshelve.ray", raising=False)
    for name in ("ray", "ray.data"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(cshelve.MissingDependencyError, match=r"cshelve\[ray\]"):
        importlib.import_module("cshelve.ray")
