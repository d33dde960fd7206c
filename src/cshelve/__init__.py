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
value travels from the shelf (`_shelf`) through the layer of objects (`_objects`), which has a
serializer (`_serializers`) and the writeback cache (`_writeback`), to the records (`_records`),
which a codec (`codec`) compresses, encrypts, seals and frames, and a provider (`providers`) stores.
What many writers do at once is in `_atomic`, what is done with many keys in `_pairs`, `_rewriting`,
`_tally` and `_parallel`. `_assembly` puts all of it together from a configuration (`_config`), when
a shelf is opened (`_open`).
"""

from cshelve._open import open, open_from_dict
from cshelve.exceptions import (
    AuthArgumentError,
    AuthError,
    AuthTypeError,
    BulkError,
    CanNotCreateDBError,
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
    from cshelve._atomic import DELETE
    from cshelve._shelf import CloudShelf
    from cshelve._tally import Progress
    from cshelve.codec.keys import generate_key

__version__ = "2.0.0.dev0"

__all__ = [
    "DELETE",
    "AuthArgumentError",
    "AuthError",
    "AuthTypeError",
    "BulkError",
    "CanNotCreateDBError",
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
]

# Of these names the modules are imported when somebody asks for them. `open` needs none of them
# before it is called, and a program should not wait for them only because it imports cshelve.
_MODULES = {
    "DELETE": "cshelve._atomic",
    "CloudShelf": "cshelve._shelf",
    "Progress": "cshelve._tally",
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
