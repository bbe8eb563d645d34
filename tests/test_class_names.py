"""A class has a name of its own: whoever reads it in a traceback, a log or another module knows which one it is."""

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "proxy"
TESTS = ROOT / "tests"
DECLARED = re.compile(r"\s*class (\w+)[(:]")
#: Where classes have names that somebody else gave.
IN_WORDS_OF_OTHERS = {
    "simulator": "a program of its own: what it imitates has the names that it has at its provider",
    **{
        f"wires/{wire}": "what a provider's JSON is made of, in the provider's words"
        for wire in (
            "anthropic_messages",
            "openai_chat",
            "openai_completions",
            "openai_embeddings",
            "openai_responses",
        )
    },
}
#: name -> why it stands twice.
TWICE = {
    "Route": "a row of the admin API's table, and what the data path serves at a path: neither floor sees the other",
}


def has_words_of_others(path: Path) -> bool:
    return any(path.is_relative_to(PACKAGE / folder) for folder in IN_WORDS_OF_OTHERS)


def classes(folder: Path) -> dict[str, list[str]]:
    """Where each name of a class stands."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("*.py")):
        if not has_words_of_others(path):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if named := DECLARED.match(line):
                    found[named[1]].append(f"{path.relative_to(ROOT)}:{number}")
    return found


def test_a_class_name_stands_once() -> None:
    twice = {name: places for name, places in classes(PACKAGE).items() if len(places) > 1}
    unexplained = {name: places for name, places in twice.items() if name not in TWICE}
    assert unexplained == {}, "give one of them a better name, or a true reason in TWICE"
    assert TWICE.keys() <= twice.keys(), "a reason for what does not stand twice any more"


def test_a_folder_with_words_of_others_is_there() -> None:
    assert [folder for folder in IN_WORDS_OF_OTHERS if not (PACKAGE / folder).is_dir()] == []


def test_a_fake_stands_once_and_a_stage_of_tests_has_a_name_of_its_own() -> None:
    assert {name: places for name, places in classes(TESTS).items() if len(places) > 1} == {}, "share it, or name it"
