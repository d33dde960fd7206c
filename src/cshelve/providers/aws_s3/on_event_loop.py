"""The requests of a shelf for asyncio: sent by the direct engine, or by boto3 in a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cshelve.providers import on_event_loop
from cshelve.providers.aws_s3 import multipart
from cshelve.providers.aws_s3.bucket import expiry_in
from cshelve.providers.aws_s3.conditional import ConditionalWrite, delete_of, put_of
from cshelve.providers.aws_s3.direct.answers import NotPlainError
from cshelve.providers.aws_s3.direct.on_event_loop import OnEventLoop, can_be_watched
from cshelve.providers.aws_s3.errors import AnswerLostError, RefusalError
from cshelve.providers.aws_s3.probe import Condition
from cshelve.providers.aws_s3.sending import HEADER_OF_EXPIRY, plain_or_none
from cshelve.providers.aws_s3.tasks import BucketTask, ReadMany, WriteMany

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.direct.answers import Answer
    from cshelve.providers.aws_s3.direct.engine import Engine
    from cshelve.providers.aws_s3.direct.templates import Request
    from cshelve.providers.aws_s3.probe import Probe
    from cshelve.providers.aws_s3.requests import Requests
    from cshelve.providers.base import Item

__all__ = ["S3OnEventLoop"]


class S3OnEventLoop(on_event_loop.OnEventLoop):
    """The requests about one object. Large values are written in parts by a thread."""

    @classmethod
    def of(
        cls, requests: Requests, put: Callable[..., str], most_bytes: int, probe: Probe
    ) -> S3OnEventLoop | None:
        """Return an object for the running event loop; None if the direct engine cannot be used.

        `put` is the provider's, and stores data of more than `most_bytes`.
        """
        engine = requests.direct()
        if engine is None or not can_be_watched():
            return None
        return cls(requests, engine, put, most_bytes, probe)

    def __init__(
        self,
        requests: Requests,
        engine: Engine,
        put: Callable[..., str],
        most_bytes: int,
        probe: Probe,
    ) -> None:
        self._requests = requests
        self._put = put
        self._probe = probe
        self._read = ReadMany(requests)
        self._write = WriteMany(requests, put, most_bytes)
        self._look = _Look(requests)
        self._delete = _Delete(requests)
        self._in_thread = _InThread(requests)
        concurrency = requests.config.concurrency
        note = requests.note_failure
        self._loop = OnEventLoop(engine, requests.permits, concurrency, note)

    async def get(self, name: str) -> Item | None:
        return await self._loop.result(self._read, name)

    async def expires_at(self, name: str) -> float | None:
        return await self._loop.result(self._look, name)

    async def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        requests = self._requests
        if not if_absent and if_version is None:
            outcome = await self._loop.result(self._write, (name, data))
            if outcome.failure is not None:
                raise outcome.failure
            return ""
        if requests.key_of(name) is None:
            raise requests.bucket.not_storable(name)
        await self._require(Condition.ABSENT if if_absent else Condition.UNCHANGED)
        if len(data) > multipart.LARGEST_PUT_BYTES:
            conditions = {"if_absent": if_absent, "if_version": if_version}
            return str(await self._called(lambda: self._put(name, data, **conditions)))
        return await self._settled(put_of(requests, name, data, if_version))

    async def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        if if_version is None:
            return await self._loop.result(self._delete, name)
        if self._requests.key_of(name) is None:
            return False
        await self._require(Condition.DELETE_UNCHANGED)
        await self._settled(delete_of(self._requests, name, if_version))
        return True

    async def close(self) -> None:
        await self._loop.close()

    async def _require(self, condition: Condition) -> None:
        if not self._probe.is_honoured(condition):
            await self._called(lambda: self._probe.require(condition))

    async def _settled(self, write: ConditionalWrite) -> str:
        """Send a conditional request, and let a thread find out what a failure means."""
        task = _Conditional(self._requests)
        version = await self._loop.result(task, write, may_repeat=False)
        if version is None:
            return str(await self._called(write.outcome))
        return version

    async def _called(self, call: Callable[[], object]) -> object:
        return await self._loop.result(self._in_thread, call)


class _Look(BucketTask[str, "float | None"]):
    """Find out when the object of each name expires; the result is None for an absent name."""

    def request(self, name: str) -> Request | None:
        key = self._requests.key_of(name)
        return None if key is None else self.made("HeadObject", key)

    def result(self, name: str, answer: Answer) -> float | None:
        self._requests.judged("HeadObject", answer)
        return None if answer.status == 404 else expiry_in(answer.headers.get(HEADER_OF_EXPIRY))

    def by_boto3(self, name: str) -> float | None:
        return self._requests.boto3.expires_at(name)

    def without_engine(self, name: str) -> float | None:
        return None if self._requests.key_of(name) is None else super().without_engine(name)


class _Delete(BucketTask[str, "bool | None"]):
    """Delete each name; the result is False for an absent name, if the server says so."""

    is_worth_an_end = True

    def request(self, name: str) -> Request | None:
        key = self._requests.key_of(name)
        return None if key is None else self.made("DeleteObject", key)

    def result(self, name: str, answer: Answer) -> bool | None:
        self._requests.judged("DeleteObject", answer)
        return False if answer.status == 404 else None

    def by_boto3(self, name: str) -> bool | None:
        return self._requests.boto3.delete(name)

    def without_engine(self, name: str) -> bool | None:
        return False if self._requests.key_of(name) is None else super().without_engine(name)


class _Conditional(BucketTask[ConditionalWrite, "str | None"]):
    """Send each conditional request once; the result is the new version.

    It is None if the response is not a plain success. `outcome` then decides, with permits of its
    own, so this task must not hold one any more.
    """

    is_worth_an_end = True

    def request(self, write: ConditionalWrite) -> Request | None:
        name = write.place.name
        assert name is not None
        key = self._requests.bucket.prefix + name
        # Until there is an answer, nobody knows whether the request was carried out.
        write.failure = AnswerLostError(f"{write.place.operation}: no response")
        return self.made(write.place.operation, key, write.parameters, write.body)

    def result(self, write: ConditionalWrite, answer: Answer) -> str | None:
        engine, operation = self._requests.direct(), write.place.operation
        try:
            if engine is None:
                return None
            found = plain_or_none(self._requests, engine, operation, answer)
        except RefusalError as error:
            write.failure = error
            return None
        except NotPlainError as error:
            self.note_unusable(error)
            return None
        if found is None:
            write.failure = None  # The server refused it, as the bucket is elsewhere.
            return None
        return write.version_in(found)

    def by_boto3(self, write: ConditionalWrite) -> None:
        return None

    def without_engine(self, write: ConditionalWrite) -> None:
        write.failure = None  # Nothing was sent.


class _InThread(BucketTask[Callable[[], object], object]):
    """Call each function in a thread; the functions acquire the permits that they need."""

    is_worth_an_end = True

    def request(self, call: Callable[[], object]) -> None:
        return None

    def result(self, call: Callable[[], object], answer: Answer) -> Any:
        raise NotPlainError("a response to no request")

    def by_boto3(self, call: Callable[[], object]) -> object:
        return call()

    def without_engine(self, call: Callable[[], object]) -> object:
        return call()
