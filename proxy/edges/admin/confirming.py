"""Changes with several workers: the answer waits for them to have the change in force, and names those that do not.

A change holds in this process and for every worker that confirms; one that does not within a quarter of a second is a
straggler: it hears of the change as soon as it hears anything, and is replaced where that takes too long.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from proxy.edges.admin.ask_and_answer import AdminAnswer

#: The names of workers that have not confirmed in time.
Confirm = Callable[[], Awaitable[Sequence[str]]]


async def confirmed(answer: AdminAnswer[Any], confirm: Confirm) -> AdminAnswer[Any]:
    """The answer of a change, once every worker has confirmed or the time is over, with `stragglers`."""
    stragglers = await confirm()
    content: Any = answer.content
    if not isinstance(content, dict):
        return answer
    return replace(answer, content={**cast("dict[str, Any]", content), "stragglers": stragglers})
