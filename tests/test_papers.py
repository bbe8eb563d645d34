"""The papers for contributors name what is there: files, commands; and no decision is missing from their index."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
CONTRIBUTING = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
DECISIONS: dict[str, Any] = runpy.run_path(str(ROOT / ".github" / "decisions.py"))


def test_every_file_and_folder_that_contributing_names_is_there() -> None:
    linked = re.findall(r"\]\(([^)]+)\)", CONTRIBUTING)
    told = re.findall(r"`((?:proxy|tests|\.ci|\.github)/[^` ]*)`", CONTRIBUTING)
    assert linked
    assert told
    assert [name for name in linked if not (ROOT / ".github" / name).exists()] == []
    assert [name for name in told if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("recipe", ["A metric", "A column of a run", "A command", "A wire", "A room"])
def test_there_is_a_recipe(recipe: str) -> None:
    assert f"**{recipe}.**" in CONTRIBUTING


def test_every_paragraph_that_says_it_is_a_decision_is_in_the_index() -> None:
    told = {
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "proxy").rglob("*.py"))
        if re.search(r"^Decision\b", path.read_text(), re.MULTILINE)
    }
    found = DECISIONS["decisions"]()
    assert told
    assert told - set(found) == set()
    assert found["proxy/runtime/calls/turns.py"][0].startswith("Decision: no threads.")
    assert "no threads." in DECISIONS["index"]()


DESIGN = (ROOT / "proxy" / "DESIGN.md").read_text()
_SOURCES = "\n".join(path.read_text() for path in sorted((ROOT / "proxy").rglob("*.py")))


def test_every_module_that_the_design_links_is_there() -> None:
    linked = re.findall(r"\]\(([^)]+)\)", DESIGN)
    assert linked
    assert [name for name in linked if not (ROOT / "proxy" / name).exists()] == []


def test_every_code_and_setting_that_the_design_names_is_the_code_s() -> None:
    named = set(re.findall(r"`([a-z]+(?:[._][a-z]+)+)`", DESIGN))
    assert named
    assert {name for name in named if name.rsplit(".", 1)[-1] not in _SOURCES} == set()
