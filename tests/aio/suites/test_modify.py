"""The suite of `modify`, over shelves for asyncio."""

from tests.behaviour.many_writers.conftest import *  # noqa: F403
from tests.behaviour.many_writers.test_modify import *  # noqa: F403
