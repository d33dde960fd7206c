"""The suite of `get_many`, over shelves for asyncio."""

from tests.shelf.many_keys.conftest import *  # noqa: F403
from tests.shelf.many_keys.test_get_many import *  # noqa: F403
