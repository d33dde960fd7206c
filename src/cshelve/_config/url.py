"""`s3://bucket/prefix`, written out as the sections of a configuration."""

from __future__ import annotations

from cshelve._config.mapping import sections_from_dict
from cshelve.exceptions import ConfigurationError

__all__ = ["sections_from_url"]


def sections_from_url(url: str) -> dict[str, dict[str, object]]:
    """Write out the configuration that `s3://bucket/prefix` stands for."""
    _, _, place = url.partition("://")
    bucket, _, prefix = place.partition("/")
    if not bucket:
        raise ConfigurationError(f"{url!r} names no bucket: write s3://bucket/prefix.")
    # What is in a URL is meant as it is there: a dollar names no variable.
    literal = {"bucket_name": bucket, "key_prefix": prefix}
    escaped = {name: "$" + text if text.startswith("$") else text for name, text in literal.items()}
    config = {"default": {"provider": "aws-s3", "auth_type": "default", **escaped}}
    return sections_from_dict(config, url)
