"""The objects on a page of a listing, read by us where the page is as plain as servers write it.

botocore reads a page's XML twice, makes a dict of each object and has dateutil read each date: that
takes four times as long as the server needs for the page. So the objects are put aside when a page
arrives, and botocore gets what is round them, which says whether there is more. They are read when
somebody wants them, by a regular expression; if there is anything odd about one, botocore is given
the whole page after all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import compress
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from cshelve.providers.aws_s3.capture import HERE
from cshelve.providers.aws_s3.errors import UnreadableAnswerError

__all__ = ["PAGE_ARRIVED", "Objects", "put_objects_aside", "read_page"]

# The event that `put_objects_aside` is for. Written like this it comes before botocore's own
# handlers, one of which reads the whole page only to see whether it is an error.
PAGE_ARRIVED = "before-parse.*.ListObjectsV2"
# The name of what we put aside in an answer, beside what botocore makes of the rest of the page.
ASIDE = "CshelvePage"
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
WANTED = ("Key", "Size", "LastModified")
OTHERS = ("ETag", "StorageClass", "ChecksumAlgorithm", "ChecksumType")
# What the texts of a whole page are, one behind the other. A key that is encoded for a URL is
# ASCII; one that needs XML's own escapes as well (`&amp;`) comes from no server that we know.
KEYS = re.compile("[!-%'-;=?-~]+")
SIZES = re.compile("[0-9]+")
# A date without its digits, whose places `fromisoformat` minds.
DATES = (b"--T::.Z", b"--T::Z")
# A text of which no letter is anything to XML, but that quotation marks may be escaped.
PLAIN = "[ -%'-;=?-~]*+(?:&(?:quot|#34);[ -%'-;=?-~]*+)*"
# Children of the root that are no objects, before or after these. botocore reads them.
CHILDREN = rb"(?:\s*+<(?!Contents>)(?:(?P<child>\w++)>[^<]*+</(?P=child)>|\w++/>))*\s*+"
BEFORE = re.compile(rb"(?:<\?xml [^<>]*\?>)?\s*<ListBucketResult[^<>]*>" + CHILDREN)
AFTER = re.compile(CHILDREN + rb"</ListBucketResult>\s*")
ENCODING = re.compile(rb"<EncodingType>([^<]*)")
FIRST, LAST = b"<Contents>", b"</Contents>"


class Objects(NamedTuple):
    """What a page says of its objects, in the server's order: one list for each thing it says.

    None stands for what it does not say.
    """

    keys: list[str]
    sizes: Sequence[int | None]
    dates: Sequence[datetime | None]

    def without(self, key: str, part: str) -> Objects:
        """Leave out those whose key is this one, or has this in it."""
        if key not in self.keys and not any(part in each for each in self.keys):
            return self
        wanted = [each != key and part not in each for each in self.keys]
        return Objects(
            list(compress(self.keys, wanted)),
            list(compress(self.sizes, wanted)),
            list(compress(self.dates, wanted)),
        )


class _Aside(NamedTuple):
    """A page, and where on it the objects are."""

    body: bytes
    start: int
    end: int


def put_objects_aside(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    """Leave to botocore what is round the objects of a page, or all of it if that is odd."""
    body: bytes = response_dict["body"]
    start, end = body.find(FIRST), body.rfind(LAST) + len(LAST)
    if response_dict["status_code"] != 200 or HERE in response_dict["headers"] or start < 0:
        return
    before, after = body[:start], body[end:]
    rest = before + after
    if not rest.isascii() or ENCODING.findall(rest) != [b"url"]:
        return
    if BEFORE.fullmatch(before) and AFTER.fullmatch(after):
        customized_response_dict[ASIDE] = _Aside(body, start, end)
        response_dict["body"] = rest


def read_page(
    answer: Mapping[str, Any], read_again: Callable[[bytes], Mapping[str, Any]]
) -> tuple[Mapping[str, Any], Objects]:
    """Give the objects in boto3's answer to a ListObjectsV2, and the answer.

    If there is anything odd about the objects, it is another one: what botocore makes of the whole
    page when it reads it again. Raises what that raises, and `UnreadableAnswerError`.
    """
    aside = answer.get(ASIDE)
    if isinstance(aside, _Aside):
        objects = _read(aside.body[aside.start : aside.end])
        if objects is not None:
            return answer, objects
        answer = read_again(aside.body)
    found = answer.get("Contents", ())
    if any("Key" not in each for each in found):
        raise UnreadableAnswerError(error="an object without a key")
    objects = Objects(
        [each["Key"] for each in found],
        [each.get("Size") for each in found],
        [each.get("LastModified") for each in found],
    )
    return answer, objects


def _read(objects: bytes) -> Objects | None:
    """Read objects as botocore would; None if there is anything odd about them."""
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
    """Make the expression for an object, or for all that follows the last one that is plain.

    What is wanted has to be there once each. The others are passed over, wherever they are, and
    what they say is not looked at.
    """
    others = "|".join(f"{tag}>{PLAIN}</{tag}" for tag in OTHERS)
    owner = f"Owner>(?:<(?:ID>{PLAIN}</ID|DisplayName>{PLAIN}</DisplayName)>)*</Owner"
    between = f"(?:<(?:{others}|{owner})>)*"
    wanted = between.join(f"<{tag}>([^<]*+)</{tag}>" for tag in order)
    return re.compile(f"<Contents>{between}{wanted}{between}</Contents>|(.+)", re.DOTALL)


def _typed(keys: Sequence[str], sizes: Sequence[str], dates: Sequence[str]) -> Objects | None:
    """Read the texts as botocore would, or give None where that might be in another way."""
    all_keys = "".join(keys)
    are_plain = KEYS.fullmatch(all_keys) and SIZES.fullmatch("".join(sizes)) and _are_dates(dates)
    if not are_plain or "" in keys or "" in sizes:
        return None
    is_encoded = "%" in all_keys or "+" in all_keys
    try:
        return Objects(
            # botocore decodes keys like this, as it is botocore who asks for the encoding.
            list(map(unquote_plus, keys) if is_encoded else keys),
            list(map(int, sizes)),
            list(map(datetime.fromisoformat, dates)),
        )
    except ValueError:
        return None  # There is no such date.


def _are_dates(texts: Sequence[str]) -> bool:
    """Tell whether all are written as S3 does, in UTC; whether there are such days is left open."""
    all_texts = "".join(texts)
    marks = all_texts.encode("ascii").translate(None, b"0123456789")
    return ".Z" not in all_texts and any(marks == form * len(texts) for form in DATES)
