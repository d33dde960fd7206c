"""The suite of `setdefault`, over shelves for asyncio."""

from tests.behaviour.many_writers.conftest import *  # noqa: F403
from tests.behaviour.many_writers.test_setdefault import *  # noqa: F403
