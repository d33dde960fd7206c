"""`unpickle_only`: what is listed is read, and nothing else that a stranger may have planted."""

from __future__ import annotations

import array
import collections
import copyreg
import decimal
import enum
import fractions
import functools
import operator
import os
import pickle
import sys
import types
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import cshelve
from tests.rigs import memory_config

EVERYTHING = "basic, datetime, numpy, pandas"
PROTOCOLS = [2, 3, 4, 5]
STOP = b"."


@dataclass
class User:
    name: str
    is_admin: bool = False


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and other.x == self.x

    __hash__ = None  # type: ignore[assignment]


class Words(list[str]):
    pass


class Colour(enum.Enum):
    RED = 1


class Outer:
    class Inner:
        pass


class RefusesOdd:
    """A class whose state is a number, which it refuses if it is odd."""

    n: int

    def __setstate__(self, state: Any) -> None:
        if state["n"] % 2:
            raise ValueError("odd")
        self.__dict__.update(state)


PointTuple = collections.namedtuple("PointTuple", "x y")


HERE = __name__
OWN = ", ".join(f"{HERE}.{each}" for each in ("User", "Slotted", "Words", "Colour", "PointTuple"))


def opened(only: str | list[str], **default: Any) -> cshelve.CloudShelf:
    config = memory_config()
    config["default"].update(default, unpickle_only=only)
    protocol = config["default"].pop("protocol", None)
    return cshelve.open_from_dict(config, protocol=protocol)


def read(only: str, pickled: bytes) -> Any:
    """Read what somebody else has stored."""
    with opened(only) as db:
        db.provider.put("k", pickled)
        return db["k"]


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def named(module: str, name: str) -> bytes:
    """Put what a name stands for on the stack, as protocol 4 does."""
    return text(module) + text(name) + pickle.STACK_GLOBAL


def number(value: int) -> bytes:
    return b"I%d\n" % value


def run(*pieces: bytes) -> bytes:
    """Make a pickle of pieces."""
    return b"\x80\x04" + b"".join(pieces) + STOP


class TestWhatIsListed:
    @pytest.mark.parametrize("protocol", PROTOCOLS)
    @pytest.mark.parametrize(
        "value",
        [
            [
                None,
                True,
                1,
                2**100,
                1.5,
                "ä",
                b"x",
                bytearray(b"x"),
                (1,),
                {1: {2}},
                frozenset([1]),
            ],
            [1j, range(3), slice(1, 2), b"", ..., NotImplemented, int, dict],
            collections.OrderedDict(a=1),
            collections.defaultdict(list, a=[1]),
            collections.deque([1, 2], 5),
            collections.Counter("aab"),
            collections.ChainMap({"a": 1}),
            collections.UserDict(a=1),
            decimal.Decimal("1.5"),
            fractions.Fraction(1, 3),
            uuid.UUID(int=5),
            types.SimpleNamespace(a=1),
            array.array("d", [1.5]),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_as_basic_is_read(self, value: object, protocol: int) -> None:
        with opened("basic", protocol=protocol) as db:
            db["k"] = value
            assert db["k"] == value
            assert type(db["k"]) is type(value)

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_exceptions_are_read(self, protocol: int) -> None:
        error = OSError(2, "no such thing", "a file")
        error.add_note("a note")
        with opened("basic", protocol=protocol) as db:
            db["k"] = ExceptionGroup("several", [error, KeyError("k")])
            found, key_error = db["k"].exceptions
        assert type(found) is FileNotFoundError
        assert (found.filename, found.__notes__) == ("a file", ["a note"])
        assert repr(key_error) == "KeyError('k')"

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_as_datetime_is_read(self, protocol: int) -> None:
        moments = [
            date(2024, 2, 29),
            time(1, 2, 3, 4),
            timedelta(1, 2),
            datetime(2024, 2, 29, 1, tzinfo=UTC),
            datetime(2024, 2, 29, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
            datetime(2024, 2, 29, 1, fold=1),
            datetime(2024, 7, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
            ZoneInfo("UTC"),
        ]
        with opened("datetime", protocol=protocol) as db:
            db["k"] = moments
            assert db["k"] == moments
            assert db["k"][-2].tzinfo is ZoneInfo("Europe/Berlin")

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_a_class_of_the_program_is_read(self, protocol: int) -> None:
        values = [User("ada"), Colour.RED, PointTuple(1, 2), User, Words(["a"])]
        with opened(OWN, protocol=protocol) as db:
            db["k"] = {"own": values, "again": values}
            found = db["k"]
        assert found == {"own": values, "again": values}
        assert type(found["own"][-1]) is Words
        assert found["own"] is found["again"]

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_a_class_with_slots_is_read(self, protocol: int) -> None:
        with opened(OWN, protocol=protocol) as db:
            db["k"] = Slotted(1)
            assert db["k"] == Slotted(1)

    def test_a_class_whose_constructor_looks_at_its_arguments_is_read(self) -> None:
        """A stand-in would not do for it."""
        value = [fractions.Fraction(1, 2), decimal.Decimal(1), collections.Counter({User: 2})]
        with opened(f"basic, {OWN}") as db:
            db["k"] = value
            assert db["k"] == value

    def test_may_be_a_list(self) -> None:
        with opened(["basic", f"{HERE}.User"]) as db:
            db["k"] = User("ada")
            assert db["k"] == User("ada")

    def test_is_read_by_every_way_of_reading(self) -> None:
        with opened(OWN) as db:
            db.update(a=User("ada"), b=User("bob"))
            assert dict(db.items()) == {"a": User("ada"), "b": User("bob")}
            assert db.modify("a", lambda user: User(user.name, True)) == User("ada", True)
            assert db.pop("b") == User("bob")
            assert db.rewrite() == 0

    def test_is_kept_with_writeback(self) -> None:
        config = memory_config()
        config["default"]["unpickle_only"] = "basic"
        with cshelve.open_from_dict(config, writeback=True) as db:
            db["k"] = [1]
            db["k"].append(2)
        with cshelve.open_from_dict(config) as db:
            assert db["k"] == [1, 2]

    def test_may_be_nothing_but_plain_values(self) -> None:
        with opened("") as db:
            db["k"] = [{"a": (1, 2.5, b"x", {"y"})}]
            assert db["k"] == [{"a": (1, 2.5, b"x", {"y"})}]
            with pytest.raises(cshelve.ValueTypeError, match="collections"):
                db["k"] = collections.Counter()

    def test_that_fails_to_be_made_is_a_corrupt_record(self) -> None:
        value = RefusesOdd()
        value.n = 1
        with opened(f"{HERE}.RefusesOdd") as db:
            db["k"] = value
            with pytest.raises(cshelve.CorruptRecordError, match="ValueError"):
                db["k"]


# What scanners have been shown to miss, and what allow-lists by module let through.
BYPASSES = """\
os.system posix.system nt.system subprocess.Popen pty.spawn commands.getoutput
builtins.eval builtins.exec builtins.compile builtins.__import__ builtins.open
builtins.setattr builtins.type builtins.object builtins.map builtins.apply builtins.breakpoint
builtins.__build_class__ builtins.super builtins.property builtins.globals builtins.vars
builtins.memoryview builtins.UnicodeDecodeError
functools.partial functools.reduce operator.attrgetter operator.itemgetter operator.methodcaller
_operator.attrgetter _functools.partial
importlib.import_module importlib._bootstrap._call_with_frames_removed importlib.machinery.x
runpy.run_path code.InteractiveInterpreter code.interact codeop.compile_command
bdb.Bdb pdb.run timeit.timeit timeit.main profile.run cProfile.run cProfile.runctx trace.Trace
doctest.debug_script pydoc.locate pydoc.pipepager logging.config._resolve logging.config.fileConfig
pip.main pip._internal.main pip._internal.cli.main.main ensurepip._run_pip venv.create
idlelib.run.Executive idlelib.pyshell.ModifiedInterpreter lib2to3.pgen2.pgen.ParserGenerator
asyncio.unix_events._UnixSubprocessTransport distutils.file_util.write_file
ctypes.CDLL _io.FileIO io.open shutil.rmtree socket.socket webbrowser.open
http.client.HTTPConnection
smtplib.SMTP ssl.SSLSocket requests.get aiohttp.ClientSession sqlite3.connect tempfile.mktemp
pickle.loads _pickle.loads marshal.loads shelve.open dill.loads joblib.load cloudpickle.loads
types.FunctionType types.CodeType types.MethodType collections.namedtuple
dataclasses.make_dataclass typing.get_type_hints enum.Enum inspect.unwrap gc.get_objects
copyreg._reconstructor copyreg.add_extension copyreg.__newobj__ copyreg.dispatch_table
codecs.encode _codecs.decode linecache.getline zipimport.zipimporter _thread.start_new_thread
threading.Thread sys.modules sys.setprofile site.execsitecustomize
uuid._get_command_stdout uuid.os collections._sys decimal._decimal datetime.sys
numpy.__builtins__ numpy.load numpy.save numpy.testing._private.utils.runstring
numpy.testing.runstring numpy.f2py.crackfortran.getlincoef numpy.f2py.crackfortran.myeval
numpy.f2py.compile numpy.distutils.exec_command.exec_command numpy.core._internal.sys
numpy.vectorize numpy.memmap numpy.matrix numpy.void numpy.record numpy.ctypeslib.load_library
pandas.eval pandas.read_pickle pandas.io.common.get_handle pandas.core.frame.DataFrame.eval
pandas.core.computation.eval.eval pandas.io.pickle.read_pickle
torch.load torch.hub.load torch.jit.unsupported_tensor_ops.execWrapper
torch.utils.bottleneck.__main__.run_autograd_prof torch._dynamo.guards.GuardBuilder
torch.fx.experimental.symbolic_shapes.ShapeEnv torch.utils._config_module.ConfigModule
""".split()  # noqa: SIM905  # many short names


class TestWhatIsNotListed:
    @pytest.mark.parametrize("bypass", BYPASSES)
    def test_is_refused_by_name_and_not_imported(self, bypass: str) -> None:
        module, _, name = bypass.rpartition(".")
        loaded = set(sys.modules)
        argument = text("x") + pickle.TUPLE1 + pickle.REDUCE
        for found in (named(module, name), f"c{module}\n{name}\n".encode()):
            for pickled in (run(found), run(found, argument), run(b"(", found, b"o")):
                with pytest.raises(cshelve.UntrustedRecordError) as caught:
                    read(EVERYTHING, pickled)
                said = str(caught.value)
                assert "'k' in memory" in said
                assert f"{bypass} is not in [default] unpickle_only" in said
        assert not {each for each in set(sys.modules) - loaded if each.startswith(module)}

    def test_getattr_is_for_nothing_but_a_zone(self) -> None:
        getattr_of = named("builtins", "getattr")
        for module, name, wanted in (
            ("zoneinfo", "ZoneInfo", "__class__"),
            ("zoneinfo", "ZoneInfo", "from_file"),
            ("builtins", "dict", "_unpickle"),
        ):
            arguments = named(module, name) + text(wanted) + pickle.TUPLE2 + pickle.REDUCE
            with pytest.raises(cshelve.UntrustedRecordError, match="calls getattr"):
                read(EVERYTHING, run(getattr_of, arguments))

    def test_a_codec_is_for_nothing_but_bytes(self) -> None:
        arguments = text("x") + text("zlib") + pickle.TUPLE2 + pickle.REDUCE
        with pytest.raises(cshelve.UntrustedRecordError, match="codec 'zlib'"):
            read(EVERYTHING, run(named("_codecs", "encode"), arguments))

    @pytest.mark.parametrize(
        ("module", "name"),
        [
            ("builtins", "dict.get"),
            ("builtins", "list.__class__"),
            ("collections", "OrderedDict.__init__.__globals__"),
            ("numpy", "ndarray.tofile"),
            (HERE, "User.__init__.__globals__"),
            (HERE, "Outer.Inner"),
        ],
    )
    def test_a_name_with_dots_is_refused(self, module: str, name: str) -> None:
        only = f"{EVERYTHING}, {OWN}, {HERE}.Outer"
        with pytest.raises(cshelve.UntrustedRecordError, match="nested class, or an attribute"):
            read(only, run(named(module, name)))

    @pytest.mark.parametrize("name", ["__class__", "__dict__", "__builtins__", "__loader__"])
    def test_a_name_of_python_s_own_is_refused(self, name: str) -> None:
        with pytest.raises(cshelve.UntrustedRecordError, match=name):
            read(f"{EVERYTHING}, {OWN}", run(named(HERE, name)))

    def test_a_class_names_itself_and_the_option(self) -> None:
        pickled = pickle.dumps(User("ada"))
        with pytest.raises(cshelve.UntrustedRecordError) as caught:
            read("basic", pickled)
        assert f"{HERE}.User is not in [default] unpickle_only" in str(caught.value)
        assert caught.value.__cause__ is None

    def test_a_class_of_a_list_names_the_list(self) -> None:
        with pytest.raises(cshelve.UntrustedRecordError, match="add 'datetime'"):
            read("basic", pickle.dumps(date(2024, 1, 1)))

    @pytest.mark.parametrize("entry", ["os.path.join", "json.dumps", "string.digits", f"{HERE}.os"])
    def test_what_is_listed_and_no_class_is_refused(self, entry: str) -> None:
        module, _, name = entry.rpartition(".")
        with pytest.raises((cshelve.UntrustedRecordError, cshelve.ConfigurationError)):
            read(entry, run(named(module, name)))

    @pytest.mark.parametrize("name", ["x" * 100_000, "new\nline", "", "\x1b[31mred", "a b"])
    def test_is_shown_shortened_if_it_is_no_name(self, name: str) -> None:
        with pytest.raises(cshelve.UntrustedRecordError) as caught:
            read(EVERYTHING, run(named("os", name)))
        assert len(str(caught.value)) < 400
        assert str(caught.value).isprintable()

    def test_is_one_failure_among_many_keys(self) -> None:
        with opened("basic") as db:
            db["a"] = 1
            db.provider.put("b", pickle.dumps(User("ada")))
            db["c"] = 3
            assert [key for key, _ in db.get_many(list("abc"), on_error="skip")] == ["a", "c"]


class TestAWrite:
    def test_of_what_could_not_be_read_is_refused(self) -> None:
        with opened("basic") as db:
            with pytest.raises(cshelve.ValueTypeError) as caught:
                db["k"] = [1, User("ada")]
            assert f"{HERE}.User is not in [default] unpickle_only" in str(caught.value)
            assert "k" not in db

    def test_of_many_keys_refuses_that_one(self) -> None:
        with opened("basic") as db:
            with pytest.raises(cshelve.BulkError) as caught:
                db.update(a=1, b=User("ada"), c=3)
            assert list(caught.value.failures) == ["b"]
            assert sorted(db) == ["a", "c"]

    @pytest.mark.parametrize(
        "value",
        [
            *(os.system, len, User.__init__, "a".upper, datetime.now, User("ada").__repr__),
            *(type, object(), Outer.Inner, Outer.Inner()),
            *(functools.partial(print), operator.itemgetter(1)),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_of_functions_and_the_like_is_refused(self, value: object) -> None:
        with opened(f"{EVERYTHING}, {OWN}") as db, pytest.raises(cshelve.ValueTypeError):
            db["k"] = value

    def test_with_a_protocol_before_2_is_refused_for_classes_of_the_program(self) -> None:
        with opened(OWN, protocol=0) as db:
            with pytest.raises(cshelve.ValueTypeError, match=r"copyreg\._reconstructor"):
                db["k"] = User("ada")
            db["k"] = {"a": [1]}
            assert db["k"] == {"a": [1]}


@pytest.fixture
def extension() -> Iterator[int]:
    """A code for `os.system`, which another unpickler has looked up already."""
    code = 240
    copyreg.add_extension("os", "system", code)
    try:
        pickle.loads(b"\x80\x02\x82\xf0.")
        yield code
    finally:
        copyreg.remove_extension("os", "system", code)


class TestThePickleMachine:
    """What hand-made pickles do that no pickler writes."""

    STATES = (
        pickle.NONE + pickle.EMPTY_DICT + text("is_admin") + b"\x88" + b"s" + pickle.TUPLE2,
        pickle.EMPTY_DICT + text("is_admin") + b"\x88" + b"s",
    )

    @pytest.mark.parametrize("state", STATES)
    @pytest.mark.parametrize(
        ("module", "name"),
        [
            (HERE, "User"),
            (HERE, "Words"),
            (HERE, "Colour"),
            ("collections", "Counter"),
            ("collections", "OrderedDict"),
            ("uuid", "UUID"),
            ("builtins", "getattr"),
            ("_codecs", "encode"),
            ("array", "_array_reconstructor"),
        ],
    )
    def test_sets_no_attribute_of_a_class(self, module: str, name: str, state: bytes) -> None:
        found = getattr(sys.modules[module], name)
        before = dict(vars(found)) if hasattr(found, "__dict__") else {}
        pickles = [run(named(module, name), state, pickle.BUILD)]
        # Through the memo, after an instance was made, and beside a class that needs a slow look.
        memo = named(module, name) + b"q\x000"
        instance = b"h\x00" + text("ada") + pickle.TUPLE1 + pickle.REDUCE + b"0"
        pickles.append(run(memo, b"h\x00", state, pickle.BUILD))
        if isinstance(found, type) and name in {"User", "Counter"}:
            pickles.append(run(memo, instance, b"h\x00", state, pickle.BUILD))
        slow = named("decimal", "Decimal") + named(HERE, "Words") + pickle.TUPLE1 + b"0"
        pickles.append(run(memo, slow, b"h\x00", state, pickle.BUILD))
        for pickled in pickles:
            with pytest.raises(cshelve.RecordError):
                read(f"{EVERYTHING}, {OWN}", pickled)
            assert (dict(vars(found)) if before else {}) == before
        assert not getattr(found, "is_admin", False)

    @pytest.mark.parametrize(
        "state",
        [
            pickle.EMPTY_DICT + text("_value_") + number(5) + b"s",
            pickle.NONE + pickle.EMPTY_DICT + text("_value_") + number(5) + b"s" + pickle.TUPLE2,
        ],
    )
    @pytest.mark.parametrize("beside", [b"", named("decimal", "Decimal") + b")R0"])
    def test_sets_no_attribute_of_a_member_of_an_enum(self, state: bytes, beside: bytes) -> None:
        member = named(HERE, "Colour") + number(1) + pickle.TUPLE1 + pickle.REDUCE
        slow = named("decimal", "Decimal") + named(HERE, "Words") + pickle.TUPLE1 + b"R0"
        for pickled in (run(beside, member, state, b"b"), run(slow, member, state, b"b")):
            with pytest.raises(cshelve.RecordError):
                read(f"{EVERYTHING}, {OWN}", pickled)
            assert Colour.RED.value == 1
        with pytest.raises(cshelve.UntrustedRecordError, match="was not made for it"):
            read(f"{EVERYTHING}, {OWN}", run(member, state, b"b"))

    def test_names_the_reason_for_that(self) -> None:
        pickled = run(named(HERE, "User"), self.STATES[0], pickle.BUILD)
        with pytest.raises(cshelve.UntrustedRecordError, match="sets attributes of a class"):
            read(OWN, pickled)

    def test_sets_no_attribute_where_stand_ins_are_of_no_use(self) -> None:
        """An exception in the rehearsal must not lead to a reading that was not rehearsed."""
        fraction = named("builtins", "int") + named(HERE, "Words") + b")\x81" + pickle.TUPLE1
        attack = named(HERE, "User") + self.STATES[0] + pickle.BUILD
        for pickled in (run(fraction, pickle.REDUCE, b"0", attack), run(attack, fraction)):
            with pytest.raises(cshelve.RecordError):
                read(f"basic, {OWN}", pickled)
            assert User.is_admin is False

    def test_has_no_extension_registry(self, extension: int) -> None:
        for opcode in (b"\x82\xf0", b"\x83\xf0\x00", b"\x84\xf0\x00\x00\x00"):
            with pytest.raises(cshelve.UntrustedRecordError, match="extension code 240"):
                read(f"{EVERYTHING}, {OWN}", run(opcode))

    def test_reads_as_ever_beside_an_extension_registry(self, extension: int) -> None:
        values = [User("ada"), {"a": 1}, datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")), Words("ab")]
        with opened(f"{EVERYTHING}, {OWN}") as db:
            db["k"] = values
            assert db["k"] == values

    def test_has_no_persistent_ids(self) -> None:
        for pickled in (b"Pabc\n.", run(text("abc"), b"Q")):
            with pytest.raises(cshelve.RecordError, match="outside of it"):
                read(EVERYTHING, pickled)

    def test_has_no_buffers_from_elsewhere(self) -> None:
        with pytest.raises(cshelve.RecordError):
            read(EVERYTHING, run(pickle.NEXT_BUFFER))

    def test_is_not_reached_by_what_only_looks_like_a_pickle(self) -> None:
        for pickled in (b"\x80\x04", b"\x80\x09N.", b"cos", b"(" * 100, b"\x80\x04\x95"):
            with pytest.raises(cshelve.RecordError):
                read(EVERYTHING, pickled)


class TestTheOption:
    @pytest.mark.parametrize(
        ("entry", "problem"),
        [
            ("panda", r"no list 'panda' \(did you mean pandas\?\)"),
            ("User", "no list 'User'"),
            ("builtins.eval", "`basic` has all safe"),
            ("functools.partial", "could run any code"),
            ("operator.attrgetter", "could run any code"),
            ("os.path.join", "could run any code"),
            ("subprocess.Popen", "could run any code"),
            ("myapp.models.", "not the full name"),
            ("myapp.*", "not the full name"),
            ("my app.User", "not the full name"),
            ("myapp.__class__", "not the full name"),
        ],
    )
    def test_refuses_what_names_no_class(self, entry: str, problem: str) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=rf"unpickle_only: .*{problem}"):
            opened(f"basic, {entry}")

    @pytest.mark.parametrize(
        "options",
        [{"serializer": "json"}, {"serializer": "bytes"}, {"use_pickle": False}],
        ids=str,
    )
    def test_is_refused_beside_a_serializer_that_reads_no_pickles(
        self, options: dict[str, Any]
    ) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="only pickles need a limit"):
            opened("basic", **options)

    def test_is_refused_beside_functions_of_the_call(self) -> None:
        config = memory_config()
        config["default"]["unpickle_only"] = "basic"
        with pytest.raises(cshelve.ConfigurationError, match="only pickles need a limit"):
            cshelve.open_from_dict(config, serializer=pickle.dumps, deserializer=pickle.loads)

    def test_is_read_from_a_file(self, tmp_path: Path) -> None:
        ini = tmp_path / "shelf.ini"
        ini.write_text(
            f"[default]\nprovider = filesystem\nfolder_path = {tmp_path / 'shelf'}\n"
            f"unpickle_only = basic, {HERE}.User\n"
        )
        with cshelve.open(ini) as db:
            db["k"] = User("ada")
            assert db["k"] == User("ada")
            with pytest.raises(cshelve.ValueTypeError):
                db["k"] = date(2024, 1, 1)

    def test_is_in_force_in_an_unpickled_shelf(self, tmp_path: Path) -> None:
        config = {
            "default": {
                "provider": "filesystem",
                "folder_path": str(tmp_path / "shelf"),
                "unpickle_only": "basic",
            }
        }
        with (
            cshelve.open_from_dict(config) as db,
            pickle.loads(pickle.dumps(db)) as other,
            pytest.raises(cshelve.ValueTypeError),
        ):
            other["k"] = User("ada")


class TestAClassThatIsNotHere:
    """With a list of classes, and without."""

    @pytest.mark.parametrize(
        ("module", "name", "said"),
        [
            ("gone_package.models", "User", "no module 'gone_package' here: install"),
            ("tests.gone", "User", "no module 'tests.gone' here"),
            (HERE, "Person", f"the module '{HERE}' has no Person here"),
            (HERE, "Outer.Gone", f"the module '{HERE}' has no Outer.Gone here"),
            ("__main__", "Notebook", "defined in the program, or the notebook, that wrote"),
        ],
    )
    def test_is_named_in_any_pickle(self, module: str, name: str, said: str) -> None:
        user = named(HERE, "User") + text("ada") + pickle.TUPLE1 + pickle.REDUCE
        gone = named(module, name) + b")\x81" + pickle.EMPTY_DICT + b"b"
        with cshelve.open_from_dict(memory_config()) as db:
            for pickled in (run(gone), run(b"]", user, b"a", gone, b"a")):
                db.provider.put("k", pickled)
                with pytest.raises(cshelve.ClassNotFoundError) as caught:
                    db["k"]
                assert said in str(caught.value)
                assert f"{module}.{name}" in str(caught.value)
                assert isinstance(caught.value.__cause__, ImportError | AttributeError)
                assert caught.value.__cause__.__cause__ is None

    def test_is_not_what_a_constructor_did_not_find(self) -> None:
        """An error of the value's own class says nothing of the record's classes."""
        value = RefusesOdd()
        value.n = 2
        with cshelve.open_from_dict(memory_config()) as db:
            db["k"] = value
            pickled = pickle.dumps(value).replace(b"n\x94K\x02", b"m\x94K\x02")
            db.provider.put("k", pickled)
            with pytest.raises(cshelve.CorruptRecordError, match="KeyError"):
                db["k"]

    def test_calls_no_constructor_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[str] = []
        monkeypatch.setattr(User, "__init__", lambda self, name: made.append(name))
        user = named(HERE, "User") + text("ada") + pickle.TUPLE1 + pickle.REDUCE
        with cshelve.open_from_dict(memory_config()) as db:
            db.provider.put("k", run(b"]", user, b"a", named("gone_package", "User"), b"a"))
            with pytest.raises(cshelve.ClassNotFoundError):
                db["k"]
        assert made == ["ada"]

    def test_is_an_error_of_its_own(self) -> None:
        with pytest.raises(cshelve.ClassNotFoundError) as caught:
            read("gone_package.models.User", run(named("gone_package.models", "User")))
        said = str(caught.value)
        assert "'k' in memory" in said
        assert "needs gone_package.models.User" in said
        assert "no module 'gone_package'" in said
        assert isinstance(caught.value.__cause__, ModuleNotFoundError)
        assert caught.value.__cause__.__cause__ is None

    def test_and_has_another_name_now(self) -> None:
        with pytest.raises(cshelve.ClassNotFoundError, match=f"'{HERE}' has no Person here"):
            read(f"{HERE}.Person", run(named(HERE, "Person")))

    def test_and_is_of_a_package_whose_list_is_allowed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in [each for each in sys.modules if each.split(".")[0] in {"numpy", "pandas"}]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.delitem(sys.modules, "cshelve._values.unpickling_numpy", raising=False)
        monkeypatch.setitem(sys.modules, "numpy", None)
        monkeypatch.setitem(sys.modules, "pandas", None)
        for module, name in (
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "dtype"),
            ("pandas", "DataFrame"),
        ):
            with pytest.raises(cshelve.ClassNotFoundError, match=f"needs {module}.{name}"):
                read(EVERYTHING, run(named(module, name)))
