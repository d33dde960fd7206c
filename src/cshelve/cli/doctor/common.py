"""The checks of every store, over the public interface of shelves and providers."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from cshelve._assembly import unprepared_shelf
from cshelve._config.sections import without_quotes
from cshelve._open import sections_of
from cshelve.cli.doctor.checks import Check, Result, Subject, ok
from cshelve.exceptions import (
    AuthError,
    ConditionsNotSupportedError,
    ConfigurationError,
    ConflictError,
    DBDoesNotExistsError,
    KeyNotFoundError,
    ValueTypeError,
)
from cshelve.options import PROVIDER
from cshelve.providers.base import FLAGS
from cshelve.providers.in_memory import InMemory

if TYPE_CHECKING:
    pass

__all__ = ["CONFIGURING", "checks_of_store"]

REFERENCE = re.compile(r"\$([^${][^{]*)")
# Every serializer accepts one of these: that of bytes accepts no text, and JSON no bytes.
VALUES: tuple[str | bytes, ...] = ("written by cshelve doctor", b"written by cshelve doctor")
TIMES = 5
# A version, in the form of S3's, that no value has.
NO_VERSION = '"00000000000000000000000000000000"'


def variables(subject: Subject) -> Result:
    """Check that the environment variables to which the configuration refers are set."""
    subject.config = sections_of(subject.name, subject.flag)
    names = sorted(set(_references(subject)))
    absent = [name for name in names if name not in os.environ]
    if absent:
        what = "variable is" if len(absent) == 1 else "variables are"
        return Result(
            "failed",
            f"the environment {what} not set: {', '.join(absent)}",
            "set it, or write two dollars for a value that begins with a dollar",
        )
    return ok(f"set: {', '.join(names)}" if names else "the configuration refers to none")


def _references(subject: Subject) -> Iterator[str]:
    config = subject.config
    assert config is not None
    for section, options in config.contents.items():
        for name, value in options.items():
            if config.from_url or not isinstance(value, str) or _is_literal(section, name):
                continue
            text = without_quotes(value) if config.from_file else value
            if found := REFERENCE.fullmatch(text):
                yield found[1]


def _is_literal(section: str, option: str) -> bool:
    """Return whether a dollar has no special meaning in an option."""
    from cshelve.options import SHELF_OPTIONS

    return any(
        each.literal and (each.section, each.name) == (section, option) for each in SHELF_OPTIONS
    )


def configuration(subject: Subject) -> Result:
    """Check the names and values of all options, and put the shelf together."""
    config = subject.config
    assert config is not None
    subject.opened = unprepared_shelf(config)
    codec = subject.shelf._plain_values.codec
    protection = "encrypted or signed" if codec.is_protected else "neither encrypted nor signed"
    return ok(f"{config.source}: {config.take(PROVIDER)}; values are {protection}")


def flag(subject: Subject) -> Result:
    """Check whether the provider allows the flag, and say what it does."""
    subject.provider.check_flag(subject.flag)
    meaning = FLAGS[subject.flag]
    if subject.flag == "n":
        # A provider may refuse to empty what may be more than a shelf.
        list(subject.provider.guard_purge(_nothing()))
        meaning += f"; it deletes every key in {subject.provider.location} (the doctor does not)"
    return ok(f"{subject.flag}: {meaning}")


def _nothing() -> Any:
    yield from ()


def opening(subject: Subject) -> Result:
    """Check whether the shelf can be opened, without creating or emptying it."""
    provider = subject.provider
    if subject.flag in "cn" and isinstance(provider, InMemory):
        provider.create()  # It ends with this process.
    try:
        provider.prepare("r" if subject.flag == "r" else "w")
    except DBDoesNotExistsError as error:
        return _absent(subject, error)
    except AuthError:
        if provider.like_shelve:
            raise
        # What does not need a listing can still be tried.
        return Result(
            "warning", f"{provider.location}: opening it needs a listing, which is refused"
        )
    return ok(f"{provider.location} can be opened")


def _absent(subject: Subject, error: Exception) -> Result:
    location = subject.provider.location
    if subject.flag in "rw":
        return Result(
            "failed", " ".join(str(error).split()), "correct its name, or open it once with flag c"
        )
    return Result(
        "warning",
        f"{location} does not exist; opening with flag {subject.flag} would create it"
        f"{subject.own.creation(subject)}. The doctor does not, so it cannot try the rest",
        f"open it once with flag {subject.flag}, and run the doctor again",
        ends_here=True,
    )


def listing(subject: Subject) -> Result:
    """Check that keys can be listed."""
    entry = next(iter(subject.provider.entries(limit=1)), None)
    if entry is None:
        return ok("the shelf is empty")
    subject.sample = entry.name
    return ok("the shelf has keys")


def reading(subject: Subject) -> Result:
    """Check that a value can be read: the beginning of one, whatever it is."""
    provider = subject.provider
    if subject.sample is None:
        try:
            provider.get(subject.key)
        except KeyNotFoundError:
            return ok("not refused; there is no value to read")
        return ok("read")
    try:
        details = provider.inspect(subject.sample)
    except KeyNotFoundError:
        return ok("not refused; the value was deleted meanwhile")
    return ok(f"the beginning of a value of {details.size_bytes} bytes")


def missing_key(subject: Subject) -> Result:
    """Check that a key that does not exist is reported as such, and not as a refusal."""
    if subject.shelf.get(subject.key) is not None:
        return Result("failed", f"the key {subject.key!r}, which nobody has written, has a value")
    return ok("reported as missing")


def deleting(subject: Subject) -> Result:
    """Check that keys can be deleted, by deleting one that does not exist.

    This comes before anything is written, as what cannot be deleted had better not be written.
    """
    subject.provider.delete(subject.key)
    subject.can_delete = True
    return ok("not refused")


def writing(subject: Subject) -> Result:
    """Check that a value can be written, and reads the same."""
    if not subject.can_delete:
        return _writing_nothing(subject)
    shelf, key = subject.shelf, subject.key
    for value in VALUES:
        try:
            subject.has_written = True
            shelf[key] = value
        except ValueTypeError:
            continue
        subject.facts["value"] = value
        if shelf[key] != value:
            return Result(
                "failed",
                "the value that was written reads as another one",
                "find out what else writes there, or what changes values on their way",
            )
        return ok(f"written and read: {key}")
    return Result("skipped", "the serializer takes neither text nor bytes")


def _writing_nothing(subject: Subject) -> Result:
    """Try a write whose condition does not hold, as what it wrote could not be removed."""
    try:
        subject.provider.put(subject.key, b"", if_version=NO_VERSION)
    except (ConflictError, KeyNotFoundError):
        return Result("ok", "not refused; nothing was written, as it could not be deleted")
    except ConditionsNotSupportedError:
        pass
    return Result("skipped", "not tried, because of: delete (it could not be removed again)")


def conditional_writes(subject: Subject) -> Result:
    """Check that the store decides who was first, by writes whose condition holds, or does not."""
    shelf, key, value = subject.shelf, subject.key, subject.facts["value"]
    if not subject.provider.capabilities.conditional_put:
        return Result("warning", "this kind of store cannot compare versions", NEVER_CONDITIONS)
    subject.provider.delete(key)
    try:
        first = shelf.replace(key, value, None)
        version = shelf.replace(key, value * 2, first)
        honoured = {
            "creating a key that exists": _conflicts(lambda: shelf.replace(key, value, None)),
            "replacing an old version": _conflicts(lambda: shelf.replace(key, value, first)),
            "deleting an old version": _conflicts(lambda: shelf.delete(key, first)),
        }
        shelf.delete(key, version)
    except ConditionsNotSupportedError as error:
        return Result("failed", " ".join(str(error).split()), WITHOUT_CONDITIONS)
    except ConflictError:
        # Nobody else knows the key. Ceph, for example, compares If-Match with its quotes.
        return Result("failed", "refused, although the condition holds", WITHOUT_CONDITIONS)
    ignored = [name for name, is_honoured in honoured.items() if not is_honoured]
    if ignored:
        return Result("failed", f"not refused: {', '.join(ignored)}", WITHOUT_CONDITIONS)
    return ok("honoured")


WITHOUT_CONDITIONS = (
    "use another server, or one writer alone, with plain writes: modify, setdefault, replace, pop "
    "and move do not work here"
)

NEVER_CONDITIONS = (
    "nothing, unless several programs change the same keys: modify, get_versioned with replace, "
    "move and rewrite need this, and do not work here"
)


def _conflicts(act: Callable[[], object]) -> bool:
    try:
        act()
    except (ConflictError, KeyNotFoundError):
        return True
    return False


def expiry(subject: Subject) -> Result:
    """Check that an expired value is missing."""
    shelf, key = subject.shelf, subject.key
    try:
        shelf.set(key, subject.facts["value"], expire_after_seconds=0.001)
    except ConfigurationError as error:
        return ok(f"values of this shelf cannot expire: {error}")
    time.sleep(0.002)
    if key in shelf:
        return Result(
            "failed", "a value that has expired is still there", "check the clock of this machine"
        )
    return ok("an expired value is missing")


def read_latency(subject: Subject) -> Result:
    """Measure how long a read takes."""
    provider = subject.provider
    name = subject.key if subject.sample is None else subject.sample

    def read() -> None:
        provider.contains(name)

    return _latency(read, "whether a key exists")


def write_latency(subject: Subject) -> Result:
    """Measure how long a write takes."""

    def write() -> None:
        subject.shelf[subject.key] = subject.facts["value"]

    return _latency(write, "a small value")


def _latency(act: Callable[[], None], what: str) -> Result:
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    median = statistics.median(times)
    return ok(f"{median * 1000:.1f} ms, the median of {TIMES} ({what})", median)


CONFIGURING = (
    Check("variables", variables, advice="correct the name, or the file"),
    Check("configuration", configuration, ("variables",), "correct the option"),
)


def checks_of_store(subject: Subject) -> Iterator[Check]:
    """Yield the checks that a flag needs, behind those of the configuration."""
    own = subject.own
    yield Check("flag", flag, ("configuration",), "use another flag")
    yield from own.before
    way = ("configuration", *(check.name for check in own.before))
    yield Check("open", opening, way, "see the message")
    yield Check("list", listing, ("open",), "let these credentials list it")
    yield Check("read", reading, ("open",), "let these credentials read it")
    yield Check("missing key", missing_key, ("open", "read"), "let these credentials list it")
    yield Check("read latency", read_latency, ("open", "read"), "let these credentials read it")
    if subject.flag == "r":
        return
    yield Check("delete", deleting, ("open",), "let these credentials delete there")
    yield Check("write", writing, ("open",), "let these credentials write there")
    after = "open", "read", "delete", "write"
    allow = "let these credentials read, write and delete there"
    yield Check("write latency", write_latency, after, allow)
    yield from own.writing
    yield Check("conditional writes", conditional_writes, after, allow)
    yield Check("expiry", expiry, after, allow)
