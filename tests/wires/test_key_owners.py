"""A key goes where it was given out for, whatever the settings call the place."""

import pytest

from proxy.wires.families import FAMILIES
from proxy.wires.key_owners import carries_key, family_of_keys, foreign_keys, key_headers
from proxy.wires.wire import Headers, WireFamily

OPENAI = b"sk-proj-1"
ANTHROPIC = b"sk-ant-api03-1"
GOOGLE = b"AIzaSy1"
GROQ = b"gsk_1"


def is_foreign(key: bytes, family: WireFamily | None, base_url: str) -> bool:
    found = {
        value: foreign_keys(family, base_url).match(value)
        for value in (key, b"Bearer " + key, b"bearer  " + key, b"BEARER\t" + key)
    }
    answers = {match is not None and match["none"] is None for match in found.values()}
    assert len(answers) == 1, "the way a key is written makes it nobody else's"
    return answers.pop()


@pytest.mark.parametrize(
    ("family", "base_url", "taken", "refused"),
    [
        ("openai", "https://api.openai.com", [OPENAI, b"sk-1", b"eyJ"], [ANTHROPIC, GOOGLE, GROQ, b"ya29.1"]),
        ("openai", "https://API.OpenAI.com:443/v1", [OPENAI], [ANTHROPIC, GOOGLE, GROQ]),
        ("openai", "https://eu.api.openai.com/v1", [OPENAI], [ANTHROPIC, GOOGLE, b"hf_1"]),
        ("openai", "https://api.openai.com.", [OPENAI], [ANTHROPIC]),
        ("anthropic", "https://api.anthropic.com", [ANTHROPIC, b"sk-1"], [OPENAI, b"sk-svcacct-1", GOOGLE, b"xai-1"]),
        # Anthropic and Google take their own keys on OpenAI's wire, and nobody else's.
        ("openai", "https://api.anthropic.com/v1", [ANTHROPIC], [OPENAI, GOOGLE]),
        ("openai", "https://generativelanguage.googleapis.com/v1beta/openai", [GOOGLE], [OPENAI, ANTHROPIC]),
        ("openai", "https://api.groq.com/openai/v1", [GROQ], [OPENAI, ANTHROPIC, GOOGLE]),
        # Servers of nobody in particular: what the settings call their wire says whose keys are meant.
        ("openai", "http://127.0.0.1:4000", [OPENAI, GROQ], [ANTHROPIC, GOOGLE]),
        ("anthropic", "https://llm.corp.example/anthropic", [ANTHROPIC, GROQ], [OPENAI, GOOGLE]),
        ("google", "https://llm.corp.example/google", [GOOGLE, b"ya29.1", GROQ], [OPENAI, ANTHROPIC]),
        ("google", "https://generativelanguage.googleapis.com", [GOOGLE, b"ya29.1", b"any"], [OPENAI, ANTHROPIC, GROQ]),
        (None, "https://llm.corp.example", [ANTHROPIC, OPENAI, GOOGLE], []),
        # A name that only looks like a provider's is nobody's.
        ("openai", "https://notopenai.com", [OPENAI], [ANTHROPIC]),
        ("anthropic", "https://anthropic.com.evil.example", [ANTHROPIC], [OPENAI]),
    ],
)
def test_a_key_goes_to_its_own_provider_however_it_is_written(
    family: WireFamily | None, base_url: str, taken: list[bytes], refused: list[bytes]
) -> None:
    assert [key for key in taken + refused if is_foreign(key, family, base_url)] == refused


@pytest.mark.parametrize("value", [b"", b" ", b"Bearer", b"Bearer ", b"bearer \t"])
def test_a_header_without_a_key_is_known_for_none(value: bytes) -> None:
    match = foreign_keys("openai", "https://api.openai.com").match(value)
    assert match is not None
    assert match["none"] is not None


def test_a_header_belongs_to_a_family_or_to_the_owner_of_an_origin() -> None:
    assert key_headers("openai", "https://api.openai.com") == FAMILIES["openai"].key_headers
    assert b"api-key" in key_headers("openai", "https://acme.openai.azure.com/openai/v1")
    assert b"x-goog-api-key" in key_headers("openai", "https://generativelanguage.googleapis.com/v1beta/openai")
    assert b"x-amz-security-token" in key_headers("anthropic", "https://bedrock-mantle.eu-west-1.api.aws/anthropic")
    assert key_headers("openai", "https://gw.corp.example") == {b"authorization", b"ocp-apim-subscription-key"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (b"key=AIza", True),
        (b"alt=sse&key=AIza", True),
        (b"alt=sse;KEY=AIza", True),
        (b"%6bey=AIza", True),
        (b"api%2Dkey=1", True),
        (b"Subscription-Key=1", True),
        (b"access_token=ya29.1", True),
        (b"X-Amz-Security-Token=1", True),
        (b"key", True),
        (b"", False),
        (b"metadata[key]=1&after=key=2", False),
        (b"monkey=1&keys=2&beta=true", False),
    ],
)
def test_a_query_that_carries_a_key_is_known_in_every_form(query: bytes, found: bool) -> None:
    assert carries_key(query) is found


@pytest.mark.parametrize(
    ("fields", "family"),
    [
        ([(b"x-api-key", b"anything")], "anthropic"),
        ([(b"authorization", b"Bearer sk-proj-1"), (b"x-api-key", b"anything")], "anthropic"),
        ([(b"authorization", b"bearer sk-ant-1")], "anthropic"),
        ([(b"authorization", b"Bearer sk-proj-1")], "openai"),
        ([(b"authorization", b"Bearer anything")], None),
        ([(b"switchback-user", b"Bearer sk-ant-1")], None),
        ([], None),
    ],
)
def test_a_key_says_whose_client_sends_it_where_no_other_may(fields: Headers, family: WireFamily | None) -> None:
    assert family_of_keys(fields) == family
