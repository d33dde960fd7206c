"""Fuzz everything that reads data of others with hostile input, for as long as you like.

    python -m testbed.fuzz ini|url|record|listing [--seconds 600]

Each reader may return a value or raise an error of cshelve's. Anything else ends the run, with the
smallest input that Hypothesis finds for it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cshelve
from cshelve._config.ini import sections_from_file
from cshelve._config.url import sections_from_url
from cshelve.codec import Codec
from cshelve.codec.compression import compression_by
from cshelve.codec.record import expiry_of
from cshelve.providers.aws_s3.listing import plain_page

INI_PIECES = [
    "[default]",
    "[DEFAULT]",
    "provider",
    "=",
    ":",
    "in-memory",
    "\n",
    " ",
    "$HOME",
    "%",
    "'",
]
URL_PIECES = [
    "s3://",
    "file:///",
    "memory://",
    "dbm:///",
    "b",
    "/",
    "?",
    "&",
    "=",
    "%",
    "%2",
    "%25",
    "serializer",
    "json",
    "endpoint_url",
    "#",
    "$",
    "+",
    "@",
    "whole_bucket",
    "true",
    ".ini",
]
RECORD_PIECES = [b"\0", *(bytes([letter]) for letter in b"cerxGHzljMB"), b"\x80\x05", b"x\x9c"]
XML = (
    b"<Contents> </Contents> <Key> </Key> <Size> 1 </Size> <LastModified> </LastModified> & ; %00 "
    b"&amp; < >"
).split()
HEAD = b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
TAIL = b"<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated></ListBucketResult>"


def read_ini(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fuzz.ini")
        path.write_text(text, "utf-8", errors="surrogateescape", newline="")
        sections_from_file(str(path))


def read_record(data: bytes) -> None:
    expiry_of(data)
    for codec in (Codec(), Codec(compression=compression_by(b"c")), Codec(checksum=True)):
        with suppress(cshelve.Error):
            codec.decode("key", data)


def read_listing(data: bytes) -> None:
    for body in (data, HEAD + data + TAIL):
        page = plain_page(body)
        objects = None if page is None else page.objects()
        with suppress(ValueError):  # A date that does not exist.
            list(objects.rows() if objects else ())


def texts(pieces: list[str]) -> st.SearchStrategy[str]:
    some = st.one_of(st.sampled_from(pieces), st.text(max_size=3))
    return st.lists(some, max_size=12).map("".join)


def blobs(pieces: list[bytes]) -> st.SearchStrategy[bytes]:
    some = st.one_of(st.sampled_from(pieces), st.binary(max_size=3))
    return st.lists(some, max_size=12).map(b"".join)


READERS: dict[str, tuple[Callable[..., object], st.SearchStrategy[object]]] = {
    "ini": (read_ini, texts(INI_PIECES)),
    "url": (lambda url: sections_from_url(url, "c"), texts(URL_PIECES)),
    "record": (read_record, blobs(RECORD_PIECES)),
    "listing": (read_listing, blobs(XML)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Read hostile input.")
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--seconds", type=float, default=600)
    arguments = parser.parse_args()
    read, inputs = READERS[arguments.reader]
    count = 0

    @settings(
        max_examples=20_000,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def is_read_or_refused(data: object) -> None:
        nonlocal count
        count += 1
        with suppress(cshelve.Error):
            read(data)

    until = time.monotonic() + arguments.seconds
    while time.monotonic() < until:
        is_read_or_refused()
    print(f"{arguments.reader}: {count:,} inputs were read or refused")


if __name__ == "__main__":
    main()
