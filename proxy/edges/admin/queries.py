"""Query parameters of the admin API. Everything in a query is text; whole numbers are plain ASCII digits.

A parameter nobody knows is an error, so that a misspelt filter does not answer with everything.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticKnownError

from proxy.core.calls.runs import RunResult
from proxy.core.pages import DEFAULT_PAGE, MAX_PAGE
from proxy.core.releasing.proposals import ProposalState
from proxy.core.shapes import TRACE_ID_PATTERN
from proxy.runtime.webhooks.endpoints import DeliveryState

_DIGITS = re.compile(r"[0-9]{1,15}\Z")
_MOST = 10**15 - 1


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        if not _DIGITS.match(value):
            raise PydanticKnownError("int_parsing")
        return int(value)
    return value


def _flag(value: Any) -> Any:
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise PydanticKnownError("bool_parsing")
        return value == "true"
    return value


Flag = Annotated[bool, BeforeValidator(_flag)]
Whole = Annotated[int, Field(ge=0, le=_MOST), BeforeValidator(_whole)]
Text = Annotated[str, Field(min_length=1, max_length=512)]
Trace = Annotated[str, Field(pattern=TRACE_ID_PATTERN)]
Time = Annotated[Text, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-20T14:03:00Z"])]


class Query(BaseModel):
    """No parameters but those named."""

    # Built when it is used first: a start waits for none of them.
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False, defer_build=True)


class ReasonQuery(Query):
    """For DELETE, whose body many intermediaries drop."""

    why: str = Field("", description="as the body's `why`, which wins", examples=["no longer needed"])


class PageQuery(Query):
    """`cursor` is the `next` of the page before."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE), BeforeValidator(_whole)] = Field(
        DEFAULT_PAGE, description="how many items at most", examples=[DEFAULT_PAGE]
    )
    cursor: Text | None = Field(None, description="the `next` of the page before; opaque")


class ReleasesQuery(PageQuery):
    label: Text | None = Field(None, description="only what that label served", examples=["prod"])


class ProposalsQuery(PageQuery):
    state: ProposalState | None = Field(None, description="only those in that state")


class RunsFilterQuery(Query):
    """Runs that fit all of them; `from` and `to` are RFC 3339, `to` exclusive."""

    agent: Text | None = Field(None, description="of that agent", examples=["support"])
    version: Whole | None = Field(None, description="numbered per agent: say the agent too", examples=[3])
    release: Whole | None = Field(None, description="numbered per agent: say the agent too", examples=[12])
    rollout: Text | None = Field(None, description="numbered per agent: say the agent too", examples=["r1"])
    arm: Text | None = Field(
        None, description="`stable`, `candidate`, or an arm of the agent's by its name", examples=["candidate"]
    )
    user: Text | None = Field(None, description="of that user", examples=["user-17"])
    conversation: Text | None = Field(None, description="of that conversation", examples=["conversation-4"])
    request_id: Text | None = Field(None, description="as the provider's answer named it", examples=["req_4f1c"])
    trace_id: Trace | None = Field(None, description="of that trace (W3C `traceparent`)", examples=["4bf9" * 8])
    result: RunResult | None = Field(None, description="how the call ended")
    quarantined: Flag | None = Field(None, description="only those that are, or are not, tagged")
    from_: Time | None = Field(None, alias="from", description="begun then or later")
    to: Time | None = Field(None, description="begun before then")


class RunsQuery(RunsFilterQuery, PageQuery):
    """One page of them."""


class RunsExportQuery(RunsFilterQuery):
    """All of them: JSON lines, or CSV for spreadsheets."""

    format: Literal["jsonl", "csv"] = Field("jsonl", description="JSON lines, or CSV for spreadsheets")


class OutcomesQuery(PageQuery):
    """Facts that fit all of them: of a run, by name, by what served the run, and by when they were told, `to` exclusive. A page
    may be short, also empty, while `next` leads on."""

    run: Text | None = Field(None, description="told of that run", examples=["run_019a"])
    request_id: Text | None = Field(None, description="of the run, as the provider named it", examples=["req_4f1c"])
    trace_id: Trace | None = Field(None, description="of the run (W3C `traceparent`)", examples=["4bf9" * 8])
    name: Text | None = Field(None, description="of that name", examples=["score"])
    agent: Text | None = Field(None, description="told of that agent's runs", examples=["support"])
    version: Whole | None = Field(None, description="of the run; numbered per agent: say the agent too", examples=[3])
    label: Text | None = Field(None, description="of the run", examples=["prod"])
    from_: Time | None = Field(None, alias="from", description="told then or later")
    to: Time | None = Field(None, description="told before then")


class ReportQuery(Query):
    """`until` is exclusive; left out they are now and seven days before it."""

    agent: Text = Field(description="whose runs", examples=["support"])
    since: Time | None = Field(None, description="runs begun then or later; left out: seven days back")
    until: Time | None = Field(None, description="runs begun before then; left out: now")


class LabelReportQuery(ReportQuery):
    label: Text = Field(description="runs that this label decided", examples=["prod"])


class RolloutReportQuery(ReportQuery):
    """`since` left out is the beginning of the rollout."""

    rollout: Text = Field(description="runs that this rollout decided", examples=["r1"])


class ComparisonQuery(ReportQuery):
    candidate: Whole = Field(description="a version", examples=[8])
    stable: Whole = Field(description="the version it is held against", examples=[7])


class DeliveriesQuery(PageQuery):
    """Deliveries that fit both."""

    endpoint: Text | None = Field(None, description="to that endpoint", examples=["ops"])
    state: DeliveryState | None = Field(None, description="only those in that state")


class VersionsAtQuery(Query):
    """`label` left out is the agent's default label, `time` (RFC 3339) left out is now."""

    label: Text | None = Field(None, description="left out: the agent's default label", examples=["prod"])
    time: Time | None = Field(None, description="RFC 3339; left out: now")


class PreflightQuery(Query):
    """`label` left out is the agent's default label."""

    label: Text | None = Field(None, description="left out: the agent's default label", examples=["prod"])


class ProofQuery(Query):
    """`head` is one kept outside, as `switchback audit head` prints it: the log must contain exactly that entry."""

    head: Annotated[str | None, Field(pattern=r"^[0-9]{1,15}:[0-9a-f]{64}$")] = Field(
        None,
        description="one kept outside, as NUMBER:HASH; the log must contain exactly that entry",
        examples=[f"812:{'6b8f' * 16}"],
    )


class PriceQuery(Query):
    provider: Text = Field(description="as the settings name it")
    model: Text = Field(description="as the provider names it")
