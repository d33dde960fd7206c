"""All errors that cshelve raises, with the builtin exception that each is also an instance of.

::

    Error
    ├── ConfigurationError (ValueError, RuntimeError)
    │   ├── UnknownProviderError
    │   ├── UnknownCompressionAlgorithmError
    │   ├── UnknownEncryptionAlgorithmError
    │   └── MissingEncryptionKeyError
    ├── MissingDependencyError (ImportError)
    ├── StorageError (OSError)
    │   ├── AuthError (PermissionError)
    │   │   ├── AuthTypeError        also a ConfigurationError
    │   │   └── AuthArgumentError    also a ConfigurationError
    │   ├── DBDoesNotExistsError
    │   ├── CanNotCreateDBError
    │   │   └── CreateRefusedError   also an AuthError
    │   ├── ReadOnlyError
    │   ├── ConflictError
    │   ├── OutcomeUnknownError
    │   ├── ConditionsNotSupportedError
    │   └── BulkError
    ├── KeyNotStorableError (ValueError)
    ├── KeyTypeError (TypeError, AttributeError)
    ├── ValueTypeError (TypeError)
    ├── ValueTooLargeError (ValueError)
    ├── NotPicklableError (pickle.PicklingError)
    ├── UnsupportedOperationError (io.UnsupportedOperation)
    ├── RecordError (ValueError)
    │   ├── DataProcessingSignatureError (RuntimeError)
    │   ├── EncryptedDataCorruptionError (RuntimeError)
    │   ├── CorruptRecordError
    │   ├── ClassNotFoundError
    │   └── UntrustedRecordError
    └── KeyNotFoundError (KeyError)

Two rules hold everywhere: only a missing key raises a `KeyError`, and every exception is an
`Error`, except the plain `ValueError` for using a closed shelf, as in the standard library, and
what a file raises that a caller uploads or downloads. Some names and the `RuntimeError` bases are
those of cshelve 1.x. The `OSError` bases keep ``except dbm.error`` working in code that was written
for `shelve`. An error of a local shelf is also an instance of the class that `dbm` raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import UnsupportedOperation
from pickle import PicklingError

__all__ = [
    "AuthArgumentError",
    "AuthError",
    "AuthTypeError",
    "BulkError",
    "CanNotCreateDBError",
    "ClassNotFoundError",
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
    "ReadOnlyError",
    "RecordError",
    "StorageError",
    "UnknownCompressionAlgorithmError",
    "UnknownEncryptionAlgorithmError",
    "UnknownProviderError",
    "UnsupportedOperationError",
    "UntrustedRecordError",
    "ValueTooLargeError",
    "ValueTypeError",
]


class Error(Exception):
    """The base of all errors: catch it to catch everything that cshelve raises."""

    about_shelf: bool = False
    """Whether every other key would fail for the same reason. An operation on many keys stops at
    such an error, sets the three numbers below on it, and raises it unchanged. A `BulkError` has
    the numbers too."""
    stored: int | None = None
    """The number of keys that were written or deleted before the operation stopped."""
    failed: int | None = None
    """The number of keys that were tried and failed, or were given up."""
    not_attempted: int | None = None
    """The number of keys that were never tried; None if the number of all keys is unknown, as for
    a generator."""


class ConfigurationError(Error, ValueError, RuntimeError):
    """The configuration or a parameter of the call is wrong; nothing was sent.

    The message names the file, section and option.
    """


class UnknownProviderError(ConfigurationError):
    """`[default] provider` names a provider that does not exist."""


class UnknownCompressionAlgorithmError(ConfigurationError):
    """`[compression] algorithm` names an algorithm that does not exist."""


class UnknownEncryptionAlgorithmError(ConfigurationError):
    """`[encryption] algorithm` names an algorithm that does not exist."""


class MissingEncryptionKeyError(ConfigurationError):
    """`[encryption]` or `[signing]` has no key, or names a variable that is not set."""


class MissingDependencyError(Error, ImportError):
    """An optional package is not installed; the message contains the pip command to install it."""


class StorageError(Error, OSError):
    """The store failed: the network, throttling, a full disk, or an unexpected response.

    Raised after all retries. The `__cause__` is the error of the client library or the system.
    """


class AuthError(StorageError, PermissionError):
    """The store denied access: the credentials are wrong, or a permission is missing."""


class AuthTypeError(AuthError, ConfigurationError):
    """`[default] auth_type` is missing, or the provider does not support its value."""


class AuthArgumentError(AuthError, ConfigurationError):
    """An option that the chosen `auth_type` needs is missing, or one that it forbids is set."""


class DBDoesNotExistsError(StorageError):
    """The bucket or folder of the shelf does not exist; flag `c` creates it."""

    about_shelf = True


class CanNotCreateDBError(StorageError):
    """The bucket or folder of the shelf could not be created."""


class CreateRefusedError(AuthError, CanNotCreateDBError):
    """The credentials do not allow creating the bucket or folder of the shelf."""


class ReadOnlyError(StorageError):
    """The shelf was opened with flag `r`; nothing was written."""


class ConflictError(StorageError):
    """Another writer was faster, so the condition of the write was false; nothing was written."""


class OutcomeUnknownError(StorageError):
    """The response to a conditional write was lost, and it is unknown whether it was carried out.

    Read the key again, and decide by its current value.
    """


class ConditionsNotSupportedError(StorageError):
    """The store does not support the conditions that the operation needs; nothing was done."""


class BulkError(StorageError):
    """An operation on many keys failed for some of them, and succeeded for all others.

    `failures` maps each failed key to its error. The first of these errors is the `__cause__`.

        try:
            db.set_many(users)
        except cshelve.BulkError as error:
            for key, failure in error.failures.items():
                print(key, failure)
    """

    def __init__(self, message: str, failures: Mapping[str, Exception] | None = None) -> None:
        super().__init__(message)
        self.failures: dict[str, Exception] = dict(failures or {})


class KeyNotStorableError(Error, ValueError):
    """The store cannot hold a key that is empty, too long, or contains certain characters."""


class KeyTypeError(Error, TypeError, AttributeError):
    """A key is not a `str`, or a single `str` was passed as many keys.

    This is also an `AttributeError`, which `shelve` raises for such a key.
    """


class ValueTypeError(Error, TypeError):
    """The shelf's serializer cannot store a value, or a version is not a `str`.

    With `use_pickle = false`, for example, values have to be bytes. `modify` also raises this error
    if its function has changed the value but not returned it.
    """


class ValueTooLargeError(Error, ValueError):
    """A value is larger than the configured compression or encryption allows; nothing was sent."""


class NotPicklableError(Error, PicklingError):
    """A shelf cannot be pickled: the pickle would contain a secret, or could not be reopened."""


class UnsupportedOperationError(Error, UnsupportedOperation):
    """This shelf cannot do that, because of its store or its configuration; nothing was done.

    As `io.UnsupportedOperation`, it is an `OSError` and a `ValueError`.
    """


class RecordError(Error, ValueError):
    """This shelf cannot read the record of a key. (A record is the bytes stored for a value.)

    Other keys are not affected.
    """


class DataProcessingSignatureError(RecordError, RuntimeError):
    """A record has a compression, protection or serializer that differs from this shelf's."""


class EncryptedDataCorruptionError(RecordError, RuntimeError):
    """A record cannot be decrypted: the key is wrong, or bytes of the record were changed."""


class CorruptRecordError(RecordError):
    """A record is truncated or damaged, or the object is not a record."""


class ClassNotFoundError(RecordError):
    """A record is intact, but the class of its value cannot be imported in this program."""


class UntrustedRecordError(RecordError):
    """A record lacks the protection that this shelf demands, or its signature is invalid.

    Also raised for a pickle that needs a class or function that `unpickle_only` does not list.
    """


class KeyNotFoundError(Error, KeyError):
    """The key is missing. The only item of `args` is the key, as in the `KeyError` of a dict."""

    expired_version: str | None = None
    """The version of the value if there is one that has expired, as far as it is known."""
