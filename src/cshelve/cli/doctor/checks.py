"""What a check is, what it finds, and in which order checks run."""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cshelve.exceptions import Error

if TYPE_CHECKING:
    from cshelve import CloudShelf
    from cshelve._config.sections import Sections
    from cshelve.providers.base import Provider

__all__ = ["FAILURES", "Check", "Finding", "Own", "Result", "Subject", "findings", "ok"]

Status = Literal["ok", "warning", "failed", "skipped"]
# What a check may raise to report a failure. (`ValueError`: names that are no host names.)
FAILURES = (Error, OSError, ValueError)
# How long a request may still arrive that Ctrl-C has ended.
LATE_SECONDS = 1.0


class Result(NamedTuple):
    """What a check found."""

    status: Status
    detail: str
    advice: str = ""
    """What to change, after a failure or a warning."""
    seconds: float | None = None
    """The measured time, if the check measures one."""
    ends_here: bool = False
    """Whether the checks that depend on this one cannot be tried, although it did not fail."""


class Check(NamedTuple):
    """A check: a function that returns a result, or raises an error of the library."""

    name: str
    run: Callable[[Subject], Result]
    after: tuple[str, ...] = ()
    """The checks on which it depends. Names of checks that do not run have no effect."""
    advice: str = ""
    """What to change if it raises an error, if nothing more exact is known."""


class Finding(NamedTuple):
    """The result of a check, and the error behind a failure."""

    check: str
    result: Result
    error: Exception | None = None


class Own(NamedTuple):
    """What is special about a store."""

    before: tuple[Check, ...] = ()
    """Checks of the way to the store, on which all others depend."""
    writing: tuple[Check, ...] = ()
    """More checks that write; they run after the key of the doctor was written."""
    advice: Callable[[Subject, str, Exception], str] = lambda _subject, _check, _error: ""
    """Returns what to change after the error of a check; empty to leave it to the check."""
    needless: Callable[[Subject], frozenset[str]] = lambda _subject: frozenset()
    """Returns the checks whose failure does not matter, as the options make up for it."""
    creation: Callable[[Subject], str] = lambda _subject: ""
    """Returns how the place of the shelf would be created, as the end of a sentence."""


@dataclass
class Subject:
    """The shelf that is examined, and what the checks have learned so far."""

    name: str
    flag: str
    config: Sections | None = None
    opened: CloudShelf[Any] | None = None
    own: Own = field(default_factory=Own)
    # Nobody else has a key with this name, so it can be written and removed.
    key: str = field(default_factory=lambda: f"cshelve-doctor-{secrets.token_hex(8)}")
    sample: str | None = None
    """A key of the shelf, if it has any."""
    can_delete: bool = False
    has_written: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    """What the checks of one store tell each other."""

    @property
    def shelf(self) -> CloudShelf[Any]:
        assert self.opened is not None, "the checks of a shelf come after its configuration"
        return self.opened

    @property
    def provider(self) -> Provider:
        return self.shelf.provider

    def remove_key(self, *, is_cut_off: bool = False) -> Exception | None:
        """Remove the doctor's key, if it was written; return the error if that fails.

        With `is_cut_off`, Ctrl-C has ended a request, which may still arrive: so remove it again.
        """
        if not self.has_written:
            return None
        with _uninterrupted():
            try:
                self.provider.delete(self.key)
                if is_cut_off:
                    time.sleep(LATE_SECONDS)
                    self.provider.delete(self.key)
            except FAILURES as error:
                return error
        self.has_written = False
        return None


def ok(detail: str, seconds: float | None = None) -> Result:
    """Return the result of a check that found no problem."""
    return Result("ok", detail, seconds=seconds)


def findings(subject: Subject, checks: Iterable[Check]) -> Iterator[Finding]:
    """Run checks, and yield what each finds; skip those that depend on one that failed."""
    # The checks that have ended others, each with the check that was the first to fail.
    ended: dict[str, str] = {}
    for check in checks:
        cause = next((ended[name] for name in check.after if name in ended), None)
        if cause is not None:
            finding = Finding(check.name, Result("skipped", f"not tried, because of: {cause}"))
        else:
            finding = _finding(subject, check)
        if finding.result.ends_here or finding.result.status in ("failed", "skipped"):
            ended[check.name] = cause or check.name
        yield finding


def _finding(subject: Subject, check: Check) -> Finding:
    try:
        return Finding(check.name, check.run(subject))
    except FAILURES as error:
        advice = subject.own.advice(subject, check.name, error) or check.advice
        detail = " ".join(str(error).split()) or type(error).__name__
        is_needless = check.name in subject.own.needless(subject)
        status: Status = "warning" if is_needless else "failed"
        return Finding(check.name, Result(status, detail, advice), error)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C meanwhile, if this is the main thread, which alone receives it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
