"""Letter `H`: HMAC-SHA-256, which signs a payload together with its key and shelf, unencrypted.

The payload becomes::

    size  field
    8     key id
    32    MAC of the fields of `stage.Binding`, the key id, and the signed payload
    rest  the signed payload
"""

from __future__ import annotations

import hmac

from cshelve.codec.keys import KEY_ID_BYTES, Key, Keys
from cshelve.codec.stage import Binding, Data, Pieces, copy_into
from cshelve.exceptions import UntrustedRecordError

__all__ = ["Hmac"]

MAC_BYTES = 32


class Hmac:
    """Signs with HMAC-SHA-256: anyone can read a value, but only holders of the key can write."""

    letter = b"H"
    head_bytes = KEY_ID_BYTES + MAC_BYTES
    tail_bytes = 0

    def __init__(self, keys: Keys) -> None:
        self._present = keys.present
        self._by_id = {key.id: key for key in keys}

    def seal(self, binding: Binding, pieces: Pieces, into: memoryview) -> None:
        signed = into[self.head_bytes :]
        copy_into(signed, pieces)
        into[:KEY_ID_BYTES] = self._present.id
        into[KEY_ID_BYTES : self.head_bytes] = _mac(self._present, binding, signed)

    def unseal(self, binding: Binding, sealed: Data) -> tuple[Data, bool]:
        """Return a signed payload, verified, and whether the present key was used.

        Raises `UntrustedRecordError` for an unknown key or an invalid signature.
        """
        if len(sealed) < self.head_bytes:
            raise UntrustedRecordError("the signed value is truncated")
        key_id = bytes(sealed[:KEY_ID_BYTES])
        if key_id not in self._by_id:
            raise UntrustedRecordError(
                f"the value was signed with the key whose id is {key_id.hex()}, which this shelf "
                "does not have: add its variable to [signing] previous_environment_keys"
            )
        signed = sealed[self.head_bytes :]
        mac = _mac(self._by_id[key_id], binding, signed)
        if not hmac.compare_digest(mac, sealed[KEY_ID_BYTES : self.head_bytes]):
            raise UntrustedRecordError(
                "the signature of the value is invalid: it was changed, or signed for another key "
                "of the shelf or another shelf_name"
            )
        return signed, key_id == self._present.id


def _mac(key: Key, binding: Binding, signed: Data) -> bytes:
    mac = hmac.new(key.secret, binding.associated_data(key.id), "sha256")
    mac.update(signed)
    return mac.digest()
