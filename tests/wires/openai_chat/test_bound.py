"""The most input tokens a request can have: bounded by its bytes where all of it is text, without a bound where it is not."""

import pytest

from tests.wires.openai_chat.chat_requests import OTHER, bound_of


@pytest.mark.parametrize(
    "members",
    [
        '"messages":[{"role":"user","content":"hello é"}]',
        '"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":null,'
        '"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},'
        '{"role":"tool","tool_call_id":"1","content":"42"}]',
        f'"messages":[],"tools":[{OTHER}],"response_format":{{"type":"json_object"}},"new_flag":true,"new_number":7',
    ],
)
def test_text_is_bounded_by_its_bytes(members: str) -> None:
    body = f'{{"model":"m",{members}}}'.encode()
    bound = bound_of(body)
    assert bound is not None
    assert bound >= len(body)


@pytest.mark.parametrize(
    "members",
    [
        '"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x"}}]}]',
        '"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}]',
        '"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"x"}}]}]',
        '"messages":[{"role":"assistant","audio":{"id":"a"}}]',
        '"messages":[],"tools":[{"type":"web_search"}]',
        '"messages":[],"web_search_options":{}',
        '"messages":[],"prediction":{"type":"content","content":"x"}',
        '"messages":[],"unheard_of":"id_123"',
        '"messages":[],"messages":[]',
        '"messages":"x"',
    ],
)
def test_what_is_more_than_text_has_no_bound(members: str) -> None:
    assert bound_of(f'{{"model":"m",{members}}}'.encode()) is None
