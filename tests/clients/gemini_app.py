"""An app on Google's SDK, run by its environment: `gemini_app.py URL MODEL PROMPT`, where PROMPT is what it says itself, or nothing.

It writes one JSON object: what it was answered, without what differs between two calls of the same.
"""

import json
import sys
from typing import Any

from google import genai
from google.genai import errors, types
from pydantic import BaseModel

url, model, prompt = sys.argv[1:4]
client = genai.Client(api_key="AIza-a-key", http_options=types.HttpOptions(base_url=url))
said: dict[str, Any] = {}


def config(**more: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(system_instruction=prompt or None, max_output_tokens=200, **more)


def shown(answer: types.GenerateContentResponse) -> Any:
    return answer.model_dump(mode="json", exclude_none=True, exclude={"response_id", "sdk_http_response"})


class Sorted(BaseModel):
    text: str


lookup = types.FunctionDeclaration(
    name="lookup", parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}}
)
tools: list[Any] = [types.Tool(function_declarations=[lookup])]
said["whole"] = shown(client.models.generate_content(model=model, contents="hello", config=config()))
said["streamed"] = [
    shown(piece) for piece in client.models.generate_content_stream(model=model, contents="hello", config=config())
]
asked = types.Content(role="user", parts=[types.Part(text="Please call the tool lookup")])
called = client.models.generate_content(model=model, contents=[asked], config=config(tools=tools))
assert called.function_calls is not None
assert called.candidates is not None
assert called.candidates[0].content is not None
said["called"] = [called.function_calls[0].name, called.function_calls[0].args]
result = types.Part.from_function_response(name="lookup", response={"weather": "sunny"})
answered: list[Any] = [asked, called.candidates[0].content, types.Content(role="user", parts=[result])]
said["result"] = client.models.generate_content(model=model, contents=answered, config=config(tools=tools)).text
schema = config(response_mime_type="application/json", response_schema=Sorted)
said["parsed"] = shown(client.models.generate_content(model=model, contents="hello", config=schema))
said["counted"] = client.models.count_tokens(model=model, contents="hello").total_tokens
said["errors"] = []
for order, kind in (("status=429", errors.ClientError), ("status=503", errors.ServerError)):
    headers = types.HttpOptions(headers={"X-Simulate": order})
    try:
        client.models.generate_content(model=model, contents="hello", config=config(http_options=headers))
    except kind as error:
        said["errors"].append([error.code, error.status, error.message])
broken = types.HttpOptions(headers={"X-Simulate": "error_after_events=1"})
try:
    for _ in client.models.generate_content_stream(model=model, contents="hello", config=config(http_options=broken)):
        pass
except errors.ServerError as error:
    said["errors"].append([error.code, error.status, error.message])
sys.stdout.write(json.dumps(said))
