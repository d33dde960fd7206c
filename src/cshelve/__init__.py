"""Python's `shelve`, living in a bucket.

::

    import cshelve

    with cshelve.open("aws-s3.ini") as db:      # or "s3://bucket/prefix"
        db["greeting"] = {"text": "hello"}      # one PUT; the object is named `greeting`
        print(db["greeting"]["text"])           # one GET
        print("greeting" in db)                 # one HEAD
        for key, value in db.items():           # the listing and one GET a key, in parallel
            print(key, value)
        db["greeting"]["text"] = "lost"         # changes a copy, as with `shelve`: see writeback

Values are pickled: open only a shelf whose writers you trust, or one that is sealed or signed. A
value travels from the shelf (`_shelf`) to its values (`_values`), which serialize it, through a
codec (`codec`), which compresses, encrypts, seals and frames it, to a provider (`providers`), which
stores it. `_open` and `_assembly` put all of that together from a configuration (`_config`).
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
    UntrustedRecordError,
    ValueTooLargeError,
    ValueTypeError,
)

# What type checkers take for the constant of `typing`, which is a slow import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from cshelve._concurrency.outcomes import Progress
    from cshelve._shelf.atomic import DELETE
    from cshelve._shelf.shelf import CloudShelf, Shelf
    from cshelve.codec.keys import generate_key

__version__ = "2.0.0.dev0"

__all__ = [
    "DELETE",
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
    "Error",
    "KeyNotFoundError",
    "KeyNotStorableError",
    "KeyTypeError",
    "MissingDependencyError",
    "MissingEncryptionKeyError",
    "NotPicklableError",
    "OutcomeUnknownError",
    "Progress",
    "ReadOnlyError",
    "RecordError",
    "Shelf",
    "StorageError",
    "UnknownCompressionAlgorithmError",
    "UnknownEncryptionAlgorithmError",
    "UnknownProviderError",
    "UntrustedRecordError",
    "ValueTooLargeError",
    "ValueTypeError",
    "generate_key",
    "open",
    "open_from_dict",
    "open_provider",
]

# Of these names the modules are imported when somebody asks for them. `open` needs none of them
# before it is called, and a program should not wait for them only because it imports cshelve.
_MODULES = {
    "DELETE": "cshelve._shelf.atomic",
    "CloudShelf": "cshelve._shelf.shelf",
    "Shelf": "cshelve._shelf.shelf",
    "Progress": "cshelve._concurrency.outcomes",
    "generate_key": "cshelve.codec.keys",
}

# Type checkers know those names from above. With this they would take any other name for one too.
if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        # Kept, so that it is asked for once.
        globals()[name] = value = getattr(import_module(_MODULES[name]), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
