"""The suite about the keys of prefix views, over shelves for asyncio."""

from tests.shelf.prefix.conftest import *  # noqa: F403
from tests.shelf.prefix.test_keys import *  # noqa: F403
