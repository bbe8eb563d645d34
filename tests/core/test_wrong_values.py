"""What is accepted in place of a wrong value is said in our words, for every kind of fault that our models can have."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from proxy.core.wrong_values import accepted, in_words


class Every(BaseModel):
    """A member for each kind of value that bodies, queries and settings have."""

    text: Annotated[str, Field(min_length=1, max_length=4)] = "x"
    flag: bool = False
    whole: Annotated[int, Field(ge=1, le=500)] = 1
    share: Annotated[float, Field(gt=0, le=86_400)] = 1
    least: Annotated[int, Field(ge=1)] = 1
    finite: Annotated[float, Field(allow_inf_nan=False)] = 1
    choice: Literal["ok", "error", "refused"] = "ok"
    form: Annotated[str, Field(pattern=r"^sqlite:///.+")] = "sqlite:///x"
    path: Path = Path()
    members: dict[str, Any] = {}
    several: Annotated[list[str], Field(min_length=1, max_length=2)] = ["x"]


def said(**given: object) -> str:
    with pytest.raises(ValidationError) as failed:
        Every.model_validate(given)
    fault = failed.value.errors()[0]
    return accepted(fault["type"], fault["msg"], fault.get("ctx") or {}, given=fault["input"])


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("text", "", "must not be empty"),
        ("text", "xxxxx", "must have at most 4 characters"),
        ("text", 7, "must be a text"),
        ("flag", "perhaps", "must be true or false"),
        ("flag", 7.5, "must be true or false"),
        ("whole", "x", "must be a whole number"),
        ("whole", 1.5, "must be a whole number"),
        ("whole", None, "must be a whole number"),
        ("whole", 0, "must be a number, 1 or more"),
        ("whole", 501, "must be a number, 500 or less"),
        ("share", 0, "must be a number above 0"),
        ("share", 86_401, "must be a number, 86400 or less"),
        ("share", "x", "must be a number"),
        ("finite", float("nan"), "must be a finite number"),
        ("choice", "eror", "must be ok, error or refused; did you mean error?"),
        ("choice", "ERROR", "must be ok, error or refused; did you mean error?"),
        ("choice", 7, "must be ok, error or refused"),
        ("form", "pg", "must match ^sqlite:///.+"),
        ("path", 7, "must be the path of a file"),
        ("members", [], "must be an object"),
        ("several", "x", "must be a list"),
        ("several", [], "must not be empty"),
        ("several", ["x", "y", "z"], "must have at most 2 members"),
    ],
)
def test_a_wrong_value_is_answered_with_what_is_accepted(name: str, value: object, sentence: str) -> None:
    assert said(**{name: value}) == sentence


@pytest.mark.parametrize(
    ("bounds", "sentence"),
    [
        ({"ge": 1, "le": 500}, "must be a whole number from 1 to 500, such as 50"),
        ({"gt": 0, "le": 86_400}, "must be a whole number above 0 and up to 86400, such as 50"),
        ({"ge": 0.5}, "must be a whole number, 0.5 or more, such as 50"),
        ({"lt": 9}, "must be a whole number below 9, such as 50"),
        ({}, "must be a whole number, such as 50"),
    ],
)
def test_a_number_is_told_with_all_its_bounds_and_an_example(bounds: dict[str, float], sentence: str) -> None:
    assert accepted("int_parsing", "", {}, bounds=bounds, example=50) == sentence


def test_what_has_no_sentence_here_is_told_without_the_words_of_a_parser() -> None:
    assert accepted("new_kind", "Input should be a colour", {}) == "must be a colour"
    assert accepted("value_error", "Value error, must be odd", {}, example=3) == "must be odd"


def test_choices_are_told_in_words() -> None:
    assert (in_words(["a"]), in_words(["a", "b", "c"])) == ("a", "a, b or c")
