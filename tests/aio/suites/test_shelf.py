"""The suite of the shelf itself, over shelves for asyncio."""

from tests.shelf.test_shelf import *  # noqa: F403
