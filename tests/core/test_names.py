import pytest

from proxy.core.errors import BadInput
from proxy.core.names import AgentReference, check_agent_name, check_label_name, parse_agent_reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("support-triage", AgentReference("support-triage")),
        ("support-triage@7", AgentReference("support-triage", pin=7)),
        ("support-triage@staging", AgentReference("support-triage", label="staging")),
        ("support-triage@latest", AgentReference("support-triage", label="latest")),
        ("7up", AgentReference("7up")),
        ("a" * 64, AgentReference("a" * 64)),
        ("a.b_c-d@v2.1", AgentReference("a.b_c-d", label="v2.1")),
    ],
)
def test_an_agent_is_named_alone_or_with_a_version_or_a_label(text: str, expected: AgentReference) -> None:
    assert parse_agent_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@7",
        "a@",
        "a@7@8",
        "A",
        "a b",
        "a/b",
        "../a",
        "-a",
        ".a",
        "a\n",
        "a@7\n",
        "a@-1",
        "a@7b",
        "a@1234567890",
        "a@٣",
        "ä",
        "a" * 65,
        "a@" + "b" * 65,
        "a@B",
        "\u202ea",
        "a\x00",
    ],
)
def test_anything_else_names_no_agent(text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_agent_reference(text)
    assert refusal.value.code == "bad_agent"


@pytest.mark.parametrize("name", ["a", "0", "support-triage", "__proto__"[2:7], "x" * 64])
def test_these_may_name_an_agent(name: str) -> None:
    assert check_agent_name(name) == name


@pytest.mark.parametrize("name", ["unassigned", "", "Agent", "a@b", "x" * 65, "a\n"])
def test_these_may_not_name_an_agent(name: str) -> None:
    with pytest.raises(BadInput, match="an agent is named with"):
        check_agent_name(name)


@pytest.mark.parametrize("label", ["prod", "staging", "canary", "v2.1", "blue_green"])
def test_these_may_name_a_label(label: str) -> None:
    assert check_label_name(label) == label


@pytest.mark.parametrize("label", ["latest", "7", "", "Prod", "a b", "-x", "x" * 65])
def test_these_may_not_name_a_label(label: str) -> None:
    with pytest.raises(BadInput, match="a label is"):
        check_label_name(label)
