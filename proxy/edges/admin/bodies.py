"""Request bodies of the admin API, in the words of the agent file. Shapes only: kinds, known members, lengths.

What a value means (a scope, a limit, a component's content) is checked by core, which names the member the same way. The
description says of such members what core's documents say of them.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from proxy.core.calls.outcomes import Severity
from proxy.core.calls.runs import RunResult
from proxy.core.releasing.arms import MOST_ARMS
from proxy.core.releasing.protection import Mover
from proxy.core.rollouts.reading import PlanDocument
from proxy.core.scopes import ScopeDocument
from proxy.core.shapes import TRACE_ID_PATTERN, AgentName, LabelName, Moment, PlanName, Share, TraceId, VersionNumber
from proxy.core.snapshot import Unapplied
from proxy.core.spending.caps import CAP_DIMENSIONS, AtLimit, CapUnit, CapWindow
from proxy.core.switches import SWITCH_DIMENSIONS, SwitchMode
from proxy.core.tokens import Role
from proxy.core.versions.validators import MAX_PATTERN, MAX_VALIDATORS
from proxy.core.versions.versions import ModelDocument, PromptDocument, ToolsDocument
from proxy.edges.admin.contract.schemas import member_schema, partial_schema

_MAX_TEXT = 2000
_MAX_DECIMAL = 40


def _or_null(schema: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [schema, {"type": "null"}]})


_Any = dict[str, Any] | None
Prompt = Annotated[_Any, _or_null(partial_schema(PromptDocument, or_null=True))]
Model = Annotated[_Any, _or_null(partial_schema(ModelDocument, or_null=True))]
Tools = Annotated[_Any, _or_null(partial_schema(ToolsDocument, or_null=True))]
Retrieval = Annotated[_Any, _or_null({"type": "object", "description": "any members"})]
_PATTERN = {"type": "string", "minLength": 1, "maxLength": MAX_PATTERN}
_VALIDATOR = {
    "anyOf": [
        {"type": "string", "enum": ["json"]},
        {
            "type": "object",
            "properties": {
                "json_schema": {"type": "object"},
                "regex": _PATTERN,
                "not_regex": _PATTERN,
                "max_chars": {"type": "integer", "minimum": 1},
            },
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
        },
    ]
}
Policy = Annotated[
    _Any,
    _or_null(
        {
            "type": "object",
            "properties": {
                "max_output_tokens": {"type": ["integer", "null"], "minimum": 1},
                "max_tool_calls": {"type": ["integer", "null"], "minimum": 0},
                "validators": {
                    "type": ["array", "null"],
                    "items": _VALIDATOR,
                    "maxItems": MAX_VALIDATORS,
                    "description": "what finished answers are judged by",
                },
                "recorded": {"type": "object", "description": "what is only written down"},
            },
            "additionalProperties": False,
        }
    ),
]
SwitchScope = Annotated[dict[str, Any], WithJsonSchema(partial_schema(ScopeDocument, SWITCH_DIMENSIONS))]
CapScope = Annotated[dict[str, Any], WithJsonSchema(partial_schema(ScopeDocument, CAP_DIMENSIONS))]
_PLAN_SCHEMA = partial_schema(PlanDocument)
PlanBody = Annotated[dict[str, Any], Field(max_length=32), WithJsonSchema(_PLAN_SCHEMA)]
PlanOrName = Annotated[
    dict[str, Any] | str,
    Field(max_length=64),
    WithJsonSchema({"anyOf": [_PLAN_SCHEMA, {**member_schema(PlanName), "description": "the name of a plan"}]}),
]
Text = Annotated[str, Field(max_length=_MAX_TEXT)]
RunId = Annotated[str, Field(min_length=1, max_length=100, examples=["run_019a"])]
Agent = Annotated[str, Field(json_schema_extra=member_schema(AgentName))]
Label = Annotated[str, Field(json_schema_extra=member_schema(LabelName))]
Number = Annotated[int, Field(json_schema_extra=member_schema(VersionNumber))]
Release = Annotated[int, Field(json_schema_extra={"minimum": 0}, examples=[12])]
Time = Annotated[str, Field(json_schema_extra=member_schema(Moment))]
Percentage = Annotated[
    float,
    Field(allow_inf_nan=False, json_schema_extra=member_schema(Share), description="0 to 100, at most three decimals"),
]


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
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": r"^[0-9]{1,20}(\.[0-9]{1,9})?$"},
            ],
            "description": "US dollars for unit usd, else whole; 0 allows nothing",
            "examples": [25, "12.50"],
        }
    ),
]


class Body(BaseModel):
    """Strict: nothing is converted, unknown members are errors. Everything that changes something takes `why`."""

    # Built when it is used first, within a millisecond or two: a start waits for none of them.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class ReasonBody(Body):
    """`why` is kept in the audit log."""

    why: Annotated[str, Field(json_schema_extra={"maxLength": _MAX_TEXT})] = Field(
        "", examples=["too many wrong refunds"]
    )


class AgentBody(ReasonBody):
    """A new agent."""

    agent: Agent
    description: Text = Field("", examples=["Answers tickets"])
    default_label: Label = "prod"
    allow_latest: bool = Field(False, description="whether calls may ask for the newest version")
    unapplied: Unapplied = Field("refuse", description="what becomes of a call that the version cannot be applied to")


class AgentChangesBody(ReasonBody):
    """Members that are left out stay as they are."""

    description: Text = ""
    default_label: Label = "prod"
    allow_latest: bool = False
    unapplied: Unapplied = "refuse"


class VersionBody(ReasonBody):
    """`parent` is the newest version its author saw, null for the first. `message` is kept with the version."""

    parent: Number | None = None
    message: Text = Field("", examples=["Shorter greeting"])
    prompt: Prompt = Field(None, examples=[{"text": "Be kind."}])
    model: Model = None
    tools: Tools = None
    retrieval: Retrieval = None
    policy: Policy = None
    tested_against: dict[str, Any] = {}
    source: dict[str, Any] = {}


class EvidenceBody(Body):
    """What speaks for a change: something that was measured, or happened."""

    kind: Literal["evaluation", "rollout", "incident"]
    id: Text


EvidenceList = Annotated[list[EvidenceBody], Field(max_length=20)]


class LabelBody(ReasonBody):
    """`if_release` is the label's release its mover saw, 0 for a label that is not set. `force`: also where a preflight
    finds that the version would not work."""

    version: Number
    if_release: Release | None = None
    evidence: EvidenceList = []
    force: bool = False


class ProtectionBody(ReasonBody):
    """Who may move the label, and what a move needs; members that are left out are as shown."""

    who_may_move: Mover = "operator"
    evaluation_required: bool = False
    approval_required: bool = False


class ProposalBody(ReasonBody):
    """A move of a label that shall wait for somebody else; members as in LabelBody."""

    label: Label
    version: Number
    if_release: Release | None = None
    evidence: EvidenceList = []
    force: bool = False


class RollbackBody(ReasonBody):
    """`label` left out is the agent's default label, `undoes` the release in force, `to` the version before it."""

    label: Label | None = None
    undoes: Release | None = None
    to: Number | None = None


class ArmBody(Body):
    """An arm beside stable, with a fixed share; left out where the `plan` has the shares."""

    name: Text = Field(examples=["b"])
    version: Number
    percentage: Percentage | None = None


class RolloutBody(ReasonBody):
    """A `candidate` for a label's traffic, by a `plan` (its members, or the name of one that is kept), or with a fixed `percentage` until
    somebody moves it; with neither, by the default plan. Or `arms` with fixed shares, each held against the label's version by
    itself. `eligible` are tags a call must carry to take part, `pinned` users who have an arm by name."""

    label: Label = "prod"
    candidate: Number | None = None
    arms: Annotated[list[ArmBody], Field(max_length=MOST_ARMS)] = []
    percentage: Percentage | None = None
    plan: PlanOrName | None = None
    eligible: Annotated[dict[str, str], Field(max_length=32, examples=[{"tier": "free"}])] = {}
    pinned: Annotated[dict[str, str], Field(max_length=1_000, examples=[{"ann": "candidate"}])] = {}
    evidence: EvidenceList = []
    force: bool = False


class NamedPlanBody(ReasonBody):
    """A plan to keep under the name in the path. `source` says where it came from, such as a git commit."""

    plan: PlanBody
    source: dict[str, Any] = {}


class DrillBody(ReasonBody):
    """The `label` whose rollback is rehearsed; left out the agent's default label."""

    label: Label | None = None


class PromotionBody(ReasonBody):
    """`arm` says which, where there are several; `evidence` is kept with the release; `force` as in LabelBody."""

    arm: Text | None = None
    evidence: EvidenceList = []
    force: bool = False


class ApprovalBody(ReasonBody):
    """`force` as in LabelBody; what the proposal itself was forced in spite of needs none."""

    force: bool = False


class PreflightBody(Body):
    """A version that is not made yet, in the words of VersionBody; `label` left out is the agent's default label."""

    agent: Agent
    label: Label | None = None
    prompt: Prompt = None
    model: Model = None
    tools: Tools = None
    retrieval: Retrieval = None
    policy: Policy = None


class PercentageBody(ReasonBody):
    """The candidate's share from now on, or that of the `arm` that is named."""

    arm: Text | None = None
    percentage: Percentage


class SwitchBody(ReasonBody):
    """Scope {} is everything. `expires` is RFC 3339. A switch has to say `why`. `force`: also where the version to fall back to
    would not work."""

    scope: SwitchScope
    mode: SwitchMode
    expires: Time | None = None
    reply: str | None = Field(None, description="of mode reply, and only of it: the text that calls get")
    fallback_version: Number | None = Field(None, description="of mode fallback, and only of it")
    cut_streams: bool = Field(False, description="whether answers on their way end, too")
    force: bool = False


class TokenBody(ReasonBody):
    """`name` is what the audit log calls whoever has the token. `expires` is RFC 3339; without, it lasts until it is revoked."""

    name: str = Field(examples=["alice"])
    role: Role
    expires: str | None = None


class QuarantineBody(ReasonBody):
    """Which runs: by id, or all that fit the filters of `GET /runs`. `undo` takes the mark off again."""

    runs: Annotated[list[RunId], Field(max_length=1000)] = []
    agent: Text | None = None
    version: Number | None = None
    release: Release | None = None
    rollout: Text | None = None
    arm: Text | None = None
    user: Text | None = None
    conversation: Text | None = None
    request_id: Text | None = None
    trace_id: Annotated[str, Field(pattern=TRACE_ID_PATTERN)] | None = None
    result: RunResult | None = None
    from_: Annotated[Annotated[Text, Field(json_schema_extra={"format": "date-time"})] | None, Field(alias="from")] = (
        None
    )
    to: Annotated[Text, Field(json_schema_extra={"format": "date-time"})] | None = None
    undo: bool = False


class OutcomeBody(ReasonBody):
    """A later fact about a run. `why` is kept with it."""

    why: Text = ""
    name: Text = Field(examples=["score"])
    value: Annotated[Any, WithJsonSchema({"type": ["boolean", "number", "string", "null"], "maxLength": _MAX_TEXT})] = (
        Field(None, examples=[0.9])
    )
    severity: Annotated[Text | None, WithJsonSchema({"anyOf": [member_schema(Severity), {"type": "null"}]})] = Field(
        None, description="of an incident, and only of one"
    )


class RunOutcomeBody(OutcomeBody):
    """A later fact, and the run it is about: by its id, or the newest run of a provider's request, a caller's trace or a conversation, of
    one `agent` where that is said. Exactly one of the four."""

    run: RunId | None = None
    request_id: Annotated[str, Field(min_length=1, max_length=128, examples=["req_4f1c"])] | None = None
    trace_id: Annotated[str, Field(json_schema_extra=member_schema(TraceId))] | None = None
    conversation: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    agent: Agent | None = None


class OutcomesBody(ReasonBody):
    """Facts about many runs; `why` stands for those that have none of their own."""

    why: Text = ""
    outcomes: Annotated[list[RunOutcomeBody], Field(min_length=1, max_length=1000)]


class CapBody(ReasonBody):
    """Scope {} is everything; `user: "*"` counts each user apart."""

    scope: CapScope
    window: CapWindow
    unit: CapUnit
    limit: Limit
    at_limit: AtLimit = Field("block", description="`warn` lets calls pass")


class CapChangesBody(ReasonBody):
    """Another limit for the same cap; `at_limit` left out stays."""

    limit: Limit
    at_limit: AtLimit | None = None


def evidence_of(items: Sequence[EvidenceBody]) -> list[dict[str, Any]]:
    """Evidence as the ledger and the audit log keep it."""
    return [item.model_dump() for item in items]
