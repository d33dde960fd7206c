"""Sections of one provider, such as `[aws-s3]`, in a configuration that may choose another one.

If that provider is chosen, `[aws-s3]` counts as a part of `[default]`, and `[aws-s3.put_params]` as
a part of `[put_params]`. Otherwise, only the names in these sections are checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cshelve._config.options import Option
from cshelve._config.sections import Section, Sections

__all__ = ["adopt", "is_own", "set_aside"]

Options = Iterable[Option[Any]]


def is_own(section: str, provider: str) -> bool:
    """Return whether the name of a section makes it a provider's own."""
    return section == provider or section.startswith(f"{provider}.")


def adopt(config: Sections, provider: str, options: Options) -> None:
    """Add the options in the chosen provider's own sections to the common sections."""
    for name, own in _checked(config, provider, options).items():
        config.section(name).adopt(own)
    config.own_names.update(_names(provider, options))


def set_aside(config: Sections, provider: str, options: Options | None) -> None:
    """Check the names in the own sections of a provider that is not chosen; remove the sections.

    So a pickle of the shelf contains neither the sections nor their secrets. `options` is None if
    the provider cannot be imported: then nothing is checked.
    """
    theirs = [name for name in config.contents if is_own(name, provider)]
    if options is not None:
        config.refuse_unknown_sections(_names(provider, options), theirs)
        _checked(config, provider, options)
    config.contents = {
        name: section for name, section in config.contents.items() if name not in theirs
    }


def _checked(config: Sections, provider: str, options: Options) -> dict[str, Section]:
    """Return a provider's own sections, by the common section that each belongs to.

    Raises `ConfigurationError` for an unknown option.
    """
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
