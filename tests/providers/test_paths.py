"""Names as paths: nothing lost, nothing shared, nothing outside."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cshelve.exceptions import KeyNotStorableError
from cshelve.providers.paths import encode, is_verbatim, may_hold, name_at, paths

NASTY_SEGMENTS = [
    "", ".", "..", "...", "a", "A", "b.txt", ".hid", "a ", "a.", "con", "CON.txt", "com1", "nul",
    "%", "%=", "%=%2E", "%=a", "%+", "%+aaa", "%-", "%-a", "%@", "%tmp", "%t", "%2F", "a%20b",
    "user:1", "a\\b", "\0", "\n", "~", "é", "e\u0301", "ß", "İ", "\u0131", "\u0338", "日本",
    "x" * 240, "x" * 241, "x" * 700, "é" * 121, "%@" * 200, "." * 300, "*?<>|\"",
]  # fmt: skip
names = st.one_of(
    st.text(st.characters(codec="utf-8")),
    st.lists(st.sampled_from(NASTY_SEGMENTS), min_size=1, max_size=5).map("/".join),
)
portable = pytest.mark.parametrize("portable", [False, True], ids=["plain", "portable"])


@portable
@given(name=names)
def test_a_path_leads_back_to_its_name(portable: bool, name: str) -> None:
    path = encode(name, portable=portable)
    assert name_at(path) == name
    assert name_at(path + b"/%@") == name


@given(name=names)
def test_every_place_of_a_name_is_that_names_alone(name: str) -> None:
    for portable in (False, True):
        assert all(name_at(path) == name for path in paths(name, portable=portable))


@portable
@given(one=names, other=names)
def test_two_names_never_share_a_path(portable: bool, one: str, other: str) -> None:
    shared = set(paths(one, portable=portable)) & set(paths(other, portable=portable))
    assert not shared or one == other


@portable
@given(one=names, other=names)
def test_no_path_is_where_another_names_value_goes_beside_its_children(
    portable: bool, one: str, other: str
) -> None:
    inside = encode(one, portable=portable) + b"/%@"
    assert inside not in paths(other, portable=portable)


@portable
@given(name=names)
def test_every_component_is_safe(portable: bool, name: str) -> None:
    for path in paths(name, portable=portable):
        components = path.split(b"/")
        assert components[0] != b"%tmp"
        assert not {b"", b".", b".."} & set(components)
        assert b"\0" not in path
    assert all(len(part) <= 240 for part in encode(name, portable=portable).split(b"/"))


@given(one=names, other=names)
def test_portable_paths_differ_by_more_than_case(one: str, other: str) -> None:
    folded = [encode(name, portable=True).decode().casefold() for name in (one, other)]
    assert (folded[0] == folded[1]) == (one == other)


@given(name=names)
def test_portable_paths_hold_nothing_that_windows_refuses(name: str) -> None:
    for component in encode(name, portable=True).decode().split("/"):
        assert not set(component) & set('<>:"|?*\\')
        assert min(component) >= " "
        assert component[-1] not in ". "


@portable
@given(name=names, data=st.data())
def test_directories_over_a_name_may_hold_what_it_begins_with(
    portable: bool, name: str, data: st.DataObject
) -> None:
    prefix = name[: data.draw(st.integers(0, len(name)))]
    for path in paths(name, portable=portable):
        directory = path
        while directory := os.path.dirname(directory):
            assert may_hold(directory, prefix)


def test_other_directories_are_not_looked_into() -> None:
    assert not may_hold(b"groups", "users/")
    assert not may_hold(b"users/a", "users/b")
    assert not may_hold(b"\xff", "users")


@pytest.mark.parametrize("name", ["a/b", "a%20b", "100%", "user:1", ".hid", "a b", "%2F", "User"])
def test_ordinary_names_are_their_own_paths(name: str) -> None:
    assert encode(name, portable=False) == name.encode()
    assert is_verbatim(name.split("/")[-1], portable=False)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("", b"%="),
        ("a//b", b"a/%=/b"),
        ("../x", b"%=%2E%2E/x"),
        ("/etc/passwd", b"%=/etc/passwd"),
        ("a/", b"a/%="),
        ("%=", b"%=%25%3D"),
        ("%tmp/x", b"%=%25tmp/x"),
        ("e\u0301", b"%=e%CC%81"),
        ("a" * 300, b"%+" + b"a" * 238 + b"/%-" + b"a" * 62),
    ],
)
def test_what_marked_paths_look_like(name: str, path: bytes) -> None:
    # Written to disks: may never change.
    assert encode(name, portable=False) == path


@pytest.mark.parametrize(
    ("name", "path"), [("CON", b"%=%43%4F%4E"), ("con", b"%=con"), ("user:1", b"%=user%3A1")]
)
def test_what_portable_paths_look_like(name: str, path: bytes) -> None:
    assert encode(name, portable=True) == path


@pytest.mark.parametrize("path", [b"\xff", b"a/\xfe", b"%tmp/x", b"%=%FF\xff"])
def test_paths_that_no_name_has(path: bytes) -> None:
    assert name_at(path) is None


def test_a_lone_surrogate_is_no_name() -> None:
    with pytest.raises(KeyNotStorableError):
        encode("a\ud800", portable=False)
