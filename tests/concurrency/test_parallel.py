"""The bounded map: order, back-pressure, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from cshelve._concurrency.parallel import StoppedError, map_in_order, refuse_if_stopped, unstoppable


def workers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("cshelve")]


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_results_come_in_the_order_of_the_items(concurrency: int) -> None:
    results = map_in_order(lambda number: number * number, range(50), concurrency)
    assert list(results) == [(number, number * number) for number in range(50)]
    assert workers() == []


def test_no_more_than_that_many_run_at_once() -> None:
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(4, timeout=5)

    def work(number: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1

    list(map_in_order(work, range(20), 4))
    assert most == 4


def test_no_more_than_that_many_items_are_taken_ahead() -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = map_in_order(str, source(), 4)
    for done in range(1, 20):
        next(results)
        assert taken <= done + 4
    results.close()


def test_the_first_failure_is_raised_in_its_place_and_ends_it() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 5:
            raise LookupError(number)
        return number

    results = map_in_order(work, range(1000), 4)
    assert [next(results)[0] for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(LookupError):
        next(results)
    assert list(results) == []
    assert len(begun) < 15
    assert workers() == []


def test_leaving_it_begins_nothing_more_and_leaves_no_thread() -> None:
    begun: list[int] = []
    results = map_in_order(begun.append, range(1000), 4)
    next(results)
    results.close()
    assert len(begun) <= 5
    assert workers() == []


def test_what_flies_is_cut_off_at_its_next_attempt() -> None:
    flying, cut_off = threading.Event(), []

    def work(number: int) -> None:
        if number == 0:
            flying.wait(5)
            return
        flying.set()
        # A request that is tried again and again, as a client does while a server is away.
        for _ in range(500):
            try:
                refuse_if_stopped()
            except StoppedError:
                cut_off.append(number)
                raise
            threading.Event().wait(0.01)

    results = map_in_order(work, range(2), 2)
    next(results)
    results.close()
    assert cut_off == [1]
    assert workers() == []


def test_outside_of_a_map_nothing_is_stopped() -> None:
    refuse_if_stopped()


def test_equal_items_that_are_to_be_kept_apart_follow_each_other() -> None:
    slow = threading.Event()
    order: list[str] = []

    def work(item: str) -> None:
        if item == "a1":
            slow.wait(0.2)
        order.append(item)

    list(map_in_order(work, ["a1", "b1", "a2"], 4, apart=lambda item: item[0]))
    assert order.index("a1") < order.index("a2")


def test_ctrl_c_twice_ends_a_program_whose_server_does_not_answer() -> None:
    program = (
        "import signal, threading\n"
        "from cshelve._concurrency.parallel import map_in_order\n"
        # Where the tests run in the background of a shell, it is ignored in what they start.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "print('begun', flush=True)\n"
        "list(map_in_order(lambda _: threading.Event().wait(60), range(9), 4))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    deadline = time.monotonic() + 20
    # Again and again, since nobody can see from outside when it waits for its threads.
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
    code = process.poll()
    process.kill()
    _, errors = process.communicate()
    assert code is not None, "it had to be killed"
    assert "KeyboardInterrupt" in errors


def test_a_map_inside_a_map_ends_with_it() -> None:
    begun, ended = threading.Event(), threading.Event()
    refusals: list[type[Exception]] = []

    def inner(_: int) -> None:
        begun.set()
        ended.wait(5)
        with unstoppable():
            refuse_if_stopped()
        try:
            refuse_if_stopped()
        except StoppedError as error:
            refusals.append(type(error))

    def outer(has_inner: bool) -> None:
        if has_inner:
            list(map_in_order(inner, range(2), 2))
        else:
            begun.wait(5)

    results = map_in_order(outer, [False, True], 2)
    next(results)
    # Closing waits for the inner ones, and they wait for the end that it brings.
    closing = threading.Thread(target=results.close)
    closing.start()
    while len(workers()) > 3:
        pass
    ended.set()
    closing.join()
    assert refusals == [StoppedError] * 2
