"""Distances between keys, and places between them, for listings that start in the middle.

A store lists keys only in their order, so where a tenth of them ends has to be guessed. The
characters that the keys have at each position make the guess: among keys of digits, `5` is in the
middle, and among keys of hexadecimal digits, `8` is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import zip_longest

__all__ = ["LAST", "Ruler", "behind_group", "between", "by_code_point"]

LAST = "\U0010fffd"
"""The last character that is not reserved: keys that begin with a text are before the text + LAST.

Nearly always; keys with this character only make the guesses worse.
"""
# Where one of these characters occurs, the others are expected.
FAMILIES = tuple(
    frozenset(family)
    for family in (
        "0123456789",
        "0123456789abcdef",
        "0123456789ABCDEF",
        "0123456789abcdefghijklmnopqrstuvwxyz",
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    )
)
# A place this many characters behind the text that both ends share is exact enough.
PRECISION = 8
# The longest place, so that no store refuses it: S3 holds keys of up to 1,024 bytes.
MOST_CHARACTERS = 200


class Ruler:
    """Measures keys by the characters that were seen at each position."""

    def __init__(self) -> None:
        self._seen: list[set[str]] = []
        self._letters: list[list[str]] = []

    def learn(self, keys: Sequence[str]) -> None:
        """Add the characters of more keys."""
        for position, characters in enumerate(zip_longest(*keys, fillvalue="")):
            if position == MOST_CHARACTERS:
                break
            if position == len(self._seen):
                self._seen.append(set())
                self._letters.append([])
            seen = self._seen[position]
            size = len(seen)
            seen.update(characters)
            seen.discard("")
            if len(seen) != size:
                self._letters[position] = sorted(seen | _family(seen))

    def length(self, after: str, until: str) -> int:
        """Return the distance between two texts; at least 1."""
        return max(1, self._number(until) - self._number(after))

    def places(self, after: str, until: str, count: int) -> list[str]:
        """Return up to `count` texts between two others, at equal distances; at least one."""
        low, high = self._number(after), self._number(until)
        precision = _shared(after, until) + PRECISION
        found: list[str] = []
        for index in range(1, count + 1):
            number = low + (high - low) * index // (count + 1)
            place = self._text(number)[:precision] + LAST
            if (found[-1] if found else after) < place < until:
                found.append(place)
        return found or by_code_point(after, until)

    def _number(self, text: str) -> int:
        """Return the text as a number, whose digits are the ranks of its characters."""
        number, rest = 0, text
        for letters in self._letters:
            number *= len(letters)
            if not rest:
                continue
            rank = bisect_left(letters, rest[0])
            number += rank
            # Behind a character that was never seen, nothing can be measured.
            is_seen = rank < len(letters) and letters[rank] == rest[0]
            rest = rest[1:] if is_seen else ""
        return number

    def _text(self, number: int) -> str:
        characters = []
        for letters in reversed(self._letters):
            number, rank = divmod(number, len(letters))
            characters.append(letters[rank])
        return "".join(reversed(characters))


def between(first: str, second: str) -> str:
    """Return a short text that is `first` or after it, and before `second`."""
    shared = _shared(first, second)
    place = first[: shared + 1] + LAST
    return place if first <= place < second else first


def behind_group(after: str, until: str) -> list[str]:
    """Return the place behind the keys that begin as `after` does, if it is before `until`.

    Half of the characters in which the two differ are taken as the beginning, so that repeated
    calls find the end of a group of keys, however long its name is.
    """
    shared = _shared(after, until)
    length = (shared + 1 + min(len(after), MOST_CHARACTERS)) // 2
    place = after[: max(length, shared + 1)] + LAST
    return [place] if after < place < until else []


def by_code_point(after: str, until: str) -> list[str]:
    """Return a text between two others if there are characters between those that differ."""
    shared = _shared(after, until)
    low = ord(after[shared]) if shared < len(after) else ord(" ")
    high = ord(until[shared]) if shared < len(until) else low
    if low < 0x7F < high:
        high = 0x7F  # Nearly all keys are ASCII.
    high = min(high, low + 0x100)  # Most alphabets have fewer characters.
    middle = (low + high) // 2
    if 0xD800 <= middle <= 0xDFFF:
        middle = 0xE000  # UTF-8 has no surrogates.
    place = after[:shared] + chr(middle) + LAST
    if after < place < until:
        return [place]
    return behind_group(after, until)


def _shared(first: str, second: str) -> int:
    """Return the number of characters with which both texts begin."""
    different = (
        at for at, (one, other) in enumerate(zip(first, second, strict=False)) if one != other
    )
    return next(different, min(len(first), len(second)))


def _family(seen: set[str]) -> frozenset[str]:
    """Return the smallest family that has all letters and digits that were seen."""
    own = {character for character in seen if character.isascii() and character.isalnum()}
    if not own:
        return frozenset()
    return next((family for family in FAMILIES if own <= family), frozenset())
