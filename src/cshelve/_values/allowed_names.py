"""What the words of `[default] unpickle_only` stand for: every name that pickle may look up.

A pickle makes its objects by calling what it names. So each word stands for exact names, never for
a module: `builtins.eval` is in the module of `list`, and by way of numpy's modules one comes to
`os.system`. To be in here, a class must run no code that it is given, open nothing, and be safe to
call, and to be given a state, with arguments that somebody made up.

Functions are in here only where pickles cannot do without them; a comment says why each is safe.
"""

from __future__ import annotations

__all__ = ["NO_CLASSES", "WORDS"]

Name = tuple[str, str]


def _names(module: str, names: str) -> frozenset[Name]:
    return frozenset((module, name) for name in names.split())


# Protocol 2 has no bytes: it writes a text and the call of `_codecs.encode` that encodes it. The
# function would take any codec, so `unpickling` puts one of its own there, for Latin-1 only.
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

# A ZoneInfo is pickled as `getattr(ZoneInfo, "_unpickle")`. `unpickling` puts a function of its own
# in the place of `getattr`, for that only.
DATETIME = (
    BYTES
    | _names("datetime", "date datetime time timedelta timezone")
    | _names("zoneinfo", "ZoneInfo")
    | _names("builtins", "getattr")
)

# The functions are replaced in `unpickling_numpy`, and what is set as the state of an array or a
# dtype is checked there: numpy's own believe a pickle, and take any bytes for pointers.
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

# Of pandas 2 and 3: the classes have moved to `pandas` and `pandas.arrays` in pandas 3.
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

# Those among them that are no classes: single objects, and functions that are called as they are.
NO_CLASSES: frozenset[Name] = (
    _names("builtins", "Ellipsis NotImplemented")
    | _names("pandas", "NA")
    | _names("pandas._libs.missing", "NA")
    # Makes an array of the bytes that it is given, and checks type, format and size before.
    | _names("array", "_array_reconstructor")
    # `__new__` of a class, which has to be a subclass of the one in their names, and its state.
    | _names("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked")
    | _names("pandas._libs.interval", "__pyx_unpickle_IntervalMixin")
    # The constructor of a block: values, a placement and the number of dimensions, with types.
    | _names("pandas._libs.internals", "_unpickle_block")
    # Return the one NaT, a Timedelta and a Timestamp of the numbers that they are given.
    | _names("pandas._libs.tslibs.nattype", "__nat_unpickle _nat_unpickle")
    | _names("pandas._libs.tslibs.timedeltas", "_timedelta_unpickle")
    | _names("pandas._libs.tslibs.timestamps", "_unpickle_timestamp")
    # `cls.__new__(cls, **arguments)`, which a pickle can do with any class without them.
    | _names("pandas.core.indexes.base", "_new_Index")
    | _names("pandas.core.indexes.datetimes", "_new_DatetimeIndex")
    | _names("pandas.core.indexes.interval", "_new_IntervalIndex")
    | _names("pandas.core.indexes.period", "_new_PeriodIndex")
    | _names("pandas.core.indexes.timedeltas", "_new_TimedeltaIndex")
    # A time zone of pytz by its name, which has to be one of pytz's own list.
    | _names("pytz", "_UTC _p")
)
