"""Find texts that divide the keys of a shelf into parts of about equal sizes, by a few pages.

Each page of a listing tells how many keys there are in one place exactly, and how dense they are
around it. The next pages are asked for where most keys are expected, until no place that was not
seen can make the parts very uneven.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from cshelve._concurrency.parallel import map_in_order
from cshelve._shelf.key_space import LAST, Ruler, behind_group, between, by_code_point

__all__ = ["KEYS_PER_PAGE", "Span", "ends_of", "spans_of"]

KEYS_PER_PAGE = 1000
# Places that were not seen are looked into until each has less than this share of a part.
SPANS_PER_PART = 4
# At most so many pages are asked for, whatever the keys are: some, and some more for each part.
MOST_PAGES, MOST_PAGES_PER_PART = 100, 10
# The number of pages that are asked for at the same time, and in one place.
PAGES_AT_ONCE, PAGES_IN_ONE_SPAN = 16, 8
# Every so many keys of a page, a part may end.
KEYS_PER_MARK = 50

PageAfter = Callable[[str], list[str]]
"""Returns up to `KEYS_PER_PAGE` keys after a text, in their order."""


class Span(NamedTuple):
    """The keys after a text, up to another one."""

    after: str
    until: str
    keys: int
    """How many they are: exactly if the span was seen, else probably."""
    is_seen: bool


def spans_of(
    first: Sequence[str], page_after: PageAfter, parts: int, until: str = LAST
) -> list[Span] | None:
    """Return spans that cover all keys up to one, each of them small compared to a part.

    `first` are the first keys, a few pages of them. Sends a few requests for each part, in
    parallel. Returns None if a page is not in the order of its keys.
    """
    ruler = Ruler()
    ruler.learn(first[::4])
    end = between(first[-2], first[-1])
    spans = [*_marked("", end, first[:-1]), Span(end, until, 0, False)]
    pages_left = MOST_PAGES + MOST_PAGES_PER_PART * parts
    while True:
        spans = _estimated(spans, ruler)
        asked = _places(spans, ruler, parts)[:pages_left]
        if not asked:
            return spans
        pages_left -= len(asked)
        answers = map_in_order(lambda each: page_after(each[1]), asked, PAGES_AT_ONCE)
        pages = {place: page for (_, place), page in answers}
        for page in pages.values():
            if page != sorted(page):
                return None
            ruler.learn(page[::4])
        spans = [each for span in spans for each in _looked_into(span, asked, pages)]


def _places(spans: Sequence[Span], ruler: Ruler, parts: int) -> list[tuple[Span, str]]:
    """Return where to look next: spans that were not seen, most keys first, and places in them."""
    unseen = [span for span in spans if not span.is_seen]
    most = sum(span.keys for span in spans) // (SPANS_PER_PART * parts)
    large = [span for span in unseen if span.keys > max(most, 1) or span.until == LAST]
    together = max(1, sum(span.keys for span in large))
    ends_in_gap = {span.after for span in spans if span.is_seen and not span.keys} | {LAST}
    found: list[tuple[Span, str]] = []
    for span in sorted(large, key=lambda span: -span.keys):
        count = max(1, min(PAGES_IN_ONE_SPAN, PAGES_AT_ONCE * span.keys // together))
        places = ruler.places(span.after, span.until, count)
        if span.until == LAST:
            # The characters with which the last keys begin may not have been seen yet.
            places += by_code_point(span.after, span.until)
        if span.until in ends_in_gap:
            # The keys before may be a dense group that ends here, and the rest of it empty.
            places += behind_group(span.after, span.until)
        places = sorted(set(places))
        found.extend((span, place) for place in places)
        if len(found) >= PAGES_AT_ONCE:
            break
    return found


def _looked_into(
    span: Span, asked: Sequence[tuple[Span, str]], pages: dict[str, list[str]]
) -> Iterator[Span]:
    """Yield what the pages in a span show of it, and the spans between them."""
    places = [place for each, place in asked if each is span and place in pages]
    if not places:
        yield span
        return
    yield Span(span.after, places[0], 0, False)
    for place, until in zip(places, [*places[1:], span.until], strict=True):
        page = pages[place]
        keys = page[: bisect_right(page, until)]
        if len(keys) < KEYS_PER_PAGE:
            yield from _marked(place, until, keys)
        else:
            end = between(keys[-2], keys[-1])
            yield from _marked(place, end, keys[:-1])
            if end < until:
                yield Span(end, until, 0, False)


def _marked(after: str, until: str, keys: Sequence[str]) -> Iterator[Span]:
    """Yield the spans of a page: short ones, so that parts may end within the page."""
    if not keys:
        yield Span(after, until, 0, True)
        return
    # There may be a gap before the first key and behind the last one, which have spans of their
    # own: they say nothing about how dense the keys are.
    yield Span(after, keys[0], 1, True)
    after, counted = keys[0], 1
    for index in range(KEYS_PER_MARK, len(keys), KEYS_PER_MARK):
        end = between(keys[index - 1], keys[index])
        yield Span(after, end, index - counted, True)
        after, counted = end, index
    if counted < len(keys):
        yield Span(after, keys[-1], len(keys) - counted, True)
    if keys[-1] < until:
        yield Span(keys[-1], until, 0, True)


def _estimated(spans: Sequence[Span], ruler: Ruler) -> list[Span]:
    """Return the spans, those that were not seen with as many keys as those beside them suggest."""
    found = []
    for index, span in enumerate(spans):
        if not span.is_seen:
            pages = (_page(spans, index - 1, -1), _page(spans, index + 1, 1))
            length = ruler.length(span.after, span.until)
            estimates = [
                page.keys * length // ruler.length(page.after, page.until)
                for page in pages
                if page is not None
            ]
            span = span._replace(keys=sum(estimates) // max(1, len(estimates)))
        found.append(span)
    return found


def _page(spans: Sequence[Span], index: int, step: int) -> Span | None:
    """Return the spans that were seen from one on, as one: about half a page of them."""
    end, keys = index, 0
    while 0 <= end < len(spans) and spans[end].is_seen and keys < KEYS_PER_PAGE // 2:
        keys += spans[end].keys
        end += step
    if end == index:
        return None
    low, high = sorted((index, end - step))
    return Span(spans[low].after, spans[high].until, keys, True)


def ends_of(spans: Sequence[Span], parts: int) -> list[str]:
    """Return the texts at which the parts end, except for the last one, in order."""
    sums = list(accumulate(span.keys for span in spans))
    found = []
    for part in range(1, parts):
        wanted = sums[-1] * part // parts
        index = bisect_right(sums, wanted)
        before = sums[index - 1] if index else 0
        if index and (index == len(spans) or wanted - before <= sums[index] - wanted):
            index -= 1
        found.append(spans[index].until)
    return [end for end in dict.fromkeys(found) if end < spans[-1].until]
