"""The suite about writing values that expire, over shelves for asyncio."""

from tests.shelf.expiry.conftest import *  # noqa: F403
from tests.shelf.expiry.test_writing import *  # noqa: F403
