"""`memoize` within a process: what is stored, under which key, and what it costs."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Capabilities
from cshelve.providers.in_memory import InMemory
from cshelve.recipes import memoize
from cshelve.testing import CountingProvider, FailingProvider
from tests import clocks
from tests.rigs import Place, memory_config
from tests.scripts import result_of


@pytest.fixture
def db() -> Iterator[cshelve.CloudShelf[Any]]:
    with cshelve.open_from_dict(memory_config()) as shelf:
        yield shelf


class Calls:
    """A function that counts its calls."""

    def __init__(self) -> None:
        self.arguments: list[Any] = []

    def note(self, *arguments: Any) -> None:
        self.arguments.append(arguments)

    @property
    def number(self) -> int:
        return len(self.arguments)


@pytest.fixture
def calls() -> Calls:
    return Calls()


def test_a_result_is_computed_once(db: cshelve.CloudShelf[Any], calls: Calls) -> None:
    @memoize(db)
    def square(number: int) -> int:
        """Square it."""
        calls.note(number)
        return number * number

    assert [square(3), square(3), square(4)] == [9, 9, 16]
    assert calls.arguments == [(3,), (4,)]
    assert (square.__name__, square.__doc__) == ("square", "Square it.")
    assert len(db) == 2  # And no claim.
    assert db[square.key(3)] == 9


def test_none_is_a_result(db: cshelve.CloudShelf[Any], calls: Calls) -> None:
    @memoize(db)
    def nothing() -> None:
        calls.note()

    assert [nothing(), nothing()] == [None, None]
    assert calls.number == 1


def test_an_exception_is_none(db: cshelve.CloudShelf[Any], calls: Calls) -> None:
    @memoize(db)
    def fail() -> None:
        calls.note()
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fail()
    assert calls.number == 2
    assert len(db) == 0


def test_an_interruption_leaves_no_claim(db: cshelve.CloudShelf[Any]) -> None:
    @memoize(db)
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(db) == 0


def test_a_result_that_cannot_be_stored_is_an_error_and_leaves_no_claim(
    db: cshelve.CloudShelf[Any],
) -> None:
    @memoize(db)
    def unpicklable() -> Any:
        return threading.Lock()

    with pytest.raises(TypeError):
        unpicklable()
    assert len(db) == 0


def test_forget(db: cshelve.CloudShelf[Any], calls: Calls) -> None:
    @memoize(db)
    def square(number: int, *, sign: int = 1) -> int:
        calls.note(number)
        return sign * number * number

    square(3)
    square(4)
    square.forget(3, sign=1)
    square.forget(5)
    square(3)
    square(4)
    assert calls.arguments == [(3,), (4,), (3,)]


def test_a_result_expires(
    db: cshelve.CloudShelf[Any], calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = clocks.Clock()
    clock.rule(monkeypatch)

    @memoize(db, expire_after_seconds=60)
    def now() -> float:
        calls.note()
        return clock.time

    first = now()
    clock.move(59)
    assert now() == first
    clock.move(2)
    assert now() == first + 61
    assert calls.number == 2


@pytest.mark.parametrize(
    "options", [{"expire_after_seconds": 0}, {"expire_after_seconds": "1"}, {"claim_seconds": 0}]
)
def test_a_wrong_duration_is_an_error_at_once(
    options: dict[str, Any], db: cshelve.CloudShelf[Any]
) -> None:
    with pytest.raises(cshelve.ConfigurationError):
        memoize(db, **options)


class TestKeys:
    def test_the_same_call_has_the_same_key(self, db: cshelve.CloudShelf[Any]) -> None:
        @memoize(db)
        def f(a: int, b: int = 2, *more: int, c: int = 3, **others: int) -> None: ...

        assert len({f.key(1), f.key(1, 2), f.key(a=1), f.key(b=2, a=1, c=3)}) == 1
        assert f.key(1, d=4, e=5) == f.key(1, e=5, d=4)
        assert len({f.key(1), f.key(2), f.key(1, 3), f.key(1, 2, 3), f.key(1, c=4)}) == 5

    def test_values_of_other_types_have_other_keys(self, db: cshelve.CloudShelf[Any]) -> None:
        @memoize(db)
        def f(a: Any) -> None: ...

        values = [1, True, 1.0, "1", b"1", None, (1,), [1], {1}, frozenset({1}), {1: 1}, {"1": 1}]
        assert len({f.key(value) for value in values}) == len(values)
        pairs: list[Any] = [["ab", "c"], ["a", "bc"], [["ab"], "c"], ["ab", ["c"]], [[], "abc"]]
        assert len({f.key(value) for value in pairs}) == len(pairs)

    def test_the_order_of_dicts_and_sets_does_not_matter(self, db: cshelve.CloudShelf[Any]) -> None:
        @memoize(db)
        def f(a: Any) -> None: ...

        assert f.key({"a": 1, "b": 2}) == f.key({"b": 2, "a": 1})
        assert f.key(set("abcdefgh")) == f.key(set("hgfedcba"))

    def test_equal_members_may_be_one_object_or_two(self, db: cshelve.CloudShelf[Any]) -> None:
        @memoize(db)
        def f(a: Any) -> None: ...

        one, other = "".join(["a", "b"]), "".join(["a", "b"])
        assert f.key([one, one]) == f.key([one, other])

    def test_other_values_count_by_their_pickles(self, db: cshelve.CloudShelf[Any]) -> None:
        @memoize(db)
        def f(a: Any) -> None: ...

        assert f.key(Point(1, 2)) == f.key(Point(1, 2)) != f.key(Point(2, 1))

    def test_functions_have_their_own(self, db: cshelve.CloudShelf[Any]) -> None:
        def f() -> None: ...
        def g() -> None: ...

        first, second = memoize(db)(f), memoize(db)(g)
        assert first.key() != second.key()
        assert first.key().startswith("tests.recipes.test_memoize.TestKeys.")

    def test_by_a_function(self, db: cshelve.CloudShelf[Any], calls: Calls) -> None:
        def name_of(user: dict[str, Any], **_: object) -> str:
            return str(user["name"])

        @memoize(db.prefix("of-users/"), key=name_of)
        def greeting(user: dict[str, Any], *, loud: bool = False) -> str:
            calls.note(user)
            return f"Hello, {user['name']}"

        assert greeting({"name": "Ada", "lock": 1}) == greeting({"name": "Ada"}, loud=True)
        assert calls.number == 1
        (key,) = db
        assert key.startswith("of-users/")
        assert key.endswith("greeting/Ada")

    def test_they_are_the_same_in_other_processes(self, tmp_path: Path) -> None:
        (tmp_path / "job.py").write_text(
            "import sys, cshelve\n"
            "from cshelve.recipes import memoize\n"
            "db = cshelve.open('memory://x')\n"
            "@memoize(db)\n"
            "def f(a): ...\n"
            "if __name__ == '__main__':\n"
            "    print(f.key([{'a', 'b', 'c'}, {'k': 1}, None, 1.5]))\n"
        )
        program = """
            import os, subprocess
            def run(seed):
                environ = {**os.environ, "PYTHONHASHSEED": seed}
                command = [sys.executable, arguments]
                return subprocess.run(command, env=environ, capture_output=True, text=True).stdout
            print(json.dumps([run("1"), run("2")]))
        """
        one, other = result_of(program, arguments=str(tmp_path / "job.py"))
        assert one == other
        assert one.startswith("job.f/")  # And not `__main__`, as every script would have it.


@dataclass
class Point:
    x: int
    y: int


def test_what_a_call_costs() -> None:
    store = CountingProvider(InMemory(exists=True))
    with cshelve.open_provider(store) as db:

        @memoize(db)
        def square(number: int) -> int:
            return number * number

        store.reset()
        square(3)
        assert [call.method for call in store.calls] == ["get", "put", "get", "put", "delete"]
        store.reset()
        square(3)
        assert [call.method for call in store.calls] == ["get"]


def test_threads_wait_for_one(place: Place, calls: Calls) -> None:
    db = place.open()
    began, may_end = threading.Event(), threading.Event()

    @memoize(db)
    def square(number: int) -> int:
        calls.note(number)
        began.set()
        assert may_end.wait(20)
        return number * number

    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(square(3))) for _ in range(6)]
    for thread in threads:
        thread.start()
    assert began.wait(20)
    may_end.set()
    for thread in threads:
        thread.join()
    assert results == [9] * 6
    assert calls.number == 1
    assert len(db) == 1


def test_waiters_compute_after_an_exception(db: cshelve.CloudShelf[Any], calls: Calls) -> None:
    began, may_end = threading.Event(), threading.Event()

    @memoize(db)
    def first_fails() -> str:
        calls.note()
        if calls.number == 1:
            began.set()
            assert may_end.wait(20)
            raise ZeroDivisionError
        return "computed"

    failures: list[BaseException] = []
    results: list[str] = []

    def work() -> None:
        try:
            results.append(first_fails())
        except ZeroDivisionError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    threads[0].start()
    assert began.wait(20)
    for thread in threads[1:]:
        thread.start()
    may_end.set()
    for thread in threads:
        thread.join()
    assert (len(failures), results, calls.number) == (1, ["computed"] * 2, 2)


def test_a_caller_that_was_stopped_for_too_long_has_the_right_result_all_the_same(
    db: cshelve.CloudShelf[Any], calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if nobody ran while the process was stopped: no renewals.
    monkeypatch.setattr("cshelve.recipes._Claim.keep_renewing", lambda _: None)
    began, may_end = threading.Event(), threading.Event()

    @memoize(db, claim_seconds=0.05)
    def square(number: int) -> int:
        calls.note(number)
        if calls.number == 1:
            began.set()
            assert may_end.wait(20)
        return number * number

    results: list[int] = []
    slow = threading.Thread(target=lambda: results.append(square(3)))
    slow.start()
    assert began.wait(20)
    assert square(3) == 9
    may_end.set()
    slow.join()
    assert (results, calls.number) == ([9], 2)
    assert len(db) == 1


def test_a_renewed_claim_is_not_taken_over(db: cshelve.CloudShelf[Any], calls: Calls) -> None:
    renewed = threading.Event()

    class Watching(FailingProvider):
        puts = 0

        def put(self, *args: Any, **kwargs: Any) -> str:
            version = super().put(*args, **kwargs)
            self.puts += 1
            if self.puts > 15:  # Five times as long as the claim would last.
                renewed.set()
            return version

    with cshelve.open_provider(Watching(InMemory(exists=True))) as watched:

        @memoize(watched, claim_seconds=0.3)
        def square(number: int) -> int:
            calls.note(number)
            assert renewed.wait(20)
            return number * number

        results: list[int] = []
        threads = [threading.Thread(target=lambda: results.append(square(3))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (results, calls.number) == ([9, 9, 9], 1)
        assert list(watched) == [square.key(3)]


def test_a_lost_response_to_the_claim_is_found_out(calls: Calls) -> None:
    store = FailingProvider(InMemory(exists=True))
    with cshelve.open_provider(store) as db:

        @memoize(db)
        def square(number: int) -> int:
            calls.note(number)
            return number * number

        store.fail("put", cshelve.OutcomeUnknownError("lost"), before=False)
        assert (square(3), calls.number) == (9, 1)
        assert len(db) == 1


class WithoutConditions(InMemory):
    capabilities = Capabilities(
        conditional_put=False, conditional_delete=False, delete_reports=True
    )

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        if if_absent or if_version is not None:
            raise cshelve.ConditionsNotSupportedError("none here")
        return super().put(name, data)


def test_a_store_without_conditions_computes_without_waiting(calls: Calls) -> None:
    with cshelve.open_provider(WithoutConditions(exists=True)) as db:

        @memoize(db)
        def square(number: int) -> int:
            calls.note(number)
            return number * number

        assert [square(3), square(3)] == [9, 9]
        assert (calls.number, len(db)) == (1, 1)


class AbsenceOnly(InMemory):
    """As SFTP: it can tell whether a name is there, but not compare versions."""

    capabilities = Capabilities(
        conditional_put=False, conditional_delete=False, delete_reports=True, if_absent_only=True
    )

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        if if_version is not None:
            raise cshelve.ConditionsNotSupportedError("none here")
        return super().put(name, data, if_absent=if_absent)

    def delete(self, name: str, *, if_version: str | None = None) -> bool:
        if if_version is not None:
            raise cshelve.ConditionsNotSupportedError("none here")
        return super().delete(name)


def test_a_store_that_cannot_compare_versions_has_claims_too(calls: Calls) -> None:
    with cshelve.open_provider(AbsenceOnly(exists=True)) as db:
        has_waited = threading.Event()

        @memoize(db, claim_seconds=0.3)
        def square(number: int) -> int:
            calls.note(number)
            has_waited.wait(1)  # Three times as long as the claim would last.
            return number * number

        results: list[int] = []
        threads = [threading.Thread(target=lambda: results.append(square(3))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (results, calls.number, len(db)) == ([9, 9, 9], 1, 1)


def test_a_claim_without_versions_ends_too(calls: Calls) -> None:
    with cshelve.open_provider(AbsenceOnly(exists=True)) as db:

        @memoize(db, claim_seconds=0.05)
        def square(number: int) -> int:
            calls.note(number)
            return number * number

        db[square.key(3) + ".claim"] = "of a killed process"
        assert square(3) == 9
        assert list(db) == [square.key(3)]


@pytest.mark.parametrize("serializer", ["pickle", "json", "bytes"])
def test_each_serializer(serializer: str, calls: Calls) -> None:
    config = memory_config()
    config["default"]["serializer"] = serializer
    with cshelve.open_from_dict(config) as db:

        @memoize(db)
        def value() -> Any:
            calls.note()
            return b"value" if serializer == "bytes" else "value"

        assert value() == value()
        assert (calls.number, len(db)) == (1, 1)


def test_with_writeback_and_a_cache(calls: Calls) -> None:
    config = {**memory_config(), "cache": {"folder": ":memory:", "mode": "immutable"}}
    with cshelve.open_from_dict(config, writeback=True) as db:

        @memoize(db)
        def value() -> list[int]:
            calls.note()
            return [1]

        assert [value(), value()] == [[1], [1]]
        value.forget()
        assert value() == [1]
        assert calls.number == 2


class TestCoroutines:
    def test_a_result_is_computed_once(self, db: cshelve.CloudShelf[Any], calls: Calls) -> None:
        @memoize(db)
        async def square(number: int) -> int:
            calls.note(number)
            await asyncio.sleep(0)
            return number * number

        async def main() -> list[int]:
            return await asyncio.gather(*(square(3) for _ in range(10)))

        assert asyncio.run(main()) == [9] * 10
        assert calls.number == 1
        assert inspect.iscoroutinefunction(square)
        assert len(db) == 1

    def test_the_loop_is_not_blocked(self, calls: Calls) -> None:
        in_loop: set[int] = set()

        class Watching(InMemory):
            def get(self, name: str) -> Any:
                in_loop.add(threading.get_ident())
                return super().get(name)

        with cshelve.open_provider(Watching(exists=True)) as db:

            @memoize(db)
            async def square(number: int) -> int:
                return number * number

            async def main() -> None:
                assert await square(3) == 9
                assert threading.get_ident() not in in_loop

            asyncio.run(main())

    def test_a_cancelled_task_leaves_no_claim(self, db: cshelve.CloudShelf[Any]) -> None:
        async def main() -> None:
            began = asyncio.Event()

            @memoize(db)
            async def forever() -> None:
                began.set()
                await asyncio.Event().wait()

            task = asyncio.create_task(forever())
            await began.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert len(db) == 0

    def test_a_task_that_is_cancelled_while_it_claims_leaves_no_claim(self) -> None:
        has_claimed, may_go_on = threading.Event(), threading.Event()

        class Slow(InMemory):
            def put(self, *args: Any, **kwargs: Any) -> str:
                version = super().put(*args, **kwargs)
                has_claimed.set()
                assert may_go_on.wait(20)
                return version

        with cshelve.open_provider(Slow(exists=True)) as db:

            @memoize(db)
            async def square(number: int) -> int:
                return number * number

            async def main() -> None:
                task = asyncio.create_task(square(3))
                assert await asyncio.to_thread(has_claimed.wait, 20)
                task.cancel()
                may_go_on.set()
                with pytest.raises(asyncio.CancelledError):
                    await task

            asyncio.run(main())
            assert len(db) == 0

    def test_an_exception_is_no_result(self, db: cshelve.CloudShelf[Any]) -> None:
        @memoize(db)
        async def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            asyncio.run(fail())
        assert len(db) == 0
