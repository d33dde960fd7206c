"""The tests; run them with `make test`."""

import pytest

# Before anything imports them, so that a check in a module that is no test shows what it compared.
PACKAGES = ["behaviour", "codec", "providers", "shelf", "testbed", "values"]
MODULES = ["forks", "rigs", "scripts", "threads"]
pytest.register_assert_rewrite(
    "cshelve.testing.contract", *(f"tests.{each}" for each in PACKAGES + MODULES)
)
