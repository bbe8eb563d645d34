"""What became of the changes that were ordered with an id, so that whoever lost the answer can ask.

Whoever orders a change may name it with an id of its own, in the header Switchback-Change-Id. The audit entries it makes carry the id
as evidence, and this process remembers how the order ended. An id that is asked about and was never seen is given up by that: an
order that comes with it later is refused, so that "not changed" stays true.

Decision: the order travels in a context variable, from the request to the work and the commit of its change, which run in tasks of
their own. As a parameter it would pass through forty commands that have no say in it.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from proxy.core.errors import BadInput, Conflict

CHANGE_ID_HEADER = "Switchback-Change-Id"
#: `failed`: where that leaves open what was written; the audit log tells.
Ended = Literal["changed", "not_changed", "failed"]

_ID = re.compile(r"[A-Za-z0-9_-]{8,64}\Z")
_MAX_REMEMBERED = 10_000


class OrderedChange:
    """One order that has an id, and what it has come to."""

    def __init__(self, change_id: str) -> None:
        self.id = change_id
        #: Something of it is in force.
        self.took_effect = False
        #: None while it is carried out.
        self.ended: Ended | None = None
        self.done = asyncio.Event()

    def end(self, ended: Ended) -> None:
        """Tell whoever waits."""
        self.ended = ended
        self.done.set()


_ORDERED: ContextVar[OrderedChange | None] = ContextVar("ordered_change", default=None)


def ordered_change() -> OrderedChange | None:
    """The order that is being carried out here, where it has an id."""
    return _ORDERED.get()


def note_effect() -> None:
    """Something of what is being carried out is in force now."""
    ordered = _ORDERED.get()
    if ordered is not None:
        ordered.took_effect = True


class OrderedChanges:
    """The newest ten thousand orders with an id, of this process."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, OrderedChange] = OrderedDict()

    @contextmanager
    def carried_out(self, change_id: str) -> Generator[OrderedChange]:
        """The order while it is carried out; whoever does ends it. Raises BadInput(`bad_change_id`), Conflict(`change_id_used`)."""
        check_change_id(change_id)
        if change_id in self._known:
            raise Conflict("change_id_used", "this id was used, or asked about, before; nothing was done")
        ordered = self._remember(change_id)
        token = _ORDERED.set(ordered)
        try:
            yield ordered
        finally:
            _ORDERED.reset(token)
            if ordered.ended is None:
                ordered.end("failed")

    async def ended(self, change_id: str, patience_seconds: float) -> Ended | Literal["goes_on"] | None:
        """How it ended, `goes_on` where it has not by then; None for one that was never seen, which is given up."""
        known = self._known.get(change_id)
        if known is None:
            self._remember(change_id).end("not_changed")
            return None
        try:
            await asyncio.wait_for(known.done.wait(), patience_seconds)
        except TimeoutError:
            return "goes_on"
        return known.ended

    def _remember(self, change_id: str) -> OrderedChange:
        ordered = self._known[change_id] = OrderedChange(change_id)
        if len(self._known) > _MAX_REMEMBERED:
            self._known.popitem(last=False)
        return ordered


def check_change_id(change_id: str) -> str:
    """`change_id` if it is one. Raises BadInput(`bad_change_id`)."""
    if not _ID.match(change_id):
        raise BadInput(
            "bad_change_id", "an id of a change is made of 8 to 64 letters, digits, '_' and '-'", param=CHANGE_ID_HEADER
        )
    return change_id
