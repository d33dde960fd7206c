"""How text is read, and what every mistake in a configuration is answered with."""

from __future__ import annotations

import pickle
import shelve
from collections.abc import Callable
from configparser import ConfigParser, RawConfigParser
from pathlib import Path

import pytest

import cshelve
from cshelve._config.ini import sections_from_file
from cshelve._config.options import Option, boolean, integer, text
from cshelve._config.sections import Section, Sections
from tests.rigs import unique_name

A = Option("a", text, None, "A text.")
SWITCH = Option("switch", boolean, False, "A truth value.")
ON = SWITCH._replace(name="on", default=True)
COUNT = Option("count", integer, 0, "A number.")
OPTIONS = (A, SWITCH, ON, COUNT, A._replace(name="bucket_name"))


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str | bytes], Sections]:
    def parse(text: str | bytes) -> Sections:
        path = tmp_path / "shelf.ini"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        config = Sections(str(path), sections_from_file(str(path)), from_file=True, flag="c")
        config.declare(OPTIONS)
        return config

    return parse


def from_dict(**default: object) -> Sections:
    config = Sections("it", {"default": default}, from_file=False, flag="c")
    config.declare(OPTIONS)
    return config


@pytest.fixture
def value(read: Callable[[str], Sections]) -> Callable[[str], str | None]:
    """Read what stands behind `a =` in a file."""

    def of(written: str) -> str | None:
        return read(f"[default]\na = {written}\n").take(A)

    return of


class TestHowTextIsRead:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("bare", "bare"),
            ('"double"', "double"),
            ("'single'", "single"),
            ('"it\'s"', "it's"),
            ("'unmatched\"", "'unmatched\""),
            ('"', '"'),
            ('""', ""),
            ('"a" and "b"', 'a" and "b'),
            ("100%", "100%"),
            ("%(name)s", "%(name)s"),
            ("a # b ; c", "a # b ; c"),
            ("http://host:9000/a=b", "http://host:9000/a=b"),
            ("$$literal", "$literal"),
            ("in$ide", "in$ide"),
            ("007", "007"),
            ("true", "true"),
        ],
    )
    def test_as_it_is_meant(
        self, written: str, meant: str, value: Callable[[str], str | None]
    ) -> None:
        assert value(written) == meant

    def test_a_dollar_names_a_variable_whose_value_is_taken_as_it_is(
        self, value: Callable[[str], str | None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CSHELVE_TEST", "'quoted' $AND #odd")
        assert value("$CSHELVE_TEST") == "'quoted' $AND #odd"
        assert value('"$CSHELVE_TEST"') == "'quoted' $AND #odd"

    @pytest.mark.parametrize("written", ["$", "${CSHELVE_TEST}"])
    def test_a_dollar_without_a_name_says_how_it_is_written(
        self, written: str, value: Callable[[str], str | None]
    ) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="without braces"):
            value(written)

    @pytest.mark.parametrize("written", ["$CSHELVE_NOT_SET"])
    def test_a_variable_that_is_not_set_is_named(
        self, written: str, value: Callable[[str], str | None]
    ) -> None:
        with pytest.raises(
            cshelve.ConfigurationError, match=rf"shelf\.ini, \[default\] a: .*{written[1:]!r}"
        ):
            value(written)

    def test_comments_stand_at_the_start_of_a_line(self, read: Callable[[str], Sections]) -> None:
        config = read("# one\n; two\n[default]\n# three\na = 1 # no comment\n")
        assert config.take(A) == "1 # no comment"

    def test_a_byte_order_mark_is_skipped(self, read: Callable[[bytes], Sections]) -> None:
        assert read(b"\xef\xbb\xbf[default]\na = 1\n").take(A) == "1"

    def test_option_names_have_no_case(self, read: Callable[[str], Sections]) -> None:
        config = read("[default]\nBucket_Name = b\n")
        assert config.take(A._replace(name="bucket_name")) == "b"

    @pytest.mark.parametrize("section", ["provider_params", "put_params"])
    def test_but_in_somebody_elses_parameters_they_have(
        self, section: str, read: Callable[[str], Sections]
    ) -> None:
        assert read(f"[{section}]\nStorageClass = X\n").section(section).options() == [
            "StorageClass"
        ]

    @pytest.mark.parametrize("word", ["true", "True", "YES", "on", "1"])
    def test_what_is_true(self, word: str, read: Callable[[str], Sections]) -> None:
        assert read(f"[default]\nswitch = {word}").take(SWITCH) is True

    @pytest.mark.parametrize("word", ["false", "No", "OFF", "0"])
    def test_what_is_false(self, word: str, read: Callable[[str], Sections]) -> None:
        assert read(f"[default]\non = {word}").take(ON) is False

    def test_a_dict_is_taken_as_it_is(self) -> None:
        config = from_dict(a='"quoted"', switch=True, count=5)
        assert config.take(A) == '"quoted"'
        assert config.take(SWITCH) is True
        assert config.take(COUNT) == 5

    def test_a_dollar_works_in_a_dict(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CSHELVE_TEST", "value")
        assert from_dict(a="$CSHELVE_TEST").take(A) == "value"
        assert from_dict(a="$$x").take(A) == "$x"


MISTAKES = {
    "capital DEFAULT": ("[DEFAULT]\nprovider = in-memory", r"\[DEFAULT\].*\[default\]"),
    "option twice": ("[default]\na = 1\na = 2", r"\[default\] a, line 3: given twice"),
    "option twice but for case": ("[default]\na = 1\nA = 2", r"\[default\] A: .*twice"),
    "section twice": ("[default]\na = 1\n[default]\nb = 1", r"\[default\], line 3"),
    "no section": ("provider = in-memory", r"line 1 .*\[default\]"),
    "no option": ("[default]\nnonsense", r"line 2: neither"),
    "provider missing": ("[default]\n", r"\[default\] provider: this option is required"),
    "provider empty": ("[default]\nprovider =", r"\[default\] provider: must not be empty"),
    "no default section": ("[compression]\nalgorithm = zlib", r"no section \[default\]"),
    "unknown option": (
        "[default]\nprovider = in-memory\nuse_pikle = false",
        r"\[default\] use_pikle: there is no such option \(did you mean use_pickle\?\)",
    ),
    "misspelt, and required": (
        "[default]\nprovidr = in-memory",
        r"\[default\] provider: .*required.*\(did you misspell it as providr\?\)",
    ),
    "capital in default": ("[Default]\nprovider = in-memory", r"\[Default\].*\[default\]"),
    "default misspelt": (
        "[defalt]\nprovider = in-memory",
        r"no section \[default\] \(did you misspell it as \[defalt\]\?\)",
    ),
    "indented line": (
        "[default]\nprovider = in-memory\n  key_secret = hush",
        r"\[default\] provider: the next line is indented",
    ),
    "unknown section": (
        "[default]\nprovider = in-memory\n[compresion]\nalgorithm = zlib",
        r"\[compresion\]: there is no such section \(did you mean \[compression\]\?\)",
    ),
    "bad boolean": (
        "[default]\nprovider = in-memory\nuse_pickle = maybe",
        r"\[default\] use_pickle: is true or false",
    ),
    "compression without algorithm": (
        "[default]\nprovider = in-memory\n[compression]\nlevel = 3",
        r"\[compression\] algorithm: this option is required",
    ),
    "compression level": (
        "[default]\nprovider = in-memory\n[compression]\nalgorithm = zlib\nlevel = 10",
        r"\[compression\] level: is -1 to 9, not 10",
    ),
    "compression level no number": (
        "[default]\nprovider = in-memory\n[compression]\nalgorithm = zlib\nlevel = high",
        r"\[compression\] level: is a whole number, not 'high'",
    ),
    "encryption without algorithm": (
        "[default]\nprovider = in-memory\n[encryption]\nkey = x",
        r"\[encryption\] algorithm: this option is required",
    ),
}


class TestMistakes:
    @pytest.mark.parametrize("name", MISTAKES)
    def test_name_file_section_and_option(self, name: str, tmp_path: Path) -> None:
        text, message = MISTAKES[name]
        (tmp_path / "shelf.ini").write_text(text)
        with pytest.raises(cshelve.ConfigurationError, match=rf"shelf\.ini\b.*{message}"):
            cshelve.open(tmp_path / "shelf.ini")

    def test_an_absent_file(self, tmp_path: Path) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"none\.ini: there is no such file"):
            cshelve.open(tmp_path / "none.ini")

    def test_a_folder_in_place_of_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "folder.ini").mkdir()
        with pytest.raises(cshelve.ConfigurationError, match=r"folder\.ini: .*can't be read"):
            cshelve.open(tmp_path / "folder.ini")

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "binary.ini").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(cshelve.ConfigurationError, match=r"binary\.ini"):
            cshelve.open(tmp_path / "binary.ini")

    def test_a_malformed_line_is_not_quoted(self, tmp_path: Path) -> None:
        (tmp_path / "shelf.ini").write_text("[default]\nkey_secret hush-hush\n")
        with pytest.raises(cshelve.ConfigurationError) as caught:
            cshelve.open(tmp_path / "shelf.ini")
        assert "hush" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    @pytest.mark.parametrize(
        ("provider", "meant"), [("aws_s3", "aws-s3"), ("in-memry", "in-memory"), ("s3", "aws-s3")]
    )
    def test_an_unknown_provider(self, provider: str, meant: str) -> None:
        with pytest.raises(cshelve.UnknownProviderError, match=rf"\[default\] provider.*{meant}"):
            cshelve.open_from_dict({"default": {"provider": provider}})

    @pytest.mark.parametrize("flag", ["", "ro", "z", "R", "rw", "nf"])
    def test_an_unknown_flag_is_a_value_error(self, flag: str) -> None:
        with pytest.raises(ValueError, match="there is no flag") as caught:
            cshelve.open_from_dict({"default": {"provider": "in-memory"}}, flag)
        assert isinstance(caught.value, cshelve.ConfigurationError)

    @pytest.mark.parametrize(
        "config",
        [{"default": "in-memory"}, ["default"], None, {1: {}}, {"default": {1: "in-memory"}}],
    )
    def test_a_dict_of_another_shape(self, config: object) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"dict of|text, not"):
            cshelve.open_from_dict(config)  # type: ignore[arg-type]

    def test_a_value_of_another_type(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="persist-key: is a text"):
            cshelve.open_from_dict({"default": {"provider": "in-memory", "persist-key": ["a"]}})

    def test_an_unknown_algorithm(self) -> None:
        config = {"default": {"provider": "in-memory"}, "compression": {"algorithm": "zip"}}
        with pytest.raises(cshelve.UnknownCompressionAlgorithmError, match="'zip'"):
            cshelve.open_from_dict(config)

    def test_nothing_is_sent_or_made_before_the_configuration_is_right(
        self, tmp_path: Path
    ) -> None:
        folder = tmp_path / "shelf"
        config = {"default": {"provider": "filesystem", "folder_path": str(folder), "typo": 1}}
        with pytest.raises(cshelve.ConfigurationError, match="typo"):
            cshelve.open_from_dict(config)
        assert not folder.exists()

    def test_a_value_that_spans_lines_is_not_quoted(self, tmp_path: Path) -> None:
        (tmp_path / "shelf.ini").write_text("[default]\nprovider = x\n  key_secret = hush-hush\n")
        with pytest.raises(cshelve.ConfigurationError) as caught:
            cshelve.open(tmp_path / "shelf.ini")
        assert "hush" not in str(caught.value)

    @pytest.mark.parametrize("params", [[1], {1: 2}, {"anything": 1}])
    def test_parameters_of_the_call_that_nobody_takes(self, params: object) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="the call to open"):
            cshelve.open_from_dict(
                {"default": {"provider": "in-memory"}},
                provider_params=params,  # type: ignore[arg-type]
            )

    @pytest.mark.parametrize("name", [b"shelf.ini", "nul\0.ini"])
    def test_a_name_that_is_none(self, name: str) -> None:
        with pytest.raises(cshelve.ConfigurationError):
            cshelve.open(name)

    def test_a_pickle_protocol_that_this_python_lacks(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="protocol"):
            cshelve.open_from_dict({"default": {"provider": "in-memory"}}, protocol=99)


class TestConfigurationsOf1x:
    @pytest.mark.parametrize("section", ["default", "provider_params"])
    def test_filesystem_folder_and_encoding(self, section: str, tmp_path: Path) -> None:
        config: dict[str, dict[str, str]] = {"default": {"provider": "filesystem"}}
        config.setdefault(section, {}).update(folder_path=str(tmp_path / "s"), encoding="utf-8")
        with cshelve.open_from_dict(config) as db:
            db["a/b"] = 1
        assert (tmp_path / "s" / "a" / "b").read_bytes()[:1] == b"\0"

    def test_filesystem_uses_the_current_folder_unless_given(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with cshelve.open_from_dict({"default": {"provider": "filesystem"}}) as db:
            db["k"] = 1
        assert (tmp_path / "k").is_file()

    def test_in_memory_persist_key_shares_what_is_held(self) -> None:
        config = {"default": {"provider": "in-memory", "persist-key": "shared-by-name"}}
        with cshelve.open_from_dict(config) as db:
            db["k"] = 1
        with cshelve.open_from_dict(config, "r") as db:
            assert db["k"] == 1

    def test_in_memory_exists(self) -> None:
        with pytest.raises(cshelve.DBDoesNotExistsError):
            cshelve.open_from_dict({"default": {"provider": "in-memory"}}, "w")
        config = {"default": {"provider": "in-memory", "exists": "true"}}
        assert not cshelve.open_from_dict(config, "w")

    @pytest.mark.parametrize("provider", ["in-memory", "filesystem"])
    def test_logging_is_accepted_and_ignored(self, provider: str, tmp_path: Path) -> None:
        config = {
            "default": {"provider": provider},
            "logging": {"http": "true", "credentials": "false", "level": "INFO", "enabled": "no"},
        }
        if provider == "filesystem":
            config["default"]["folder_path"] = str(tmp_path)
        cshelve.open_from_dict(config).close()


class TestLocalShelves:
    def test_any_other_name_is_one(self, tmp_path: Path) -> None:
        name = str(tmp_path / "local.db")
        with cshelve.open(name) as db:
            db["k"] = [1]
            assert type(db) is cshelve.CloudShelf
        with shelve.open(name) as db:
            assert db["k"] == [1]

    def test_a_logger_is_accepted(self, tmp_path: Path) -> None:
        import logging

        cshelve.open(tmp_path / "local", logger=logging.getLogger("mine")).close()

    def test_provider_params_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="has no provider_params"):
            cshelve.open(tmp_path / "local", provider_params={"a": 1})
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("name", ["s3:/bucket", "s3:/bucket/shelf.ini", "S3:/bucket"])
    def test_a_path_made_of_a_url_is_refused(self, name: str) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="lost a slash"):
            cshelve.open(Path(name))

    def test_a_url_without_a_bucket_is_refused(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="names no bucket"):
            cshelve.open("s3:///prefix")


def test_a_section_shows_no_values() -> None:
    section = Section("it", "default", {"key_secret": "hush-hush"}, from_file=False)
    config = Sections("it", {"default": {"key_secret": "hush-hush"}}, from_file=False, flag="c")
    assert "hush" not in repr(section) + repr(config) + repr(config.section("default"))


class TestParsers:
    """`open_from_dict` of a `ConfigParser`, which is what a file says."""

    @pytest.mark.parametrize("kind", [ConfigParser, RawConfigParser])
    def test_are_read_as_the_file(
        self, kind: type[RawConfigParser], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHELF_NAME", unique_name())
        parser = kind()
        parser.read_string(
            "[default]\nprovider = 'in-memory'\nPersist-Key = $SHELF_NAME\n"
            "[compression]\nalgorithm = zlib\n"
        )
        with cshelve.open_from_dict(parser) as db:
            db["k"] = 1
            with pickle.loads(pickle.dumps(db)) as again:
                assert again["k"] == 1

    def test_may_be_made_in_the_program(self) -> None:
        parser = ConfigParser()
        parser["default"] = {"provider": "in-memory"}
        with cshelve.open_from_dict(parser) as db:
            db["k"] = 1

    def test_with_defaults_are_an_error(self) -> None:
        parser = ConfigParser(defaults={"provider": "in-memory"})
        parser.add_section("default")
        with pytest.raises(cshelve.ConfigurationError, match=r"\[DEFAULT\]: write \[default\]"):
            cshelve.open_from_dict(parser)

    def test_that_cannot_interpolate_say_so_and_show_no_value(self) -> None:
        parser = ConfigParser()
        parser.read_string("[default]\nprovider = in-memory\npersist-key = hush%(x)s\n")
        with pytest.raises(cshelve.ConfigurationError, match=r"\[default\]: .*interpol") as caught:
            cshelve.open_from_dict(parser)
        assert "hush" not in str(caught.value)
        assert caught.value.__context__ is None

    def test_an_empty_section_in_capitals_is_an_error_elsewhere(self, tmp_path: Path) -> None:
        (tmp_path / "shelf.ini").write_text("[DEFAULT]\n[default]\nprovider = in-memory\n")
        with pytest.raises(cshelve.ConfigurationError, match=r"write \[default\]"):
            cshelve.open(tmp_path / "shelf.ini")
        with pytest.raises(cshelve.ConfigurationError, match=r"write \[default\]"):
            cshelve.open_from_dict({"DEFAULT": {}, "default": {"provider": "in-memory"}})
