"""What validators a policy may have, what becomes of older ones, and what they say of a text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import BadInput
from proxy.core.releasing.preflight import PreflightFacts, findings_of
from proxy.core.versions.components import parse_bundle, parse_component
from proxy.core.versions.judging import Unjudged, Verdict, judge
from proxy.core.versions.recorded import remark_on
from proxy.core.versions.validators import Validator, check_validators, read_validators


def no_schema(_schema: Any, _document: Any) -> str | None:
    raise Unjudged("no schemas here")


def judged(text: str, *validators: Any) -> Verdict:
    return judge(text, read_validators(list(validators)), no_schema)


@pytest.mark.parametrize(
    ("text", "validator", "passed"),
    [
        ('{"a": 1}', "json", True),
        (" [1, 2]\n", "json", True),
        ("```json\n{}\n```", "json", False),
        ("", "json", False),
        ("NaN", "json", False),
        ("[" * 900 + "]" * 900, "json", True),
        ("[" * 5000 + "]" * 5000, "json", None),
        ("order 17", {"regex": r"\d+"}, True),
        ("order", {"regex": r"\d+"}, False),
        ("two\nlines", {"regex": r"\Atwo\Z"}, False),
        ("as an AI, I", {"not_regex": "as an AI"}, False),
        ("gladly", {"not_regex": "as an AI"}, True),
        ("é" * 10, {"max_chars": 10}, True),
        ("é" * 11, {"max_chars": 10}, False),
        ("{}", {"json_schema": {}}, None),
        ("no JSON", {"json_schema": {}}, False),
    ],
)
def test_a_validator_says_yes_no_or_that_nobody_can_tell(text: str, validator: Any, passed: bool | None) -> None:
    assert judged(text, validator).passed is passed


def test_one_that_fails_decides_whatever_another_cannot_tell() -> None:
    found = judged("{}", {"json_schema": {}}, {"max_chars": 1})
    assert found == Verdict(False, "policy.validators[1].max_chars: 2 characters")
    assert judged("{}", {"json_schema": {}}, {"max_chars": 9}).passed is None
    assert judged("{}").passed is True


@given(st.text(max_size=60), st.sampled_from(["json", {"regex": "a+"}, {"not_regex": "b"}, {"max_chars": 3}]))
def test_no_reason_tells_what_the_answer_said(text: str, validator: Any) -> None:
    marked = f"SECRET-{text}"
    assert "SECRET" not in judged(marked, validator).why


@pytest.mark.parametrize("written", ["json", ["xml"], {"json": True}, [{"regex": 7}], [{"regex": "a", "max_chars": 1}]])
def test_an_older_policy_that_holds_something_else_keeps_its_hash_and_judges_nothing(written: Any) -> None:
    component = parse_component("policy", {"validators": written, "max_tool_calls": 1})
    assert component.value.content() == {"validators": written, "max_tool_calls": 1}  # type: ignore[union-attr]
    assert component.value.validators == ()  # type: ignore[union-attr]
    assert remark_on("policy.validators", written) == "only recorded"
    with pytest.raises(BadInput):
        check_validators(written)


def test_validators_are_part_of_the_policy_and_its_hash() -> None:
    with_one = parse_bundle({"policy": {"validators": ["json", {"max_chars": 5}]}})
    assert with_one.policy.validators == (Validator("json"), Validator("max_chars", 5))
    assert with_one.content("policy") == {"validators": ["json", {"max_chars": 5}]}
    assert with_one.hashes["policy"] != parse_bundle({}).hashes["policy"]
    assert remark_on("policy.validators", ["json"]) == "judged after the answer, not enforced"
    assert remark_on("policy.validators[1].max_chars", 5) == "judged after the answer, not enforced"


@pytest.mark.parametrize(
    ("schema", "is_refused"),
    [
        ({"$ref": "#/$defs/team", "$defs": {"team": {"type": "string"}}}, False),
        ({"properties": {"a": {"items": [{"$ref": "other.json"}]}}}, True),
        ({"$dynamicRef": "http://example.com"}, True),
    ],
)
def test_a_schema_stands_alone(schema: dict[str, Any], is_refused: bool) -> None:
    if not is_refused:
        return check_validators([{"json_schema": schema}])
    with pytest.raises(BadInput, match="refers to"):
        check_validators([{"json_schema": schema}])
    return None


@pytest.mark.parametrize(
    ("stable", "candidate", "used", "who"),
    [
        (True, ["json"], "outcome.validation", None),
        (False, [], "errors", None),
        (False, ["json"], "outcome.validation", "the version that serves now has no policy.validators"),
        (True, [], "outcome.validation", "the candidate has no policy.validators"),
        (False, [], "outcome.validation", "the version that serves now and the candidate have no policy.validators"),
    ],
)
def test_a_plan_that_looks_at_verdicts_nobody_gives_is_found(
    stable: bool, candidate: list[str], used: str, who: str | None
) -> None:
    facts = PreflightFacts(
        agent="a",
        label="prod",
        version=2,
        providers=(),
        places=(),
        used_metrics=frozenset({used}),
        validates_beside=stable,
    )
    found = findings_of(parse_bundle({"prompt": {"text": "x"}, "policy": {"validators": candidate}}), facts)
    assert [(finding.code, finding.about) for finding in found] == ([] if who is None else [("guard_silent", used)])
    assert who is None or who in found[0].message


def test_a_schema_that_nothing_here_can_judge_by_is_found_before_a_label_moves() -> None:
    facts = PreflightFacts(agent="a", label="prod", version=2, providers=(), places=(), judges_schemas=False)
    with_schema = parse_bundle({"prompt": {"text": "x"}, "policy": {"validators": ["json", {"json_schema": {}}]}})
    (finding,) = findings_of(with_schema, facts)
    assert (finding.code, finding.about) == ("validator_missing", "policy.validators[1].json_schema")
    assert findings_of(parse_bundle({"prompt": {"text": "x"}, "policy": {"validators": ["json"]}}), facts) == []
