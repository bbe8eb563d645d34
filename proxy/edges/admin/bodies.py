"""Request bodies of the admin API, in the words of the agent file. Shapes only: kinds, known members, lengths.

What a value means (a scope, a limit, a component's content) is checked by core, which names the member the same way.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from proxy.core.calls.runs import RunResult
from proxy.core.releasing.protection import Mover
from proxy.core.snapshot import Unapplied
from proxy.core.spending.caps import AtLimit, CapUnit, CapWindow
from proxy.core.switches import SwitchMode
from proxy.core.tokens import Role

_MAX_TEXT = 2000
_MAX_DECIMAL = 40

Component = dict[str, Any] | None
Text = Annotated[str, Field(max_length=_MAX_TEXT)]
RunId = Annotated[str, Field(min_length=1, max_length=100)]
Percentage = Annotated[float, Field(allow_inf_nan=False, description="0 to 100, at most three decimals")]


def _limit_shape(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a number, or a decimal number as text")
    digits = value.removeprefix("-").replace(".", "", 1) if isinstance(value, str) else "0"
    if len(digits) > _MAX_DECIMAL or not (digits.isascii() and digits.isdigit()):
        raise ValueError("must be a decimal number such as 12.50")
    return value


Limit = Annotated[
    Any,
    AfterValidator(_limit_shape),
    WithJsonSchema(
        {"type": ["number", "string"], "description": "US dollars for unit usd, else whole; 0 allows nothing"}
    ),
]


class Body(BaseModel):
    """Strict: nothing is converted, unknown members are errors. Everything that changes something takes `why`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ReasonBody(Body):
    why: str = ""


class AgentBody(ReasonBody):
    agent: str
    description: Text = ""
    default_label: str = "prod"
    allow_latest: bool = False
    unapplied: Unapplied = "refuse"


class AgentChangesBody(ReasonBody):
    """Members that are left out stay as they are."""

    description: Text = ""
    default_label: str = "prod"
    allow_latest: bool = False
    unapplied: Unapplied = "refuse"


class VersionBody(ReasonBody):
    """`parent` is the newest version its author saw, null for the first. `message` is kept with the version."""

    parent: int | None = None
    message: Text = ""
    prompt: Component = None
    model: Component = None
    tools: Component = None
    retrieval: Component = None
    policy: Component = None
    tested_against: dict[str, Any] = {}
    source: dict[str, Any] = {}


class Evidence(Body):
    kind: Literal["evaluation", "rollout", "incident"]
    id: Text


EvidenceList = Annotated[list[Evidence], Field(max_length=20)]


class LabelBody(ReasonBody):
    """`if_release` is the label's release its mover saw, 0 for a label that is not set. `force`: also where a preflight
    finds that the version would not work."""

    version: int
    if_release: int | None = None
    evidence: EvidenceList = []
    force: bool = False


class ProtectionBody(ReasonBody):
    """Who may move the label, and what a move needs; members that are left out are as shown."""

    who_may_move: Mover = "operator"
    evaluation_required: bool = False
    approval_required: bool = False


class ProposalBody(ReasonBody):
    """A move of a label that shall wait for somebody else; members as in LabelBody."""

    label: str
    version: int
    if_release: int | None = None
    evidence: EvidenceList = []
    force: bool = False


class RollbackBody(ReasonBody):
    """`label` left out is the agent's default label, `undoes` the release in force, `to` the version before it."""

    label: str | None = None
    undoes: int | None = None
    to: int | None = None


class RolloutBody(ReasonBody):
    """A candidate for a label's traffic, by a `plan`, or with a fixed `percentage` until somebody moves it; with neither, by the
    default plan. `eligible` are tags a call must carry to take part."""

    label: str = "prod"
    candidate: int
    percentage: Percentage | None = None
    plan: Annotated[dict[str, Any], Field(max_length=32)] | None = None
    eligible: Annotated[dict[str, str], Field(max_length=32)] = {}
    evidence: EvidenceList = []
    force: bool = False


class PromotionBody(ReasonBody):
    """`force` as in LabelBody."""

    evidence: EvidenceList = []
    force: bool = False


class ApprovalBody(ReasonBody):
    """`force` as in LabelBody; what the proposal itself was forced in spite of needs none."""

    force: bool = False


class PreflightBody(Body):
    """A version that is not made yet, in the words of VersionBody; `label` left out is the agent's default label."""

    agent: str
    label: str | None = None
    prompt: Component = None
    model: Component = None
    tools: Component = None
    retrieval: Component = None
    policy: Component = None


class PercentageBody(ReasonBody):
    percentage: Percentage


class SwitchBody(ReasonBody):
    """Scope {} is everything. `expires` is RFC 3339. `force`: also where the version to fall back to would not work."""

    scope: dict[str, Any]
    mode: SwitchMode
    expires: str | None = None
    reply: str | None = None
    fallback_version: int | None = None
    cut_streams: bool = False
    force: bool = False


class TokenBody(ReasonBody):
    """`name` is what the audit log calls whoever has the token."""

    name: str
    role: Role


class QuarantineBody(ReasonBody):
    """Which runs: by id, or all that fit the filters of `GET /runs`. `undo` takes the mark off again."""

    runs: Annotated[list[RunId], Field(max_length=1000)] = []
    agent: Text | None = None
    version: int | None = None
    release: int | None = None
    rollout: Text | None = None
    arm: Text | None = None
    user: Text | None = None
    conversation: Text | None = None
    result: RunResult | None = None
    from_: Annotated[Text | None, Field(alias="from")] = None
    to: Text | None = None
    undo: bool = False


class OutcomeBody(ReasonBody):
    """A later fact about a run. `why` is kept with it."""

    why: Text = ""
    name: Text
    value: Any = None
    severity: Text | None = None


class RunOutcomeBody(OutcomeBody):
    run: RunId


class OutcomesBody(ReasonBody):
    """Facts about many runs; `why` stands for those that have none of their own."""

    why: Text = ""
    outcomes: Annotated[list[RunOutcomeBody], Field(min_length=1, max_length=1000)]


class CapBody(ReasonBody):
    """Scope {} is everything; `user: "*"` counts each user apart."""

    scope: dict[str, Any]
    window: CapWindow
    unit: CapUnit
    limit: Limit
    at_limit: AtLimit = "block"


class CapChangesBody(ReasonBody):
    """Another limit for the same cap; `at_limit` left out stays."""

    limit: Limit
    at_limit: AtLimit | None = None


def evidence_of(items: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Evidence as the ledger and the audit log keep it."""
    return [item.model_dump() for item in items]
