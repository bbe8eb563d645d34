"""Characters that deceive: which they are, and that no door to a log, a table or a terminal lets them through."""

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.characters import NoText, escaped_json, file_text, is_plain, plain, plain_text
from proxy.core.errors import BadInput
from proxy.core.versions.new_versions import MAX_MODEL_NAME, MAX_PLACEHOLDERS, check_new_version
from proxy.runtime.process.line_writer import LineWriter

CONTROLS = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))]
BIDI = [*"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"]
NO_ROOM = [*"\u00ad\u200b\u200c\u200d\u2060\u2062\ufeff\u3164\u180e\U000e0041"]
DECEIVING = [*CONTROLS, *BIDI, *NO_ROOM, "\u2028", "\u2029"]
TEXTS = st.text(st.one_of(st.characters(), st.sampled_from(DECEIVING)), max_size=60)


@pytest.mark.parametrize("character", DECEIVING, ids=lambda one: f"U+{ord(one):04X}")
def test_each_is_known_wherever_it_stands(character: str) -> None:
    for text in (character, f"gpt{character}4", f"gpt-4{character}", f"{character}Ä"):
        assert not is_plain(text)
        assert is_plain(plain(text))


@pytest.mark.parametrize("text", ["gpt-4o", "modèle", "模型", "модель", "a b", "💬", "ﬁ", ""])
def test_other_text_is_left_alone(text: str) -> None:
    assert is_plain(text)
    assert plain(text) == plain_text(text) == text


def test_a_text_of_several_lines_keeps_them_and_the_joiners_of_scripts() -> None:
    assert plain_text("می\u200cخواهم\n\tab\r\x1b[2J\u202ec") == "می\u200cخواهم\n\tab\ufffd\ufffd[2J\ufffdc"


@given(TEXTS)
def test_what_is_shown_has_no_control_and_no_format_character(text: str) -> None:
    for character in plain(text):
        assert unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(character) not in (
            "RLE",
            "LRE",
            "RLO",
            "LRO",
            "PDF",
            "RLI",
            "LRI",
            "FSI",
            "PDI",
        )


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_log_lines_hold_the_same_values_without_them(texts: list[str]) -> None:
    stream = io.BytesIO()
    writer = LineWriter(stream)
    lines = [json.dumps({"model": text.encode("utf-8", "replace").decode()}, ensure_ascii=False) for text in texts]
    writer("".join(f"{line}\n" for line in lines).encode())
    writer.close()
    written = stream.getvalue().decode()
    assert written.count("\n") == len(lines)
    assert [json.loads(line) for line in written.splitlines()] == [json.loads(line) for line in lines]
    assert all(is_plain(line) for line in written.split("\n"))


def test_plain_ascii_is_not_copied() -> None:
    line = b'{"a": "b"}\n'
    assert escaped_json(line) is line


@pytest.mark.parametrize(
    "name",
    [
        "gpt\u202e4",
        "gpt-4\u200b",
        "gpt\x1b[31m",
        "gpt\x9b",
        "a\nb",
        " gpt-4",
        "gpt-4 ",
        "\ufeffgpt",
        "x" * (MAX_MODEL_NAME + 1),
    ],
)
def test_a_new_version_names_its_model_in_plain_characters(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_new_version({"model": {"name": name}})
    assert (refused.value.code, refused.value.param) == ("bad_version", "model.name")
    assert name not in refused.value.message


def test_a_prompt_has_a_bound_of_placeholders() -> None:
    check_new_version({"prompt": {"text": "{{a}}" * MAX_PLACEHOLDERS}, "model": {"name": "org/モデル-1:free"}})
    with pytest.raises(BadInput) as refused:
        check_new_version({"prompt": {"text": "{{a}}" * (MAX_PLACEHOLDERS + 1)}})
    assert refused.value.param == "prompt.text"


@pytest.mark.parametrize(
    "components", [{}, {"model": None}, {"model": 1}, {"prompt": {"text": 1}}, {"model": {"name": []}}]
)
def test_what_is_of_the_wrong_kind_is_not_its_matter(components: dict[str, object]) -> None:
    check_new_version(components)


@pytest.mark.parametrize(
    ("policy", "param", "hint"),
    [
        ({"max_output_token": 3}, "policy.max_output_token", "did you mean max_output_tokens?"),
        ({"tone": "formal"}, "policy.tone", "policy.recorded"),
        ({"recorded": 1}, "policy.recorded", "must be an object"),
    ],
)
def test_a_policy_of_a_new_version_holds_nothing_that_nobody_reads(policy: object, param: str, hint: str) -> None:
    check_new_version({"policy": {"max_output_tokens": 3, "max_tool_calls": 1, "recorded": {"tone": "formal"}}})
    with pytest.raises(BadInput) as refused:
        check_new_version({"policy": policy})
    assert (refused.value.param, hint in refused.value.message) == (param, True)


@pytest.mark.parametrize("text", ["", "a\r\nb", "\ufeffa", "\u00e9\U0001f600", "\x1b[1m"])
def test_every_byte_of_a_text_is_kept(text: str) -> None:
    assert file_text(text.encode()) == text


def test_a_prompt_may_hold_what_the_api_takes() -> None:
    assert file_text(b"a\0b", is_prompt=True) == "a\0b"
    with pytest.raises(NoText):
        file_text(b"a\0b")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a\nb\n\xe9", "is not UTF-8 (line 3)"),
        (b"\xed\xa0\x80", "is not UTF-8 (line 1)"),
        (b"a\n\0", "holds a NUL byte (line 2): is it UTF-16, or no text?"),
        ("a\n".encode("utf-16-be"), "holds a NUL byte (line 1): is it UTF-16, or no text?"),
        ("a".encode("utf-16"), "is not UTF-8 but UTF-16: save it as UTF-8"),
        (b"\xfe\xff\0a", "is not UTF-8 but UTF-16: save it as UTF-8"),
    ],
)
def test_what_is_no_text_is_told_with_its_line(content: bytes, problem: str) -> None:
    with pytest.raises(NoText) as told:
        file_text(content)
    assert str(told.value) == problem
