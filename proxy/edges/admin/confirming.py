"""Changes with several workers: the answer waits for them to have the change in force, and names those that do not.

A change holds in this process and for every worker that confirms; one that does not within a quarter of a second is a
straggler: it hears of the change as soon as it hears anything, and is replaced where that takes too long.
"""

from dataclasses import replace
from typing import Any, cast

from proxy.edges.admin.parts import Answer
from proxy.runtime.workers.supervisor import Workers


async def confirmed(answer: Answer[Any], workers: Workers) -> Answer[Any]:
    """The answer of a change, once every worker has confirmed or the time is over, with `stragglers`."""
    stragglers = await workers.confirm()
    content: Any = answer.content
    if not isinstance(content, dict):
        return answer
    return replace(answer, content={**cast("dict[str, Any]", content), "stragglers": stragglers})
