"""Whether the program answers boto3's requests itself, or follows them: mocks and tracers.

What such a program would not see must not be sent: then boto3 does all. Looked up in the modules
that are loaded, at each request, so it costs a few dictionary look-ups.
"""

from __future__ import annotations

import sys
from types import FunctionType

__all__ = ["interception"]

# What mocks and tracers put something of their own in the place of, and the package that what is
# there is of when nobody has. Most tracers wrap `_make_api_call`; Sentry wraps `__init__`, New
# Relic `make_request`, and vcrpy has connections of its own.
PLACES = (
    ("botocore.client", "BaseClient", "_make_api_call", "botocore."),
    ("botocore.client", "BaseClient", "__init__", "botocore."),
    ("botocore.endpoint", "Endpoint", "make_request", "botocore."),
    ("botocore.httpsession", "URLLib3Session", "send", "botocore."),
    ("botocore.awsrequest", "AWSHTTPConnectionPool", "ConnectionCls", "botocore."),
    ("botocore.awsrequest", "AWSHTTPSConnectionPool", "ConnectionCls", "botocore."),
    ("urllib3.connectionpool", "HTTPConnectionPool", "urlopen", "urllib3."),
)
# What was found where nobody has put anything, so that it need not be looked at again. Compared by
# `is`: a wrapper of wrapt's is equal to what it wraps.
_originals: dict[tuple[str, ...], object] = {}


def interception() -> str | None:
    """Say what takes part in boto3's requests; None if nothing does."""
    modules = sys.modules
    moto = modules.get("moto.core.models")
    stubber = getattr(moto, "botocore_stubber", None) if moto is not None else None
    if stubber is not None and stubber.enabled:
        return "moto answers requests"
    for place in PLACES:
        module, owner, name, package = place
        loaded = modules.get(module)
        # Another thread may be in the middle of importing it.
        of_module = None if loaded is None else getattr(loaded, owner, None)
        if of_module is None:
            continue
        found = getattr(of_module, name, None)
        if found is None or found is _originals.get(place):
            continue
        if not _home_of(found).startswith(package):
            return f"{module}.{owner}.{name} is replaced, by a tracer, a mock or a recorder"
        _originals[place] = found
    return None


def _home_of(found: object) -> str:
    """Name the module where a function is written, whatever it says of itself, or a class."""
    if type(found) is FunctionType:
        # `functools.wraps` gives a function the `__module__` of another one.
        return str(found.__globals__.get("__name__"))
    return str(found.__module__) if isinstance(found, type) else ""
