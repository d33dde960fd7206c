"""Run a soak: load a shelf in an S3 server that is killed repeatedly, over a network that fails.

::

    python -m testbed.soak --seconds 600 --engine auto

Two processes with eight threads each do a random mix of operations (``testbed.soak_worker``)
through a proxy that injects a fault into 1 % of the requests. Every 20 seconds the server is
killed with SIGKILL and restarted on its data. The soak passes if

- nothing that was acknowledged is lost, and nothing wrong is read (``testbed.soak_ledger``),
- the only errors raised are ``StorageError`` and the ``KeyError`` of a key that does not exist,
- no increment of ``modify`` is lost or done twice,
- nothing hangs, and
- memory, threads and descriptors of the processes are flat.

What may the server itself lose? Nothing, as far as was observed. SeaweedFS (4.48, ``weed mini`` as
``testbed.seaweedfs`` starts it) acknowledges a write when its volume and the log of the filer's
leveldb are written by write(2), and data in the kernel's page cache survives when a process is
killed (but not when a machine loses power). Six kills during the writes of eight threads of plain
boto3 (puts of 10 bytes to 9 MB, overwrites, deletes; 912 keys whose last request had been
acknowledged) lost none. While it starts, the server refuses connections and then answers some GETs
with 500. But in eight starts under load it never sent a false response: no NoSuchKey for an
existing key, no incomplete listing, no wrong decision about a condition. Because this was observed
and is not promised, there is a control group: two threads of plain boto3 do the same to keys of
their own, directly on the server, and are judged by the same rules. Errors that they find are the
server's, and are reported as such.

As with any S3 server, a request that is delayed for longer than a client waits may be carried out
after the client has gone on. That is not the client's fault: the keys of such requests are listed
as late, and errors of these keys are counted but not judged. No fault of the proxy takes that
long.

Memory is compared with glibc's threshold for mmap fixed. Otherwise the freed memory of large
values stays in the arena of its thread, and grows until each thread has used some, which looks
like a leak.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import multiprocessing
import os
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from testbed.exchange import Exchange, UpstreamError
from testbed.fault_proxy import FaultProxy
from testbed.faults import AfterActing, Answer, CutBody, Delay, Reset, pass_on
from testbed.http_messages import Request
from testbed.loopback import refuse_other_hosts
from testbed.seaweedfs import SeaweedFS
from testbed.soak_ledger import FIELDS, Ledger, WrongError, make_value, number_of
from testbed.soak_worker import BOUND_SECONDS, COUNTERS, Report, all_keys, array_size, work

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

BUCKET = "soak-bucket"
READ_SECONDS = 3.0
_LATE_SECONDS = 0.9 * READ_SECONDS
_SPAWN = multiprocessing.get_context("spawn")

# The growth allowed from the middle third of the time to the last: a part, plus a constant.
_FLAT_PART = 0.2
_FLAT_BESIDE = {"MB": 48.0, "threads": 8.0, "descriptors": 16.0}


def hold_and_drop(exchange: Exchange) -> None:
    """Hang for less time than a client waits, and close without a response."""
    exchange.wait(READ_SECONDS / 2)


_FAULTS: dict[str, Callable[[Exchange], None]] = {
    "reset before": Reset(),
    "reset after": Reset(before=False),
    "cut at 0": CutBody(0),
    "cut at 100": CutBody(100),
    "500": Answer(500, "InternalError"),
    "500 after": AfterActing(Answer(500, "InternalError")),
    "503 SlowDown": Answer(503, "SlowDown"),
    "hang": hold_and_drop,
    "delay": Delay(READ_SECONDS / 4),
}


class RandomFaults:
    """Applies a random fault to some requests, and none to most."""

    def __init__(self, percent: float) -> None:
        self.percent = percent
        self.seen: Counter[str] = Counter()
        self.late: dict[str, str] = {}
        self._random = random.Random(1)
        self._lock = Lock()

    def __call__(self, exchange: Exchange) -> None:
        name = "none"
        if self._random.random() * 100 < self.percent:
            name = self._random.choice(list(_FAULTS))
        began = time.monotonic()
        try:
            _FAULTS.get(name, pass_on)(exchange)
        except UpstreamError:
            name = "server gone"
            # How a dead server appears: no response, or that of a load balancer (502).
            if self._random.random() < 0.5:
                raise
            exchange.reset()
        finally:
            seconds = time.monotonic() - began
            with self._lock:
                self.seen[name] += 1
                if seconds > _LATE_SECONDS:
                    self._note_late(exchange.request, f"{seconds:.1f} s, {name}")

    def why_late(self, key: str) -> str | None:
        """Return a text about a late request for a key, or for a prefix that ends in a slash.

        Return None if no such request was late.
        """
        if key.endswith("/"):
            return next((how for each, how in self.late.items() if each.startswith(key)), None)
        return self.late.get(key)

    def _note_late(self, request: Request, how: str) -> None:
        if request.method in ("GET", "HEAD"):
            return
        in_body = re.findall(rb"<Key>([^<]*)</Key>", request.body)
        # A request for the whole bucket has its keys, if any, in its body.
        for key in [request.key] if request.key else [each.decode() for each in in_body]:
            self.late[key.removeprefix("soak/")] = f"{request.operation} at {time.ctime()}, {how}"


class Control:
    """Uses its own keys with plain boto3, directly on the server, to find what the server loses."""

    def __init__(self, client: S3Client, name: str) -> None:
        self.keys = [f"control/{name}/{number}" for number in range(20)]
        self.acknowledged = 0
        self.failures: list[str] = []
        self._client = client
        self._ledger = Ledger(self.keys, [0] * (FIELDS * len(self.keys)))
        self._ledger.prepare()
        self._random = random.Random(name)

    def run(self, stop: Event) -> None:
        for number in itertools.count(1):
            if stop.wait(0.02):
                return
            key = self._random.choice(self.keys)
            self._judge(partial(self._write_or_read, key, number))

    def verify(self) -> None:
        for key in self.keys:
            self._judge(partial(self._read, key))

    def _judge(self, step: Callable[[], None]) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            step()
        except WrongError as wrong:
            self.failures.append(str(wrong))
        except (BotoCoreError, ClientError):
            time.sleep(0.05)

    def _write_or_read(self, key: str, number: int) -> None:
        kind = self._random.choice(["set", "set", "delete", "read", "read"])
        if kind == "read":
            self._read(key)
            return
        self._ledger.begin(key, number, is_set=kind == "set")
        if kind == "set":
            body = repr(make_value(key, number, self._random.choice([10, 5_000, 60_000])))
            self._client.put_object(Bucket=BUCKET, Key=key, Body=body.encode())
        else:
            self._client.delete_object(Bucket=BUCKET, Key=key)
        self._ledger.done(key, number)
        self.acknowledged += 1

    def _read(self, key: str) -> None:
        try:
            body = self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            found = number_of(key, ast.literal_eval(body.decode()))
        except self._client.exceptions.NoSuchKey:
            found = None
        self._ledger.possible(key).check(found)


class Samples:
    """Memory, threads and descriptors of processes, as reported by the kernel."""

    def __init__(self, processes: Sequence[SpawnProcess]) -> None:
        self._processes = processes
        self.rows: list[tuple[float, list[dict[str, float]]]] = []

    def take(self, seconds: float) -> None:
        self.rows.append((seconds, [_measure(each.pid or 0) for each in self._processes]))

    def table(self) -> Iterator[str]:
        for seconds, row in self.rows[:: len(self.rows) // 20 + 1]:
            cells = (
                "  ".join(f"{value:6.0f} {name}" for name, value in cell.items()) for cell in row
            )
            yield f"{seconds:6.0f} s  {'   |   '.join(cells)}"

    def growth(self) -> Iterator[str]:
        """Report what is not flat: compare the medians of the last and the middle third."""
        third = len(self.rows) // 3
        for number, name in itertools.product(range(len(self._processes)), _FLAT_BESIDE):
            values = [row[number][name] for _, row in self.rows]
            if third < 3:
                yield f"{len(values)} samples are too few to tell whether {name} are flat"
                continue
            middle = statistics.median(values[third : 2 * third])
            last = statistics.median(values[2 * third :])
            print(
                f"process {number}: {middle:.0f} {name} in the middle third, {last:.0f} in the last"
            )
            if last > middle * (1 + _FLAT_PART) + _FLAT_BESIDE[name]:
                yield f"process {number} went from {middle:.0f} to {last:.0f} {name}"


def _measure(pid: int) -> dict[str, float]:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except FileNotFoundError:
        return dict.fromkeys(_FLAT_BESIDE, 0.0)
    fields = dict(line.split(":", 1) for line in status.splitlines())
    memory = int(fields.get("VmRSS", "0 kB").split()[0]) / 1024
    return {"MB": memory, "threads": float(fields["Threads"]), "descriptors": descriptors}


class Soak:
    """One run of the soak, with its results."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._faults = RandomFaults(options.fault_percent)
        self._kills = 0
        self._total = Report()
        self._reasons: list[str] = []

    def run(self) -> bool:
        """Run the soak and print its results; return whether it passed."""
        with refuse_other_hosts(), ExitStack() as stack:
            server = stack.enter_context(SeaweedFS())
            proxy = stack.enter_context(FaultProxy(server.endpoint_url, keep_body_bytes=0))
            server.client().create_bucket(Bucket=BUCKET)
            proxy.inject(self._faults, times=None)
            workers = [stack.enter_context(each) for each in self._workers(server, proxy)]
            samples = Samples([process for process, _ in workers])
            controls = [Control(_impatient_client(server), name) for name in ("a", "b")]
            with _running(controls):
                self._wait(server, proxy, [pipe for _, pipe in workers], samples)
            self._faults.percent = 0
            for number, (process, pipe) in enumerate(workers):
                self._take_report(number, process, pipe)
            for control in controls:
                control.verify()
        self._judge(controls)
        self._print(samples, controls)
        self._reasons += samples.growth()
        for reason in self._reasons:
            print("FAIL:", reason)
        print("FAIL" if self._reasons else "PASS")
        return not self._reasons

    def _workers(
        self, server: SeaweedFS, proxy: FaultProxy
    ) -> Iterator[AbstractContextManager[tuple[SpawnProcess, Connection]]]:
        options = self._options
        config = _config(server, proxy, options.engine)
        owners = [f"t{number:02}" for number in range(options.threads)]
        numbers: Any = _SPAWN.Array("q", array_size(owners), lock=False)
        Ledger(all_keys(owners), numbers).prepare()
        for number in range(options.processes):
            mine = owners[number :: options.processes]
            yield _worker(config, owners, mine, numbers, options.seconds)

    def _wait(
        self, server: SeaweedFS, proxy: FaultProxy, pipes: list[Connection], samples: Samples
    ) -> None:
        """Kill the server and take samples until the workers have stopped."""
        options = self._options
        began = time.monotonic()
        next_sample, next_kill = began + 3, began + options.kill_every
        while not all(pipe.poll() for pipe in pipes):
            time.sleep(0.1)
            now = time.monotonic()
            if now > began + options.seconds + 2 * BOUND_SECONDS:
                self._reasons.append("a process did not stop in time")
                return
            if now < began + options.seconds and now > next_sample:
                samples.take(now - began)
                next_sample = now + max(1.0, options.seconds / 200)
            if now < began + options.seconds - 2 and now > next_kill:
                server.crash()
                time.sleep(random.uniform(0, 1))
                server.recover()
                self._kills += 1
                next_kill = now + options.kill_every
                # The proxy keeps every request: `clear` forgets them, and removes the fault too.
                proxy.clear()
                proxy.inject(self._faults, times=None)

    def _take_report(self, number: int, process: SpawnProcess, pipe: Connection) -> None:
        """Let a worker verify everything, and add its report to the total."""
        try:
            report = pipe.recv() if pipe.poll() else None
            if report is None:
                pipe.send("verify")
                report = pipe.recv() if pipe.poll(2 * BOUND_SECONDS) else None
        except (EOFError, OSError) as error:
            report = None
            self._reasons.append(f"process {number} broke off: {error!r}")
        if report is None:
            self._reasons.append(f"process {number} did not report")
            return
        self._total.add(report)
        self._total.counts = report.counts

    def _judge(self, controls: list[Control]) -> None:
        total, why_late = self._total, self._faults.why_late
        lost = [failure for control in controls for failure in control.failures]
        # Not an error of cshelve: the server lost boto3's own requests when it was killed. Losses
        # of the shelf's keys would look the same.
        for each in lost[:10]:
            print(f"the server lost of the control group: {each}")
        judged = []
        for key, text in total.failures:
            if how := why_late(key):
                print(f"not judged: {text}; {how}")
            else:
                judged.append(text)
        self._reasons += judged[:20]
        if len(judged) > 20:
            self._reasons.append(f"and {len(judged) - 20} more like these")
        for key in COUNTERS:
            done, unknown = total.increments[key], total.unknown_increments[key]
            print(f"{key}: {total.counts.get(key)}; {done} done, {unknown} unknown")
            if not done <= total.counts.get(key, 0) <= done + unknown:
                self._reasons.append(f"{key} does not hold what was done")
        if errors := [each for each in total.errors if each.startswith("verify")]:
            self._reasons.append(f"verifying met {errors}, with all faults off")
        if sum(total.errors.values()) > 0.2 * sum(total.operations.values()):
            self._reasons.append("more than a fifth of the operations failed: that shows nothing")
        if not total.operations:
            self._reasons.append("nothing was done")

    def _print(self, samples: Samples, controls: list[Control]) -> None:
        total = self._total
        for line in samples.table():
            print(line)
        rate = sum(total.operations.values()) / self._options.seconds
        slowest = ((kind, f"{seconds:.1f}") for kind, seconds in total.slowest.items())
        _print_counts("operations", total.operations)
        _print_counts("errors", total.errors)
        _print_counts("requests by fault", self._faults.seen)
        _print_counts("slowest, in seconds", dict(slowest))
        acknowledged = sum(control.acknowledged for control in controls)
        failures = sum(len(control.failures) for control in controls)
        print(f"control group: {acknowledged} writes acknowledged, {failures} wrong")
        print(f"{len(self._faults.late)} late keys: {sorted(self._faults.late)}")
        print(f"{self._kills} kills, {rate:.0f} operations a second")


@contextmanager
def _worker(*arguments: Any) -> Iterator[tuple[SpawnProcess, Connection]]:
    ours, theirs = _SPAWN.Pipe()
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(1 << 20)
    process = _SPAWN.Process(target=work, args=(*arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield process, ours
        process.join(10)
    finally:
        process.kill()
        process.join()


@contextmanager
def _running(controls: list[Control]) -> Iterator[None]:
    stop = Event()
    threads = [Thread(target=control.run, args=(stop,), daemon=True) for control in controls]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _impatient_client(server: SeaweedFS) -> S3Client:
    from botocore.config import Config

    config = Config(retries={"max_attempts": 0}, connect_timeout=2, read_timeout=READ_SECONDS)
    return server.client(config=config)


def _config(server: SeaweedFS, proxy: FaultProxy, engine: str) -> dict[str, dict[str, Any]]:
    return {
        "default": {
            "provider": "aws-s3",
            "bucket_name": BUCKET,
            "key_prefix": "soak",
            "auth_type": "access_key",
            "key_id": server.admin.access_key,
            "key_secret": server.admin.secret_key,
            "engine": engine,
            "connect_timeout_seconds": 2,
            "read_timeout_seconds": READ_SECONDS,
            "total_max_attempts": 4,
            "concurrency": 16,
        },
        "provider_params": {"endpoint_url": proxy.endpoint_url},
    }


def _print_counts(title: str, counts: Mapping[str, object]) -> None:
    print(f"{title}: " + (", ".join(f"{name} {counts[name]}" for name in sorted(counts)) or "none"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m testbed.soak", description="Soak a shelf.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--engine", choices=["auto", "boto3", "direct"], default="auto")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=16, help="of all processes together")
    parser.add_argument("--fault-percent", type=float, default=1)
    parser.add_argument("--kill-every", type=float, default=20, help="seconds")
    return 0 if Soak(parser.parse_args(arguments)).run() else 1


if __name__ == "__main__":
    sys.exit(main())
