"""From the configuration to a codec: `[compression]`, `[encryption]`, `[signing]` and more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cshelve._config.sections import closest
from cshelve.codec import MAX_VALUE_BYTES, Codec
from cshelve.codec.compression import compression_from
from cshelve.codec.stage import Cipher, Compression, Seal
from cshelve.exceptions import ConfigurationError, UnknownEncryptionAlgorithmError

if TYPE_CHECKING:
    from cshelve._config.sections import Section, Sections

__all__ = ["codec_from"]

ENCRYPTIONS = ("aes256", "aes256-gcm")
COMPATIBILITIES = ("1.x",)
# What a decompressor can be asked for, and one less, so that it shows if there is more.
LONGEST_BYTES = sys.maxsize - 1


def codec_from(
    config: Sections, serializer: bytes = b"", serializer_if_sealed: bytes | None = None
) -> Codec:
    """Make the codec that the configuration describes, for payloads of this serializer's letter.

    Raises `ConfigurationError` for what does not go together.
    """
    default = config.section("default")
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
        max_value_bytes=min(
            default.integer("max_value_bytes", default=MAX_VALUE_BYTES, least=1), LONGEST_BYTES
        ),
        cipher=cipher,
        old_cipher=old_cipher,
        seal=seal,
        shelf_name=_shelf_name(default),
        checksum=default.boolean("checksum", default=False),
        versioned=_is_versioned(default),
        accept_unsealed=accept_unsealed,
        accept_unencrypted=accept_unencrypted,
    )
    _refuse_what_does_not_go_together(config, codec)
    return codec


def _is_versioned(default: Section) -> bool:
    as_in_1x = default.boolean("use_versionning", default=True)
    versioned = default.boolean("use_versioning", default=as_in_1x)
    if default.raw("use_versionning") is not None and versioned != as_in_1x:
        raise default.error("use_versioning", "is not what use_versionning says; give it once.")
    return versioned


def _shelf_name(default: Section) -> str:
    name = default.text("shelf_name") or ""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise default.error("shelf_name", f"can't be encoded: {error}") from error
    return name


def _compression(config: Sections) -> tuple[Compression | None, int]:
    if not config.has("compression"):
        return None, 0
    section = config.section("compression")
    return compression_from(section), section.integer("min_size_bytes", default=0)


def _encryption(config: Sections) -> tuple[Cipher | None, Cipher | None, Seal | None, bool]:
    """Make what `[encryption]` describes: the cipher that writes, one that reads, or the seal."""
    if not config.has("encryption"):
        return None, None, None, False
    section = config.section("encryption")
    algorithm = section.required_text("algorithm")
    accept_unprotected = _accept_unprotected(section)
    # Imported only when configured: their packages are extras.
    match algorithm.lower():
        case "aes256":
            from cshelve.codec.aes_eax import aes_eax_from

            return aes_eax_from(section), None, None, accept_unprotected
        case "aes256-gcm":
            from cshelve.codec.aes_gcm import aes_gcm_from

            seal, old_cipher = aes_gcm_from(section, accepts_1x=accept_unprotected)
            return None, old_cipher, seal, accept_unprotected
    raise UnknownEncryptionAlgorithmError(
        f"{section.where('algorithm')}there is no encryption {algorithm!r:.14}"
        f"{closest(algorithm, ENCRYPTIONS)}; there are {', '.join(ENCRYPTIONS)}."
    )


def _signing(config: Sections, seal: Seal | None) -> tuple[Seal, bool]:
    from cshelve.codec.signing import signing_from

    section = config.section("signing")
    if seal is not None:
        raise ConfigurationError(
            f"{config.source}, [signing]: [encryption] algorithm = aes256-gcm authenticates "
            "already; take this section out."
        )
    return signing_from(section), _accept_unprotected(section)


def _accept_unprotected(section: Section) -> bool:
    accept = section.boolean("accept_unprotected", default=False)
    if accept:
        section.warn(
            "accept_unprotected",
            "whoever can write to the store can have this program read, and unpickle, what he "
            "likes. Take it out when everything is migrated: db.rewrite() does that.",
        )
    return accept


def _refuse_what_does_not_go_together(config: Sections, codec: Codec) -> None:
    default = config.section("default")
    if not codec.versioned:
        for where, what in (*_beyond_1x(config, codec), *_told_by_headers(config, codec)):
            raise ConfigurationError(
                f"{where}{what} is told by a record's header, and use_versioning = false leaves "
                "that out."
            )
    compatibility = default.text("compatibility")
    if compatibility is None:
        return
    if compatibility not in COMPATIBILITIES:
        raise default.error("compatibility", f"is {COMPATIBILITIES[0]}, or nothing.")
    for where, what in _beyond_1x(config, codec):
        raise ConfigurationError(
            f"{where}cshelve 1.x cannot read what is written with {what}, and [default] "
            f"compatibility = {compatibility} says that it must."
        )


def _beyond_1x(config: Sections, codec: Codec) -> Iterator[tuple[str, str]]:
    """Name the options by which records come to be that cshelve 1.x cannot read."""
    default = config.section("default")
    if codec.serializer:
        yield default.where("serializer"), "such a serializer"
    if codec.compression is not None and codec.compression.letter != b"c":
        yield config.section("compression").where("algorithm"), "such a compression"
    if codec.seal is not None:
        section = "encryption" if codec.seal.letter == b"G" else "signing"
        yield config.section(section).where("algorithm"), "such a protection"
    if codec.checksum:
        yield default.where("checksum"), "a checksum"


def _told_by_headers(config: Sections, codec: Codec) -> Iterator[tuple[str, str]]:
    """Name further options that mean that one record is treated otherwise than another."""
    if codec.min_size_bytes:
        yield config.section("compression").where("min_size_bytes"), "what is compressed"
    if codec.accept_unencrypted:
        yield config.section("encryption").where("accept_unprotected"), "what is encrypted"
