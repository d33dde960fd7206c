"""`[default] unpickle_only`: unpickle only what the configuration lists.

A pickle is a program for a simple virtual machine. It runs code by looking up a function or class
by name and calling it. Here, `find_class` finds only listed names. One danger remains: the
instruction BUILD sets attributes of an object, and if that object is a class, the change affects
the whole process. No pickler ever writes such a pickle, and it is refused here.

The unpickler in C cannot refuse it, and the one in Python takes twenty times as long. Therefore:

1. The unpickler in C reads the pickle with a stand-in for each class whose attributes could be set.
   The stand-in refuses BUILD on itself, but not on its instances. If no stand-in was needed, as for
   the classes of `builtins`, the result is final.
2. Otherwise, the unpickler in C reads the pickle again with the real classes. The machine has no
   jumps, so it executes the same instructions as with the stand-ins.
3. The unpickler in Python reads pickles whose states have to be checked (numpy, pandas), and those
   for which the stand-ins do not suffice.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Iterable
from enum import Enum, EnumType
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, ClassVar, NoReturn

from cshelve._concurrency.signals import is_from_signal_handler
from cshelve._config.sections import closest
from cshelve._values.allowed_names import NO_CLASSES, WORDS
from cshelve.codec.stage import Data
from cshelve.exceptions import ClassNotFoundError, UntrustedRecordError, ValueTypeError

__all__ = ["UnpickleOnly", "class_not_found", "first_class_missing"]

Name = tuple[str, str]
OPTION = "[default] unpickle_only"

# CPython's Py_TPFLAGS_IMMUTABLETYPE: the attributes of such a class cannot be set.
IMMUTABLE_TYPE = 1 << 8
# A pickle that can reach any of these can run any code.
MODULES_NEVER_LISTED = frozenset(
    {"functools", "_functools", "operator", "_operator", "types", "copyreg", "pickle", "_pickle"}
    | {"os", "posix", "nt", "sys", "subprocess", "importlib", "ctypes", "code", "runpy"}
)
# The functions of these modules return shared objects: pandas' NaT, and time zones.
MODULES_THAT_SHARE = frozenset({"pandas._libs.tslibs.nattype", "pytz"})
_PERSISTENT = f"the pickle refers to something outside of it, which {OPTION} does not allow"


class _NotSoFastError(Exception):
    """Raised if the unpickler in C cannot read this pickle safely."""


class UnpickleOnly:
    """Unpickles, and pickles, only the classes that `unpickle_only` lists."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Raise `ValueError` for an entry that is neither a word nor the name of a class."""
        self._shipped: set[Name] = set()
        self._classes: set[Name] = set()
        for entry in entries:
            if entry in WORDS:
                self._shipped |= WORDS[entry]
            else:
                self._classes.add(_name_of_class(entry))

    def dump(self, value: Any, file: Any, protocol: int) -> None:
        """Pickle a value; raise `ValueTypeError` if it could not be unpickled again."""
        _CheckingPickler(file, protocol, self).dump(value)

    def loads(self, payload: Data) -> Any:
        """Unpickle a value, and return it.

        Raises `UntrustedRecordError` for a class that is not listed, `ClassNotFoundError` for a
        listed class that cannot be imported, and anything else that unpickling may raise.
        """
        source = io.BytesIO(payload)
        # Extension codes bypass `find_class` if another unpickler has looked them up before.
        if not copyreg._inverted_registry:  # type: ignore[attr-defined]
            try:
                return self._loads_in_c(source)
            except _NotSoFastError:
                source.seek(0)
        return _StepwiseUnpickler(source, self).load()

    def allows(self, name: Name) -> bool:
        """Return whether a name may be looked up."""
        return name in self._shipped or name in self._classes

    def find(self, module: str, name: str) -> Any:
        """Return the class or function that a pickle names.

        Raises `UntrustedRecordError` if it is not allowed, and `ClassNotFoundError` if it cannot be
        imported.
        """
        found = (module, name)
        if not self.allows(found):
            found = _renamed(module, name)  # Pickles of protocol 2 have the names of Python 2.
            if not self.allows(found):
                raise UntrustedRecordError(_not_listed(module, name))
        is_shipped = found in self._shipped
        try:
            result = (is_shipped and _substitute(found)) or _imported(*found)
        except (ImportError, AttributeError) as error:
            raise class_not_found(*found, error) from error
        if isinstance(result, type | _Function) or (is_shipped and found in NO_CLASSES):
            return result
        raise UntrustedRecordError(f"{module}.{name} is not a class, as {OPTION} requires")

    def _loads_in_c(self, source: io.BytesIO) -> Any:
        unpickler = _QuickUnpickler(source, self)
        try:
            value = unpickler.load()
        except (UntrustedRecordError, ClassNotFoundError, _NotSoFastError):
            raise
        except Exception as error:
            # Broad because stand-ins may cause any error: then nothing is proved about the pickle.
            if is_from_signal_handler(error) or not unpickler.has_stand_ins:
                raise
            raise _NotSoFastError from error
        if not unpickler.has_stand_ins:
            return value
        source.seek(0)
        return _RehearsedUnpickler(source, self).load()


class _Function:
    """A function that a pickle can call, but whose attributes it cannot set."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        _refuse_to_build()


class _QuickUnpickler(pickle.Unpickler):
    """An unpickler in C with stand-ins for all classes whose attributes a pickle could set."""

    def __init__(self, source: io.BytesIO, only: UnpickleOnly) -> None:
        super().__init__(source)
        self._only = only
        self.has_stand_ins = False

    def find_class(self, module: str, name: str) -> Any:
        found = self._only.find(module, name)
        if _is_of_numpy(found):
            raise _NotSoFastError
        if _is_immutable(found):
            return found
        if not isinstance(found, type):
            raise _NotSoFastError
        self.has_stand_ins = True
        return _MemberStandIn if isinstance(found, EnumType) else _StandIn

    def persistent_load(self, pid: Any) -> NoReturn:
        raise UntrustedRecordError(_PERSISTENT)


class _StandInType(type):
    """The metaclass of stand-ins, which refuses BUILD on a class."""

    def __setstate__(cls, state: object) -> NoReturn:
        _refuse_to_build()


class _StandIn(metaclass=_StandInType):
    """A stand-in for any class that is not immutable, and for its instances."""

    # There is no `__new__`: if only `__init__` is defined, `object.__new__` accepts any arguments.
    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, value: object) -> None:
        pass

    extend = add = append


class _MemberStandIn(_StandIn):
    """A stand-in for an Enum, which refuses BUILD: members exist before the pickle is read."""

    def __setstate__(self, state: object) -> NoReturn:
        _refuse_to_build()


class _RehearsedUnpickler(_QuickUnpickler):
    """An unpickler with the real classes, after `_QuickUnpickler` has shown no BUILD on a class."""

    def find_class(self, module: str, name: str) -> Any:
        return self._only.find(module, name)


class _StepwiseUnpickler(pickle._Unpickler):
    """An unpickler in Python that checks every call and every BUILD; slow."""

    stack: list[Any]
    memo: dict[int, Any]

    def __init__(self, source: io.BytesIO, only: UnpickleOnly) -> None:
        super().__init__(source)
        self._only = only
        self._found: dict[int, Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        found = self._only.find(module, name)
        self._found[id(found)] = found
        return found

    def persistent_load(self, pid: Any) -> NoReturn:
        raise UntrustedRecordError(_PERSISTENT)

    def get_extension(self, code: int) -> NoReturn:
        raise UntrustedRecordError(
            f"the pickle names a class by a number (extension code {code}), which {OPTION} does "
            "not allow"
        )

    def _reduce(self) -> None:
        """Call the function on the stack with its arguments, if `find_class` has returned it."""
        function, arguments = self.stack[-2:]
        self._refuse_unless_found(function)
        del self.stack[-1]
        if type(arguments) is not tuple:
            raise pickle.UnpicklingError("the arguments of a call are no tuple")
        if _is_of_numpy(function):
            self.stack[-1] = _called_of_numpy(function, arguments)
        else:
            self.stack[-1] = function(*arguments)
        if getattr(function, "__module__", None) in MODULES_THAT_SHARE:
            self._found[id(self.stack[-1])] = self.stack[-1]  # A shared object: refuse BUILD on it.

    def _build(self) -> None:
        """Set the state of an object; refuse shared objects, and states unsafe for numpy."""
        state, inst = self.stack[-1], self.stack[-2]
        if isinstance(inst, type | FunctionType | Enum) or id(inst) in self._found:
            _refuse_to_build()
        numpy = sys.modules.get("numpy")
        if numpy is None or not isinstance(inst, numpy.dtype | numpy.ndarray):
            pickle._Unpickler.load_build(self)  # type: ignore[attr-defined]
            return
        from cshelve._values.unpickling_numpy import array_with_state, dtype_of

        del self.stack[-1]
        if isinstance(inst, numpy.ndarray):
            array_with_state(inst, state)
            return
        self.stack[-1] = made = dtype_of(inst, state)
        for place, remembered in self.memo.items():
            if remembered is inst:
                self.memo[place] = made

    def _new(self) -> None:
        self._refuse_new(self.stack[-2])
        pickle._Unpickler.load_newobj(self)  # type: ignore[attr-defined]

    def _new_with_names(self) -> None:
        self._refuse_new(self.stack[-3])
        pickle._Unpickler.load_newobj_ex(self)  # type: ignore[attr-defined]

    def _refuse_new(self, found: Any) -> None:
        self._refuse_unless_found(found)
        if _is_of_numpy(found):
            raise UntrustedRecordError("the pickle makes an array otherwise than numpy does")

    def _refuse_unless_found(self, function: Any) -> None:
        if id(function) not in self._found and not isinstance(function, _Function):
            raise UntrustedRecordError("the pickle calls something that it has made itself")

    def _refuse_old(self) -> None:
        raise UntrustedRecordError("the pickle makes objects as only Python 2 did")

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.REDUCE[0]: _reduce,
        pickle.BUILD[0]: _build,
        pickle.NEWOBJ[0]: _new,
        pickle.NEWOBJ_EX[0]: _new_with_names,
        pickle.OBJ[0]: _refuse_old,
        pickle.INST[0]: _refuse_old,
    }


class _CheckingPickler(pickle.Pickler):
    """A pickler that checks each class and function that the pickle refers to by name."""

    def __init__(self, file: Any, protocol: int, only: UnpickleOnly) -> None:
        super().__init__(file, protocol)
        self._only = only

    def reducer_override(self, obj: Any) -> Any:
        # Called for every object that is not a plain container, number or text, also for classes
        # and functions.
        qualified = getattr(obj, "__qualname__", None)
        if isinstance(qualified, str):  # Only classes and functions of any kind have it.
            owner = None if isinstance(obj, type) else getattr(obj, "__self__", None)
            is_bound = owner is not None and not isinstance(owner, ModuleType)
            name = (obj.__module__ or "", qualified)
            if is_bound and getattr(owner, "__qualname__", "") == "ZoneInfo":
                name = ("builtins", "getattr")
            if not self._only.allows(name):
                raise ValueTypeError(f"the value could not be read again: {_not_listed(*name)}")
        return NotImplemented


class _NamingUnpickler(pickle.Unpickler):
    """An unpickler that finds the first class that cannot be imported, and creates no objects."""

    missing: ClassNotFoundError | None = None

    def find_class(self, module: str, name: str) -> Any:
        try:
            super().find_class(module, name)
        except (ImportError, AttributeError) as error:
            self.missing = class_not_found(module, name, error)
            raise
        return _StandIn


def first_class_missing(payload: Data) -> ClassNotFoundError | None:
    """Return the error for the first class in a pickle that cannot be imported; None if none.

    Use this only for a trusted pickle that could not be read: it imports the same modules again.
    """
    unpickler = _NamingUnpickler(io.BytesIO(payload))
    try:
        unpickler.load()
    except Exception as error:
        # Broad because stand-ins may cause any error: then nothing is known.
        if is_from_signal_handler(error):
            raise
        error.__traceback__ = None  # It would keep the frames of all callers alive.
        return unpickler.missing
    return None


def class_not_found(module: str, name: str, error: Exception) -> ClassNotFoundError:
    """Return the error for a class that cannot be imported; its message says what is missing."""
    if module == "__main__":
        what = (
            "which was defined in the program, or the notebook, that wrote the value: define "
            f"{name} here too before it is read, or better in a module that both import"
        )
    elif isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        what = (
            f"and there is no module {error.name!r} here: install the package that has it, in the "
            "version with which the value was written"
        )
    elif isinstance(error, ImportError):
        what = f"and its module cannot be imported here: {error}"
    else:
        what = f"and the module {module!r} has no {name} here: it may be older, or newer"
    shown = _shown(module, name)
    missing = ClassNotFoundError(f"the value needs {shown}, {what}. The record is intact")
    missing.__cause__ = error
    return missing


def _name_of_class(entry: str) -> Name:
    """Split `module.Class`; raise `ValueError` for a name that must not be listed."""
    module, _, name = entry.rpartition(".")
    if not module:
        raise ValueError(
            f"there is no list {entry!r:.40}{closest(entry, WORDS)}; there are "
            f"{', '.join(WORDS)}, and classes by their full names, as in myapp.models.User."
        )
    if not all(part.isidentifier() for part in entry.split(".")) or name.startswith("__"):
        raise ValueError(f"{entry!r:.80} is not the full name of a class.")
    if module.partition(".")[0] in MODULES_NEVER_LISTED:
        raise ValueError(f"{entry} can't be allowed: with it a record could run any code.")
    if module == "builtins":
        raise ValueError(f"{entry} can't be allowed: `basic` has all safe names of this module.")
    return module, name


def _renamed(module: str, name: str) -> Name:
    if (module, name) in NAME_MAPPING:
        return NAME_MAPPING[module, name]
    return IMPORT_MAPPING.get(module, module), name


def _imported(module: str, name: str) -> Any:
    __import__(module)
    return getattr(sys.modules[module], name)


def _substitute(name: Name) -> Any:
    """Return the replacement of a function that could do more than pickles need; None if none."""
    if name in _SUBSTITUTES:
        return _SUBSTITUTES[name]
    if not name[0].startswith("numpy."):
        return None
    from cshelve._values.unpickling_numpy import NUMPY_FUNCTIONS

    return _Function(NUMPY_FUNCTIONS[name])


def _is_of_numpy(found: object) -> bool:
    """Return whether an object is one of numpy's two classes whose states have to be checked."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and (found is numpy.dtype or found is numpy.ndarray)


def _called_of_numpy(function: Any, arguments: tuple[Any, ...]) -> Any:
    if function.__name__ != "dtype":
        raise UntrustedRecordError("the pickle makes an array otherwise than numpy does")
    from cshelve._values.unpickling_numpy import dtype_from

    return dtype_from(arguments)


def _latin_1(text: str, encoding: str = "") -> bytes:
    """Return the bytes that protocol 2 has written as text; refuse any encoding but Latin-1."""
    if encoding != "latin1":
        raise UntrustedRecordError(f"the pickle calls the codec {encoding!r:.40}")
    return str.encode(text, "latin-1")


def _method_of_zone(owner: object, name: str) -> _Function:
    """Return ZoneInfo's `_unpickle`, the only attribute that a pickle may get; refuse others."""
    from zoneinfo import ZoneInfo

    if owner is _StandIn:  # In a Python in which ZoneInfo's attributes could be set.
        raise _NotSoFastError
    if owner is not ZoneInfo or name != "_unpickle":
        raise UntrustedRecordError(f"the pickle calls getattr, for {name!r:.40}")
    return _Function(_zone)


def _zone(key: str, is_cached: object = True) -> Any:
    from zoneinfo import ZoneInfo

    return ZoneInfo(key) if is_cached else ZoneInfo.no_cache(key)


_SUBSTITUTES: dict[Name, _Function] = {
    ("_codecs", "encode"): _Function(_latin_1),
    ("builtins", "getattr"): _Function(_method_of_zone),
}


def _is_immutable(found: object) -> bool:
    if isinstance(found, type):
        return bool(found.__flags__ & IMMUTABLE_TYPE)
    if isinstance(found, BuiltinFunctionType | _Function):
        return True
    return found is Ellipsis or found is NotImplemented


def _refuse_to_build() -> NoReturn:
    raise UntrustedRecordError(
        "the pickle sets attributes of a class, a function or another object that was not made for "
        "it"
    )


def _shown(module: str, name: str) -> str:
    """Return a name for a message; an attacker may have chosen it, so odd names are quoted."""
    full = f"{module}.{name}"
    is_name = len(full) <= 200 and all(part.isidentifier() for part in full.split("."))
    return full if is_name else f"{full!r:.100}"


def _not_listed(module: str, name: str) -> str:
    shown = _shown(module, name)
    if "." in name:
        return (
            f"{shown} is a nested class, or an attribute of something, which {OPTION} cannot allow"
        )
    for word, names in WORDS.items():
        if (module, name) in names:
            return f"{shown} is not in {OPTION}: add {word!r} if that is wanted"
    try:
        _name_of_class(f"{module}.{name}")
    except ValueError:
        return f"{shown} is not in {OPTION}, and cannot be allowed"
    return (
        f"{shown} is not in {OPTION}. If it is your own class, and safe with whatever others may "
        "store, add it there"
    )
