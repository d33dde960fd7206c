"""Options are declared once: what is declared is read, and nothing else can be."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import cshelve
from cshelve._config.sections import Section, Sections
from cshelve._values.serializers import serializer_from
from cshelve.codec.settings import codec_from
from cshelve.options import (
    ANY_NAME,
    SHELF_OPTIONS,
    Option,
    all_options,
    boolean,
    integer,
    number,
    options_of,
    seconds,
    text,
    word,
)
from cshelve.providers import load, names
from cshelve.providers.in_memory import InMemory

KEY = cshelve.generate_key()
NAME = Option("name", text, None, "A name.")


def configuration(*options: Option[Any], **default: object) -> Sections:
    config = Sections("it", {"default": default}, from_file=False, flag="c")
    config.declare(options)
    return config


class TestTaking:
    def test_returns_the_default_of_what_is_not_given(self) -> None:
        assert configuration(NAME).take(NAME) is None
        assert configuration(NAME, name="x").take(NAME) == "x"

    def test_is_only_of_what_is_declared(self) -> None:
        with pytest.raises(AssertionError, match=r"nobody declares name in \[default\]"):
            configuration(name="x").take(NAME)

    def test_of_a_provider_too(self) -> None:
        class Forgetful(InMemory):
            options = ()

        config = configuration(*Forgetful.options)
        with pytest.raises(AssertionError, match="persist-key"):
            Forgetful.from_config(config)

    @pytest.mark.parametrize(
        ("given", "problem"),
        [
            (None, r"\[default\] name: this option is required"),
            ("", r"\[default\] name: must not be empty"),
        ],
    )
    def test_of_nothing_where_it_is_required_is_an_error(
        self, given: str | None, problem: str
    ) -> None:
        required = NAME._replace(required=True)
        with pytest.raises(cshelve.ConfigurationError, match=problem):
            configuration(required, name=given).take(required)
        with pytest.raises(cshelve.AuthTypeError, match=problem):
            configuration(NAME, name=given).take(NAME, required=True, error=cshelve.AuthTypeError)

    def test_names_the_closest_choice_and_shows_little_of_a_long_value(self) -> None:
        colour = Option("colour", word, "red", "A colour.", choices=("red", "green"))
        assert configuration(colour, colour="GREEN").take(colour) == "green"
        assert configuration(colour, colour="").take(colour) == "red"
        with pytest.raises(
            cshelve.ConfigurationError,
            match=r"there is no choice 'gren' \(did you mean green\?\); write one of red, green\.",
        ):
            configuration(colour, colour="gren").take(colour)
        with pytest.raises(cshelve.ConfigurationError) as caught:
            configuration(colour, colour=KEY).take(colour)
        assert KEY[:16].lower() not in str(caught.value)

    def test_refuses_less_than_the_least(self) -> None:
        count = Option("count", integer, 3, "How many.", least=1)
        with pytest.raises(cshelve.ConfigurationError, match=r"count: must be 1 or more, not 0\."):
            configuration(count, count=0).take(count)

    def test_refuses_more_than_the_most(self) -> None:
        count = Option("count", integer, 3, "How many.", most=5)
        assert configuration(count, count=5).take(count) == 5
        with pytest.raises(cshelve.ConfigurationError, match=r"count: must be 5 or less, not 6\."):
            configuration(count, count=6).take(count)

    def test_does_not_look_up_what_is_literal(self) -> None:
        literal = NAME._replace(literal=True)
        assert configuration(literal, name="$NOT_SET").take(literal) == "$NOT_SET"


class TestTypes:
    @pytest.mark.parametrize(
        ("read", "value", "meant"),
        [
            (text, "a", "a"),
            (word, "GZip", "gzip"),
            (boolean, "ON", True),
            (boolean, False, False),
            (integer, "-5", -5),
            (number, "1e3", 1000.0),
            (seconds, 1, 1.0),
        ],
    )
    def test_read_text_and_their_own_values(self, read: Any, value: object, meant: object) -> None:
        assert read(value) == meant
        assert type(read(value)) is type(meant)

    @pytest.mark.parametrize(
        ("read", "value", "problem"),
        [
            (text, 5, "is a text, not of type int"),
            (boolean, "perhaps", "is true or false"),
            (integer, True, "is a whole number, not True"),
            (integer, 1.5, "is a whole number"),
            (integer, "x" * 30, "not of type str"),
            (number, "nan", "is a number"),
            (number, True, "is a number"),
            (seconds, "0", "must be greater than zero, not 0"),
            (seconds, "inf", "must be finite"),
        ],
    )
    def test_say_what_a_value_must_be(self, read: Any, value: object, problem: str) -> None:
        with pytest.raises(ValueError, match=problem):
            read(value)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Note the section and name of each option that is taken."""
    seen: set[tuple[str, str]] = set()
    take = Section.take

    def noting(self: Section, option: Option[Any], **how: Any) -> Any:
        seen.add((self.name, option.name))
        return take(self, option, **how)

    monkeypatch.setattr(Section, "take", noting)
    return seen


def names_of(options: Any, *, ignored: str = "logging") -> set[tuple[str, str]]:
    """Name the options that are taken by themselves: not those of 1.x, nor of other libraries."""
    options_of_others = {each.section for each in options if each.name == ANY_NAME}
    return {
        (each.section, each.name)
        for each in options
        if each.section not in {ignored, *options_of_others}
    }


class TestDeclaredOptions:
    @pytest.mark.encryption
    def test_of_every_shelf_are_read(self, taken: set[tuple[str, str]]) -> None:
        cache = {"folder": ":memory:", "mode": "ttl", "ttl_seconds": 1}
        cshelve.open_from_dict({"default": {"provider": "in-memory"}, "cache": cache}).close()
        protections: list[dict[str, dict[str, object]]] = [
            {"signing": {"algorithm": "hmac-sha256", "key": KEY}},
            {"encryption": {"algorithm": "aes256-gcm", "key": KEY}},
        ]
        for sections in protections:
            compression = {"algorithm": "zlib"}
            config = Sections(
                "it", {**sections, "compression": compression}, from_file=False, flag="c"
            )
            config.declare(SHELF_OPTIONS)
            codec_from(config)
        assert names_of(SHELF_OPTIONS) <= taken

    @pytest.mark.parametrize(
        "name", ["in-memory", "filesystem", pytest.param("aws-s3", marks=pytest.mark.s3)]
    )
    def test_of_a_provider_are_read(self, name: str, taken: set[tuple[str, str]]) -> None:
        config = configuration(bucket_name="bucket", auth_type="anonymous")
        provider = load(name, "")
        config.declare(provider.options)
        provider.from_config(config).close()
        assert names_of(provider.options) == taken

    def test_are_known_in_a_configuration(self) -> None:
        for option in all_options():
            default = {"provider": option.provider}
            contents = {"default": default, option.section: {option.name: "x"}}
            config = Sections("it", contents, from_file=True, flag="c")
            config.declare(SHELF_OPTIONS)
            if option.provider != "any":
                config.declare(load(option.provider, "").options)
            config.refuse_unknown()

    def test_say_what_they_mean(self) -> None:
        for option in all_options():
            assert option.meaning[0].isupper() or option.meaning[0] == "`", option
            assert option.meaning.endswith("."), option
            assert "|" not in option.meaning, option
            assert option.name == option.name.lower() or option.section == "put_params", option

    def test_have_a_default_that_their_type_takes(self) -> None:
        for option in all_options():
            if not option.required and option.default not in (None, "", ()):
                assert option.type(option.default) == option.default, option
                assert not option.choices or option.default in option.choices, option

    def test_that_are_secret_are_refused_in_a_pickle(self) -> None:
        config = Sections("it", {"signing": {"key": KEY}}, from_file=False, flag="c")
        config.declare(SHELF_OPTIONS)
        assert config.literal_secrets() == ["it, [signing] key"]

    def test_of_the_serializer_contradict_each_other_in_words(self) -> None:
        config = configuration(*SHELF_OPTIONS, serializer="JSON", use_pickle=True)
        with pytest.raises(cshelve.ConfigurationError, match="is json, but use_pickle says pickle"):
            serializer_from(config.section("default"), None, None, None)


class TestForTools:
    def test_all_of_them_name_their_provider(self) -> None:
        assert {option.provider for option in all_options()} <= {"any", *names()}
        keys = [(option.provider, option.section, option.name) for option in all_options()]
        assert len(set(keys)) == len(keys)

    def test_those_of_a_provider_are_those_of_every_shelf_and_its_own(self) -> None:
        options = options_of("in-memory")
        assert options[: len(SHELF_OPTIONS)] == list(SHELF_OPTIONS)
        assert [(option.name, option.provider) for option in options[len(SHELF_OPTIONS) :]] == [
            ("persist-key", "in-memory"),
            ("exists", "in-memory"),
        ]

    def test_those_of_an_unknown_provider_are_an_error(self) -> None:
        with pytest.raises(cshelve.UnknownProviderError, match="in-memory"):
            options_of("in-memry")

    def test_a_provider_that_is_not_installed_is_left_out(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "boto3", None)
        found = {option.provider for option in all_options()}
        assert {"any", "dbm", "in-memory", "filesystem"} <= found
        assert "aws-s3" not in found
        with pytest.raises(cshelve.MissingDependencyError, match=r"cshelve\[aws-s3\]"):
            options_of("aws-s3")

    @pytest.mark.s3
    def test_listing_them_imports_no_sdk(self) -> None:
        program = (
            "import sys, cshelve.options; assert cshelve.options.options_of('aws-s3'); "
            "print([m for m in ('boto3', 'botocore', 'cryptography') if m in sys.modules])"
        )
        command = [sys.executable, "-c", program]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "[]\n"
