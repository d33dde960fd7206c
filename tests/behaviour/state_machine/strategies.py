"""Values that a shelf may hold, and how many examples are tried."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

Config = dict[str, dict[str, Any]]

LOCAL = settings(
    max_examples=30,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    # No shrinking: against a server it takes many minutes.
    phases=[Phase.explicit, Phase.generate],
)

POOL = ["a", "a/b", "a/c", "A", "%2F", "a b", "é", "e\u0301", "q?x=1&y", "#", "plus+", "x:~*", "鍵"]
# A few keys that come back again and again, so that operations meet what others left.
KEYS = st.sampled_from([*POOL, "", ".", "..", "a//b", "/a", "a/", "x\\y", "%=", "%tmp/x", "\0"])
ANY_KEY = KEYS | st.text(max_size=8)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


def with_sections(config: Config, **sections: dict[str, Any]) -> Config:
    """Add options to a configuration, section by section."""
    return config | {name: config.get(name, {}) | options for name, options in sections.items()}
