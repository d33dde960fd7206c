"""For tests of shelves and of stores: what every provider has to do, and providers that misbehave.

To prove a provider of your own, subclass `ProviderContract`. To see what a program asks of its
store, or what it does when the store fails or is slow, put a wrapper between shelf and store::

    store = CountingProvider(InMemory())
    with shelf_over(store) as db:
        db["greeting"] = "hello"
    assert store.counts["put"] == 1

Imports no test framework; the contract's methods are found by pytest, which you install.
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
