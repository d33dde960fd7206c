"""Keys beside a view, and uses of one."""

from __future__ import annotations

OTHERS = {"user": 3, "groups/ada": 4, "Users/ada": 5}
