"""Every change as a line of the log: one for each audit entry when it is committed, whoever made it and wherever it came from.

Commands, the controller's decisions, switches that expired and what was journalled while the store was away all pass here, because
all of them are audited. An emergency that is in force before the store has it is told at once as `change_waiting`; its `change` comes
with its entry.
"""

from collections.abc import Callable, Iterable

from proxy.core.proof.audit import AuditEntry, change_id_of
from proxy.core.proof.emergency import JournalEntry
from proxy.core.times import rfc3339
from proxy.runtime.process.clock import Clock
from proxy.runtime.process.event_line import event_line


class ChangeLog:
    """Writes the lines."""

    def __init__(self, write: Callable[[bytes], object], clock: Clock) -> None:
        self._write = write
        self._clock = clock

    def committed(self, entries: Iterable[AuditEntry]) -> None:
        """These entries are in the store."""
        for entry in entries:
            ids = [found for item in entry.evidence if (found := change_id_of(item)) is not None]
            line = event_line(
                self._clock.now_microseconds(),
                "info",
                "change",
                entry=entry.number,
                at=rfc3339(entry.at_microseconds),
                who=entry.who,
                what=entry.what,
                subject=entry.subject,
                why=entry.why,
                **({"change_id": ids[0]} if ids else {}),
            )
            self._write(line)

    def waiting(self, entry: JournalEntry, *, is_written: bool) -> None:
        """This emergency is in force and not in the store yet. `is_written`: it would survive a restart."""
        order = entry.order
        line = event_line(
            self._clock.now_microseconds(),
            "warning",
            "change_waiting",
            at=rfc3339(entry.at_microseconds),
            who=order.who,
            what=order.what,
            subject=order.subject,
            why=order.why,
            journalled=is_written,
        )
        self._write(line)
