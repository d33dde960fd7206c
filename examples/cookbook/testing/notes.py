"""The part of an application that stores notes."""

from datetime import datetime

import cshelve


class Notes:
    """The notes of all users. It gets its shelf, and does not know which store it is in."""

    def __init__(self, db: cshelve.CloudShelf[str]) -> None:
        self.db = db

    def add(self, user: str, text: str, at: datetime) -> None:
        self.db[f"{user}/{at:%Y-%m-%dT%H:%M:%S}"] = text

    def latest(self, user: str) -> str | None:
        """Return the latest note of a user, or an apology while the store does not work."""
        try:
            notes = self.db.prefix(f"{user}/")
            last = max(notes, default=None)
            return None if last is None else notes[last]
        except cshelve.StorageError:
            return "Your notes cannot be read at the moment."

    def all(self, user: str) -> dict[str, str]:
        return dict(self.db.prefix(f"{user}/").items())
