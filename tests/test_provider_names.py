"""Providers are named in the wires alone, and where a list says why."""

import re
from pathlib import Path

import pytest

from tests.test_architecture import FILES, PACKAGE, named

#: What providers and their models are called, and who may say it: everything that is shaped by one of them stands in wires.
PROVIDER_NAMES = re.compile(
    r"openai|anthropic|claude|\bgpt\b|gemini|vertex|azure|bedrock|ollama|cohere|mistral|\bgroq|deepseek", re.IGNORECASE
)
MAY_NAME_PROVIDERS = {
    "wires": "what is shaped by a provider",
    "simulator": "it pretends to be some",
    "cli/importers": "what other tools keep is shaped by providers",
    "cli/importing.py": "says whose files can be imported",
    "settings.py": "the providers that are there without settings",
    "cli/serving.py": "says which wires the simulator speaks",
    "cli/version_options.py": "an example in a help text",
    "cli/versions.py": "an example in a help text",
    "cli/demo_story.py": "the demonstration has one provider",
    "cli/demo_stage.py": "the demonstration has one provider",
    "cli/demo_traffic.py": "the demonstration has one provider",
}


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_provider_is_named_outside_the_wires(path: Path) -> None:
    within = path.relative_to(PACKAGE).as_posix()
    if any(within == place or within.startswith(f"{place}/") for place in MAY_NAME_PROVIDERS):
        return
    found = [number for number, line in enumerate(path.read_text().splitlines(), 1) if PROVIDER_NAMES.search(line)]
    assert not found, f"{named(path)}:{found[0]}: a provider's name; what is shaped by one belongs in proxy/wires"


def test_whoever_may_name_providers_does() -> None:
    for place in MAY_NAME_PROVIDERS:
        files = [PACKAGE / place] if place.endswith(".py") else sorted((PACKAGE / place).rglob("*.py"))
        assert any(PROVIDER_NAMES.search(path.read_text()) for path in files), f"{place} names none: take its row out"
