"""Values as files and links: for shelves whose objects are the plain values and nothing else."""

from __future__ import annotations

from cshelve._values.values import Values
from cshelve.exceptions import UnsupportedOperationError

__all__ = ["presigned_url"]


def presigned_url(values: Values, key: str, expires_seconds: float) -> str:
    """Return a link to the plain value of a key."""
    problem = _why_not_plain(values)
    if problem is not None:
        raise UnsupportedOperationError(
            f"{values.location}: {problem}, so what a link leads to would not be the value. Links "
            "need use_versioning = false, with serializer = bytes or json."
        )
    return values.provider.presigned_url(values.name(key), expires_seconds)


def _why_not_plain(values: Values) -> str | None:
    """Return what makes objects differ from plain values; None if they are the same."""
    codec = values.codec
    if codec.seal is not None:
        return "values are sealed or signed"
    if codec.cipher is not None:
        return "values are encrypted"
    if codec.compression is not None:
        return "values are compressed"
    if values.serializer.name not in {"bytes", "json"}:
        return f"values are stored by the serializer {values.serializer.name}"
    if codec.checksum:
        return "records have checksums"
    return "records have headers" if codec.versioned else None
