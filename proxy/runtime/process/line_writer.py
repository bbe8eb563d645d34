"""Log lines to a stream that may block (a pipe nobody reads): a thread writes, the event loop never waits.

What is written holds no character that deceives whoever reads it (core/characters.py). The queue is bounded; what does not fit is dropped and counted, and the count is written when the stream takes lines again.
"""

import queue
import threading
from typing import BinaryIO

import orjson

from proxy.core.characters import escaped_json

_MAX_WAITING = 1000


class LineWriter:
    """Call it with whole lines as bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_MAX_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def __call__(self, lines: bytes) -> None:
        try:
            self._waiting.put_nowait(lines)
        except queue.Full:
            self._dropped += lines.count(b"\n")

    def close(self, timeout_seconds: float = 1.0) -> None:
        """Write what waits, as far as the stream takes it in time."""
        try:
            self._waiting.put(None, timeout=timeout_seconds)
        except queue.Full:
            return
        self._thread.join(timeout_seconds)

    def _work(self) -> None:
        while (lines := self._waiting.get()) is not None:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                lines += orjson.dumps({"level": "error", "event": "log_lines_dropped", "count": dropped}) + b"\n"
            try:
                self._stream.write(escaped_json(lines))
                self._stream.flush()
            except (OSError, ValueError):
                # A closed stream: nobody can be told; serving goes on.
                return
