"""The ini file for a shelf of either release, and the mapping operations that both support."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.contestants.turns import Acts, Place, Values

__all__ = ["ini", "mapping_acts"]

_INI = """\
[default]
provider = aws-s3
bucket_name = {place.bucket}
auth_type = access_key
key_id = {place.access_key}
key_secret = {place.secret_key}
{options}
[provider_params]
endpoint_url = {place.endpoint_url}
region_name = us-east-1
"""


@contextmanager
def ini(place: Place, options: Mapping[str, object]) -> Iterator[str]:
    """Write a temporary ini file with these options in `[default]`, and yield its path."""
    lines = "".join(f"{name} = {value}\n" for name, value in options.items())
    with TemporaryDirectory() as folder:
        file = Path(folder) / "shelf.ini"
        verify = f"verify = {place.ca_file}\n" if place.ca_file else ""
        file.write_text(_INI.format(place=place, options=lines) + verify)
        yield str(file)


def mapping_acts(db: MutableMapping[str, Any]) -> Acts:
    def set_each(values: Values) -> None:
        for key, value in values.items():
            db[key] = value

    def get_each(values: Values) -> Values:
        return {key: db[key] for key in values}

    return {
        "set": set_each,
        "get": get_each,
        "in": lambda values: sum(key in db for key in values),
        "write": db.update,
        "read": get_each,
        "items": lambda values: dict(db.items()),
        "len": lambda values: len(db),
        "list": lambda values: sum(1 for _ in db),
        "clear": lambda values: db.clear(),
    }
