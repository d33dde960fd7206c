"""Turn a URL such as `s3://bucket/prefix?serializer=json` into sections of a configuration.

After percent-decoding, everything in a URL is literal: `$`, `+` and `#` have no special meaning.
The first `?` ends the place of the shelf, and options follow it.
"""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

from cshelve._config.mapping import sections_from_dict
from cshelve._config.names import FORMS
from cshelve._config.options import boolean
from cshelve.exceptions import ConfigurationError

__all__ = ["sections_from_url"]

# Options that a URL has without their section, although they are not in `[default]`.
SECTION_OF = {"endpoint_url": "provider_params"}
# The way to authenticate in a store with buckets, unless the URL has another one.
AUTH_TYPES = {"aws-s3": "default", "azure-blob": "passwordless", "gcs": "default"}
WHOLE_BUCKET = "whole_bucket"
MALFORMED_ESCAPE = re.compile("%(?![0-9a-fA-F]{2})")
# A name or an IPv4 address, or an IPv6 address in brackets, and a port.
SERVER = re.compile(r"(?:(?P<name>[^:@/\[\]]+)|\[(?P<address>[^\[\]]+)\])(?::(?P<port>[0-9]+))?")
PATH_WITH_DRIVE = re.compile(r"/[a-zA-Z]:(?=/|$)")

Contents = dict[str, dict[str, object]]


def sections_from_url(url: str, flag: str) -> tuple[str, Contents]:
    """Return a URL without its options, for messages, and the configuration that it stands for.

    Raises `ConfigurationError` for a wrong URL, and, with flag `n`, for a bucket without a prefix
    unless the URL has `whole_bucket=true`.
    """
    before, _, query = url.partition("?")
    scheme, _, place = before.partition("://")
    scheme = scheme.lower()
    if scheme not in FORMS:
        known = ", ".join(f"{each}://" for each in FORMS)
        # The message does not quote the rest, which may contain a password.
        raise ConfigurationError(f"there is no scheme {scheme}://; there are {known}.")
    provider, form = FORMS[scheme]
    if scheme not in ("memory", "sftp") and "@" in place.partition("/")[0]:
        raise ConfigurationError(
            f"a URL that begins with {scheme}:// contains a user name or a password, which belong "
            f"in a configuration file or the environment: write {form}."
        )
    if place.lower().endswith(".ini"):
        raise ConfigurationError(
            f"{before!r}: a name that ends in .ini is a configuration's, which has to be a local "
            "file. (If the shelf's own name ends in .ini, write %2Eini.)"
        )
    options = _place(before, scheme, place, form)
    contents: Contents = {"default": {"provider": provider, **options}}
    _add_options(before, query, contents)
    if provider in AUTH_TYPES:
        contents["default"].setdefault("auth_type", AUTH_TYPES[provider])
        _check_whole_bucket(before, flag, contents["default"], form)
    if provider == "azure-blob":
        account = _decoded(before, place.partition("/")[0])
        contents["default"].setdefault("account_url", f"https://{account}.blob.core.windows.net")
    if scheme == "sftp":
        contents["default"].setdefault("auth_type", "agent")
    return before, sections_from_dict(contents, before)


def _place(source: str, scheme: str, place: str, form: str) -> dict[str, object]:
    """Return the options for the place of the shelf; raise an error if the URL has none."""
    host, slash, rest = place.partition("/")
    if scheme in ("s3", "gs"):
        if not host:
            raise ConfigurationError(f"{source!r} names no bucket: write {form}.")
        bucket = {"bucket_name": _decoded(source, host)}
        return {**bucket, "key_prefix": _decoded(source, rest)} if rest else {**bucket}
    if scheme == "az":
        container, _, prefix = rest.partition("/")
        if not host or not container:
            raise ConfigurationError(f"{source!r} names no container: write {form}.")
        found = {"container_name": _decoded(source, container)}
        return {**found, "key_prefix": _decoded(source, prefix)} if prefix else {**found}
    if scheme == "sftp":
        return _sftp_place(source, host, rest, form)
    if scheme == "memory":
        if not place:
            raise ConfigurationError(f"{source!r} names no shelf: write {form}.")
        return {"persist-key": _decoded(source, place)}
    if host.lower() not in ("", "localhost"):
        raise ConfigurationError(
            f"{source!r} names a path on the computer {host!r}: a path on this computer begins "
            f"with a third slash, as in {form}."
        )
    path = _decoded(source, slash + rest)
    if os.name == "nt" and PATH_WITH_DRIVE.match(path):
        path = path[1:]
    if not path.strip("/"):
        raise ConfigurationError(f"{source!r} names no path: write {form}.")
    return {"folder_path" if scheme == "file" else "path": path}


def _sftp_place(source: str, authority: str, rest: str, form: str) -> dict[str, object]:
    """Return the options for a server, with a user and a port if they are given.

    A path that begins with `~/` is relative to the user's home, and any other one to the root.
    """
    user, at, server = authority.rpartition("@")
    if ":" in user:
        # The message does not quote the URL, which contains the password.
        raise ConfigurationError(
            "a URL that begins with sftp:// contains a password, which belongs in a configuration "
            f"file or the environment: write {form}."
        )
    if not at or not user:
        raise ConfigurationError(f"{source!r} names no user: write {form}.")
    found = SERVER.fullmatch(server)
    if found is None:
        raise ConfigurationError(f"{source!r} names no server, or a wrong port: write {form}.")
    path = _decoded(source, rest)
    if path == "~" or path.startswith("~/"):
        path = path[2:]
    elif path:
        path = f"/{path}"
    else:
        raise ConfigurationError(f"{source!r} names no path: write {form}.")
    options: dict[str, object] = {
        "hostname": _decoded(source, found["name"] or found["address"]),
        "username": _decoded(source, user),
        "remote_path": path,
    }
    return options if found["port"] is None else {**options, "port": found["port"]}


def _add_options(source: str, query: str, contents: Contents) -> None:
    """Put each `name=value` of a query into its section; without a section, into `[default]`."""
    for part in query.split("&") if query else []:
        written, equals, value = part.partition("=")
        name = _decoded(source, written)
        if not equals or not name:
            raise ConfigurationError(
                f"{source}: after the question mark, write options as name=value, with & between "
                "them. (A question mark in a name is written %3F.)"
            )
        section, dot, option = name.partition(".")
        if not dot:
            option = name.lower()
            section = SECTION_OF.get(option, "default")
        options = contents.setdefault(section, {})
        if option in options:
            raise ConfigurationError(f"{source}, [{section}] {option}: the option is given twice.")
        options[option] = _decoded(source, value)


def _check_whole_bucket(source: str, flag: str, options: dict[str, object], form: str) -> None:
    """Remove the option `whole_bucket`; raise an error if flag `n` needs it and it is not set."""
    try:
        is_meant = boolean(options.pop(WHOLE_BUCKET, "false"))
    except ValueError as error:
        raise ConfigurationError(f"{source}, {WHOLE_BUCKET}: {error}") from None
    if options.get("key_prefix"):
        if is_meant:
            raise ConfigurationError(f"{source}, {WHOLE_BUCKET}: the URL has a prefix.")
    elif flag == "n" and not is_meant:
        raise ConfigurationError(
            f"{source}: flag 'n' would delete every object of the bucket, even those of other "
            f"programs. Write {form} for a shelf in a part of it, or, to empty the "
            f"whole bucket, {source}?{WHOLE_BUCKET}=true."
        )


def _decoded(source: str, text: str) -> str:
    """Return a part of a URL, percent-decoded; raise `ConfigurationError` if it is malformed."""
    if MALFORMED_ESCAPE.search(text):
        raise ConfigurationError(
            f"{source}: two hexadecimal digits have to follow a percent sign; write %25 for %."
        )
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{source}: the percent-encoded text is not UTF-8.") from None
    if "\0" in decoded:
        raise ConfigurationError(f"{source}: a name cannot contain %00.")
    return decoded
