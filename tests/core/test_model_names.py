"""A name in a switch or a cap means a model as people see it: dated or not, with its provider or not, in any case."""

import pytest

from proxy.core.model_names import means_model
from proxy.core.scopes import CallFacts, Scope


@pytest.mark.parametrize(
    ("named", "model"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("GPT-4o-Mini", "gpt-4o-mini"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
        ("claude-3-5-haiku-20241022", "claude-3-5-haiku-latest"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("openai/gpt-4o", "gpt-4o"),
        ("OpenAI/gpt-4o-2024-11-20", "gpt-4o"),
        ("llama-3.3-70b", "meta-llama/Llama-3.3-70B"),
        ("meta-llama/llama-3.3-70b", "meta-llama/Llama-3.3-70B"),
    ],
)
def test_a_name_means_the_model_as_people_see_it(named: str, model: str) -> None:
    assert means_model(named, "openai", model)


@pytest.mark.parametrize(
    ("named", "model"),
    [
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-4o-mini", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-11-20"),
        ("anthropic/gpt-4o", "gpt-4o"),
        ("gpt-4", "gpt-4-0613"),
        ("", "gpt-4o"),
        ("gpt-4o", ""),
    ],
)
def test_another_model_is_another_model(named: str, model: str) -> None:
    assert not means_model(named, "openai", model)


def facts(**more: object) -> CallFacts:
    return CallFacts(**{"agent": "a", "provider": "openai", "model": "", "tags": {}, **more})  # type: ignore[arg-type]


def test_what_a_model_was_seen_to_answer_as_is_a_name_of_it() -> None:
    scope = Scope(model="house-model-7")
    assert scope.matches(facts(model="fast", model_answered="house-model-7"))
    assert not scope.matches(facts(model="fast"))


@pytest.mark.parametrize("scope", [Scope(model="o3"), Scope(tool="search"), Scope(user="ann"), Scope(tag=("t", "x"))])
def test_a_body_that_was_not_read_may_be_meant(scope: Scope) -> None:
    unseen = facts(body_is_unseen=True)
    assert not scope.matches(unseen)
    assert scope.may_match(unseen)
    assert not scope.may_match(facts())


def test_what_is_known_of_an_unread_body_still_decides() -> None:
    unseen = facts(body_is_unseen=True, user="bob", tags={"t": "y"}, model="gpt-4o")
    assert not Scope(user="ann").may_match(unseen)
    assert not Scope(tag=("t", "x")).may_match(unseen)
    assert not Scope(model="o3").may_match(unseen)
    assert not Scope(agent="other", model="gpt-4o").may_match(unseen)


def test_a_body_that_names_no_model_leaves_its_user_known() -> None:
    nameless = facts(model_is_unseen=True)
    assert Scope(model="o3").may_match(nameless)
    assert not Scope(user="ann").may_match(nameless)
