"""What a preflight makes of its facts."""

from dataclasses import replace
from typing import Any

import pytest

from proxy.core.releasing.preflight import Place, PreflightFacts, RecentCalls, findings_of
from proxy.core.versions.components import parse_bundle

OPENAI = Place(provider="openai", family="openai", has_key=True, is_priced=True, is_retired=False)
ANTHROPIC = Place(provider="anthropic", family="anthropic", has_key=True)
FACTS = PreflightFacts(
    agent="a", label="prod", version=2, providers=("openai", "anthropic"), places=(OPENAI, ANTHROPIC)
)


def found(components: dict[str, Any], facts: PreflightFacts = FACTS) -> list[str]:
    bundle = parse_bundle({"prompt": {"text": "be brief"}, **components})
    return [finding.code for finding in findings_of(bundle, facts)]


def at(place: Place, **recent: Any) -> PreflightFacts:
    return replace(FACTS, places=(place,), recent=RecentCalls(**recent))


def test_a_provider_without_a_key_that_may_be_sent_there_is_found() -> None:
    model = {"model": {"provider": "openai", "name": "gpt-4o"}}
    assert found(model, at(OPENAI)) == []
    assert found(model, at(replace(OPENAI, has_key=False))) == ["provider_key_missing"]


@pytest.mark.parametrize(
    ("states", "is_found"),
    [((True, None), True), ((True, True), True), ((True, False), False), ((None, None), False), ((False, None), False)],
)
def test_a_model_is_retired_where_everyone_who_knows_it_says_so(
    states: tuple[bool | None, ...], is_found: bool
) -> None:
    places = tuple(
        replace(place, is_priced=False, is_retired=state)
        for place, state in zip((OPENAI, ANTHROPIC), states, strict=True)
    )
    assert found({"model": {"name": "gpt-3"}}, replace(FACTS, places=places)) == (["model_retired"] if is_found else [])


def test_a_parameter_is_refused_only_where_every_likely_provider_refuses_it() -> None:
    model = {"model": {"name": "o3", "parameters": {"temperature": 1}}}
    refusing = replace(OPENAI, refused_parameters=frozenset({"temperature", "seed"}))
    assert found(model, replace(FACTS, places=(refusing, ANTHROPIC))) == ["parameter_refused"]
    both = replace(FACTS, places=(refusing, ANTHROPIC), recent=RecentCalls(families=frozenset({"openai", "anthropic"})))
    assert found(model, both) == []


def test_an_empty_version_would_change_nothing() -> None:
    assert found({"prompt": {}}) == ["prompt_empty"]
    assert found({"prompt": {}, "tools": {"mode": "replace"}}) == []
    assert found({"prompt": {}, "model": {"parameters": {"seed": 1}}}) == []
