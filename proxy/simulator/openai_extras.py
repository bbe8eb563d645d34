"""The smaller endpoints of the OpenAI wire: legacy completions, embeddings, the upload of files, training jobs.

Same rules as `openai.py`, of which this is a part: readers raise `Refused`, the rest makes JSON and event bytes.
Vectors are made from a hash of the input and have length one; uploads are described and forgotten.
"""

import array
import base64
import email.parser
import email.policy
import hashlib
import math
from collections.abc import Sequence
from typing import Any

import orjson

from proxy.simulator.answering import FIRST_SECOND, Answer, Choice, made_id, pieces_of
from proxy.simulator.asking import (
    BYTES_PER_TOKEN,
    Ask,
    JsonObject,
    Refused,
    counted_bytes,
    is_count,
    is_list,
    is_object,
    names,
)
from proxy.simulator.openai_reading import check_members, check_stream, count, known_model, stops
from proxy.simulator.openai_usage import usage_chunk, usage_member
from proxy.simulator.wire import Frame, Generation, Headers, Models, Request

COMPLETION_MEMBERS = names(
    "model prompt best_of echo frequency_penalty logit_bias logprobs max_tokens n presence_penalty seed stop stream"
    " stream_options suffix temperature top_p user"
)
EMBEDDING_MEMBERS = names("input model dimensions encoding_format user")
DEFAULT_COMPLETION_TOKENS = 16
MAX_INPUTS = 2_048


def _read_completion(body: JsonObject, _headers: Headers, models: Models) -> Ask:
    check_members(body, COMPLETION_MEMBERS)
    model = known_model(body, models, "completion")
    prompt: Any = body.get("prompt")
    prompts: list[Any] = prompt if is_list(prompt) and prompt else [prompt]
    if not all(isinstance(text, str) for text in prompts):
        raise Refused(400, "Invalid 'prompt': expected a string or strings.", param="prompt", code="invalid_type")
    limit = count(body, "max_tokens", 0, 10**6)
    options = check_stream(body)
    return Ask(
        model=model,
        system="",
        user=prompts[-1],
        counted_bytes=counted_bytes(prompts),
        stream=bool(body.get("stream")),
        max_output_tokens=DEFAULT_COMPLETION_TOKENS if limit is None else limit,
        choices=(count(body, "n", 1, 128) or 1) * len(prompts),
        stop=stops(body),
        include_usage=options.get("include_usage") is True,
    )


def _completion_base(answer: Answer) -> JsonObject:
    return {
        "id": answer.id("cmpl-"),
        "object": "text_completion",
        "created": answer.created,
        "model": answer.model,
    }


def _whole_completion(_body: JsonObject, ask: Ask, answer: Answer) -> JsonObject:
    choices = [_text(index, choice.text or choice.refusal, choice) for index, choice in enumerate(answer.choices)]
    return {**_completion_base(answer), "choices": choices, **usage_member(answer)}


def _completion_frames(_body: JsonObject, ask: Ask, answer: Answer) -> Sequence[Frame]:
    base = _completion_base(answer) | ({"usage": None} if ask.include_usage else {})
    frames: list[Frame] = []
    for index, choice in enumerate(answer.choices):
        pieces = pieces_of(choice.text or choice.refusal, answer.pieces_per_choice)
        frames.extend(Frame(_data({**base, "choices": [_text(index, piece, None)]}), True) for piece in pieces)
        frames.append(Frame(_data({**base, "choices": [_text(index, "", choice)]}), False))
    if ask.include_usage:
        frames.extend(Frame(_data(chunk), False) for chunk in usage_chunk(base, answer))
    frames.append(Frame(b"data: [DONE]\n\n", False))
    return frames


def _text(index: int, text: str, ended: Choice | None) -> JsonObject:
    finish = None if ended is None else "length" if ended.finish == "length" else "stop"
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def _data(value: JsonObject) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _read_embedding(body: JsonObject, _headers: Headers, models: Models) -> Ask:
    check_members(body, EMBEDDING_MEMBERS)
    model = known_model(body, models, "embedding")
    count(body, "dimensions", 1, model.dimensions)
    if body.get("encoding_format", "float") not in ("float", "base64"):
        raise Refused(400, "Invalid 'encoding_format'.", param="encoding_format", code="invalid_value")
    inputs = _inputs(body)
    # An input given as token numbers counts as many tokens as it has numbers.
    size = sum(len(item) * BYTES_PER_TOKEN if is_list(item) else counted_bytes(item) for item in inputs)
    return Ask(model=model, system="", user="", counted_bytes=size, max_output_tokens=0)


def _inputs(body: JsonObject) -> list[Any]:
    value: Any = body.get("input")
    if isinstance(value, str) and value:
        return [value]
    if is_list(value) and value and len(value) <= MAX_INPUTS:
        if all(is_count(item) for item in value):
            return [value]
        if all((isinstance(item, str) and item) or (is_list(item) and item) for item in value):
            return value
    raise Refused(400, "'input' is invalid: expected text, texts, or token numbers.", param="input")


def _whole_embedding(body: JsonObject, ask: Ask, answer: Answer) -> JsonObject:
    length = body.get("dimensions") or ask.model.dimensions
    data: list[JsonObject] = []
    for index, item in enumerate(_inputs(body)):
        vector = _vector(orjson.dumps(item), length)
        packed = body.get("encoding_format") == "base64"
        shown = base64.b64encode(vector.tobytes()).decode() if packed else vector.tolist()
        data.append({"object": "embedding", "index": index, "embedding": shown})
    usage = {"prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens}
    member: JsonObject = {} if answer.usage_order == "none" else {"usage": usage}
    return {"object": "list", "data": data, "model": answer.model, **member}


def _vector(seed: bytes, length: int) -> "array.array[float]":
    raw = [byte - 127.5 for byte in hashlib.shake_256(seed).digest(length)]
    norm = math.sqrt(sum(value * value for value in raw))
    return array.array("f", (value / norm for value in raw))


def stored_file(request: Request) -> JsonObject:
    """The file object for an upload: any multipart form with a `file`. Raises Refused for anything else."""
    head = f"Content-Type: {request.headers.get('Content-Type', '')}\r\n\r\n".encode("latin-1", "replace")
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    fields: dict[str, Any] = {}
    for part in form.iter_parts() if form.is_multipart() else ():
        fields[str(part.get_param("name", "", header="content-disposition"))] = part
    if "file" not in fields:
        raise Refused(400, "'file' is a required property", param="file")
    content = fields["file"].get_payload(decode=True) or b""
    purpose = (
        fields["purpose"].get_payload(decode=True).decode("utf-8", "replace") if "purpose" in fields else "user_data"
    )
    return {
        "id": made_id("file-", request.number),
        "object": "file",
        "bytes": len(content),
        "created_at": FIRST_SECOND + request.number,
        "filename": fields["file"].get_filename() or "upload",
        "purpose": purpose.strip(),
        "status": "processed",
        "expires_at": None,
        "status_details": None,
    }


def training_job(request: Request) -> JsonObject:
    """A job that waits for its turn: nothing tells yet what it will cost. Raises Refused for a body without model and file."""
    try:
        body: Any = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise Refused(400, "We could not parse the JSON body of your request.") from None
    for name in ("model", "training_file"):
        if not is_object(body) or not isinstance(body.get(name), str):
            raise Refused(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    return {
        "id": made_id("ftjob-", request.number),
        "object": "fine_tuning.job",
        "created_at": FIRST_SECOND + request.number,
        "model": body["model"],
        "training_file": body["training_file"],
        "status": "queued",
        "trained_tokens": None,
        "fine_tuned_model": None,
    }


COMPLETIONS = Generation(_read_completion, _whole_completion, _completion_frames)
EMBEDDINGS = Generation(_read_embedding, _whole_embedding)
