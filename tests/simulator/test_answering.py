"""Answers follow from what was asked and ordered alone, and never exceed what the caller allowed."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from proxy.simulator.answering import compose, pieces_of
from proxy.simulator.asking import Ask, counted_bytes, tokens_of
from proxy.simulator.models import MODELS
from proxy.simulator.scenario import HEALTHY, Scenario

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "unit": {"enum": ["C", "F"]},
        "any": True,
    },
}


def asking(user: str = "Hello", system: str = "", **members: Any) -> Ask:
    return Ask(MODELS["gpt-4o-mini"], system, user, len((user + system).encode()), **members)


def test_a_token_is_four_bytes_rounded_up() -> None:
    assert [tokens_of(size) for size in (0, 1, 4, 5, 8, 9)] == [1, 1, 1, 2, 2, 3]
    assert counted_bytes("äö") == 4
    assert counted_bytes([{"type": "text", "text": "abc"}, {"type": "image", "n": 1}]) == 3 + 22


def test_the_same_question_gets_the_same_answer_and_another_prompt_another() -> None:
    first = compose(asking(system="One"), HEALTHY, 1).choices[0].text
    assert compose(asking(system="One"), HEALTHY, 2).choices[0].text == first
    assert compose(asking(system="Two"), HEALTHY, 1).choices[0].text != first


def test_the_answer_can_tell_which_system_prompt_it_got() -> None:
    text = compose(asking(system="S" * 80), Scenario(echo_system=True), 1).choices[0].text
    assert text.startswith("[system:" + "S" * 60 + "] ")


def test_an_ordered_length_is_exact() -> None:
    for tokens in (1, 7, 500):
        answer = compose(asking("Grüße 🙂 " * 20), Scenario(output_tokens=tokens), 1)
        assert answer.output_tokens == tokens
        assert len(answer.choices[0].text.encode()) == tokens * 4


def test_a_stop_sequence_ends_the_answer_before_it() -> None:
    choice = compose(asking("one STOP two", stop=("STOP",)), HEALTHY, 1).choices[0]
    assert choice.text.endswith("one ")
    assert (choice.finish, choice.stop_sequence) == ("stop_sequence", "STOP")


def test_a_declared_tool_is_called_with_arguments_that_fit_its_schema() -> None:
    ask = asking("Please call the tool get_weather.", tools={"get_weather": WEATHER})
    choice = compose(ask, HEALTHY, 1).choices[0]
    assert choice.finish == "tool"
    assert choice.tool_calls[0].name == "get_weather"
    assert orjson.loads(choice.tool_calls[0].arguments) == {
        "city": ask.user,
        "days": 1,
        "unit": "C",
        "any": ask.user,
    }


def test_a_tool_that_is_not_declared_or_whose_result_is_there_is_not_called() -> None:
    wish = "call the tool get_weather"
    assert not compose(asking(wish, tools={"other": {}}), HEALTHY, 1).choices[0].tool_calls
    answered = compose(asking(wish, tools={"get_weather": {}}, tool_result="12 °C"), HEALTHY, 1).choices[0]
    assert not answered.tool_calls
    assert "12 °C" in answered.text


def test_two_wishes_are_two_calls_unless_parallel_calls_are_off() -> None:
    tools: dict[str, Any] = {"a": {}, "b": {}}
    wish = "call the tool a and call the tool b"
    calls = compose(asking(wish, tools=tools), HEALTHY, 1).choices[0].tool_calls
    assert [call.name for call in calls] == ["a", "b"]
    assert len({call.id for call in calls}) == 2
    single = compose(asking(wish, tools=tools, parallel_tools=False), HEALTHY, 1).choices[0]
    assert [call.name for call in single.tool_calls] == ["a"]


@given(
    limit=st.integers(0, 40),
    reasoning=st.integers(0, 20),
    ordered=st.none() | st.integers(1, 60),
    refuse=st.booleans(),
    user=st.sampled_from(["Hi", "Grüße 🙂", "call the tool get_weather", "x" * 300]),
    choices=st.integers(1, 3),
)
def test_no_answer_is_longer_than_the_caller_allowed(
    limit: int, reasoning: int, ordered: int | None, refuse: bool, user: str, choices: int
) -> None:
    ask = asking(user, tools={"get_weather": WEATHER}, max_output_tokens=limit, choices=choices)
    scenario = Scenario(output_tokens=ordered, reasoning_tokens=reasoning, refuse=refuse)
    answer = compose(ask, scenario, 1)
    assert answer.output_tokens <= limit * choices
    assert answer.output_tokens == sum(choice.output_tokens for choice in answer.choices)


@given(st.text(), st.none() | st.integers(1, 50))
def test_pieces_put_together_are_the_text(text: str, pieces: int | None) -> None:
    parts = pieces_of(text, pieces)
    assert "".join(parts) == text
    assert all(parts)
    if pieces is not None:
        assert len(parts) == min(pieces, len(text))
