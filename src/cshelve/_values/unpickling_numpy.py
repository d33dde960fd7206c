"""Safe replacements for the functions and states in numpy's pickles, for `unpickle_only`.

numpy trusts a pickle. `dtype.__setstate__` accepts any flags, offsets and sizes, and
`ndarray.__setstate__` any list. With an attacker's state, numpy would read bytes of the pickle as
pointers, which amounts to running code. Therefore no dtype ever receives a state: numpy's
constructor, which checks its arguments, makes an equivalent dtype. An array receives a state only
once, while it is still empty, and only a state that fits its dtype.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from cshelve.exceptions import UntrustedRecordError

__all__ = ["NUMPY_FUNCTIONS", "array_with_state", "dtype_from", "dtype_of"]

numpy: Any = import_module("numpy")  # By name, so that type checkers do not need numpy.

# numpy's own form: a letter for the type, and a size. Longer texts may be structured types, and
# arrays of other types, such as T, contain pointers in the bytes that a pickle would set.
TYPE = re.compile(r"[?bBhHiIlLqQpPefdgFDGcuSUVOMm][0-9]{0,10}")
KINDS = frozenset("biufcSUVOMm")
UNIT = re.compile(r"[a-zA-Zμ]{1,2}")
ALIGNED_STRUCT = 0x80


def dtype_from(arguments: tuple[Any, ...]) -> Any:
    """Return the dtype that a pickle asks for, before its state is set.

    Raises `UntrustedRecordError` for arguments that numpy would not write.
    """
    text = arguments[0] if arguments else None
    if type(text) is not str or not TYPE.fullmatch(text):
        raise _refused("a dtype that is not named as numpy names it")
    return numpy.dtype(text)


def dtype_of(dtype: Any, state: Any) -> Any:
    """Return a copy of a dtype with a state; do not change the dtype itself."""
    _, order, sub, names, fields, size, _, flags, *rest = state
    metadata = rest[0] if rest else None
    if sub is not None:
        base, shape = sub
        made = numpy.dtype((_checked(base), tuple(shape)))
    elif names is not None:
        formats = [(_checked(each), *place) for each, *place in (fields[name] for name in names)]
        layout: Any = {
            "names": list(names),
            "formats": [each[0] for each in formats],
            "offsets": [each[1] for each in formats],
            "titles": [each[2] if len(each) > 2 else None for each in formats],
            "itemsize": size,
        }
        made = numpy.dtype(layout, align=bool(flags & ALIGNED_STRUCT))
    elif dtype.kind in "mM":
        metadata, unit = rest[0]
        made = numpy.dtype(dtype.kind + "8" + _unit(*unit))
    else:
        made = dtype
    if order in {"<", ">"}:
        made = made.newbyteorder(order)
    if size not in {-1, made.itemsize}:
        raise _refused("a dtype of another size than its parts have")
    return numpy.dtype(made, metadata=dict(metadata)) if metadata else made


def array_with_state(array: Any, state: Any) -> None:
    """Set the state of a new, empty array; raise `UntrustedRecordError` if the state is unsafe."""
    _, shape, dtype, _, content = state
    _checked(dtype)
    if array.size or any(length < 0 for length in shape):
        raise _refused("an array that has a content already, or cannot have one")
    if dtype.hasobject:
        if type(content) is not list or len(content) != math.prod(shape):
            raise _refused("an array of objects that are not as many as its shape says")
    elif type(content) is not bytes:
        raise _refused("an array whose content is not bytes")
    array.__setstate__(state)


def _checked(dtype: Any) -> Any:
    if not isinstance(dtype, numpy.dtype) or dtype.kind not in KINDS:
        raise _refused("a dtype that is none, or of a kind whose state cannot be checked")
    return dtype


def _refused(what: str) -> UntrustedRecordError:
    return UntrustedRecordError(
        f"the pickle asks numpy for {what}, which no pickle of its own does"
    )


def _unit(name: bytes | str, number: int, *_: int) -> str:
    unit = name.decode() if isinstance(name, bytes) else name
    if unit == "generic":
        return ""
    if not UNIT.fullmatch(unit):
        raise _refused("a unit of time that there is not")
    return f"[{int(number)}{unit}]"


def _reconstruct(subtype: Any, *_: Any) -> Any:
    """Return an empty array; numpy's function would return uninitialized memory of any size."""
    if subtype is not numpy.ndarray:
        raise _refused("an array of a class of its own")
    return numpy.ndarray.__new__(numpy.ndarray, (0,), "b")


def _scalar(dtype: Any, content: Any = None) -> Any:
    if _checked(dtype).hasobject or type(content) is not bytes:
        raise _refused("a scalar whose content is not bytes")
    return _module("multiarray").scalar(dtype, content)


def _frombuffer(content: Any, dtype: Any, *layout: Any) -> Any:
    """Return an array that shares bytes; numpy checks that it does not extend beyond them."""
    if type(content) not in {bytes, bytearray} or _checked(dtype).hasobject:
        raise _refused("an array whose content is not bytes")
    return _module("numeric")._frombuffer(content, dtype, *layout)


def _module(name: str) -> Any:
    """Return an internal module of numpy, whose name depends on the installed version."""
    try:
        return import_module(f"numpy._core.{name}")
    except ModuleNotFoundError:
        return import_module(f"numpy.core.{name}")


NUMPY_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    (f"numpy.{core}.{module}", function.__name__.replace("_scalar", "scalar")): function
    for core in ("core", "_core")
    for module, function in (
        ("multiarray", _reconstruct),
        ("multiarray", _scalar),
        ("numeric", _frombuffer),
    )
}
