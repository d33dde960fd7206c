"""The suite about reading expired keys, over shelves for asyncio."""

from tests.shelf.expiry.conftest import *  # noqa: F403
from tests.shelf.expiry.test_reading import *  # noqa: F403
