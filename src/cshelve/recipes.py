"""Recipes: what programs often build from a shelf.

::

    from cshelve.recipes import memoize

    @memoize(db.prefix("memo/"), expire_after_seconds=3600)
    def report(year: int) -> str:
        return f"{year}: computed for an hour"
"""

from __future__ import annotations

import os
import pickle
import random
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial, wraps
from hashlib import blake2b
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast

from cshelve._concurrency.parallel import in_background
from cshelve._values.expiry import expires_in
from cshelve.exceptions import (
    ConditionsNotSupportedError,
    ConfigurationError,
    ConflictError,
    Error,
    KeyNotFoundError,
    OutcomeUnknownError,
    ValueTypeError,
)

if TYPE_CHECKING:
    from cshelve._shelf.shelf import CloudShelf

__all__ = ["Memoized", "memoize"]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

DEFAULT_CLAIM_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 1.0
# The key of a claim is that of the result and this.
CLAIM = ".claim"
# The module of a script and of the workers that multiprocessing starts for it.
SCRIPTS = frozenset({"__main__", "__mp_main__"})
_MISSING: Any = object()


class Memoized(Protocol[P, R_co]):
    """A function whose results are in a shelf."""

    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def forget(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Delete the result of these arguments, so that the next call computes it again.

        Blocks, also for a coroutine. Sends one request.
        """

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of the result of these arguments."""


def memoize(
    db: CloudShelf[Any],
    *,
    expire_after_seconds: float | None = None,
    key: Callable[..., str] | None = None,
    claim_seconds: float = DEFAULT_CLAIM_SECONDS,
) -> Callable[[Callable[P, R]], Memoized[P, R]]:
    """Return a decorator that keeps the results of a function or coroutine in a shelf.

    Of many callers with the same arguments, in any processes, one computes the result while the
    others wait for it. None is a result; an exception is none, and the next caller computes. A
    result expires after `expire_after_seconds`, by default as the shelf is configured. `forget`
    deletes a result.

    A call whose result is there sends one request. One that computes sends five, and one more for
    every third of `claim_seconds`. One that waits sends three in each second, and more in the
    first.

    The caller that computes has a claim in the shelf, which it renews. If its process ends, another
    one begins `claim_seconds` later. If it was only stopped for so long, both compute, and each
    returns its own result. A store without conditions has no claims: all callers compute.

    A key consists of the function's module, its name and a hash of the arguments: of numbers, text,
    bytes, tuples, lists, dicts and sets by their contents, and of others by their pickles. `key` is
    a function of the same arguments that returns the end of the key instead: pass it for methods,
    and for arguments whose pickles are large, or differ although they mean the same.

        @memoize(db, expire_after_seconds=3600)
        def slow_square(number: int) -> int:
            return number * number

        slow_square(3)          # computed, and stored
        slow_square(3)          # read
        slow_square.forget(3)
    """
    if expire_after_seconds is not None:
        expires_in(expire_after_seconds)  # A wrong one is an error here, not at the first call.
    if not claim_seconds > 0:
        raise ConfigurationError(f"claim_seconds: is above zero, not {claim_seconds!r:.40}.")

    def decorate(function: Callable[P, R]) -> Memoized[P, R]:
        key_of = _key_of_arguments(function, key)
        save = partial(db.set, expire_after_seconds=expire_after_seconds)

        def call(args: Any, kwargs: Any) -> _Call:
            return _Call(db, key_of(args, kwargs), save, claim_seconds)

        wrapper: Any
        if iscoroutinefunction(function):

            @wraps(function)
            async def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
                steps = call(args, kwargs).steps()
                return await _run_in_loop(steps, partial(function, *args, **kwargs))
        else:

            @wraps(function)
            def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
                return _run(call(args, kwargs).steps(), partial(function, *args, **kwargs))

        wrapper.key = lambda *args, **kwargs: key_of(args, kwargs)
        wrapper.forget = lambda *args, **kwargs: db.delete_many([key_of(args, kwargs)])
        return cast(Memoized[P, R], wrapper)

    return decorate


@dataclass
class _Ask:
    """A step of a call that asks the shelf, and so blocks."""

    act: Callable[[], Any]


@dataclass
class _Pause:
    """A step of a call that waits."""

    seconds: float


class _Compute:
    """The step of a call that calls the memoized function."""


_Steps = Generator[_Ask | _Pause | _Compute, Any, Any]


def _run(steps: _Steps, compute: Callable[[], Any]) -> Any:
    """Run the steps of a call in this thread, and return its result."""

    def take(step: _Ask | _Pause | _Compute) -> Any:
        match step:
            case _Ask(act):
                return act()
            case _Pause(seconds):
                return time.sleep(seconds)
        return compute()

    try:
        step = next(steps)
        while True:
            try:
                done = take(step)
            except BaseException as error:  # noqa: BLE001  # the steps decide what it means
                step = steps.throw(error)
            else:
                step = steps.send(done)
    except StopIteration as ended:
        return ended.value


async def _run_in_loop(steps: _Steps, compute: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run the steps of a call in an event loop; those that ask the shelf run in a thread."""
    import asyncio  # A slow import, which programs without coroutines do not need.

    async def take(step: _Ask | _Pause | _Compute) -> Any:
        match step:
            case _Ask(act):
                return await _in_thread(act)
            case _Pause(seconds):
                return await asyncio.sleep(seconds)
        return await compute()

    try:
        step = next(steps)
        while True:
            try:
                done = await take(step)
            except GeneratorExit:
                raise  # The loop has ended, and nothing can be awaited any more.
            except BaseException as error:  # noqa: BLE001  # the steps decide what it means
                step = steps.throw(error)
            else:
                step = steps.send(done)
    except StopIteration as ended:
        return ended.value


async def _in_thread(act: Callable[[], Any]) -> Any:
    """Call a function in a thread; a cancelled task ends when the thread does.

    Otherwise, it would not be known whether the task has the claim.
    """
    import asyncio

    called = asyncio.ensure_future(asyncio.to_thread(act))
    try:
        return await asyncio.shield(called)
    except asyncio.CancelledError:
        await asyncio.wait([called])
        if not called.cancelled():
            called.exception()  # Nobody else will ask for it.
        raise


class _Call:
    """A call of a memoized function, as steps that a thread or an event loop can take."""

    def __init__(
        self,
        db: CloudShelf[Any],
        key: str,
        save: Callable[[str, Any], None],
        claim_seconds: float,
    ) -> None:
        self._db = db
        self._key = key
        self._save = save
        self._claim = _Claim(db, key + CLAIM, claim_seconds)

    def steps(self) -> _Steps:
        """Return the result that is there, or wait for it, or compute it."""
        try:
            result = yield from self._result()
        except GeneratorExit:
            self._claim.abandon()
            raise
        except BaseException:
            yield _Ask(self._claim.release)
            raise
        yield _Ask(self._claim.release)
        return result

    def _result(self) -> _Steps:
        pause = FIRST_PAUSE_SECONDS
        while True:
            result = yield _Ask(self._read)
            if result is not _MISSING:
                return result
            if (yield _Ask(self._claim.acquire)):
                break
            yield _Pause(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        if self._claim.is_held:
            # Whoever had the claim may have stored the result since we looked.
            result = yield _Ask(self._read)
            if result is not _MISSING:
                return result
            self._claim.keep_renewing()
        result = yield _Compute()
        yield _Ask(partial(self._save, self._key, result))
        return result

    def _read(self) -> Any:
        return self._db.get(self._key, _MISSING)


class _Claim:
    """The claim of one caller to compute a result: a key that is there while it computes.

    Its value is the name of the caller and a number, which grows when the claim is renewed: in some
    stores, equal data has equal versions. Clocks of different machines are not compared: a claim
    has ended when somebody has seen its version for `seconds` by his own clock.
    """

    def __init__(self, db: CloudShelf[Any], key: str, seconds: float) -> None:
        self._db = db
        self._key = key
        self._seconds = seconds
        self._name = secrets.token_hex(8)
        self._renewals = 0
        self._is_bytes = False
        """Whether it is a shelf of bytes."""
        self._version: str | None = None
        """Ours, while we have the claim."""
        self._seen: tuple[str, float] | None = None
        """The version of another caller's claim, and since when we have seen it."""
        self._done = threading.Event()
        self._renewing: threading.Thread | None = None

    @property
    def is_held(self) -> bool:
        """Whether we have the claim; false in a store without conditions, too."""
        return self._version is not None

    def acquire(self) -> bool:
        """Return whether we may compute: we have the claim, or the store has no claims.

        Sends one or two requests.
        """
        try:
            if self._seen is None:
                with suppress(ConflictError, OutcomeUnknownError):
                    self._version = self._create()
                    return True
            return self._take_over()
        except (ConflictError, OutcomeUnknownError):
            return False  # The next look tells who has it.
        except KeyNotFoundError:
            self._seen = None  # It was released, perhaps because the result is there.
            return False
        except ConditionsNotSupportedError:
            return True

    def _create(self) -> str:
        try:
            return self._db.replace(self._key, self._value(), None)
        except ValueTypeError:
            if self._is_bytes:
                raise
            self._is_bytes = True
            return self._db.replace(self._key, self._value(), None)

    def _value(self) -> str | bytes:
        value = f"{self._name} {self._renewals}"
        return value.encode() if self._is_bytes else value

    def _take_over(self) -> bool:
        """Look who has the claim; take it if it has ended, or is ours and we did not know."""
        value, version = self._db.get_versioned(self._key)
        now = time.monotonic()
        if value == self._value():
            self._version = version  # The response to our request was lost.
        elif self._seen is None or self._seen[0] != version:
            self._seen = version, now
        elif now - self._seen[1] >= self._seconds:
            try:
                self._version = self._db.replace(self._key, self._value(), version)
            except ConditionsNotSupportedError:
                self._db.delete_many([self._key])  # The next attempt creates one.
                self._seen = None
        return self.is_held

    def keep_renewing(self) -> None:
        """Renew the claim in a thread until it is released."""
        # Without a thread, it lasts as long as it lasts.
        self._renewing = in_background(self._renew, "cshelve_claim")

    def release(self) -> None:
        """Delete the claim, unless another caller has taken it over."""
        self.abandon()
        if self._renewing is not None:
            self._renewing.join()
        version, self._version = self._version, None
        if version is None:
            return
        with suppress(Error):  # It would end by itself, and the result matters more.
            try:
                self._db.delete(self._key, version)
            except ConditionsNotSupportedError:
                self._db.delete_many([self._key])  # Nobody can have taken it over, either.

    def abandon(self) -> None:
        """Do not renew the claim any more, without waiting or sending anything."""
        self._done.set()

    def _renew(self) -> None:
        while not self._done.wait(self._seconds / 3):
            assert self._version is not None
            self._renewals += 1
            try:
                try:
                    self._version = self._db.replace(self._key, self._value(), self._version)
                except ConditionsNotSupportedError:
                    self._db[self._key] = self._value()  # As in `release`.
            except (ConflictError, KeyNotFoundError):
                return  # Another caller has taken it over: both compute.
            except (Error, ValueError):  # A ValueError, if the shelf was closed.
                continue  # Perhaps the next one succeeds in time.


def _key_of_arguments(
    function: Callable[..., Any], key: Callable[..., str] | None
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], str]:
    """Return what makes the key of a call from its arguments."""
    place = f"{_module_of(function)}.{function.__qualname__}"
    parameters = signature(function)

    def key_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        if key is not None:
            return f"{place}/{key(*args, **kwargs)}"
        # f(1), f(n=1) and f(1, default) are the same call.
        bound = parameters.bind(*args, **kwargs)
        bound.apply_defaults()
        digest = blake2b(digest_size=16)
        digest.update(_canonical((bound.args, bound.kwargs)))
        return f"{place}/{digest.hexdigest()}"

    return key_of


def _module_of(function: Callable[..., Any]) -> str:
    """Return the module of a function; of one in a script, the name of the file.

    All scripts are called `__main__`, and their functions would share their results.
    """
    module = function.__module__
    file = getattr(getattr(function, "__code__", None), "co_filename", "")
    if module in SCRIPTS and os.path.exists(file):
        return os.path.splitext(os.path.basename(file))[0]
    return module


def _canonical(value: Any) -> bytes:
    """Return bytes that equal values of plain types share, in whatever process.

    The pickle of a set depends on the hashes of its members, that of a dict on the order of its
    keys, and that of a list on whether two equal members are one object.
    """
    kind = type(value)
    if kind in _PLAIN:
        return _framed(kind, repr(value).encode("utf-8", "surrogatepass"))
    if kind is bytes:
        return _framed(kind, value)
    if kind in (tuple, list):
        return _framed(kind, *map(_canonical, value))
    if kind in (set, frozenset):
        return _framed(kind, *sorted(map(_canonical, value)))
    if kind is dict:
        pairs = [_canonical(key) + _canonical(held) for key, held in value.items()]
        return _framed(kind, *sorted(pairs))
    return _framed(kind, pickle.dumps(value, 4))


_PLAIN = frozenset({type(None), bool, int, float, complex, str})


def _framed(kind: type, *parts: bytes) -> bytes:
    name = f"{kind.__module__}.{kind.__qualname__}".encode()
    return b"".join(b"%d:%s" % (len(part), part) for part in (name, *parts)) + b";"
