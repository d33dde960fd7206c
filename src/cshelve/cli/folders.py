"""Values as files of a folder, one for each, at the path of the key.

The ending of a file says what it contains: text is in `KEY.txt`, other values that JSON represents
in `KEY.json`, and payloads in `KEY.pickle` and `KEY.msgpack`. Bytes are in `KEY`, or in `KEY.bytes`
if the key has one of these endings itself. A file `KEY.txt.expires` says when `KEY.txt` expires.

The provider `Filesystem` chooses the paths, and writes each file as a whole. It stays in the folder
and gives each name a path of its own, also to `../a`, an empty name, and `a` next to `a/b`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from cshelve.cli.carried import SERIALIZERS, Carried, time_from, time_of
from cshelve.exceptions import ConfigurationError, CorruptRecordError
from cshelve.providers import Filesystem

__all__ = ["carried_at", "files_of_keys", "new_folder", "refuse_what_is_no_value", "write"]

TEXT, JSON, BYTES, EXPIRES = ".txt", ".json", ".bytes", ".expires"
PAYLOADS = {f".{name}": name for name in SERIALIZERS}
ENDINGS = (TEXT, BYTES, *PAYLOADS)
NEVER_EXPIRES = "never"
# The directory of the provider for files that are being written.
SCRATCH = "%tmp"


@contextmanager
def new_folder(path: str) -> Iterator[Filesystem]:
    """Create a folder for values while the block runs; raise an error if it has files already."""
    folder = Filesystem(path)
    if folder.exists() and os.listdir(folder.location):
        raise ConfigurationError(
            f"The folder {folder.location} is not empty: files in it could be mistaken for values. "
            "Name a new folder."
        )
    folder.create()
    try:
        yield Filesystem(path, _portable=True) if _ignores_case(folder.location) else folder
    finally:
        shutil.rmtree(Path(folder.location, SCRATCH), ignore_errors=True)


def _ignores_case(folder: str) -> bool:
    """Return whether `a` and `A` would be the same file, as on a memory card or a Mac."""
    upper = Path(folder, "%A")
    upper.touch()
    try:
        return Path(folder, "%a").exists()
    finally:
        upper.unlink()


def write(folder: Filesystem, carried: Carried) -> None:
    """Write the file of a value."""
    name, data = _file_of(carried)
    if carried.expires_at is not None:
        time = time_of(carried.expires_at) or NEVER_EXPIRES
        # First, so that the value is never without it.
        folder.put(name + EXPIRES, f"{time}\n".encode())
    folder.put(name, data)


def _file_of(carried: Carried) -> tuple[str, bytes]:
    key, content, serializer, _ = carried
    if serializer is not None:
        return f"{key}.{serializer}", content
    if isinstance(content, bytes):
        return (key + BYTES if key.endswith((*ENDINGS, EXPIRES)) else key), content
    if isinstance(content, str):
        return key + TEXT, content.encode()
    return key + JSON, json.dumps(content, ensure_ascii=False).encode()


def refuse_what_is_no_value(path: str) -> None:
    """Raise `ConfigurationError` if a folder has anything that would not be imported.

    A link is not followed: in a folder of somebody else, it could lead to your own files.
    """
    for directory, below, files in os.walk(path, onerror=_fail):
        if directory == path and SCRATCH in below:
            below.remove(SCRATCH)
        for each in (*below, *files):
            found = os.path.join(directory, each)
            if problem := _why_no_value(found, is_file=each in files):
                raise ConfigurationError(f"{found!r} {problem}: remove it, and import again.")


def _why_no_value(path: str, *, is_file: bool) -> str:
    if os.path.islink(path):
        return "is a symbolic link, which is not followed"
    if is_file and not os.path.isfile(path):
        return "is neither a file nor a folder"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "has a name that is not in UTF-8"
    return ""


def _fail(error: OSError) -> NoReturn:
    raise error


def files_of_keys(names: Iterable[str]) -> dict[str, tuple[str, bool]]:
    """Return for each key the name of its file, and whether another one says when it expires.

    Raises `ConfigurationError` if two files are values of one key, or if a value is missing.
    """
    files: dict[str, tuple[str, bool]] = {}
    times = set()
    for name in names:
        if name.endswith(EXPIRES):
            times.add(name.removesuffix(EXPIRES))
            continue
        key = _key_and_ending(name)[0]
        if key in files:
            raise ConfigurationError(
                f"the files {files[key][0]!r} and {name!r} are both values of the key {key!r}: "
                "remove or rename one of them."
            )
        files[key] = name, False
    for name in times:
        key = _key_and_ending(name)[0]
        if files.get(key, ("", False))[0] != name:
            raise ConfigurationError(
                f"the file {name + EXPIRES!r} says when {name!r} expires, but that file is missing."
            )
        files[key] = name, True
    return files


def _key_and_ending(name: str) -> tuple[str, str]:
    ending = next((each for each in ENDINGS if name.endswith(each)), "")
    return name.removesuffix(ending), ending


def carried_at(folder: Filesystem, key: str, name: str, *, expires: bool) -> Carried:
    """Return the value in a file, or raise an error if it cannot be read."""
    ending = _key_and_ending(name)[1]
    data = folder.get(name).data
    try:
        content = data.decode() if ending == TEXT else data
        expires_at = None
        if expires:
            written = folder.get(name + EXPIRES).data.decode().strip()
            expires_at = time_from(None if written == NEVER_EXPIRES else written)
    except ValueError as error:
        raise CorruptRecordError(f"the file {name!r} cannot be read: {error}") from None
    return Carried(key, content, PAYLOADS.get(ending), expires_at)
