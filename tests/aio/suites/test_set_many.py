"""The suite of `set_many`, over shelves for asyncio."""

from tests.shelf.many_keys.conftest import *  # noqa: F403
from tests.shelf.many_keys.test_set_many import *  # noqa: F403
