"""The suite about counting by `modify`, over shelves for asyncio."""

from tests.behaviour.many_writers.conftest import *  # noqa: F403
from tests.behaviour.many_writers.test_counting import *  # noqa: F403
