"""The most input tokens a request can have: bounded by its bytes where all of it is text, without a bound where it is not."""

import pytest

from proxy.wires.wire import BilledApart
from tests.wires.openai_responses.responses_requests import WIRE, bound_of, inject

FUNCTION = '{"type":"function","name":"f","parameters":{}}'


@pytest.mark.parametrize(
    "members",
    [
        '"input":"hello é"',
        '"input":[{"role":"user","content":"hello é"}],"instructions":"Be kind."',
        '"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]},'
        '{"type":"function_call","call_id":"c","name":"f","arguments":"{}","id":"fc_1","status":"completed"},'
        '{"type":"function_call_output","call_id":"c","output":"42"},'
        '{"type":"message","id":"msg_1","role":"assistant","status":"completed","phase":"final_answer","content":'
        '[{"type":"output_text","text":"a","annotations":[],"logprobs":[]}]}]',
        f'"input":"x","tools":[{FUNCTION},{{"type":"custom","name":"c"}}],"text":{{"format":{{"type":"json_object"}}}},'
        '"reasoning":{"effort":"low"},"include":["reasoning.encrypted_content"],"new_flag":true,"new_number":7',
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
        '"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://x"}]}]',
        '"input":[{"role":"user","content":[{"type":"input_file","file_id":"f"}]}]',
        '"input":[{"type":"item_reference","id":"msg_1"}]',
        '"input":[{"type":"reasoning","id":"r","summary":[],"encrypted_content":"gAAA"}]',
        '"input":[{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","file_id":"f"}]}]',
        '"input":[{"type":"compaction","encrypted_content":"gAAA"}]',
        '"input":"x","previous_response_id":"resp_1"',
        '"input":"x","conversation":"conv_1"',
        '"input":"x","tools":[{"type":"web_search"}]',
        '"input":"x","unheard_of":"id_123"',
        '"input":"x","input":"x"',
        '"input":7',
    ],
)
def test_what_is_more_than_text_has_no_bound(members: str) -> None:
    assert bound_of(f'{{"model":"m",{members}}}'.encode()) is None


@pytest.mark.parametrize(
    ("tools", "more", "apart"),
    [
        ("", "", BilledApart(has_audio=False, web_searches=0)),
        (FUNCTION, "", BilledApart(has_audio=False, web_searches=0)),
        ('{"type":"web_search"}', "", BilledApart(has_audio=False, web_searches=None, rounds=None)),
        ('{"type":"web_search"}', ',"max_tool_calls":3', BilledApart(has_audio=False, web_searches=3, rounds=4)),
        ('{"type":"web_search_preview"}', ',"max_tool_calls":0', BilledApart(has_audio=False, web_searches=0, rounds=1)),
        ('{"type":"mcp","server_label":"d"}', ',"max_tool_calls":2', BilledApart(has_audio=False, web_searches=0, rounds=3)),
        ('{"type":"mcp","server_label":"d"}', ',"max_tool_calls":-2', BilledApart(has_audio=False, web_searches=0, rounds=None)),
        ('{"type":"file_search"}', ',"max_tool_calls":2',
         BilledApart(has_audio=False, web_searches=0, rounds=3, file_searches=2)),
        ('{"type":"unheard_of"}', ',"max_tool_calls":2',
         BilledApart(has_audio=False, web_searches=0, rounds=3, unpriced="unheard_of")),
    ],
)  # fmt: skip
def test_the_providers_own_tools_are_billed_apart(tools: str, more: str, apart: BilledApart) -> None:
    body = f'{{"model":"m","previous_response_id":"r","tools":[{tools}]{more}}}'.encode()
    assert WIRE.billed_apart(inject(body, None)) == apart
