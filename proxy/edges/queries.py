"""Query parameters of the admin API. Everything in a query is text; whole numbers are plain ASCII digits.

A parameter nobody knows is an error, so that a misspelt filter does not answer with everything.
"""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from proxy.core.pages import DEFAULT_PAGE, MAX_PAGE
from proxy.core.runs import RunOutcome

_DIGITS = re.compile(r"[0-9]{1,15}\Z")


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        if not _DIGITS.match(value):
            raise ValueError("must be a whole number")
        return int(value)
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
Text = Annotated[str, Field(min_length=1, max_length=512)]


class Query(BaseModel):
    """No parameters but those named."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class ReasonQuery(Query):
    """For DELETE, whose body many intermediaries drop."""

    why: str = ""


class PageQuery(Query):
    """`cursor` is the `next` of the page before."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE), BeforeValidator(_whole)] = DEFAULT_PAGE
    cursor: Text | None = None


class ReleasesQuery(PageQuery):
    label: Text | None = None


class RunsQuery(PageQuery):
    """Runs that fit all of them; `from` and `to` are RFC 3339, `to` exclusive."""

    agent: Text | None = None
    version: Whole | None = None
    release: Whole | None = None
    rollout: Text | None = None
    arm: Text | None = None
    user: Text | None = None
    conversation: Text | None = None
    outcome: RunOutcome | None = None
    from_: Annotated[Text | None, Field(alias="from")] = None
    to: Text | None = None


class PriceQuery(Query):
    provider: Text
    model: Text
