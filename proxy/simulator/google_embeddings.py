"""Embeddings of the Gemini wire: `embedContent` and `batchEmbedContents`.

Each request of a batch names its model, which is that of the path. Vectors follow from the text. With `usage: weird` counts are
nonsense, and without usage nothing is told, as by the older of the real models. Pure; `google.py` puts it into the wire.
"""

import functools
import hashlib

from proxy.simulator.answering import Answer
from proxy.simulator.asking import Ask, JsonObject, Refused, is_list, is_object
from proxy.simulator.google_reading import model_of, spelled, texts_of
from proxy.simulator.models import Model
from proxy.simulator.wire import Generation, Headers, Models

REQUEST_MEMBERS = frozenset({"model", "content", "taskType", "title", "outputDimensionality"})
MOST_REQUESTS = 100
LENGTH = 8


def embedding_generations(version: str, model: Model) -> dict[str, Generation]:
    """By path, of one model in one version."""
    path = f"/{version}/models/{model.id}:"
    single = functools.partial(_read, model_name=model.id, is_batch=False)
    batch = functools.partial(_read, model_name=model.id, is_batch=True)
    return {
        path + "embedContent": Generation(single, _whole),
        path + "batchEmbedContents": Generation(batch, _whole_batch),
    }


def _requests(body: JsonObject, model_name: str, *, is_batch: bool) -> list[JsonObject]:
    if not is_batch:
        return [spelled(body, REQUEST_MEMBERS, "")]
    listed = spelled(body, frozenset({"requests"}), "").get("requests")
    if not is_list(listed) or not 0 < len(listed) <= MOST_REQUESTS:
        raise Refused(400, "* BatchEmbedContentsRequest.requests: at least one and at most 100 requests are required")
    requests = [spelled(one, REQUEST_MEMBERS, f"requests[{index}]") for index, one in enumerate(listed)]
    for index, one in enumerate(requests):
        if one.get("model") != f"models/{model_name}":
            raise Refused(
                400, f"* BatchEmbedContentsRequest.requests[{index}].model: does not match the model of the path"
            )
    return requests


def _read(body: JsonObject, _headers: Headers, models: Models, *, model_name: str, is_batch: bool) -> Ask:
    model = model_of(model_name, models)
    texts = [texts_of(one.get("content")) for one in _requests(body, model_name, is_batch=is_batch)]
    if not all(texts):
        raise Refused(400, "The text content is empty.")
    return Ask(
        model=model, system="", user="", counted_bytes=sum(len(text.encode()) for text in texts), max_output_tokens=0
    )


def _vector(content: object) -> JsonObject:
    digest = hashlib.sha256(texts_of(content).encode()).digest()
    return {"values": [byte / 255 - 0.5 for byte in digest[:LENGTH]]}


def _whole(body: JsonObject, _ask: Ask, answer: Answer) -> JsonObject:
    return {"embedding": _vector(body.get("content"))} | _usage(answer)


def _whole_batch(body: JsonObject, _ask: Ask, answer: Answer) -> JsonObject:
    contents = [one.get("content") for one in body["requests"] if is_object(one)]
    return {"embeddings": [_vector(content) for content in contents]} | _usage(answer)


def _usage(answer: Answer) -> JsonObject:
    match answer.usage_order:
        case "none" | "null":
            return {}
        case "weird":
            return {"usageMetadata": {"promptTokenCount": -5, "totalTokenCount": "many"}}
        case _:
            tokens = answer.input_tokens
            return {"usageMetadata": {"promptTokenCount": tokens, "totalTokenCount": tokens}}
