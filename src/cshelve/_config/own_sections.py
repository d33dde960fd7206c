"""Sections of one provider, such as `[aws-s3]`, in a configuration that may choose another.

What stands in `[aws-s3]` counts as part of `[default]`, and in `[aws-s3.put_params]` as part of
`[put_params]`, when that provider is chosen. Otherwise only names are checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cshelve._config.options import Option
from cshelve._config.sections import Section, Sections

__all__ = ["adopt", "is_own", "set_aside"]

Options = Iterable[Option[Any]]


def is_own(section: str, provider: str) -> bool:
    """Return whether a section is a provider's own by its name."""
    return section == provider or section.startswith(f"{provider}.")


def adopt(config: Sections, provider: str, options: Options) -> None:
    """Read the own sections of the chosen provider as parts of those that every provider has."""
    for name, own in _checked(config, provider, options).items():
        config.section(name).adopt(own)
    config.own_names.update(_names(provider, options))


def set_aside(config: Sections, provider: str, options: Options | None) -> None:
    """Check the names in the own sections of a provider that is not chosen, and forget them.

    They are in no pickle of the shelf, nor are their secrets. Without the options, nothing about
    them can be checked.
    """
    theirs = [name for name in config.contents if is_own(name, provider)]
    if options is not None:
        config.refuse_unknown_sections(_names(provider, options), theirs)
        _checked(config, provider, options)
    config.contents = {
        name: section for name, section in config.contents.items() if name not in theirs
    }


def _checked(config: Sections, provider: str, options: Options) -> dict[str, Section]:
    """Return a provider's own sections by what they are part of, with their names checked."""
    found: dict[str, Section] = {}
    for option in options:
        name = _name(provider, option)
        if config.has(name):
            own = found.setdefault(option.section, config.written(name))
            own.declared[option.name] = option
    for own in found.values():
        own.refuse_unknown()
    return found


def _name(provider: str, option: Option[Any]) -> str:
    return provider if option.section == "default" else f"{provider}.{option.section}"


def _names(provider: str, options: Options) -> set[str]:
    return {_name(provider, option) for option in options}
