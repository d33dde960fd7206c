"""The loop over many requests (`many`), driven by an asyncio event loop.

The selector of that loop is a file descriptor itself. The event loop watches it, and lets the loop
process what has happened. So sockets, time-outs, stale connections, busy servers and boto3's
threads are handled by the same code with and without asyncio. A transport and a protocol of asyncio
for each connection would need a second copy of it, and be slower.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cshelve._concurrency.permits import PAUSE_SECONDS, Permits
from cshelve.providers.aws_s3.direct.answers import Answer, NotPlainError, Reader
from cshelve.providers.aws_s3.direct.many import Job, Loop
from cshelve.providers.aws_s3.direct.task import Task

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.direct.engine import Engine
    from cshelve.providers.aws_s3.direct.exchange import Exchange
    from cshelve.providers.aws_s3.direct.templates import Request

__all__ = ["Call", "OnEventLoop", "can_be_watched"]

T = TypeVar("T")
R = TypeVar("R")


def can_be_watched() -> bool:
    """Return whether the running event loop can watch a selector; not so on Windows."""
    if not hasattr(selectors.DefaultSelector, "fileno"):
        return False
    with selectors.DefaultSelector() as probe:
        loop = asyncio.get_running_loop()
        try:
            loop.add_reader(probe.fileno(), bool)
        except NotImplementedError:
            return False
        loop.remove_reader(probe.fileno())
        return True


class Call(NamedTuple):
    """One item, and the task that processes it."""

    task: Task[Any, Any]
    item: Any


class OnEventLoop:
    """Sends requests for the coroutines of one event loop; keeps connections of its own."""

    def __init__(
        self,
        engine: Engine,
        permits: Permits,
        most: int,
        note_unusable: Callable[[NotPlainError], None],
    ) -> None:
        """`note_unusable` is called with the reason why boto3 has to repeat a request."""
        self._event_loop = asyncio.get_running_loop()
        self._jobs = _Jobs(self._event_loop, engine, permits, most, _ByItsTask(note_unusable))
        self._event_loop.add_reader(self._jobs.fileno, self._jobs.proceed)

    async def result(self, task: Task[T, R], item: T, *, may_repeat: bool = True) -> R:
        """Process an item, and return its result.

        Without `may_repeat`, the task's `by_boto3` decides what to do after any failure. If the
        caller is cancelled, the request is given up, and its connection is closed. A write that
        boto3's thread has begun already is waited for, so that it does not happen later.
        """
        job: _AwaitedJob = _AwaitedJob(Call(task, item), self._event_loop.create_future())
        job.is_second = job.is_repeated = not may_repeat
        self._jobs.add(job)
        try:
            result: R = await job.future
        except asyncio.CancelledError:
            if not self._jobs.give_up(job) and task.is_worth_an_end:
                await self._jobs.end_of(job)
            raise
        return result

    async def close(self) -> None:
        """Wait for requests in flight, and close what they needed."""
        await self._jobs.end_of_all()
        self._event_loop.remove_reader(self._jobs.fileno)
        self._jobs.end()


class _AwaitedJob(Job[Call, Any]):
    """A job whose result a coroutine awaits."""

    __slots__ = ("context", "future")

    def __init__(self, item: Call, future: asyncio.Future[Any]) -> None:
        super().__init__(item)
        self.future = future
        # A tracer finds the span of the task in it. The event loop calls us in another context.
        self.context = copy_context()


class _Jobs(Loop[Call, Any]):
    """The loop: it never waits, and sets the result of a job's future."""

    def __init__(
        self,
        event_loop: asyncio.AbstractEventLoop,
        engine: Engine,
        permits: Permits,
        most: int,
        task: Task[Call, Any],
    ) -> None:
        super().__init__(engine, permits, task, most, None)
        self.fileno: int = self._selector.fileno()
        self._event_loop = event_loop
        self._pending: deque[_AwaitedJob] = deque()
        self._begun: set[_AwaitedJob] = set()
        self._late: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._will_be_notified = False

    def add(self, job: _AwaitedJob) -> None:
        """Begin a job, or as soon as others have ended."""
        self._pending.append(job)
        self._begin_pending()

    def proceed(self) -> None:
        """Process what has happened, and begin as many jobs as may be in flight."""
        self.process_events(waits=False)
        self._begin_pending()

    def give_up(self, job: _AwaitedJob) -> bool:
        """Forget a job, and return whether it has ended; a thread that runs it goes on."""
        if job in self._begun:
            exchange = next((each for each in self._in_flight if each.job is job), None)
            if exchange is None:
                return False
            self._abandon(exchange)
            self._done(job, None)
            self._begin_pending()
        else:
            with suppress(ValueError):  # It has its result already.
                self._pending.remove(job)
        return True

    async def end_of(self, job: _AwaitedJob) -> None:
        """Wait until a job has ended that was given up."""
        if job in self._begun:
            job.future = self._event_loop.create_future()
            with suppress(Exception):  # Nobody waits for the result.
                await job.future

    async def end_of_all(self) -> None:
        while self._begun or self._pending:
            await asyncio.wait([job.future for job in (*self._begun, *self._pending)])
            await asyncio.sleep(0)

    def end(self) -> None:
        for timer in (self._late, self._retry):
            if timer is not None:
                timer.cancel()
        super().end()

    def _begin_pending(self) -> None:
        while self._pending and self._active < self._most:
            if not self._begin(self._pending[0]):
                self._try_again_later()
                break
            self._pending.popleft()
        if self._late is None and self._in_flight:
            self._watch_time()

    def _begin(self, job: Job[Call, Any]) -> bool:
        """Begin a job; return False if there is no permit for it."""
        assert isinstance(job, _AwaitedJob)
        if job.request is None:
            job.request = self._request_of(job)
        if job.request is not None and not self._permits.try_acquire(job, self):
            return False
        self._active += 1
        self._begun.add(job)
        if job.request is None:
            self._in_thread(job, self._task.without_engine)
        else:
            self._send(job)
        return True

    def _try_again_later(self) -> None:
        """Begin pending jobs when another thread releases a permit, or may lose it."""
        if self._retry is None:
            self._retry = self._event_loop.call_later(PAUSE_SECONDS, self._try_again)
        if not self._will_be_notified:
            self._will_be_notified = True
            self._permits.notify(self._notice)

    def _notice(self) -> None:
        with suppress(RuntimeError):  # The event loop is closed.
            self._event_loop.call_soon_threadsafe(self._try_at_once)

    def _try_at_once(self) -> None:
        self._will_be_notified = False
        self._begin_pending()

    def _try_again(self) -> None:
        self._retry = None
        self._begin_pending()

    def _watch_time(self) -> None:
        """Look after the first request in flight when its time is over."""
        first = next(iter(self._in_flight))
        seconds = max(0.0, first.until + self._shift - time.monotonic())
        self._late = self._event_loop.call_later(seconds, self._look_for_late)

    def _look_for_late(self) -> None:
        self._late = None
        self.proceed()

    def _report(self, exchange: Exchange, error: BaseException | None = None) -> None:
        if exchange.job is not None:
            exchange.job.context.run(super()._report, exchange, error)

    def _in_thread(self, job: Job[Call, Any], act: Callable[[Call], Any]) -> None:
        assert isinstance(job, _AwaitedJob)
        job.context.run(super()._in_thread, job, act)

    def _abandon(self, exchange: Exchange) -> None:
        del self._in_flight[exchange]
        self._report(exchange)
        exchange.end()
        self._drop(exchange)

    def _done(self, job: Job[Call, Any], result: Any, error: BaseException | None = None) -> None:
        super()._done(job, None, error)
        self.is_over = False  # The end of one job is not the end of others.
        assert isinstance(job, _AwaitedJob)
        self._begun.discard(job)
        if job.future.done():
            return  # It was cancelled.
        if isinstance(result, _Failed):
            error = result.error
        if error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)


class _Failed(NamedTuple):
    """Stands for a result: the task has raised an error."""

    error: Exception


class _ByItsTask(Task[Call, Any]):
    """Processes each item by the task that it brings."""

    is_worth_an_end = True

    def __init__(self, note_unusable: Callable[[NotPlainError], None]) -> None:
        self._note_unusable = note_unusable

    def request(self, call: Call) -> Request | None:
        return call.task.request(call.item)

    def body_buffer(self, call: Call, reader: Reader) -> memoryview | None:
        return call.task.body_buffer(call.item, reader)

    def result(self, call: Call, answer: Answer) -> Any:
        try:
            return call.task.result(call.item, answer)
        except NotPlainError:
            raise
        except Exception as error:  # noqa: BLE001  # raised again where the result is awaited
            return _Failed(error)

    def by_boto3(self, call: Call) -> Any:
        return call.task.by_boto3(call.item)

    def without_engine(self, call: Call) -> Any:
        return call.task.without_engine(call.item)

    def given_up(self, call: Call) -> Any:
        return call.task.given_up(call.item)

    def note_unusable(self, error: NotPlainError) -> None:
        self._note_unusable(error)

    def is_last(self, result: Any) -> bool:
        return False
