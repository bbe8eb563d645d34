"""Which runs, and which facts about runs, somebody asks for; and a filter in the words it was asked in."""

from dataclasses import dataclass
from typing import Literal, TypedDict, cast, get_args

from proxy.core.calls.runs import RunKind, RunResult
from proxy.core.shapes import Moment, ReleaseNumber, TraceId, VersionNumber
from proxy.core.times import rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs are wanted; unset members do not narrow. Times are UTC microseconds, `to` exclusive."""

    agent: str | None = None
    version: int | None = None
    release: int | None = None
    rollout: str | None = None
    arm: str | None = None
    user: str | None = None
    conversation: str | None = None
    #: As their provider named them, and of the caller's trace: looked for run by run, newest first.
    request_id: str | None = None
    trace_id: str | None = None
    result: RunResult | None = None
    #: Asked for by the proxy itself; people see runs of every kind.
    kind: RunKind | None = None
    quarantined: bool | None = None
    from_microseconds: int | None = None
    to_microseconds: int | None = None


RunNaming = Literal["run", "request_id", "trace_id", "conversation"]
RUN_NAMINGS: tuple[RunNaming, ...] = get_args(RunNaming)


@dataclass(frozen=True, slots=True)
class RunName:
    """A run by an id that others gave: of several with the same one, the newest is meant. `agent`: only of this one."""

    by: RunNaming
    id: str
    agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeFilter:
    """Which outcomes are wanted; unset members do not narrow. Agent, version, label and the ids of request and trace
    are their run's; times, of the telling,
    are UTC microseconds, `to` exclusive."""

    run: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    name: str | None = None
    agent: str | None = None
    version: int | None = None
    label: str | None = None
    from_microseconds: int | None = None
    to_microseconds: int | None = None
    #: Between which ids they are in any case, `before_id` exclusive, so that times far back are found at once.
    first_id: str = ""
    before_id: str | None = None


RunFilterDocument = TypedDict(
    "RunFilterDocument",
    {
        "agent": str,
        "version": VersionNumber,
        "release": ReleaseNumber,
        "rollout": str,
        "arm": str,
        "user": str,
        "conversation": str,
        "request_id": str,
        "trace_id": TraceId,
        "result": RunResult,
        "quarantined": bool,
        "from": Moment,
        "to": Moment,
    },
    total=False,
)
"""A filter in the words of `GET /runs`."""


def filter_document(wanted: RunFilter) -> RunFilterDocument:
    """A filter in the words of `GET /runs`, without what does not narrow."""
    times = {"from": wanted.from_microseconds, "to": wanted.to_microseconds}
    named = {
        "agent": wanted.agent,
        "version": wanted.version,
        "release": wanted.release,
        "rollout": wanted.rollout,
        "arm": wanted.arm,
        "user": wanted.user,
        "conversation": wanted.conversation,
        "request_id": wanted.request_id,
        "trace_id": wanted.trace_id,
        "result": wanted.result,
        "quarantined": wanted.quarantined,
        **{name: None if moment is None else rfc3339(moment) for name, moment in times.items()},
    }
    return cast("RunFilterDocument", {name: value for name, value in named.items() if value is not None})
