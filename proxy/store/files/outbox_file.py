"""What of webhooks is not delivered yet, as one file of the home: whole or not at all. What it says is runtime/webhooks' matter."""

from pathlib import Path
from typing import Final

from proxy.store.files.private_file import read_private, replace_private

FILE_NAME: Final = "webhooks.json"


class OutboxFile:
    """The file. Its methods block; they are called on a thread, one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes | None:
        """What is kept; None where there is no file. Raises OSError."""
        try:
            return read_private(self._path)
        except FileNotFoundError:
            return None

    def write(self, content: bytes) -> None:
        """Put `content` in its place. Raises OSError."""
        replace_private(self._path, (content,))
