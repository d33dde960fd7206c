"""Any answer: cut anywhere it reads the same, spoiled anywhere it takes nothing else.

What is taken is compared with `http.client`, and with a reader that has all of the answer before it
and knows nothing but the grammar.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cshelve.providers.aws_s3.direct.answers import NotPlainError, Reader
from tests.providers.aws_s3.direct.answers.grammar import Taken, by_grammar, by_http_client
from tests.providers.aws_s3.direct.answers.rig import CUTS, INTERIM, OK, WHOLE, pieces, read


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
@hypothesis_settings(max_examples=100)
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
@hypothesis_settings(max_examples=100)
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
@hypothesis_settings(max_examples=250)
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
@hypothesis_settings(max_examples=150)
def test_what_is_no_answer_at_all_is_none(data: bytes, cuts: list[int]) -> None:
    for text in (data, OK + data, OK + b"Transfer-Encoding: chunked\r\n\r\n" + data):
        assert is_taken(text, "GET", cuts) == by_grammar(text, "GET")
