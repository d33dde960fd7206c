"""The names that pickle may look up for each word of `[default] unpickle_only`.

A pickle creates objects by calling the classes and functions that it names. So each word stands for
exact names, never for a whole module: `builtins.eval` is in the same module as `list`, and numpy's
modules lead to `os.system`. A class is listed here only if it runs no code from its arguments,
opens nothing, and is safe to call, and to receive a state, whatever an attacker's arguments are.

Functions are listed only if pickles cannot do without them; a comment says why each is safe.
"""

from __future__ import annotations

__all__ = ["NO_CLASSES", "WORDS"]

Name = tuple[str, str]


def _names(module: str, names: str) -> frozenset[Name]:
    return frozenset((module, name) for name in names.split())


# Protocol 2 has no bytes: it writes a text and a call of `_codecs.encode`. That function accepts
# any codec, so `unpickling` substitutes a function that accepts only Latin-1.
BYTES = _names("_codecs", "encode") | _names("builtins", "bytes")

BASIC = (
    BYTES
    | _names(
        "builtins",
        "bool bytearray complex dict float frozenset int list range set slice str tuple"
        " Ellipsis NotImplemented",
    )
    # Without UnicodeEncodeError, UnicodeDecodeError and UnicodeTranslateError: Python 3.11 crashes
    # when it prints one whose attributes are of other types than its own.
    | _names(
        "builtins",
        "ArithmeticError AssertionError AttributeError BaseException BaseExceptionGroup"
        " BlockingIOError BrokenPipeError BufferError BytesWarning ChildProcessError"
        " ConnectionAbortedError ConnectionError ConnectionRefusedError ConnectionResetError"
        " DeprecationWarning EOFError EncodingWarning Exception ExceptionGroup FileExistsError"
        " FileNotFoundError FloatingPointError FutureWarning GeneratorExit ImportError"
        " ImportWarning IndentationError IndexError InterruptedError IsADirectoryError KeyError"
        " KeyboardInterrupt LookupError MemoryError ModuleNotFoundError NameError"
        " NotADirectoryError NotImplementedError OSError OverflowError"
        " PendingDeprecationWarning PermissionError ProcessLookupError RecursionError"
        " ReferenceError ResourceWarning RuntimeError RuntimeWarning StopAsyncIteration"
        " StopIteration SyntaxError SyntaxWarning SystemError SystemExit TabError TimeoutError"
        " TypeError UnboundLocalError UnicodeError UnicodeWarning UserWarning ValueError Warning"
        " ZeroDivisionError",
    )
    | _names("collections", "ChainMap Counter OrderedDict UserDict UserList defaultdict deque")
    | _names("decimal", "Decimal")
    | _names("fractions", "Fraction")
    | _names("types", "SimpleNamespace")
    | _names("uuid", "UUID")
    | _names("array", "array _array_reconstructor")
)

# A ZoneInfo is pickled as `getattr(ZoneInfo, "_unpickle")`. `unpickling` substitutes a function for
# `getattr` that does only that.
DATETIME = (
    BYTES
    | _names("datetime", "date datetime time timedelta timezone")
    | _names("zoneinfo", "ZoneInfo")
    | _names("builtins", "getattr")
)

# `unpickling_numpy` replaces these functions, and checks the states of arrays and dtypes: numpy's
# own functions trust a pickle, and would use any bytes as pointers.
NUMPY = (
    BYTES
    | _names(
        "numpy",
        "dtype ndarray bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 longlong"
        " ulonglong float16 float32 float64 longdouble complex64 complex128 clongdouble"
        " datetime64 timedelta64",
    )
    | _names("numpy.core.multiarray", "_reconstruct scalar")
    | _names("numpy._core.multiarray", "_reconstruct scalar")
    | _names("numpy.core.numeric", "_frombuffer")
    | _names("numpy._core.numeric", "_frombuffer")
)

# For pandas 2 and 3, in which the classes have moved to `pandas` and `pandas.arrays`.
INTEGERS = "Int8Dtype Int16Dtype Int32Dtype Int64Dtype UInt8Dtype UInt16Dtype UInt32Dtype"
INTEGERS += " UInt64Dtype"
PANDAS = (
    NUMPY
    | DATETIME
    | _names("builtins", "slice")
    | _names(
        "pandas",
        "BooleanDtype Categorical CategoricalDtype CategoricalIndex DataFrame DatetimeIndex"
        " DatetimeTZDtype Float32Dtype Float64Dtype Index Interval IntervalDtype IntervalIndex"
        " MultiIndex NA Period PeriodDtype PeriodIndex RangeIndex Series SparseDtype StringDtype"
        f" TimedeltaIndex {INTEGERS}",
    )
    | _names(
        "pandas.arrays",
        "BooleanArray DatetimeArray FloatingArray IntegerArray IntervalArray PeriodArray"
        " SparseArray StringArray TimedeltaArray",
    )
    | _names("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked")
    | _names("pandas._libs.internals", "_unpickle_block")
    | _names("pandas._libs.interval", "Interval __pyx_unpickle_IntervalMixin")
    | _names("pandas._libs.missing", "NA")
    | _names("pandas._libs.sparse", "BlockIndex IntIndex")
    | _names("pandas._libs.tslibs.nattype", "__nat_unpickle _nat_unpickle")
    | _names(
        "pandas._libs.tslibs.offsets",
        "BQuarterBegin BQuarterEnd BYearBegin BYearEnd BusinessDay BusinessMonthBegin"
        " BusinessMonthEnd Day Hour LastWeekOfMonth Micro Milli Minute MonthBegin MonthEnd Nano"
        " QuarterBegin QuarterEnd Second SemiMonthBegin SemiMonthEnd Week WeekOfMonth YearBegin"
        " YearEnd",
    )
    | _names("pandas._libs.tslibs.period", "Period")
    | _names("pandas._libs.tslibs.timedeltas", "_timedelta_unpickle")
    | _names("pandas._libs.tslibs.timestamps", "_unpickle_timestamp")
    | _names("pandas.core.arrays.boolean", "BooleanArray BooleanDtype")
    | _names("pandas.core.arrays.categorical", "Categorical")
    | _names("pandas.core.arrays.datetimes", "DatetimeArray")
    | _names("pandas.core.arrays.floating", "Float32Dtype Float64Dtype FloatingArray")
    | _names("pandas.core.arrays.integer", f"IntegerArray {INTEGERS}")
    | _names("pandas.core.arrays.interval", "IntervalArray")
    | _names("pandas.core.arrays.period", "PeriodArray")
    | _names("pandas.core.arrays.sparse.array", "SparseArray")
    | _names("pandas.core.arrays.string_", "StringArray StringDtype")
    | _names("pandas.core.arrays.timedeltas", "TimedeltaArray")
    | _names(
        "pandas.core.dtypes.dtypes",
        "CategoricalDtype DatetimeTZDtype IntervalDtype PeriodDtype SparseDtype",
    )
    | _names("pandas.core.frame", "DataFrame")
    | _names("pandas.core.indexes.base", "Index _new_Index")
    | _names("pandas.core.indexes.category", "CategoricalIndex")
    | _names("pandas.core.indexes.datetimes", "DatetimeIndex _new_DatetimeIndex")
    | _names("pandas.core.indexes.interval", "IntervalIndex _new_IntervalIndex")
    | _names("pandas.core.indexes.multi", "MultiIndex")
    | _names("pandas.core.indexes.period", "PeriodIndex _new_PeriodIndex")
    | _names("pandas.core.indexes.range", "RangeIndex")
    | _names("pandas.core.indexes.timedeltas", "TimedeltaIndex _new_TimedeltaIndex")
    | _names("pandas.core.internals.managers", "BlockManager SingleBlockManager")
    | _names("pandas.core.series", "Series")
    | _names("pytz", "_UTC _p")
)

WORDS: dict[str, frozenset[Name]] = {
    "basic": BASIC,
    "datetime": DATETIME,
    "numpy": NUMPY,
    "pandas": PANDAS,
}

# The listed names that are not classes: single objects, and functions that are not replaced.
NO_CLASSES: frozenset[Name] = (
    _names("builtins", "Ellipsis NotImplemented")
    | _names("pandas", "NA")
    | _names("pandas._libs.missing", "NA")
    # Makes an array of the given bytes after checking type, format and size.
    | _names("array", "_array_reconstructor")
    # Call `__new__` of a subclass of the class in their names, and set its state.
    | _names("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked")
    | _names("pandas._libs.interval", "__pyx_unpickle_IntervalMixin")
    # The constructor of a block from values, a placement and a number of dimensions; checks types.
    | _names("pandas._libs.internals", "_unpickle_block")
    # Return the only NaT, or a Timedelta or Timestamp of the given numbers.
    | _names("pandas._libs.tslibs.nattype", "__nat_unpickle _nat_unpickle")
    | _names("pandas._libs.tslibs.timedeltas", "_timedelta_unpickle")
    | _names("pandas._libs.tslibs.timestamps", "_unpickle_timestamp")
    # Call `cls.__new__(cls, **arguments)`, which a pickle can do with any class anyway.
    | _names("pandas.core.indexes.base", "_new_Index")
    | _names("pandas.core.indexes.datetimes", "_new_DatetimeIndex")
    | _names("pandas.core.indexes.interval", "_new_IntervalIndex")
    | _names("pandas.core.indexes.period", "_new_PeriodIndex")
    | _names("pandas.core.indexes.timedeltas", "_new_TimedeltaIndex")
    # Return a time zone of pytz by its name, which has to be in pytz's own list.
    | _names("pytz", "_UTC _p")
)
