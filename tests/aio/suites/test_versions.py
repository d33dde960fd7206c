"""The suite about versions, over shelves for asyncio."""

from tests.behaviour.many_writers.conftest import *  # noqa: F403
from tests.behaviour.many_writers.test_versions import *  # noqa: F403
