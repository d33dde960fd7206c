"""Every error that cshelve raises, and the builtin that each one also is.

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
    ├── RecordError (ValueError)
    │   ├── DataProcessingSignatureError (RuntimeError)
    │   ├── EncryptedDataCorruptionError (RuntimeError)
    │   ├── CorruptRecordError
    │   └── UntrustedRecordError
    └── KeyNotFoundError (KeyError)

Two rules hold everywhere: only an absent key is ever a `KeyError`, and the one exception that is
not an `Error` is the plain `ValueError` that using a closed shelf gives, as in the standard
library. The names that end in `…sError` and the `RuntimeError` bases are those of cshelve 1.x;
the `OSError` bases keep ``except dbm.error`` of code written for `shelve` working.
"""

from __future__ import annotations

from collections.abc import Mapping
from pickle import PicklingError

__all__ = [
    "AuthArgumentError",
    "AuthError",
    "AuthTypeError",
    "BulkError",
    "CanNotCreateDBError",
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
    "UntrustedRecordError",
    "ValueTooLargeError",
    "ValueTypeError",
]


class Error(Exception):
    """Catch this to catch everything that cshelve raises."""

    about_shelf: bool = False
    """Whether every other key would fail alike: an operation on many keys stops at such an error
    and raises it as it is."""
    stored: int | None = None
    """On such an error: how many keys were written or deleted all the same."""
    failed: int | None = None
    """On such an error: how many keys were tried, and failed or were given up."""
    not_attempted: int | None = None
    """On such an error: how many keys were never tried; None where nobody knows how many there
    are, as with a generator."""


class ConfigurationError(Error, ValueError, RuntimeError):
    """The configuration or a parameter of the call has to be changed; nothing was sent."""


class UnknownProviderError(ConfigurationError):
    """`[default] provider` names no provider that there is."""


class UnknownCompressionAlgorithmError(ConfigurationError):
    """`[compression] algorithm` names none that there is."""


class UnknownEncryptionAlgorithmError(ConfigurationError):
    """`[encryption] algorithm` names none that there is."""


class MissingEncryptionKeyError(ConfigurationError):
    """`[encryption]` or `[signing]` has no key, or names a variable that is not set."""


class MissingDependencyError(Error, ImportError):
    """A package is not installed; the message is the pip command that installs it."""


class StorageError(Error, OSError):
    """The store did not do it: the network, throttling, or an answer nobody expects."""


class AuthError(StorageError, PermissionError):
    """The store refused: wrong credentials, or a permission that is missing."""


class AuthTypeError(AuthError, ConfigurationError):
    """`[default] auth_type` is absent or is none that the provider knows."""


class AuthArgumentError(AuthError, ConfigurationError):
    """An option that the chosen `auth_type` needs is absent, or does not go with it."""


class DBDoesNotExistsError(StorageError):
    """The bucket or folder of the shelf is not there."""

    about_shelf = True


class CanNotCreateDBError(StorageError):
    """The bucket or folder of the shelf could not be created."""


class CreateRefusedError(AuthError, CanNotCreateDBError):
    """The credentials do not allow to create the bucket or folder of the shelf."""


class ReadOnlyError(StorageError):
    """The shelf was opened with flag `r`; nothing was written."""


class ConflictError(StorageError):
    """Another writer was first; the condition of the write did not hold, nothing was written."""


class OutcomeUnknownError(StorageError):
    """The answer to a conditional write was lost, and nobody can know whether it was done."""


class ConditionsNotSupportedError(StorageError):
    """The store does not honour conditions, so that nothing can be promised; nothing was done."""


class BulkError(StorageError):
    """Some keys of many failed, all others are done; `failures` maps each to its own error."""

    def __init__(self, message: str, failures: Mapping[str, Exception] | None = None) -> None:
        super().__init__(message)
        self.failures: dict[str, Exception] = dict(failures or {})


class KeyNotStorableError(Error, ValueError):
    """The store cannot hold a key like this: empty, too long, or refused by it."""


class KeyTypeError(Error, TypeError, AttributeError):
    """A key is not a `str`; it is an `AttributeError` too because that is what `shelve` raises."""


class ValueTypeError(Error, TypeError):
    """A value is not of a type that the shelf's serializer stores (bytes, with `use_pickle =
    false`), or a version is none that the shelf gave."""


class ValueTooLargeError(Error, ValueError):
    """A value is larger than what is configured for it can store; nothing was sent."""


class NotPicklableError(Error, PicklingError):
    """The shelf itself cannot be pickled: its pickle would carry a secret, or lead nowhere."""


class RecordError(Error, ValueError):
    """What lies under a key is no record that this shelf can read; the others still can be."""


class DataProcessingSignatureError(RecordError, RuntimeError):
    """A record was transformed in a way that this shelf's configuration does not have."""


class EncryptedDataCorruptionError(RecordError, RuntimeError):
    """A record fails its decryption check: a wrong key, or bytes that were changed."""


class CorruptRecordError(RecordError):
    """A record is cut short, damaged, or was never one."""


class UntrustedRecordError(RecordError):
    """A record lacks the protection that this shelf's configuration demands."""


class KeyNotFoundError(Error, KeyError):
    """There is no such key. `args` is the key alone, as with a dict's `KeyError`."""
