"""Preflight: what would go wrong once a version serves a label, found before it does.

A finding that is only probable rests on the agent's recent calls; without any it is not made, because unknown is not "no", and a
notice says what was not looked at. What is looked at is gathered by runtime/preflight; whoever knows better orders the release all
the same, and the findings are then part of its evidence. Rollbacks, aborts and switches that stop are never asked: the way back
must not wait for an opinion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypedDict

from proxy.core.errors import Conflict
from proxy.core.scopes import EACH, CallFacts
from proxy.core.spending.caps import Cap
from proxy.core.versions.components import Bundle
from proxy.core.versions.validators import PLACE

#: Metrics of a plan that are told only of runs whose price is known.
_METRICS_OF_COST: Final = frozenset({"cost", "cost_per_success"})
#: What a plan calls the verdicts of validators.
VALIDATION_METRIC: Final = "outcome.validation"


class FindingDocument(TypedDict):
    """One thing that would go wrong: `code` is stable, `about` names what is at fault, `message` says what to do."""

    code: str
    about: str
    message: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that would go wrong: `code` is stable, `message` says what to do, `about` names what is at fault."""

    code: str
    message: str
    about: str = ""

    def document(self) -> FindingDocument:
        return {"code": self.code, "about": self.about, "message": self.message}


class PreflightFailed(Conflict):
    """A release that is certain to fail is not made."""

    def __init__(self, version: int, findings: Sequence[Finding]) -> None:
        what = "; ".join(finding.message for finding in findings)
        super().__init__(
            "preflight_failed",
            f"version {version} would not work: {what}. Mend it, or order it all the same with force (--force)",
        )
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentCalls:
    """What is known of an agent's last calls; nothing where none was seen."""

    #: Families of the wires they came on.
    families: frozenset[str] = frozenset()
    #: Names of these wires.
    wires: frozenset[str] = frozenset()
    #: Of each call whose variables are known: their names.
    variables: Sequence[frozenset[str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A provider that the version's calls may go to, and what is known of the version's model there."""

    provider: str
    family: str
    #: Whether its calls carry a key: one of the settings, or the caller's own.
    has_key: bool
    #: Whether it is one of the settings.
    has_own_key: bool = False
    is_priced: bool = False
    #: None: the price list does not know the model.
    is_retired: bool | None = None
    refused_parameters: frozenset[str] = frozenset()

    @property
    def knows_model(self) -> bool:
        return self.is_priced or self.is_retired is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightFacts:
    """Everything a preflight looks at beside the version itself."""

    agent: str
    label: str | None
    version: int
    #: Names of the providers in the settings.
    providers: Sequence[str]
    #: The provider that the version names (none where the settings lack it), else every family's default.
    places: Sequence[Place]
    caps: Sequence[Cap] = ()
    recent: RecentCalls = field(default_factory=RecentCalls)
    #: Whether the version that the label serves now has a prompt.
    replaces_prompt: bool = False
    #: Metrics that a plan waits for before it goes on; none where nothing goes on by itself.
    awaited_metrics: frozenset[str] = frozenset()
    #: Metrics that a plan looks at in any way.
    used_metrics: frozenset[str] = frozenset()
    #: Whether answers of the version beside which a candidate is measured are judged.
    validates_beside: bool = True
    #: The model of the version beside which a candidate is measured, where nobody knows what it costs.
    unpriced_beside: str | None = None
    #: Whether what judges an answer by a JSON schema is installed.
    judges_schemas: bool = True


def findings_of(bundle: Bundle, facts: PreflightFacts) -> list[Finding]:
    """What would go wrong, in the order of a call."""
    places = _likely(facts.places, facts.recent)
    return [
        *_of_provider(bundle, facts),
        *_of_prompt(bundle, facts),
        *_of_variables(bundle, facts.recent),
        *_of_model(bundle, facts, places),
        *_of_validators(bundle, facts),
    ]


def notices_of(bundle: Bundle, facts: PreflightFacts) -> list[str]:
    """What could not be looked at, because too little is known of the agent's calls."""
    unseen = f"no recent call of {facts.agent!r} is known"
    notices: list[str] = []
    place = next((place for place in facts.places if place.provider == bundle.model.provider), None)
    if place is not None and not facts.recent.families:
        notices.append(
            f"{unseen}: whether calls speak {place.family}, as the provider {place.provider!r} does, was not looked at"
        )
    needed = _needed_variables(bundle)
    if needed and not facts.recent.variables:
        names = ", ".join(map(repr, needed))
        notices.append(
            f"{unseen} with its variables: whether calls send {names}, which have no default, was not looked at"
        )
    return notices


def forced(findings: Sequence[Finding]) -> dict[str, Any]:
    """The evidence of a release that was made in spite of its findings."""
    return {"kind": "preflight", "id": "forced", "findings": [finding.document() for finding in findings]}


def not_forced_yet(findings: Sequence[Finding], evidence: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """The findings beyond those that somebody went on in spite of, as the evidence of an earlier step tells."""
    known = {
        (found.get("code"), found.get("about"))
        for item in evidence
        if item.get("kind") == "preflight"
        for found in item.get("findings", ())
    }
    return [finding for finding in findings if (finding.code, finding.about) not in known]


def _likely(places: Sequence[Place], recent: RecentCalls) -> Sequence[Place]:
    """Where calls go: by the wires that recent ones spoke, else by who knows the model."""
    spoken = [place for place in places if place.family in recent.families]
    return spoken or [place for place in places if place.knows_model] or places


def _of_provider(bundle: Bundle, facts: PreflightFacts) -> list[Finding]:
    name = bundle.model.provider
    if name is None:
        return []
    place = next((place for place in facts.places if place.provider == name), None)
    if place is None:
        there_are = ", ".join(facts.providers) or "none"
        return [
            Finding("provider_unknown", f"the provider {name!r} is not in the settings; there are {there_are}", name)
        ]
    found: list[Finding] = []
    if not place.has_key:
        found.append(
            Finding(
                "provider_key_missing",
                f"the provider {name!r} has no api_key in the settings, and callers' keys are never sent to it",
                name,
            )
        )
    spoken = facts.recent.families
    if spoken and place.family not in spoken:
        wires = ", ".join(sorted(spoken))
        found.append(
            Finding(
                "wire_not_spoken",
                f"the provider {name!r} speaks {place.family}, but recent calls of {facts.agent!r} came as {wires}",
                name,
            )
        )
    return found


def _of_prompt(bundle: Bundle, facts: PreflightFacts) -> list[Finding]:
    if bundle.prompt.says_something:
        return []
    if bundle.prompt.is_set:
        return [Finding("prompt_empty", "the prompt holds white space alone")]
    if facts.replaces_prompt:
        what = "the version has no prompt, and the one that serves now has: callers' own would stand alone"
        return [Finding("prompt_empty", what)]
    if bundle.model.content() == {"provider": None, "name": None, "parameters": {}} and bundle.tools.mode == "keep":
        return [Finding("prompt_empty", "the version has no prompt, no model and no tools: it would change nothing")]
    return []


def _needed_variables(bundle: Bundle) -> list[str]:
    """Those of the prompt that each call must bring along."""
    return [name for name in bundle.prompt.names if bundle.prompt.variables[name] is None]


def _of_variables(bundle: Bundle, recent: RecentCalls) -> list[Finding]:
    if not recent.variables:
        return []
    sent = frozenset[str]().union(*recent.variables)
    count = len(recent.variables)
    unsent = "the last call did not send it" if count == 1 else f"none of the last {count} calls sent it"
    return [
        Finding(
            "variable_not_sent",
            f"the variable {name!r} has no default and {unsent}: each would be refused",
            name,
        )
        for name in _needed_variables(bundle)
        if name not in sent
    ]


def _of_model(bundle: Bundle, facts: PreflightFacts, places: Sequence[Place]) -> list[Finding]:
    name = bundle.model.name
    if not places:
        return []
    found: list[Finding] = []
    if name is not None:
        known = [place.is_retired for place in places if place.is_retired is not None]
        if known and all(known):
            found.append(Finding("model_retired", f"the price list says that the model {name!r} is retired", name))
        cap = next((cap for cap in facts.caps if _counts(cap, facts, places, name)), None)
        if cap is not None and not any(place.is_priced for place in places):
            found.append(
                Finding(
                    "model_unpriced",
                    f"nobody knows what the model {name!r} costs, and cap {cap.id} is in dollars: each call would be "
                    "refused; state its price under `prices` in the settings",
                    name,
                )
            )
    found += _of_awaited_cost(bundle, facts, places)
    refused = frozenset(bundle.model.parameters).intersection(*(place.refused_parameters for place in places))
    found += [
        Finding(
            "parameter_refused",
            f"the model does not take the parameter {parameter!r}, which would be left out",
            parameter,
        )
        for parameter in sorted(refused)
    ]
    return found


def _of_validators(bundle: Bundle, facts: PreflightFacts) -> list[Finding]:
    found = _of_used_validation(bundle, facts)
    if facts.judges_schemas:
        return found
    return found + [
        Finding(
            "validator_missing",
            "answers would not be judged by its JSON schema: the extra `validators` is not installed where the proxy runs "
            "(pip install 'switchback-proxy[validators]')",
            f"{PLACE}[{index}].{validator.kind}",
        )
        for index, validator in enumerate(bundle.policy.validators)
        if validator.kind == "json_schema"
    ]


def _of_used_validation(bundle: Bundle, facts: PreflightFacts) -> list[Finding]:
    """A plan that looks at verdicts which one of both arms never gets."""
    unjudged = [
        who
        for who, has_validators in (
            ("the version that serves now", facts.validates_beside),
            ("the candidate", bool(bundle.policy.validators)),
        )
        if not has_validators
    ]
    if VALIDATION_METRIC not in facts.used_metrics or not unjudged:
        return []
    return [
        Finding(
            "guard_silent",
            f"the plan looks at {VALIDATION_METRIC}, and {' and '.join(unjudged)} {'have' if len(unjudged) > 1 else 'has'} no {PLACE}: nothing would be told of its runs; "
            "make a version with validators, or bring a plan without it",
            VALIDATION_METRIC,
        )
    ]


def _of_awaited_cost(bundle: Bundle, facts: PreflightFacts, places: Sequence[Place]) -> list[Finding]:
    """A plan that waits for what nobody can tell: the rollout would hold for ever."""
    awaited = sorted(facts.awaited_metrics & _METRICS_OF_COST)
    candidate = bundle.model.name
    unpriced = [name for name in (facts.unpriced_beside,) if name is not None]
    if candidate is not None and not any(place.is_priced for place in places):
        unpriced.insert(0, candidate)
    if not awaited or not unpriced:
        return []
    models, guards = " and ".join(f"{name!r}" for name in dict.fromkeys(unpriced)), ", ".join(awaited)
    return [
        Finding(
            "guard_silent",
            f"nobody knows what the model {models} costs, so that the plan's {guards} would never be told and the rollout would hold "
            "for ever; state the price under `prices` in the settings, or bring a plan without it",
            guards,
        )
    ]


def _counts(cap: Cap, facts: PreflightFacts, places: Sequence[Place], model: str) -> bool:
    """Whether calls of the version need a price because of a cap. One of a single user or tag is not about all of them."""
    if not (cap.is_hard and cap.needs_price) or cap.scope.tag is not None or cap.scope.user not in (None, EACH):
        return False
    scope = replace(cap.scope, user=None)
    call: Mapping[str, Any] = {
        "agent": facts.agent,
        "model": model,
        "version": facts.version,
        "label": facts.label,
        "tags": {},
    }
    return any(scope.matches(CallFacts(provider=place.provider, **call)) for place in places)
