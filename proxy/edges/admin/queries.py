"""Query parameters of the admin API. Everything in a query is text; whole numbers are plain ASCII digits.

A parameter nobody knows is an error, so that a misspelt filter does not answer with everything.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from proxy.core.calls.runs import RunResult
from proxy.core.pages import DEFAULT_PAGE, MAX_PAGE
from proxy.core.releasing.proposals import ProposalState

_DIGITS = re.compile(r"[0-9]{1,15}\Z")


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        if not _DIGITS.match(value):
            raise ValueError("must be a whole number")
        return int(value)
    return value


def _flag(value: Any) -> Any:
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise ValueError("must be true or false")
        return value == "true"
    return value


Flag = Annotated[bool, BeforeValidator(_flag)]
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


class ProposalsQuery(PageQuery):
    state: ProposalState | None = None


class RunsFilterQuery(Query):
    """Runs that fit all of them; `from` and `to` are RFC 3339, `to` exclusive."""

    agent: Text | None = None
    version: Whole | None = None
    release: Whole | None = None
    rollout: Text | None = None
    arm: Text | None = None
    user: Text | None = None
    conversation: Text | None = None
    result: RunResult | None = None
    quarantined: Flag | None = None
    from_: Annotated[Text | None, Field(alias="from")] = None
    to: Text | None = None


class RunsQuery(RunsFilterQuery, PageQuery):
    """One page of them."""


class RunsExportQuery(RunsFilterQuery):
    """All of them: JSON lines, or CSV for spreadsheets."""

    format: Literal["jsonl", "csv"] = "jsonl"


class OutcomesQuery(PageQuery):
    """Facts that fit all of them: of a run, by name, by what served the run, and by when they were told, `to` exclusive. A page
    may be short, also empty, while `next` leads on."""

    run: Text | None = None
    name: Text | None = None
    agent: Text | None = None
    version: Whole | None = None
    label: Text | None = None
    from_: Annotated[Text | None, Field(alias="from")] = None
    to: Text | None = None


class VersionsAtQuery(Query):
    """`label` left out is the agent's default label, `time` (RFC 3339) left out is now."""

    label: Text | None = None
    time: Text | None = None


class PreflightQuery(Query):
    """`label` left out is the agent's default label."""

    label: Text | None = None


class ProofQuery(Query):
    """`head` is one kept outside, as `switchback audit head` prints it: the log must contain exactly that entry."""

    head: Annotated[str | None, Field(pattern=r"^[0-9]{1,15}:[0-9a-f]{64}$")] = None


class PriceQuery(Query):
    provider: Text
    model: Text
