"""Write the tables of docs/configuration.md from the declarations of the options.

::

    python -m tools.configuration_reference
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cshelve.options import ANY_NAME, Option, all_options

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
COMMAND = "python -m tools.configuration_reference"
PLACE = re.compile(
    r"(<!-- options: provider (\S+), section (\S+) -->\n).*?(<!-- end of options -->)", re.DOTALL
)
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def updated(page: str) -> str:
    """Return a page with new tables; raise `ValueError` if the page has no table for an option."""
    options = all_options()
    written: set[tuple[str, str]] = set()

    def table(place: re.Match[str]) -> str:
        begin, provider, section, end = place.groups()
        written.add((provider, section))
        rows = (
            _row(each) for each in options if (each.provider, each.section) == (provider, section)
        )
        return "\n".join(
            [f"{begin}", "| Option | Type, default | Meaning |", "|---|---|---|", *rows, "", end]
        )

    page = PLACE.sub(table, page)
    in_default = {(each.provider, each.name) for each in options if each.section == "default"}
    for each in options:
        is_twice = (each.provider, each.name) in in_default
        if (each.provider, each.section) not in written and not is_twice:
            raise ValueError(
                f"no table is for [{each.section}] {each.name} of the provider {each.provider}"
            )
    return page


def _row(option: Option[Any]) -> str:
    name = "any other" if option.name == ANY_NAME else f"`{option.name}`"
    return f"| {name} | {_type_and_default(option)} | {option.meaning} |"


def _type_and_default(option: Option[Any]) -> str:
    parts = [", ".join(f"`{each}`" for each in option.choices) or option.type_name]
    if option.required:
        parts.append("required")
    elif isinstance(option.default, bool):
        parts.append(f"`{str(option.default).lower()}`")
    elif option.default not in (None, "", ()):
        is_text = isinstance(option.default, str)
        parts.append(f"`{option.default}`" if is_text else _size(option, option.default))
    if option.least:
        parts.append(f"at least {_size(option, option.least)}")
    if option.most is not None:
        parts.append(f"at most {_size(option, option.most)}")
    return "; ".join(parts)


def _size(option: Option[Any], number: object) -> str:
    """Return a number of bytes as text, in the largest unit that divides it."""
    if option.name.endswith("_bytes") and isinstance(number, int):
        for unit, size in reversed(UNITS.items()):
            if number and number % size == 0:
                return f"{number // size} {unit}"
    return f"{number:g}" if isinstance(number, float) else str(number)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
