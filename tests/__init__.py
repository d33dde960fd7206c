"""The tests; run them with `make test`."""

import pytest

# Before anything imports it, so that a contract that is broken shows what was compared.
pytest.register_assert_rewrite("cshelve.testing.contract")
