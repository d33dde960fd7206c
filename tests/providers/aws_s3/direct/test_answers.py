"""The reader of answers: cut anywhere it reads the same, spoiled anywhere it takes nothing else.

What it takes is compared with `http.client`, and with a reader in this file that has all of the
answer before it and knows nothing but the grammar.
"""

from __future__ import annotations

import http.client
import io
import re
import tracemalloc
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cshelve.providers.aws_s3.direct.answers import (
    LARGE_PIECE_BYTES,
    MOST_HEAD_BYTES,
    PIECE_BYTES,
    Answer,
    NotPlainError,
    Reader,
)

# Of the grammar of RFC 9112, for all of an answer; with white space that is nothing but blanks.
TEXT = rb"[ \x21-\x7e\xa1-\xac\xae-\xff]*"
FIELD = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:" + TEXT + rb"\r\n"
REST = rb"(?: " + TEXT + rb")?\r\n((?:" + FIELD + rb")*)\r\n"
CONTINUE = re.compile(rb"HTTP/1\.1 100" + REST)
HEAD = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2})" + REST)
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: 4\r\nETag: x\r\n\r\nbody"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nbod\r\n1\r\ny\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


class Taken(NamedTuple):
    """What is read out of an answer."""

    status: int
    body: bytes


def read(data: bytes, method: str = "GET", cuts: list[int] | None = None) -> Answer | None:
    """Feed an answer in pieces of these lengths, over and over; None if it is not whole."""
    reader = Reader(method)
    for piece in pieces(data, cuts or [max(len(data), 1)]):
        reader.feed(piece)
    return reader.answer() if reader.is_done else None


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    at = number = 0
    while at < len(data):
        size = cuts[number % len(cuts)]
        yield data[at : at + size]
        at, number = at + size, number + 1


def by_grammar(data: bytes, method: str) -> Taken | None:
    """Read an answer that has nothing behind it; None if it is not one."""
    interim = CONTINUE.match(data)
    data = data[interim.end() :] if interim else data
    found = HEAD.match(data)
    if found is None:
        return None
    status, body = int(found[1]), data[found.end() :]
    fields: dict[bytes, list[bytes]] = {}
    for line in found[2].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        fields.setdefault(name.lower(), []).append(value.strip(b" "))
    alone = (b"content-length", b"transfer-encoding", b"etag", b"content-range", b"location")
    if any(len(fields.get(name, [])) > 1 for name in alone) or 100 <= status < 200:
        return None
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if length is not None and not re.fullmatch(rb"[0-9]{1,18}", length[0]):
        return None
    if status == 204 and (coding or length not in (None, [b"0"])):
        return None
    if method == "HEAD" or status in (204, 304):
        return None if body else Taken(status, b"")
    if coding is not None:
        is_plain = coding[0].lower() == b"chunked" and length is None
        decoded = dechunked(body) if is_plain else None
        return None if decoded is None else Taken(status, decoded)
    if length is None or int(length[0]) != len(body):
        return None
    return Taken(status, body)


def dechunked(data: bytes) -> bytes | None:
    decoded = b""
    while True:
        found = CHUNK.match(data)
        if found is None:
            return None
        size = int(found[1], 16)
        data = data[found.end() :]
        if data[size : size + 2] != b"\r\n":
            return None
        decoded, data = decoded + data[:size], data[size + 2 :]
        if not size:
            return None if data else decoded


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._data)


def by_http_client(data: bytes, method: str) -> Taken:
    of_socket: Any = _Socket(data)
    with http.client.HTTPResponse(of_socket, method=method) as response:
        response.begin()
        return Taken(response.status, response.read())


def is_taken(data: bytes, method: str, cuts: list[int]) -> Taken | None:
    """Read an answer; None if it is not whole, or is refused by the one error that may be."""
    try:
        answer = read(data, method, cuts)
    except NotPlainError:
        return None
    return None if answer is None else Taken(answer.status, answer.body)


class Written(NamedTuple):
    """An answer as a server may write it, and what is to be read out of it."""

    method: str
    data: bytes
    status: int
    headers: dict[str, str]
    body: bytes


NAMES = st.text("abcXYZ019-_.!#$%&'*+^`|~", min_size=1, max_size=12).filter(
    lambda name: name.lower() not in {"etag", "location"}
)
PRINTABLE = [chr(code) for code in range(0x20, 0x100) if chr(code).isprintable()]
VALUES = st.text(PRINTABLE, max_size=20).map(lambda value: value.strip(" "))
BLANKS = st.sampled_from(["", " ", "   "])
CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=8)


@st.composite
def written(draw: st.DrawFn) -> Written:
    """Write an answer, with a length or in chunks, or one that has no body."""
    method = draw(st.sampled_from(["GET", "GET", "PUT", "DELETE", "HEAD"]))
    status = draw(st.sampled_from([200, 200, 204, 206, 304, 400, 404, 412, 503]))
    body = draw(st.binary(max_size=200))
    headers = draw(st.dictionaries(NAMES.map(str.lower), VALUES, max_size=5))
    lines = [f"{name}:{draw(BLANKS)}{value}{draw(BLANKS)}" for name, value in headers.items()]
    wire = body
    has_none = method == "HEAD" or status in (204, 304)
    if has_none:
        body = wire = b""
        told = {204: "content-length: 0", 304: "content-length: 12"}.get(
            status, "Content-Length: 9"
        )
        framing = draw(st.sampled_from([None, told]))
    elif draw(st.booleans()):
        framing = f"Content-Length: {len(body)}"
    else:
        framing = draw(st.sampled_from(["Transfer-Encoding: chunked", "transfer-encoding:Chunked"]))
        wire = b""
        for piece in pieces(body, draw(CUTS)):
            size = draw(st.sampled_from(["%x", "%X", "%04x"])) % len(piece)
            wire += size.encode() + b"\r\n" + piece + b"\r\n"
        wire += draw(st.sampled_from([b"0", b"000"])) + b"\r\n\r\n"
    if framing is not None:
        lines.insert(draw(st.integers(0, len(lines))), framing)
        name, _, value = framing.partition(":")
        headers[name.lower()] = value.strip()
    reason = draw(st.sampled_from(["", " ", " OK", " No Content at All"]))
    head = "\r\n".join([f"HTTP/1.1 {status}{reason}", *lines, "", ""])
    data = draw(st.sampled_from([b"", b"", INTERIM])) + head.encode("latin-1") + wire
    return Written(method, data, status, headers, body)


ODD = [b"\r\n", b"\r", b"\n", b"\0", b"0", b"1", b" ", b":", b";", b",", b"\t", b"\x0b", b"\x85"]
ODD += [b"\xa0", b"\xb2", b"\xff", b"-", b"+", b"_", b"\r\n ", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n"]
ODD += [b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", INTERIM, b"0\r\n\r\n", WHOLE]


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, bytes]:
    """Write an answer and change, add, remove, repeat or cut something."""
    answer = draw(written())
    data = answer.data
    # The head has more places where a change matters than a body has.
    at = draw(st.integers(0, len(data)))
    piece = draw(st.one_of(st.sampled_from(ODD), st.binary(min_size=1, max_size=3)))
    count = draw(st.integers(1, 12))
    match draw(st.sampled_from(["change", "insert", "remove", "cut", "repeat", "append"])):
        case "change":
            data = data[:at] + piece[:1] + data[at + 1 :]
        case "insert":
            data = data[:at] + piece + data[at:]
        case "remove":
            data = data[:at] + data[at + count :]
        case "cut":
            data = data[:at]
        case "repeat":
            data = data[: at + count] + data[at:]
        case _:
            data += piece
    return answer.method, data


@given(written(), CUTS)
@hypothesis_settings(max_examples=400, deadline=None)
def test_it_reads_the_same_however_it_is_cut(answer: Written, cuts: list[int]) -> None:
    for each in ([len(answer.data)], cuts, [1]):
        found = read(answer.data, answer.method, each)
        assert found is not None
        assert (found.status, found.body) == (answer.status, answer.body)
        assert found.headers == answer.headers
    taken = Taken(answer.status, answer.body)
    assert by_http_client(answer.data, answer.method) == taken
    assert by_grammar(answer.data, answer.method) == taken


@given(written(), CUTS)
@hypothesis_settings(max_examples=200, deadline=None)
def test_it_is_whole_with_its_last_byte_and_not_before(answer: Written, cuts: list[int]) -> None:
    reader = Reader(answer.method)
    for piece in pieces(answer.data[:-1], cuts):
        assert reader.feed(piece) is False
        assert not reader.is_done
    assert reader.feed(answer.data[-1:]) is True
    assert reader.received == len(answer.data)
    with pytest.raises(NotPlainError, match="more than"):
        reader.feed(b"x")


@given(spoiled(), CUTS)
@hypothesis_settings(max_examples=1500, deadline=None)
@example(("GET", INTERIM * 3000 + WHOLE), [40_000])
@example(("GET", OK + b"Content-Length: \xb2\r\n\r\nxx"), [40])
@example(("GET", WHOLE + b"\r\n"), [40])
def test_spoiled_it_is_refused_or_is_another_good_answer(
    answer: tuple[str, bytes], cuts: list[int]
) -> None:
    method, data = answer
    whole = is_taken(data, method, [len(data) or 1])
    # Neither more nor less is taken than the grammar allows, in one piece or in many.
    assert whole == by_grammar(data, method)
    assert is_taken(data, method, cuts) == whole
    if whole is not None:
        assert by_http_client(data, method) == whole


@given(st.binary(max_size=300), CUTS)
@hypothesis_settings(max_examples=300, deadline=None)
def test_what_is_no_answer_at_all_is_none(data: bytes, cuts: list[int]) -> None:
    for text in (data, OK + data, OK + b"Transfer-Encoding: chunked\r\n\r\n" + data):
        assert is_taken(text, "GET", cuts) == by_grammar(text, "GET")


def headed(*lines: bytes, body: bytes = b"") -> bytes:
    return OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    return headed(b"Transfer-Encoding: chunked", body=body)


REFUSED = {
    "two lengths": headed(b"Content-Length: 4", b"Content-Length: 5", body=b"body"),
    "the same length twice": headed(b"Content-Length: 4", b"content-length: 4", body=b"body"),
    "two lengths in one": headed(b"Content-Length: 4, 4", body=b"body"),
    "length and chunks": headed(
        b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "chunks and length": headed(
        b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"
    ),
    "chunked twice": headed(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "gzip and chunked": headed(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "identity": headed(b"Transfer-Encoding: identity", body=b"body"),
    "no coding": headed(b"Transfer-Encoding:", body=b"body"),
    "no length": headed(b"ETag: x"),
    "no length, and a body": headed(body=b"body"),
    "an empty length": headed(b"Content-Length:", body=b"body"),
    "a negative length": headed(b"Content-Length: -4", body=b"body"),
    "a length with a sign": headed(b"Content-Length: +4", body=b"body"),
    "a length with an underscore": headed(b"Content-Length: 0_4", body=b"body"),
    "a length with a point": headed(b"Content-Length: 4.0", body=b"body"),
    "a length in hexadecimal": headed(b"Content-Length: 0x4", body=b"body"),
    "a length of another script": headed("Content-Length: ٤".encode(), body=b"body"),
    "a length that is superscript": headed(b"Content-Length: \xb2", body=b"xx"),
    "a length with a blank in it": headed(b"Content-Length: 4 0", body=b"body"),
    "a length of 19 digits": headed(b"Content-Length: " + b"0" * 18 + b"4", body=b"body"),
    "a length of 10,000 digits": headed(b"Content-Length: " + b"9" * 10_000),
    "a folded header": headed(b"ETag: x", b" y", b"Content-Length: 0"),
    "a folded header with a tab": headed(b"ETag: x", b"\ty", b"Content-Length: 0"),
    "a folded header first": headed(b" x: y", b"Content-Length: 0"),
    "a header without colon": headed(b"ETag", b"Content-Length: 0"),
    "a header without name": headed(b": x", b"Content-Length: 0"),
    "a blank before the colon": headed(b"Content-Length : 4", body=b"body"),
    "a blank in a name": headed(b"Content Length: 4", b"Content-Length: 4", body=b"body"),
    "a bracket in a name": headed(b"(x): y", b"Content-Length: 0"),
    "a name of other letters": headed(b"\xe9tag: y", b"Content-Length: 0"),
    "the Kelvin sign in a name": headed("\u212a: y".encode(), b"Content-Length: 0"),
    "an ETag twice": headed(b"ETag: x", b"ETag: y", b"Content-Length: 0"),
    "a tab in a value": headed(b"ETag: \tx", b"Content-Length: 0"),
    "NUL in a value": headed(b"ETag: \0", b"Content-Length: 0"),
    "NUL in a name": headed(b"E\0Tag: x", b"Content-Length: 0"),
    "a bare line feed": OK + b"ETag: x\nContent-Length: 4\r\n\r\nbody",
    "a bare carriage return": OK + b"ETag: x\rContent-Length: 4\r\n\r\nbody",
    "nothing but line feeds": WHOLE.replace(b"\r\n", b"\n") + b"\r\n\r\n",
    "another end of a line": OK + b"ETag: x\x85Content-Length: 4\r\n\r\nbody",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.10": b"HTTP/1.10 200 OK\r\nContent-Length: 0\r\n\r\n",
    "http/1.1": b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no version": b"200 OK\r\nContent-Length: 0\r\n\r\n",
    "an empty line first": b"\r\n" + WHOLE,
    "two blanks": b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    "a tab": b"HTTP/1.1\t200 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of letters": b"HTTP/1.1 99x OK\r\nContent-Length: 0\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of two digits alone": b"HTTP/1.1 20\r\nContent-Length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 020 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status with a sign": b"HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n",
    "a superscript status": b"HTTP/1.1 \xb200 OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 \r\nContent-Length: 0\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\n\r\n" + WHOLE,
    "199": b"HTTP/1.1 199 What\r\nContent-Length: 0\r\n\r\n",
    "100 twice": INTERIM + INTERIM + WHOLE,
    "100 for ever": INTERIM * 5000,
    "100 with a bad header": b"HTTP/1.1 100 Continue\r\nx\r\n\r\n" + WHOLE,
    "204 with a body": b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody",
    "204 with a length": b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n",
    "204 with chunks": b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "204 without length, with a body": b"HTTP/1.1 204 No Content\r\n\r\nbody",
    "one byte too many": WHOLE + b"x",
    "another answer": WHOLE + WHOLE,
    "an end of a line too many": WHOLE + b"\r\n",
    "a byte behind no body": headed(b"Content-Length: 0", body=b"x"),
    "a byte behind chunks": CHUNKED + b"x",
    "an extension": chunked(b"3;a=b\r\nbod\r\n0\r\n\r\n"),
    "an extension of the last chunk": chunked(b"0;a=b\r\n\r\n"),
    "a trailer": chunked(b"3\r\nbod\r\n0\r\nx-amz-checksum-crc32: AAAAAA==\r\n\r\n"),
    "a chunk without size": chunked(b"\r\nbod\r\n0\r\n\r\n"),
    "a chunk with a sign": chunked(b"+3\r\nbod\r\n0\r\n\r\n"),
    "a negative chunk": chunked(b"-3\r\nbod\r\n0\r\n\r\n"),
    "a chunk with 0x": chunked(b"0x3\r\nbod\r\n0\r\n\r\n"),
    "a chunk with an underscore": chunked(b"0_3\r\nbod\r\n0\r\n\r\n"),
    "a chunk with a blank": chunked(b"3 \r\nbod\r\n0\r\n\r\n"),
    "a chunk with a blank before": chunked(b" 3\r\nbod\r\n0\r\n\r\n"),
    "a chunk that is too long": chunked(b"3\r\nbody\r\n0\r\n\r\n"),
    "a chunk that is too short": chunked(b"3\r\nbo\r\n0\r\n\r\n\r\n"),
    "a chunk with a line feed": chunked(b"3\nbod\n0\n\n" + b" " * 20),
    "a size of 16 digits": chunked(b"0" * 15 + b"3\r\nbod\r\n0\r\n\r\n"),
    "a size without end": chunked(b"0" * 20),
    "headers without end": OK + b"x: y\r\n" * 20_000,
    "one header without end": OK + b"x: " + b"y" * (MOST_HEAD_BYTES + 1),
    "64 KiB of headers": OK + b"x: " + b"y" * MOST_HEAD_BYTES + b"\r\nContent-Length: 0\r\n\r\n",
    "101 lines": OK + b"x: y\r\n" * 99 + b"Content-Length: 0\r\n\r\n",
    "a page of HTML": b"<html>\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x28\r\n\r\n",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_is_not_plain_is_refused(data: bytes) -> None:
    """Whichever way it comes: at once, byte by byte, the head and then the rest."""
    for cuts in (
        [len(data)],
        [1000],
        [1] if len(data) < 1000 else [7],
        [data.find(b"\r\n\r\n") + 4],
    ):
        with pytest.raises(NotPlainError):
            read(data, "GET", [max(cut, 1) for cut in cuts])


UNFINISHED = {
    "nothing": b"",
    "half a head": OK + b"Content-Length: 4",
    "a head": headed(b"Content-Length: 4"),
    "half a body": headed(b"Content-Length: 4", body=b"bo"),
    "100 alone": INTERIM,
    "half a chunk": chunked(b"3\r\nbo"),
    "no last chunk": chunked(b"3\r\nbod\r\n"),
    "half of the last chunk": chunked(b"3\r\nbod\r\n0"),
    "the last end of a line is not there": CHUNKED[:-2],
    "half of the last end of a line": CHUNKED[:-1],
    "no chunks": chunked(b""),
}


@pytest.mark.parametrize("data", UNFINISHED.values(), ids=UNFINISHED)
def test_what_has_no_end_is_not_whole(data: bytes) -> None:
    assert read(data) is None
    assert read(data, cuts=[1]) is None


TAKEN = {
    "100 lines": (OK + b"x: y\r\n" * 98 + b"Content-Length: 4\r\n\r\nbody", "GET", b"body"),
    "nearly 64 KiB": (
        OK + b"x: " + b"y" * (MOST_HEAD_BYTES - 60) + b"\r\nContent-Length: 4\r\n\r\nbody",
        "GET",
        b"body",
    ),
    "100 before it": (INTERIM + WHOLE, "PUT", b"body"),
    "100 with headers": (b"HTTP/1.1 100 Continue\r\nDate: x\r\n\r\n" + WHOLE, "PUT", b"body"),
    "no blank before a value": (headed(b"Content-Length:4", body=b"body"), "GET", b"body"),
    "blanks round a value": (headed(b"Content-Length:   4  ", body=b"body"), "GET", b"body"),
    "a header twice": (headed(b"Vary: a", b"Vary: b", b"Content-Length: 0"), "GET", b""),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "GET", b""),
    "HEAD with a length": (headed(b"Content-Length: 123456"), "HEAD", b""),
    "HEAD with a length and a coding": (headed(b"Transfer-Encoding: chunked"), "HEAD", b""),
    "HEAD without length": (headed(b"ETag: x"), "HEAD", b""),
    "chunks": (CHUNKED, "GET", b"body"),
    "chunks that are none": (chunked(b"0\r\n\r\n"), "GET", b""),
    "chunks with noughts": (chunked(b"00003\r\nbod\r\n0000\r\n\r\n"), "GET", b"bod"),
    "ends of lines in chunks": (chunked(b"2\r\n\r\n\r\n0\r\n\r\n"), "GET", b"\r\n"),
    "an answer as a body": (headed(b"Content-Length: %d" % len(WHOLE), body=WHOLE), "GET", WHOLE),
}


@pytest.mark.parametrize(("data", "method", "body"), TAKEN.values(), ids=TAKEN)
def test_what_is_plain_is_taken(data: bytes, method: str, body: bytes) -> None:
    for cuts in ([len(data)], [1 if len(data) < 1000 else 997], [data.find(b"\r\n\r\n") + 4]):
        answer = read(data, method, cuts)
        assert answer is not None
        assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    ("line", "closes"),
    [
        (b"Connection: close", True),
        (b"connection: Close", True),
        (b"Connection: keep-alive, close", True),
        (b"Connection: keep-alive", False),
        (b"X: close", False),
    ],
)
def test_it_tells_whether_the_server_closes(line: bytes, closes: bool) -> None:
    reader = Reader("GET")
    reader.feed(headed(line, b"Content-Length: 0"))
    assert reader.is_done
    assert reader.closes is closes


@pytest.mark.parametrize(
    "data",
    [
        headed(b"Content-Length: 10000000000000"),
        headed(b"Content-Length: " + b"9" * 18),
        chunked(b"f" * 15 + b"\r\n"),
    ],
)
def test_what_a_server_declares_is_not_allocated(data: bytes) -> None:
    reader = Reader("GET")
    tracemalloc.start()
    try:
        reader.feed(data)
        for _ in range(20):
            assert reader.feed(b"x" * 100) is False
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000
    assert not reader.is_done
    assert reader.wanted_bytes <= LARGE_PIECE_BYTES


def test_a_long_body_is_received_in_large_pieces_and_a_short_one_in_small_ones() -> None:
    reader = Reader("GET")
    assert reader.wanted_bytes == PIECE_BYTES
    reader.feed(headed(b"Content-Length: %d" % (3 * LARGE_PIECE_BYTES)))
    assert reader.wanted_bytes == LARGE_PIECE_BYTES
    reader.feed(bytes(3 * LARGE_PIECE_BYTES - 100))
    assert reader.wanted_bytes == PIECE_BYTES


class TestReceivingIntoAPlace:
    BODY = bytes(range(200))

    def begun(self, arrived: int) -> Reader:
        """Make a reader that has had the head, and this much of the body with it."""
        reader = Reader("GET")
        reader.feed(headed(b"Content-Length: 200", body=self.BODY[:arrived]))
        assert not reader.is_done
        return reader

    @given(arrived=st.integers(0, 199), wanted=st.integers(1, 200), cuts=CUTS, feeds=st.booleans())
    @hypothesis_settings(max_examples=300, deadline=None)
    def test_it_is_filled_in_pieces(
        self, arrived: int, wanted: int, cuts: list[int], feeds: bool
    ) -> None:
        reader = self.begun(arrived)
        buffer = bytearray(wanted)
        before = reader.received
        reader.receive_into(memoryview(buffer))
        for piece in pieces(self.BODY[arrived:wanted], cuts):
            place = reader.place
            assert place is not None
            assert not reader.is_done
            assert len(place) == wanted - arrived
            if feeds:
                assert reader.feed(piece) is (arrived + len(piece) == wanted)
            else:
                place[: len(piece)] = piece
                reader.filled(len(piece))
            arrived += len(piece)
        assert reader.is_done
        assert reader.place is None
        assert buffer == self.BODY[:wanted]
        assert reader.received - before == max(wanted - (before - len(self.head())), 0)
        # Where the rest of the body is still to come, nothing else may be read from there.
        assert reader.closes is (wanted != 200)

    def head(self) -> bytes:
        return headed(b"Content-Length: 200")

    def test_it_takes_no_more_than_there_is_place_for(self) -> None:
        reader = self.begun(10)
        buffer = bytearray(50)
        reader.receive_into(memoryview(buffer))
        with pytest.raises(NotPlainError, match="more than"):
            reader.feed(self.BODY[10:100])

    def test_a_part_of_a_larger_buffer_is_a_place(self) -> None:
        reader = self.begun(10)
        buffer = bytearray(b"-" * 220)
        reader.receive_into(memoryview(buffer)[10:210])
        reader.feed(self.BODY[10:])
        assert buffer == b"-" * 10 + self.BODY + b"-" * 10

    def test_what_has_arrived_may_fill_it(self) -> None:
        reader = self.begun(150)
        buffer = bytearray(100)
        reader.receive_into(memoryview(buffer))
        assert reader.is_done
        assert reader.closes
        assert reader.place is None
        assert buffer == self.BODY[:100]
