"""Make a codec from a configuration: `[compression]`, `[encryption]`, `[signing]` and more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cshelve.codec import Codec, options
from cshelve.codec.compression import ALGORITHMS
from cshelve.codec.record import JSON
from cshelve.codec.stage import Cipher, Compression, Seal
from cshelve.exceptions import (
    ConfigurationError,
    UnknownCompressionAlgorithmError,
    UnknownEncryptionAlgorithmError,
)

if TYPE_CHECKING:
    from cshelve._config.sections import Section, Sections

__all__ = ["codec_from"]

# One less than a decompressor can be asked for, so that it can show that there is more.
LONGEST_BYTES = sys.maxsize - 1


def codec_from(
    config: Sections, serializer: bytes = b"", serializer_if_sealed: bytes | None = None
) -> Codec:
    """Return the codec that the configuration describes, for payloads with a serializer's letter.

    Raises `ConfigurationError` for options that do not go together.
    """
    compression, min_size_bytes = _compression(config)
    cipher, old_cipher, seal, accept_unencrypted = _encryption(config)
    accept_unsealed = accept_unencrypted and seal is not None
    if config.has("signing"):
        seal, accept_unsealed = _signing(config, seal)
    codec = Codec(
        serializer=serializer,
        serializer_if_sealed=serializer if serializer_if_sealed is None else serializer_if_sealed,
        compression=compression,
        min_size_bytes=min_size_bytes,
        max_value_bytes=min(config.take(options.MAX_VALUE), LONGEST_BYTES),
        cipher=cipher,
        old_cipher=old_cipher,
        seal=seal,
        shelf_name=_shelf_name(config),
        checksum=config.take(options.CHECKSUM),
        versioned=_is_versioned(config),
        expire_after_seconds=config.take(options.EXPIRE_AFTER_SECONDS),
        accept_unsealed=accept_unsealed,
        accept_unencrypted=accept_unencrypted,
    )
    _refuse_what_does_not_go_together(config, codec)
    codec.why_none_expires = _why_none_expires(config, codec)
    return codec


def _is_versioned(config: Sections) -> bool:
    option, option_of_1x = options.USE_VERSIONING, options.USE_VERSIONNING
    as_in_1x = config.take(option_of_1x)
    versioned = config.take(option._replace(default=as_in_1x))
    if versioned != as_in_1x and config.section("default").written(option_of_1x) is not None:
        raise config.error(option, "differs from use_versionning; set only one of them.")
    return versioned


def _shelf_name(config: Sections) -> str:
    name = config.take(options.SHELF_NAME)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise config.error(options.SHELF_NAME, f"can't be encoded: {error}") from error
    return name


def _compression(config: Sections) -> tuple[Compression | None, int]:
    if not config.has("compression"):
        return None, 0
    name = config.take(options.COMPRESSION, error=UnknownCompressionAlgorithmError)
    algorithm = ALGORITHMS[name]
    level, levels = config.take(options.LEVEL), algorithm.levels
    if level is None:
        level = algorithm.default_level
    if level not in levels:
        raise config.error(options.LEVEL, f"is {levels.start} to {levels.stop - 1}, not {level}.")
    return algorithm(level), config.take(options.MIN_SIZE_BYTES)


def _encryption(config: Sections) -> tuple[Cipher | None, Cipher | None, Seal | None, bool]:
    """Return the parts that `[encryption]` describes, of which some are None.

    These are a cipher, a cipher that only decrypts, a seal, and whether unprotected records are
    accepted.
    """
    if not config.has("encryption"):
        return None, None, None, False
    section = config.section("encryption")
    algorithm = config.take(options.ENCRYPTION, error=UnknownEncryptionAlgorithmError)
    accept_unprotected = _accept_unprotected(section)
    # Imported only when configured: their packages are extras.
    if algorithm == "aes256":
        from cshelve.codec.aes_eax import aes_eax_from

        return aes_eax_from(section), None, None, accept_unprotected
    from cshelve.codec.aes_gcm import aes_gcm_from

    seal, old_cipher = aes_gcm_from(section, accepts_1x=accept_unprotected)
    return None, old_cipher, seal, accept_unprotected


def _signing(config: Sections, seal: Seal | None) -> tuple[Seal, bool]:
    from cshelve.codec.keys import Keys, previous_keys
    from cshelve.codec.signing import Hmac

    if seal is not None:
        raise ConfigurationError(
            f"{config.source}, [signing]: [encryption] algorithm = aes256-gcm authenticates "
            "already; remove this section."
        )
    section = config.section("signing")
    keys = Keys.from_section(section, config.take(options.SIGNING), previous_keys(section))
    return Hmac(keys), _accept_unprotected(section)


def _accept_unprotected(section: Section) -> bool:
    accept = section.take(options.ACCEPT_UNPROTECTED)
    if accept:
        section.warn(
            options.ACCEPT_UNPROTECTED,
            "anyone who can write to the store can make this program read, and unpickle, any data. "
            "Remove this option when db.rewrite() has migrated everything.",
        )
    return accept


def _refuse_what_does_not_go_together(config: Sections, codec: Codec) -> None:
    if not codec.versioned and codec.serializer == JSON:
        for where in _beyond_plain(config, codec):
            raise ConfigurationError(
                f"{where}with use_versioning = false, serializer = json stores plain JSON, which "
                "any program can read; with this option it would not be plain JSON."
            )
    elif not codec.versioned:
        for where, what in (*_beyond_1x(config, codec), *_told_by_headers(config, codec)):
            raise ConfigurationError(
                f"{where}{what} is recorded in a record's header, which use_versioning = false "
                "omits."
            )
    if compatibility := config.take(options.COMPATIBILITY):
        for where, what in _beyond_1x(config, codec):
            raise ConfigurationError(
                f"{where}cshelve 1.x cannot read what is written with {what}, and [default] "
                f"compatibility = {compatibility} says that it must."
            )


def _why_none_expires(config: Sections, codec: Codec) -> str:
    """Return why no value can expire, for the error of a call; empty if values can expire."""
    if not codec.versioned:
        return (
            "the expiry time is recorded in a record's header, which use_versioning = false omits."
        )
    if compatibility := config.take(options.COMPATIBILITY):
        return (
            "cshelve 1.x cannot read values that expire, and [default] compatibility = "
            f"{compatibility} says that it must."
        )
    return ""


def _beyond_plain(config: Sections, codec: Codec) -> Iterator[str]:
    """Yield the places of options with which a record would not be plain text."""
    for section, option in (
        ("compression", options.COMPRESSION),
        ("encryption", options.ENCRYPTION),
        ("signing", options.SIGNING),
    ):
        if config.has(section):
            yield config.where(option)
    if codec.checksum:
        yield config.where(options.CHECKSUM)
    if codec.expire_after_seconds is not None:
        yield config.where(options.EXPIRE_AFTER_SECONDS)


def _beyond_1x(config: Sections, codec: Codec) -> Iterator[tuple[str, str]]:
    """Yield the place and a description of each option whose records 1.x cannot read."""
    if codec.serializer:
        yield config.section("default").where("serializer"), "such a serializer"
    if codec.compression is not None and codec.compression.letter != b"c":
        yield config.where(options.COMPRESSION), "such a compression"
    if codec.seal is not None:
        option = options.ENCRYPTION if codec.seal.letter == b"G" else options.SIGNING
        yield config.where(option), "such a protection"
    if codec.checksum:
        yield config.where(options.CHECKSUM), "a checksum"
    if codec.expire_after_seconds is not None:
        yield config.where(options.EXPIRE_AFTER_SECONDS), "a time when it expires"


def _told_by_headers(config: Sections, codec: Codec) -> Iterator[tuple[str, str]]:
    """Yield the place and a description of further options that need a header in each record."""
    if codec.min_size_bytes:
        yield config.where(options.MIN_SIZE_BYTES), "what is compressed"
    if codec.accept_unencrypted:
        yield config.where(options.ACCEPT_UNPROTECTED), "what is encrypted"
