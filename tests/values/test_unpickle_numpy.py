"""`unpickle_only = numpy, pandas`: what they pickle is read, and states they'd believe are not."""

from __future__ import annotations

import pickle
from datetime import date
from typing import Any

import pytest

import cshelve
from tests.rigs import memory_config

numpy: Any = pytest.importorskip("numpy", reason="numpy is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PROTOCOLS = [2, 3, 4, 5]
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


def opened(only: str, protocol: int | None = None) -> cshelve.CloudShelf:
    config = memory_config()
    config["default"]["unpickle_only"] = only
    return cshelve.open_from_dict(config, protocol=protocol)


def back(only: str, value: Any, protocol: int | None = None) -> Any:
    with opened(only, protocol) as db:
        db["k"] = value
        return db["k"]


def read(only: str, pickled: bytes) -> Any:
    """Read what somebody else has stored."""
    with opened(only) as db:
        db.provider.put("k", pickled)
        return db["k"]


ARRAYS = {
    **{code: numpy.arange(6).astype(code).reshape(2, 3) for code in "?bBhHiIlLqQefdgFDG"},
    "big-endian": numpy.arange(5, dtype=">i4"),
    "texts": numpy.array(["a", "äbc"]),
    "bytes": numpy.array([b"a", b"abc"]),
    "dates": numpy.array(["2024-02-29", "NaT"], "M8[25s]"),
    "durations": numpy.array([1, 2], "m8[ns]"),
    "objects": numpy.array([None, "a", [1], {"a": 2}], object),
    "objects in two dimensions": numpy.array([[1, "a"], [None, 2.5]], object),
    "structures": numpy.array([(1.5, 2, b"x")], [("a", "f8"), ("b", ">i2"), ("c", "S3")]),
    "structures with objects": numpy.array([(1.5, [1])], [("a", "f8"), ("o", "O")]),
    "structures in structures": numpy.zeros(2, [("a", [("x", "f4"), ("y", "i8", (2, 2))])]),
    "aligned structures": numpy.zeros(2, numpy.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "structures with titles": numpy.zeros(1, [(("a title", "a"), "f8")]),
    "structures with gaps": numpy.zeros(
        1, {"names": ["a"], "formats": ["i2"], "offsets": [6], "itemsize": 16}
    ),
    "raw": numpy.array([b"abc"], "V3"),
    "by columns": numpy.asfortranarray(numpy.ones((3, 4))),
    "axes in another order": numpy.arange(12).reshape(2, 3, 2).transpose(1, 0, 2),
    "with gaps": numpy.arange(10)[::3],
    "without dimensions": numpy.array(1.5),
    "empty": numpy.zeros((0, 3)),
    "read-only": numpy.frombuffer(b"abcdefgh", "i4"),
    "large": numpy.arange(100_000.0),
}


@every_protocol
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_read(name: str, protocol: int) -> None:
    array = ARRAYS[name]
    found = back("numpy", {"a": array, "b": [array]}, protocol)
    by_pickle = pickle.loads(pickle.dumps(array, protocol))
    assert found["a"].dtype == by_pickle.dtype
    assert found["a"].dtype.isalignedstruct == by_pickle.dtype.isalignedstruct
    numpy.testing.assert_array_equal(found["a"], array)
    assert found["b"][0] is found["a"]


@every_protocol
def test_scalars_dtypes_and_types_are_read(protocol: int) -> None:
    values = [
        *(numpy.float64(1.5), numpy.int8(-1), numpy.bool_(True), numpy.complex64(1j)),
        *(numpy.datetime64("2024-02-29"), numpy.timedelta64(5, "s"), numpy.str_("ä")),
        numpy.bytes_(b"x"),
        *(numpy.dtype("f8"), numpy.dtype([("a", "f8"), ("b", "O")]), numpy.dtype("M8[ns]")),
        *(numpy.float32, numpy.int64, numpy.ndarray),
    ]
    found = back("numpy", values, protocol)
    assert found == values
    assert [type(each) for each in found] == [type(each) for each in values]


def test_a_structure_as_a_scalar_is_read() -> None:
    scalar = numpy.array([(1.5, 2)], [("a", "f8"), ("b", "i4")])[0]
    assert back("numpy", scalar) == scalar


def test_metadata_of_a_dtype_are_kept() -> None:
    assert back("numpy", numpy.dtype("f8", metadata={"a": 1})).metadata == {"a": 1}


def test_arrays_may_be_in_classes_of_the_program() -> None:
    value = Measured(numpy.arange(3.0), date(2024, 1, 1))
    found = back(f"numpy, datetime, {__name__}.Measured", value)
    assert type(found) is Measured
    assert (found.array == value.array).all()
    assert found.day == value.day


class Measured:
    def __init__(self, array: Any, day: date) -> None:
        self.array = array
        self.day = day


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_pickles_of_the_other_numpy_are_read(module: str) -> None:
    pickled = pickle.dumps(numpy.arange(3), 2)
    core = "numpy._core.multiarray" if b"numpy._core.multiarray" in pickled else None
    other = pickled.replace((core or "numpy.core.multiarray").encode(), module.encode())
    assert read("numpy", other).tolist() == [0, 1, 2]


class Made:
    """Something whose pickle calls a function with arguments, and sets a state."""

    def __init__(self, function: Any, arguments: tuple[Any, ...], *state: Any) -> None:
        self._reduced = (function, arguments, *state)

    def __reduce__(self) -> Any:
        return self._reduced


def dtype(text: str, *state: Any) -> Made:
    return Made(numpy.dtype, (text, False, True), (3, *state))


def array(dtype: Any, shape: tuple[int, ...], content: Any) -> Made:
    reconstruct = numpy.zeros(0).__reduce__()[0]
    return Made(reconstruct, (numpy.ndarray, (0,), b"b"), (1, shape, dtype, False, content))


POINTER = b"\x41" * 8
FLOAT = numpy.dtype("f8")
OBJECT_AS_BYTES = dtype("O8", "|", None, None, None, -1, -1, 0)
STRUCTURE = dtype("V8", "|", None, ("a",), {"a": (numpy.dtype("O"), 0)}, 8, 1, 0)


@pytest.mark.parametrize(
    "value",
    [
        array(OBJECT_AS_BYTES, (1,), POINTER),
        array(STRUCTURE, (1,), POINTER),
        array(numpy.dtype("O"), (3,), [1]),
        array(numpy.dtype("O"), (-1,), []),
        array(numpy.dtype("f8"), (3,), POINTER),
        array(numpy.dtype("f8"), (1,), [POINTER]),
        array(dtype("V8", "|", None, ("a",), {"a": (FLOAT, 10**6)}, 8, 1, 0), (1,), POINTER),
        array(dtype("V8", "|", (FLOAT, (10**6,)), None, None, 8, 1, 0), (1,), POINTER),
        array(dtype("V8", "|", None, None, None, -8, 1, 0), (1,), POINTER),
        array(dtype("U1", "<", None, None, None, 3, 4, 8), (4,), POINTER),
        array(dtype("i8", "<", None, None, None, 1, 1, 0), (8,), POINTER),
        array(dtype("M8", "<", None, None, None, -1, -1, 0, (None, (b"x][y", 1, 1, 1))), (0,), b""),
        Made(numpy.dtype, ("f8,f8", False, True)),
        Made(numpy.dtype, ({"names": ["a"], "formats": ["f8"]},)),
        Made(numpy.dtype, ("T", False, True)),
        Made(numpy.float64(1).__reduce__()[0], (STRUCTURE, POINTER)),
        Made(numpy.float64(1).__reduce__()[0], (numpy.dtype("O"), POINTER)),
        Made(numpy.ndarray, ((1,), "f8", bytearray(8))),
        Made(numpy.zeros(0).__reduce__()[0], (numpy.ndarray, (10**6,), b"d"), None),
        Made(numpy.zeros(0).__reduce__()[0], (numpy.matrix, (0,), b"b")),
        Made(numpy.zeros(1).__reduce_ex__(5)[0], (POINTER, numpy.dtype("O"), (1,), "C")),
        Made(numpy.zeros(1).__reduce_ex__(5)[0], (numpy.zeros(1), numpy.dtype("O"), (1,), "C")),
        Made(numpy.zeros(1).__reduce_ex__(5)[0], (POINTER, numpy.dtype("i1"), (10**6,), "C")),
    ],
    ids=range(23),
)
@pytest.mark.parametrize("only", ["numpy", "basic, datetime, pandas"])
def test_a_state_that_numpy_would_believe_is_refused(value: Made, only: str) -> None:
    for protocol in PROTOCOLS[1:]:
        pickled = pickle.dumps(value, protocol)
        try:
            found = read(only, pickled)
        except cshelve.RecordError:
            continue
        # If it was read, then as something else, with no state that numpy did not make itself.
        assert not isinstance(found, numpy.ndarray) or not found.dtype.hasobject
        assert found.tobytes() in (POINTER, b"") or found.size == 0


class TestAStateThatComesLate:
    """A dtype or an array must not change once something has been made with it."""

    def test_changes_no_array_that_has_the_dtype(self) -> None:
        made = Made(numpy.zeros(0).__reduce__()[0], (numpy.ndarray, (0,), b"b"))
        # By hand: a dtype, an array of it, and then the state by which it has an object.
        stream = (
            b"\x80\x03cnumpy\ndtype\nX\x02\x00\x00\x00V8\x89\x88\x87Rq\x630"
            + pickle.dumps(made, 3)[2:-1]
            + b"(K\x01K\x01\x85h\x63\x89C\x08"
            + POINTER
            + b"tbq\x620h\x63(K\x03X\x01\x00\x00\x00|NX\x01\x00\x00\x00a\x85}X\x01\x00\x00\x00a"
            + b"cnumpy\ndtype\nX\x02\x00\x00\x00O8\x89\x88\x87RK\x00\x86sK\x08K\x01K\x00tb0h\x62."
        )
        found = read("numpy", stream)
        assert found.dtype == "V8"
        assert found.tobytes() == POINTER

    def test_fills_no_array_again(self) -> None:
        once = pickle.dumps(numpy.arange(3), 2)
        state = b"(K\x01K\x01\x85cnumpy\ndtype\nX\x02\x00\x00\x00i1\x89\x88\x87R\x89C\x01xtb."
        with pytest.raises(cshelve.UntrustedRecordError, match="has a content already"):
            read("numpy", once[:-1] + state)


class TestPandas:
    @pytest.fixture(scope="class")
    def pandas(self) -> Any:
        return pytest.importorskip("pandas", reason="pandas is not installed")

    @every_protocol
    def test_frames_are_read(self, pandas: Any, protocol: int) -> None:
        days = pandas.date_range("2024-02-28", periods=2)
        frame = pandas.DataFrame(
            {
                "int": [1, 2],
                "float": [1.5, None],
                "text": ["a", "ä"],
                "object": [1, [2]],
                "bool": [True, False],
                "day": days,
                "moment": days.tz_localize("UTC"),
                "length": pandas.to_timedelta([1, 2], unit="s"),
                "month": pandas.period_range("2024-01", periods=2, freq="M"),
                "category": pandas.Categorical(["x", "y"]),
                "Int64": pandas.array([1, None], "Int64"),
                "Float32": pandas.array([1.5, None], "Float32"),
                "boolean": pandas.array([True, None], "boolean"),
                "string": pandas.array(["a", None], pandas.StringDtype("python")),
                "interval": pandas.arrays.IntervalArray.from_breaks([0, 1, 2]),
                "sparse": pandas.arrays.SparseArray([0, 1]),
            }
        )
        found = back("pandas", {"frame": frame}, protocol)["frame"]
        pandas.testing.assert_frame_equal(found, frame)

    @every_protocol
    def test_series_and_indexes_are_read(self, pandas: Any, protocol: int) -> None:
        for index in (
            pandas.Index([1, 2, 3], name="i"),
            pandas.Index(["a", "b", "c"]),
            pandas.RangeIndex(3),
            pandas.MultiIndex.from_tuples([(1, "a"), (1, "b"), (2, "a")], names=["n", "t"]),
            pandas.CategoricalIndex(["a", "b", "a"]),
            pandas.date_range("2024-02-28", periods=3, freq="D"),
            pandas.date_range("2024-02-28", periods=3, freq="ME"),
            pandas.date_range("2024-02-28", periods=3, tz="Europe/Berlin"),
            pandas.timedelta_range("1h", periods=3),
            pandas.period_range("2024", periods=3, freq="Y"),
            pandas.interval_range(0, 3),
        ):
            series = pandas.Series([1.5, 2.5, 3.5], index=index, name="s")
            found = back("pandas", series, protocol)
            pandas.testing.assert_series_equal(found, series)
            pandas.testing.assert_index_equal(found.index, index)

    @every_protocol
    def test_scalars_are_read(self, pandas: Any, protocol: int) -> None:
        values = [
            pandas.Timestamp("2024-02-29 01:02:03.123456789"),
            pandas.Timestamp("2024-02-29", tz="Europe/Berlin"),
            pandas.Timedelta(5, "s"),
            pandas.Period("2024-02", "M"),
            pandas.Interval(0, 1),
            pandas.CategoricalDtype(["a"]),
        ]
        found = back("pandas", [*values, pandas.NaT, pandas.NA], protocol)
        assert found[:-2] == values
        assert found[-2] is pandas.NaT
        assert found[-1] is pandas.NA

    def test_no_attribute_of_a_class_is_set(self, pandas: Any) -> None:
        state = b"N}X\x08\x00\x00\x00is_admin\x88s\x86b."
        for module, name in (("pandas", "Series"), ("pandas", "NA"), ("pandas", "Index")):
            if pandas.Series.__module__ != "pandas" and name != "NA":
                module = f"pandas.core.{'series' if name == 'Series' else 'indexes.base'}"
            with pytest.raises(cshelve.UntrustedRecordError, match="sets attributes"):
                read("pandas", b"\x80\x04c%s\n%s\n" % (module.encode(), name.encode()) + state)

    def test_no_attribute_of_nat_is_set(self, pandas: Any) -> None:
        state = b"}X\x08\x00\x00\x00is_admin\x88sb."
        with pytest.raises(cshelve.UntrustedRecordError, match="sets attributes"):
            read("pandas", pickle.dumps(pandas.NaT, 2)[:-1] + state)
        assert not hasattr(pandas.NaT, "is_admin")

    def test_is_more_than_numpy(self, pandas: Any) -> None:
        with opened("numpy") as db, pytest.raises(cshelve.ValueTypeError, match="add 'pandas'"):
            db["k"] = pandas.Series([1])
