"""The suite of `pop`, over shelves for asyncio."""

from tests.behaviour.many_writers.conftest import *  # noqa: F403
from tests.behaviour.many_writers.test_pop import *  # noqa: F403
