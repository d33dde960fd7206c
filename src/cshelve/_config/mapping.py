"""Turn a dict of dicts into sections of options."""

from __future__ import annotations

from collections.abc import Mapping

from cshelve._config.options import type_of
from cshelve.exceptions import ConfigurationError

__all__ = ["checked_names", "sections_from_dict", "with_folded_names"]

# The options of these sections are parameters of other libraries, which distinguish case.
CASE_SENSITIVE_SECTIONS = frozenset({"provider_params", "put_params"})


def sections_from_dict(
    config: Mapping[str, Mapping[str, object]], source: str
) -> dict[str, dict[str, object]]:
    """Return the sections in a mapping of mappings, whose values may have any type.

    Raises `ConfigurationError` for other types, and for names that differ only in case.
    """
    if not isinstance(config, Mapping):
        raise ConfigurationError(f"{source} is a dict of sections, not {type_of(config)}.")
    for name, options in config.items():
        if not isinstance(name, str):
            raise ConfigurationError(f"{source}: a section's name is text, not {type_of(name)}.")
        checked_names(source, name, options)
    return with_folded_names(source, config)


def with_folded_names(
    source: str, contents: Mapping[str, Mapping[str, object]]
) -> dict[str, dict[str, object]]:
    """Return sections with option names in lower case, unless case matters in a section.

    Raises `ConfigurationError` for two names that differ only in case.
    """
    folded: dict[str, dict[str, object]] = {}
    for name, options in contents.items():
        if name != "default" and name.lower() == "default":
            raise ConfigurationError(f"{source}, [{name}]: write [default], in lower case.")
        section: dict[str, object] = {}
        for option, value in options.items():
            # This includes a provider's own section, such as `[aws-s3.put_params]`.
            is_case_sensitive = name.rpartition(".")[2] in CASE_SENSITIVE_SECTIONS
            known_as = option if is_case_sensitive else option.lower()
            if known_as in section:
                raise ConfigurationError(f"{source}, [{name}] {option}: the option is given twice.")
            section[known_as] = value
        folded[name] = section
    return folded


def checked_names(source: str, section: str, options: object) -> Mapping[str, object]:
    """Return `options`; raise `ConfigurationError` unless it is a dict whose keys are texts."""
    if not isinstance(options, Mapping):
        raise ConfigurationError(
            f"{source}, [{section}] is a dict of options, not {type_of(options)}."
        )
    for option in options:
        if not isinstance(option, str):
            raise ConfigurationError(
                f"{source}, [{section}]: names are text, not {type_of(option)}."
            )
    return options
