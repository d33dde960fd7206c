"""The names that a blob can have without becoming another one.

Azure changes some names silently: it removes dots from the end of each segment, resolves `.` and
`..`, and turns backslashes into slashes. So two keys could become one blob. These names are refused
here, before anything is sent:
https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
"""

from __future__ import annotations

import re

__all__ = ["LONGEST_NAME", "problem_of"]

# In characters, which .NET counts in UTF-16.
LONGEST_NAME = 1024
MOST_SEGMENTS = 254
# Control characters, the halves of a character, and code points that are no characters.
NO_CHARACTER = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
USUAL = re.compile(r"[\w /:@+=,%&-]{1,500}", re.ASCII)


def problem_of(blob: str) -> str | None:
    """Return why Azure cannot hold a blob with this name; None if it can."""
    if USUAL.fullmatch(blob) and blob.count("/") < MOST_SEGMENTS:
        return None
    if not blob:
        return "it is empty"
    if NO_CHARACTER.search(blob):
        return "it contains a control character, or what is no character"
    if "\\" in blob:
        return "Azure turns a backslash into a slash"
    segments = blob.split("/")
    if any(segment.endswith(".") for segment in segments):
        return "Azure removes a dot at the end of a name, or before a slash"
    if len(segments) > MOST_SEGMENTS:
        return f"it has more than {MOST_SEGMENTS} parts between slashes"
    length = len(blob.encode("utf-16-le")) // 2
    if length > LONGEST_NAME:
        return f"Azure allows {LONGEST_NAME:,} characters with the prefix, and it has {length:,}"
    return None
