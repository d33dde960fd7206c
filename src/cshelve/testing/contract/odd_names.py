"""Tests of names that stores mangle, refuse, or confuse with others."""

from __future__ import annotations

from cshelve.exceptions import (
    KeyNotStorableError,
)
from cshelve.providers.base import Provider
from cshelve.testing.contract._checks import (
    done,
    holds,
    is_absent,
    odd_value,
)
from cshelve.testing.contract._place import PlaceOfATest

__all__ = ["ODD_NAMES", "OddNamesContract"]

ODD_NAMES = (
    *("", " ", " space ", "a b", "a\u00a0b", "per%cent", "%2F", "a%2Fb", "%41", "plus+plus"),
    *("q?x=1&y=2", "#hash", "a;b", "a:b", "a,b", "it's~(ok)*!", "@$^", 'say "so"', "<a>&amp;|`{}"),
    *("x\\y", "x/y", "~", "~user", "-dash", "caf\u00e9", "cafe\u0301", "ключ", "鍵", "\U0001f511"),
    *("a", "a/b", "a//b", "a/b/", "lead", "/lead", "/", "//", "trail", "trail/", "Case", "case"),
    *(".", "..", "./a", "../a", "a/./b", "a/../b", "a/..", "...", ".hidden", "dot.", "nul", "CON"),
    *("%tmp", "%tmp/locks/00", "%@", "a/%@", "%=", "%=41", "%+a", "%-a", "..%2Fup", "__proto__"),
    *("tab\t", "line\n", "return\r", "return\r\n", "nul\0", "\x01", "\x1b[0m", "\x7f", "\x85"),
    *("\u2028", "\u202e", "\ufeff", "\ufffd", "\ufffe", "\uffff", "\U0010ffff"),
    *("s" * 256, "d/" * 100 + "deep", "é" * 200, "n" * 900, "n" * 1100, "n" * 5000),
)
"""Names that some stores mangle, refuse, or confuse with others."""


class OddNamesContract(PlaceOfATest):
    """The part of `ProviderContract` about names that stores mangle, refuse, or confuse.

    All these names are in the store at the same time, so that the tests notice if two become one.
    """

    def test_an_odd_name_is_stored_faithfully_or_refused(self) -> None:
        with self.provider() as provider:
            stored, refused = self._put_odd_names(provider)
            wrong = [name for name in stored if not holds(provider, name)]
            there = [name for name in refused if not is_absent(provider, name)]
        assert (wrong, there) == ([], [])

    def test_odd_names_are_listed_as_they_are(self) -> None:
        with self.provider() as provider:
            stored, _ = self._put_odd_names(provider)
            listed = sorted(provider.names())
            missed = [name for name in stored[::3] if name not in provider.names(name)]
        assert (listed, missed) == (sorted(stored), [])
        assert self.raw_names() == set(stored)

    def test_an_odd_name_that_was_never_put_is_absent(self) -> None:
        with self.provider() as provider:
            there = [name for name in self._odd_names() if not is_absent(provider, name)]
        assert there == []

    def test_an_odd_name_is_deleted_and_no_other(self) -> None:
        with self.provider() as provider:
            stored, _ = self._put_odd_names(provider)
            for name in stored[::2]:
                provider.delete(name)
            assert sorted(provider.names()) == sorted(stored[1::2])
            # Some of these were deleted above, and some never stored.
            done(provider.delete_many(self._odd_names()))
        assert self.raw_names() == set()

    def _odd_names(self) -> list[str]:
        return [name for name in ODD_NAMES if name not in self.unfaithful_names]

    def _put_odd_names(self, provider: Provider) -> tuple[list[str], list[str]]:
        """Put every odd name, and return those that were stored and those that were refused."""
        stored, refused = [], []
        for name in self._odd_names():
            try:
                provider.put(name, odd_value(name))
            except KeyNotStorableError:
                refused.append(name)
            else:
                stored.append(name)
        return stored, refused
