"""From payload to record and back: the chain of stages, and the record round what they made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cshelve.codec.compression import Zlib, compression_from
from cshelve.codec.record import frame, unframe
from cshelve.codec.stage import Data, Stage
from cshelve.exceptions import DataProcessingSignatureError

if TYPE_CHECKING:
    from cshelve._config import Sections

__all__ = ["Codec", "codec_from"]


class Codec:
    """Turn payloads into records and back. Safe in many threads; sends nothing.

    Encoding runs the stages in their order. Decoding follows the letters of the record, so a
    shelf reads what was written under other settings as long as it has what undoes them.
    """

    def __init__(
        self,
        stages: Iterable[Stage] = (),
        *,
        readable: Iterable[Stage] = (),
        versioned: bool = True,
    ) -> None:
        """Take the stages that writing applies, and others that only reading knows.

        Without `versioned` nothing records what was applied: every stage is undone on reading.
        """
        self._stages = tuple(stages)
        self._by_letter = {stage.letter: stage for stage in (*readable, *self._stages)}
        self._versioned = versioned
        self._letters = b"".join(stage.letter for stage in reversed(self._stages))

    def encode(self, payload: bytes) -> bytes:
        """Make the record that is stored for a payload."""
        for stage in self._stages:
            payload = stage.encode(payload)
        return frame(self._letters, payload) if self._versioned else payload

    def decode(self, data: bytes) -> Data:
        """Give back the payload of a record, or raise a `RecordError`."""
        if not self._versioned:
            return self._undone(self._letters, data)
        letters, payload = unframe(data)
        return self._undone(letters, payload)

    def _undone(self, letters: bytes, payload: Data) -> Data:
        for letter in (letters[i : i + 1] for i in range(len(letters))):
            payload = self._stage(letter, letters).decode(payload)
        return payload

    def _stage(self, letter: bytes, letters: bytes) -> Stage:
        try:
            return self._by_letter[letter]
        except KeyError:
            name = "[encryption]" if letter == b"e" else f"what undoes the letter {letter!r}"
            raise DataProcessingSignatureError(
                f"the record was written with the transformations {letters!r}, and this shelf's "
                f"configuration has no {name}"
            ) from None


def codec_from(config: Sections) -> Codec:
    """Make the codec that `[compression]`, `[encryption]` and `use_versioning` describe."""
    default = config.section("default")
    versioned = default.boolean("use_versionning", default=True)
    versioned = default.boolean("use_versioning", default=versioned)
    stages: list[Stage] = []
    if config.has("compression"):
        stages.append(compression_from(config.section("compression")))
    if config.has("encryption"):
        # Imported only when configured: pycryptodome is an extra.
        from cshelve.codec.encryption import encryption_from

        stages.append(encryption_from(config.section("encryption")))
    return Codec(stages, readable=(Zlib(),), versioned=versioned)
