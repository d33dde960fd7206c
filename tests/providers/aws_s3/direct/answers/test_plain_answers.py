"""Which answers are taken, one by one, and which are left to boto3."""

from __future__ import annotations

import pytest

from cshelve.providers.aws_s3.direct.answers import MOST_HEAD_BYTES, NotPlainError, Reader
from tests.providers.aws_s3.direct.answers.rig import INTERIM, OK, WHOLE, chunked, headed, read

CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nbod\r\n1\r\ny\r\n0\r\n\r\n"

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
