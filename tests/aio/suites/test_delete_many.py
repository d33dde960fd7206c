"""The suite of `delete_many`, over shelves for asyncio."""

from tests.shelf.many_keys.conftest import *  # noqa: F403
from tests.shelf.many_keys.test_delete_many import *  # noqa: F403
