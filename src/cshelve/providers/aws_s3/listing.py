"""Parse a page of a listing: here if it has the form that servers usually write, else by boto3.

botocore parses the XML twice, makes a dict for each object and parses each date with dateutil,
which takes four times as long as the server needs for the page. The standard library's XML parser
takes two and a half times as long as these regular expressions (5.5 ms to 2.2 ms for 1,000 keys).
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
OTHERS = ("StorageClass", "ChecksumAlgorithm", "ChecksumType")
ETAG = "ETag"
# These match the texts of a whole page, joined. URL-encoded keys are ASCII, and no server that we
# know escapes them for XML as well (`&amp;`).
KEYS = re.compile("[!-%'-;=?-~]+")
SIZES = re.compile("[0-9]+")
# A date without its digits; `fromisoformat` checks where those are.
DATES = (b"--T::.Z", b"--T::Z")
# A text without XML's special characters, except for escaped quotation marks.
PLAIN = "[ -%'-;=?-~]*+(?:&(?:quot|#34);[ -%'-;=?-~]*+)*"
# Children of the root, before or after the objects.
CHILDREN = r"(?:\s*+<(?!Contents>)(?:(?P<child>\w++)>[^<]*+</(?P=child)>|\w++/>))*\s*+"
ROOT = r'<ListBucketResult(?: xmlns="[!#-%\'-;=?-~]*")?>'
DECLARATION = r"(?:<\?xml version=[\"']1\.0[\"'](?: encoding=[\"'](?:UTF|utf)-8[\"'])?\s*\?>)?"
BEFORE = re.compile(DECLARATION + r"\s*" + ROOT + CHILDREN)
AFTER = re.compile(CHILDREN + r"</ListBucketResult>\s*")
CHILD = re.compile(r"<(\w+)(?:>([^<]*)</\1>|/>)")
# A text whose escapes XML defines; `html.unescape` would decode many more.
TEXT = re.compile(r"(?:[ -%'-;=?-~]|&(?:amp|lt|gt|quot|apos|#[0-9]{1,3});)*")
NUMBERS = ("MaxKeys", "KeyCount")
FIRST, LAST = b"<Contents>", b"</Contents>"


class Objects:
    """The objects on a page, in the server's order: a list each of keys, sizes, dates and ETags.

    Sizes, dates and ETags are as the server wrote them, or as boto3 parsed them.
    """

    def __init__(
        self,
        keys: list[str],
        sizes: Sequence[Any],
        dates: Sequence[datetime | str | None],
        etags: Sequence[str | None],
    ) -> None:
        self.keys = keys
        self._sizes = sizes
        self._dates = dates
        self._etags = etags

    def rows(self) -> Iterator[tuple[str, int | None, datetime | None, str | None]]:
        """Yield the key, size, date and ETag of each object; None for what is missing.

        Raises `ValueError` for a date that does not exist.
        """
        from datetime import datetime

        rows = zip(self.keys, self._sizes, self._dates, self._etags, strict=True)
        for key, size, date, etag in rows:
            made = datetime.fromisoformat(date) if isinstance(date, str) else date
            yield key, None if size is None else int(size), made, _unescaped(etag) if etag else None

    def without(self, key: str, part: str) -> Objects:
        """Return the objects whose key is not `key` and does not contain `part`."""
        if key not in self.keys and not any(part in each for each in self.keys):
            return self
        return self._where([each != key and part not in each for each in self.keys])

    def after(self, key: str) -> Objects:
        """Return those whose key is after this one."""
        # Nearly always all of them are: the server was asked for no others.
        if not self.keys or min(self.keys) > key:
            return self
        return self._where([each > key for each in self.keys])

    def _where(self, wanted: list[bool]) -> Objects:
        columns = (self.keys, self._sizes, self._dates, self._etags)
        return Objects(*(list(compress(column, wanted)) for column in columns))


class Page:
    """A response to ListObjectsV2: the objects, and the token of the next page if there is one."""

    def __init__(self, *, is_truncated: bool, token: str | None, objects: Objects | bytes) -> None:
        self.is_truncated = is_truncated
        self.token = token
        self._objects = objects

    def objects(self) -> Objects | None:
        """Return the objects, which are parsed only now; None if their form is unusual."""
        return self._objects if isinstance(self._objects, Objects) else _read(self._objects)


def page_from_boto3(answer: Mapping[str, Any]) -> Page | None:
    """Return boto3's response as a page; None if an object in it has no key."""
    found = answer.get("Contents", ())
    if any("Key" not in each for each in found):
        return None
    objects = Objects(
        [each["Key"] for each in found],
        [each.get("Size") for each in found],
        [each.get("LastModified") for each in found],
        [each.get("ETag") for each in found],
    )
    return Page(
        is_truncated=bool(answer.get("IsTruncated")),
        token=answer.get("NextContinuationToken"),
        objects=objects,
    )


def plain_page(body: bytes) -> Page | None:
    """Parse all of a page except its objects, and return it; None if its form is unusual."""
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
    """Parse objects as botocore would, and return them; None if their form is unusual."""
    if not objects:
        return Objects([], [], [], [])
    if not objects.isascii():
        return None
    text = objects.decode("ascii")
    # Servers differ in the order of the children; the first object shows it, or the first with
    # an ETag.
    order = tuple(sorted((*WANTED, ETAG), key=lambda tag: text.find(f"<{tag}>")))
    rows = _object_or_rest(order).findall(text)
    if rows[-1][-1]:
        return None
    columns = dict(zip((*order, "rest"), zip(*rows, strict=True), strict=True))
    return _typed(columns["Key"], columns["Size"], columns["LastModified"], columns[ETAG])


@lru_cache
def _object_or_rest(order: tuple[str, ...]) -> re.Pattern[str]:
    """Return the expression for an object, or for all that follows the last plain object.

    The wanted children have to appear once each, in this order, and an ETag at most once; other
    children are ignored.
    """
    others = "|".join(f"{tag}>{PLAIN}</{tag}" for tag in OTHERS)
    owner = f"Owner>(?:<(?:ID>{PLAIN}</ID|DisplayName>{PLAIN}</DisplayName)>)*</Owner"
    between = f"(?:<(?:{others}|{owner})>)*+"
    texts = {tag: f"<{tag}>([^<]*+)</{tag}>" for tag in WANTED}
    texts[ETAG] = f"(?:<{ETAG}>({PLAIN})</{ETAG}>)?"
    wanted = between.join(texts[tag] for tag in order)
    return re.compile(f"<Contents>{between}{wanted}{between}</Contents>|(.+)", re.DOTALL)


def _typed(
    keys: Sequence[str], sizes: Sequence[str], dates: Sequence[str], etags: Sequence[str]
) -> Objects | None:
    """Convert the texts as botocore would, and return the objects.

    Return None if botocore might convert them differently.
    """
    all_keys = "".join(keys)
    are_plain = KEYS.fullmatch(all_keys) and SIZES.fullmatch("".join(sizes)) and _are_dates(dates)
    if not are_plain or "" in keys or "" in sizes:
        return None
    is_encoded = "%" in all_keys or "+" in all_keys
    # botocore decodes keys with `unquote_plus`, too.
    names = list(map(unquote_plus, keys) if is_encoded else keys)
    return Objects(names, sizes, dates, etags)


def _unescaped(etag: str) -> str:
    """Return an ETag without the escapes that `PLAIN` allows."""
    return etag.replace("&quot;", '"').replace("&#34;", '"') if "&" in etag else etag


def _are_dates(texts: Sequence[str]) -> bool:
    """Return whether all texts have the form of S3's dates, in UTC."""
    all_texts = "".join(texts)
    marks = all_texts.encode("ascii").translate(None, b"0123456789")
    return ".Z" not in all_texts and any(marks == form * len(texts) for form in DATES)
