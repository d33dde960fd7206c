"""Python's `shelve`, living in a bucket.

::

    import cshelve

    with cshelve.open("aws-s3.ini") as db:      # or "s3://bucket/prefix"
        db["greeting"] = {"text": "hello"}      # one PUT; the object is named `greeting`
        print(db["greeting"]["text"])           # one GET
        print("greeting" in db)                 # one HEAD
        for key, value in db.items():           # a listing, and one GET for each key, in parallel
            print(key, value)
        db["greeting"]["text"] = "lost"         # changes a copy, as with `shelve`: see writeback

Values are pickled: open only a shelf whose writers you trust, or one that is signed or sealed (that
is, encrypted and authenticated with aes256-gcm). A value passes from the shelf (`_shelf`) to
`_values`, which serializes it, to a codec (`codec`), which compresses, protects and frames it, to a
provider (`providers`), which stores it. `_open` and `_assembly` put these parts together, following
a configuration (`_config`).
"""

from cshelve._open import open, open_from_dict, open_provider
from cshelve.exceptions import (
    AuthArgumentError,
    AuthError,
    AuthTypeError,
    BulkError,
    CanNotCreateDBError,
    ClassNotFoundError,
    ConditionsNotSupportedError,
    ConfigurationError,
    ConflictError,
    CorruptRecordError,
    CreateRefusedError,
    DataProcessingSignatureError,
    DBDoesNotExistsError,
    EncryptedDataCorruptionError,
    Error,
    KeyNotFoundError,
    KeyNotStorableError,
    KeyTypeError,
    MissingDependencyError,
    MissingEncryptionKeyError,
    NotPicklableError,
    OutcomeUnknownError,
    ReadOnlyError,
    RecordError,
    StorageError,
    UnknownCompressionAlgorithmError,
    UnknownEncryptionAlgorithmError,
    UnknownProviderError,
    UnsupportedOperationError,
    UntrustedRecordError,
    ValueTooLargeError,
    ValueTypeError,
)

# Type checkers treat this like the constant of `typing`, which would be a slow import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from cshelve._aio.opening import aopen
    from cshelve._aio.shelf import AsyncShelf
    from cshelve._concurrency.outcomes import Progress
    from cshelve._shelf.atomic import DELETE
    from cshelve._shelf.copy_many import copy
    from cshelve._shelf.looking import Entry, Info
    from cshelve._shelf.partitions import Partition
    from cshelve._shelf.shelf import CloudShelf, Shelf
    from cshelve.codec.keys import generate_key
    from cshelve.providers.prices import Prices

__version__ = "2.0.0.dev0"

__all__ = [
    "DELETE",
    "AsyncShelf",
    "AuthArgumentError",
    "AuthError",
    "AuthTypeError",
    "BulkError",
    "CanNotCreateDBError",
    "ClassNotFoundError",
    "CloudShelf",
    "ConditionsNotSupportedError",
    "ConfigurationError",
    "ConflictError",
    "CorruptRecordError",
    "CreateRefusedError",
    "DBDoesNotExistsError",
    "DataProcessingSignatureError",
    "EncryptedDataCorruptionError",
    "Entry",
    "Error",
    "Info",
    "KeyNotFoundError",
    "KeyNotStorableError",
    "KeyTypeError",
    "MissingDependencyError",
    "MissingEncryptionKeyError",
    "NotPicklableError",
    "OutcomeUnknownError",
    "Partition",
    "Prices",
    "Progress",
    "ReadOnlyError",
    "RecordError",
    "Shelf",
    "StorageError",
    "UnknownCompressionAlgorithmError",
    "UnknownEncryptionAlgorithmError",
    "UnknownProviderError",
    "UnsupportedOperationError",
    "UntrustedRecordError",
    "ValueTooLargeError",
    "ValueTypeError",
    "aopen",
    "copy",
    "generate_key",
    "open",
    "open_from_dict",
    "open_provider",
]

# The modules of these names are imported when a program first uses a name. Importing cshelve does
# not need them, and should not take longer because of them.
_MODULES = {
    "DELETE": "cshelve._shelf.atomic",
    "AsyncShelf": "cshelve._aio.shelf",
    "aopen": "cshelve._aio.opening",
    "CloudShelf": "cshelve._shelf.shelf",
    "Shelf": "cshelve._shelf.shelf",
    "Prices": "cshelve.providers.prices",
    "Entry": "cshelve._shelf.looking",
    "Info": "cshelve._shelf.looking",
    "Partition": "cshelve._shelf.partitions",
    "Progress": "cshelve._concurrency.outcomes",
    "copy": "cshelve._shelf.copy_many",
    "generate_key": "cshelve.codec.keys",
}

# Type checkers know those names from the imports above. With this, they would accept any name.
if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        # Kept, so that this function is called only once for each name.
        globals()[name] = value = getattr(import_module(_MODULES[name]), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
