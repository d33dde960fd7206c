"""Tests for providers, and providers for tests that count calls, fail or are slow.

To test a provider of your own, subclass `ProviderContract`. To test what a program requests from
its store, or what it does when the store fails or is slow, put a wrapper around the provider::

    store = CountingProvider(InMemory())
    with shelf_over(store) as db:
        db["greeting"] = "hello"
    assert store.counts["put"] == 1

This package imports no test framework. The methods of the contract are tests for pytest.
"""

from cshelve.testing.contract import ODD_NAMES, OddNamesContract, ProviderContract
from cshelve.testing.wrappers import (
    Call,
    CountingProvider,
    FailingProvider,
    SlowProvider,
    shelf_over,
)

__all__ = [
    "ODD_NAMES",
    "Call",
    "CountingProvider",
    "FailingProvider",
    "OddNamesContract",
    "ProviderContract",
    "SlowProvider",
    "shelf_over",
]
