"""The suite that compares with `shelve`, over shelves for asyncio."""

from tests.behaviour.test_parity_with_shelve import *  # noqa: F403
