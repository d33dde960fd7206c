"""A page of a listing, parsed here if it is as plain as servers write it, and else by boto3.

botocore parses a page's XML twice, makes a dict of each object and has dateutil read each date:
that takes four times as long as the server needs for the page. The standard library's parser takes
two and a half times as long as these regular expressions (5.5 ms to 2.2 ms for 1,000 keys).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from html import unescape
from itertools import compress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Objects", "Page", "page_from_boto3", "plain_page"]

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
WANTED = ("Key", "Size", "LastModified")
OTHERS = ("ETag", "StorageClass", "ChecksumAlgorithm", "ChecksumType")
# Match the texts of a whole page, joined. A key that is encoded for a URL is ASCII; no server that
# we know writes one with XML's own escapes as well (`&amp;`).
KEYS = re.compile("[!-%'-;=?-~]+")
SIZES = re.compile("[0-9]+")
# A date without its digits, whose places `fromisoformat` checks.
DATES = (b"--T::.Z", b"--T::Z")
# A text without XML's special characters, but quotation marks may be escaped.
PLAIN = "[ -%'-;=?-~]*+(?:&(?:quot|#34);[ -%'-;=?-~]*+)*"
# Children of the root, before or after the objects.
CHILDREN = r"(?:\s*+<(?!Contents>)(?:(?P<child>\w++)>[^<]*+</(?P=child)>|\w++/>))*\s*+"
ROOT = r'<ListBucketResult(?: xmlns="[!#-%\'-;=?-~]*")?>'
DECLARATION = r"(?:<\?xml version=[\"']1\.0[\"'](?: encoding=[\"'](?:UTF|utf)-8[\"'])?\s*\?>)?"
BEFORE = re.compile(DECLARATION + r"\s*" + ROOT + CHILDREN)
AFTER = re.compile(CHILDREN + r"</ListBucketResult>\s*")
CHILD = re.compile(r"<(\w+)(?:>([^<]*)</\1>|/>)")
# Text with XML's own escapes; `html.unescape` knows many more.
TEXT = re.compile(r"(?:[ -%'-;=?-~]|&(?:amp|lt|gt|quot|apos|#[0-9]{1,3});)*")
NUMBERS = ("MaxKeys", "KeyCount")
FIRST, LAST = b"<Contents>", b"</Contents>"


class Objects:
    """The objects on a page, in the server's order: one list for keys, sizes and dates each."""

    def __init__(
        self, keys: list[str], sizes: Sequence[Any], dates: Sequence[datetime | str | None]
    ) -> None:
        self.keys = keys
        self._sizes = sizes
        self._dates = dates

    def rows(self) -> Iterator[tuple[str, int | None, datetime | None]]:
        """Yield key, size and date of each object; None stands for what is missing."""
        from datetime import datetime

        for key, size, date in zip(self.keys, self._sizes, self._dates, strict=True):
            made = datetime.fromisoformat(date) if isinstance(date, str) else date
            yield key, None if size is None else int(size), made

    def without(self, key: str, part: str) -> Objects:
        """Return those whose key is not `key`, and has not `part` in it."""
        if key not in self.keys and not any(part in each for each in self.keys):
            return self
        wanted = [each != key and part not in each for each in self.keys]
        return Objects(
            list(compress(self.keys, wanted)),
            list(compress(self._sizes, wanted)),
            list(compress(self._dates, wanted)),
        )


class Page:
    """An answer to a ListObjectsV2: its objects, and whether and where the listing goes on."""

    def __init__(self, *, is_truncated: bool, token: str | None, objects: Objects | bytes) -> None:
        self.is_truncated = is_truncated
        self.token = token
        self._objects = objects

    def objects(self) -> Objects | None:
        """Return the objects, parsed only now; None if there is anything odd about them."""
        return self._objects if isinstance(self._objects, Objects) else _read(self._objects)


def page_from_boto3(answer: Mapping[str, Any]) -> Page | None:
    """Return boto3's answer as a page; None if there is an object without a key."""
    found = answer.get("Contents", ())
    if any("Key" not in each for each in found):
        return None
    objects = Objects(
        [each["Key"] for each in found],
        [each.get("Size") for each in found],
        [each.get("LastModified") for each in found],
    )
    return Page(
        is_truncated=bool(answer.get("IsTruncated")),
        token=answer.get("NextContinuationToken"),
        objects=objects,
    )


def plain_page(body: bytes) -> Page | None:
    """Parse a page, but for its objects; return None if there is anything odd about it."""
    start, end = body.find(FIRST), body.rfind(LAST) + len(LAST)
    if start < 0:
        start = end = body.find(b"</ListBucketResult>")
    try:
        before, after = body[:start].decode("ascii"), body[end:].decode("ascii")
    except UnicodeDecodeError:
        return None
    if start < 0 or not BEFORE.fullmatch(before) or not AFTER.fullmatch(after):
        return None
    children = CHILD.findall(before.rpartition("<ListBucketResult")[2] + after)
    texts: dict[str, str] = dict(children)
    are_plain = len(texts) == len(children) and all(map(TEXT.fullmatch, texts.values()))
    are_numbers = all(SIZES.fullmatch(texts[name]) for name in NUMBERS if name in texts)
    is_truncated = texts.get("IsTruncated")
    if not are_plain or not are_numbers or is_truncated not in {"true", "false"}:
        return None
    if texts.get("EncodingType") != "url" or "Name" not in texts:
        return None
    token = texts.get("NextContinuationToken")
    return Page(
        is_truncated=is_truncated == "true",
        token=None if token is None else unescape(token),
        objects=body[start:end],
    )


def _read(objects: bytes) -> Objects | None:
    """Parse objects as botocore would; return None if there is anything odd about them."""
    if not objects:
        return Objects([], [], [])
    if not objects.isascii():
        return None
    text = objects.decode("ascii")
    # The order is the server's; the first object shows it.
    order = tuple(sorted(WANTED, key=lambda tag: text.find(f"<{tag}>")))
    rows = _object_or_rest(order).findall(text)
    if rows[-1][-1]:
        return None
    columns = dict(zip((*order, "rest"), zip(*rows, strict=True), strict=True))
    return _typed(columns["Key"], columns["Size"], columns["LastModified"])


@lru_cache
def _object_or_rest(order: tuple[str, ...]) -> re.Pattern[str]:
    """Return the expression for an object, or for all that follows the last plain one.

    The wanted children have to be there once each; the others may be anywhere, and are ignored.
    """
    others = "|".join(f"{tag}>{PLAIN}</{tag}" for tag in OTHERS)
    owner = f"Owner>(?:<(?:ID>{PLAIN}</ID|DisplayName>{PLAIN}</DisplayName)>)*</Owner"
    between = f"(?:<(?:{others}|{owner})>)*"
    wanted = between.join(f"<{tag}>([^<]*+)</{tag}>" for tag in order)
    return re.compile(f"<Contents>{between}{wanted}{between}</Contents>|(.+)", re.DOTALL)


def _typed(keys: Sequence[str], sizes: Sequence[str], dates: Sequence[str]) -> Objects | None:
    """Convert the texts as botocore would; return None where botocore might do it differently."""
    all_keys = "".join(keys)
    are_plain = KEYS.fullmatch(all_keys) and SIZES.fullmatch("".join(sizes)) and _are_dates(dates)
    if not are_plain or "" in keys or "" in sizes:
        return None
    is_encoded = "%" in all_keys or "+" in all_keys
    # As botocore decodes keys.
    return Objects(list(map(unquote_plus, keys) if is_encoded else keys), sizes, dates)


def _are_dates(texts: Sequence[str]) -> bool:
    """Return whether all are written as S3 writes dates, in UTC."""
    all_texts = "".join(texts)
    marks = all_texts.encode("ascii").translate(None, b"0123456789")
    return ".Z" not in all_texts and any(marks == form * len(texts) for form in DATES)
