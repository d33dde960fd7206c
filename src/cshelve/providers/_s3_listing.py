"""The objects on a page of a listing, taken out before botocore reads the page.

botocore reads a page's XML twice, makes a dict of each object and has dateutil read each date: that
takes four times as long as the server needs for the page. Here a regular expression takes the
objects out of a page that is as plain as servers write it, and botocore gets the rest, which says
all but the objects. A page with anything else on it is left to botocore as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import compress
from typing import Any
from urllib.parse import unquote_plus

__all__ = ["PAGE_ARRIVED", "Objects", "objects_of", "take_objects"]

# The event that `take_objects` is for. Written like this it comes before botocore's own handlers,
# one of which reads the whole page only to see whether it is an error.
PAGE_ARRIVED = "before-parse.*.ListObjectsV2"
# The name of our objects in an answer, beside what botocore makes of the rest of the page.
TAKEN = "CshelveObjects"
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
CHILDREN = r"(?:\s*+<(?!Contents>)(?:(?P<child>\w++)>[^<]*+</(?P=child)>|\w++/>))*\s*+"
BEFORE = re.compile(rf"(?:<\?xml [^<>]*\?>)?\s*<ListBucketResult[^<>]*>{CHILDREN}(?=<Contents>)")
AFTER = re.compile(rf"{CHILDREN}</ListBucketResult>\s*")
ENCODING = re.compile("<EncodingType>([^<]*)")


@dataclass(frozen=True, slots=True)
class Objects:
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


def objects_of(answer: Mapping[str, Any]) -> Objects:
    """Give the objects in boto3's answer to a ListObjectsV2, whoever has read them."""
    taken = answer.get(TAKEN)
    if isinstance(taken, Objects):
        return taken
    found = answer.get("Contents", ())
    return Objects(
        [each["Key"] for each in found],
        [each.get("Size") for each in found],
        [each.get("LastModified") for each in found],
    )


def take_objects(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    """Take the objects out of a page and put them into botocore's answer, or change nothing."""
    if response_dict["status_code"] != 200:
        return
    divided = _divided(response_dict["body"])
    if divided is not None:
        customized_response_dict[TAKEN], response_dict["body"] = divided


def _divided(body: bytes) -> tuple[Objects, bytes] | None:
    """Divide a page into its objects and the rest; None if there is anything odd about it."""
    if not body.isascii():
        return None
    page = body.decode("ascii")
    before = BEFORE.match(page)
    if before is None:
        return None
    # The order is the server's; the first object shows it.
    order = tuple(sorted(WANTED, key=lambda tag: page.find(f"<{tag}>", before.end())))
    *rows, (*_, after) = _object_or_rest(order).findall(page, before.end())
    rest = before[0] + after
    if not rows or not AFTER.fullmatch(after) or ENCODING.findall(rest) != ["url"]:
        return None
    columns = dict(zip((*order, "rest"), zip(*rows, strict=True), strict=True))
    objects = _read(columns["Key"], columns["Size"], columns["LastModified"])
    return None if objects is None else (objects, rest.encode("ascii"))


@lru_cache
def _object_or_rest(order: tuple[str, ...]) -> re.Pattern[str]:
    """Make the expression for an object, or for all that follows the last one.

    What is wanted has to be there once each. The others are passed over, wherever they are, and
    what they say is not looked at.
    """
    others = "|".join(f"{tag}>{PLAIN}</{tag}" for tag in OTHERS)
    owner = f"Owner>(?:<(?:ID>{PLAIN}</ID|DisplayName>{PLAIN}</DisplayName)>)*</Owner"
    between = f"(?:<(?:{others}|{owner})>)*"
    wanted = between.join(f"<{tag}>([^<]*+)</{tag}>" for tag in order)
    return re.compile(f"<Contents>{between}{wanted}{between}</Contents>|(.+)", re.DOTALL)


def _read(keys: Sequence[str], sizes: Sequence[str], dates: Sequence[str]) -> Objects | None:
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
