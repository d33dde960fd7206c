"""Measure how fast a record is sealed and unsealed, compared with the bare primitive.

    python -m benchmarks.sealing

The two take turns. A row has the median processor time of a call of each, and the ratio of the two
speeds.
"""

from __future__ import annotations

import base64
import os
import statistics
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import cshelve
from benchmarks.machine import described
from cshelve.codec import Codec
from cshelve.codec.aes_gcm import AesGcm
from cshelve.codec.keys import Key, Keys

SIZES = {
    "1 kB": (1000, 2000),
    "64 KiB": (1 << 16, 300),
    "256 KiB": (1 << 18, 150),
    "1 MiB": (1 << 20, 50),
    "16 MiB": (16 << 20, 5),
    "256 MiB": (256 << 20, 1),
}
ROUNDS = 15


def main() -> None:
    print(described("cshelve", "cryptography"))
    print("\n| value | seal, alone | seal | ratio | unseal, alone | unseal | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, (size, times) in SIZES.items():
        row = [name]
        for alone, ours in sealing_and_unsealing(size):
            seconds_alone, seconds = interleaved(alone, ours, times)
            ratio = f"{seconds_alone / seconds:.2f}"
            row += [f"{seconds_alone * 1e6:,.0f} µs", f"{seconds * 1e6:,.0f} µs", ratio]
        print(f"| {' | '.join(row)} |")


def sealing_and_unsealing(size: int) -> list[tuple[Callable[[], object], Callable[[], object]]]:
    secret = base64.b64decode(cshelve.generate_key())
    codec = Codec(seal=AesGcm(Keys(Key.of(secret, "aes256-gcm"))))
    primitive = AESGCM(secret)
    value, associated = os.urandom(size), bytes(60)
    # A pickled large value: its own bytes, with a few before and after.
    pieces = (value[:20], value[20:-3], value[-3:]) if size > 1 << 16 else (value,)
    record = codec.encode("key", pieces)
    nonce = os.urandom(12)
    sealed = primitive.encrypt(nonce, value, associated)
    return [
        (
            lambda: primitive.encrypt(os.urandom(12), value, associated),
            lambda: codec.encode("key", pieces),
        ),
        (
            lambda: primitive.decrypt(nonce, sealed, associated),
            lambda: codec.decode("key", record),
        ),
    ]


def interleaved(
    one: Callable[[], object], other: Callable[[], object], times: int
) -> tuple[float, float]:
    """Return the median processor seconds of a call of each; the two take turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for act, taken in zip((one, other), seconds, strict=True):
            began = time.process_time()
            for _ in range(times):
                act()
            taken.append((time.process_time() - began) / times)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


if __name__ == "__main__":
    main()
