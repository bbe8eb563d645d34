"""The `usage` member of the OpenAI wire, honest or as ordered.

`prompt_tokens` includes the cached ones, `completion_tokens` the reasoning. Shared by chat and legacy completions; the
Anthropic counterpart is in `anthropic.py`.
"""

from proxy.simulator.answering import Answer
from proxy.simulator.asking import JsonObject


def usage_of(answer: Answer) -> JsonObject | None:
    """The usage object; None and nonsense on order."""
    if answer.usage_order == "null":
        return None
    if answer.usage_order == "weird":
        return {"prompt_tokens": -5, "completion_tokens": "many", "total_tokens": None, "surprise": [1]}
    return _usage(answer, answer.output_tokens)


def usage_member(answer: Answer) -> JsonObject:
    """What a whole answer has: `usage`, or nothing on order."""
    return {} if answer.usage_order == "none" else {"usage": usage_of(answer)}


def usage_chunk(base: JsonObject, answer: Answer) -> list[JsonObject]:
    """The chunk with the usage and no choices; none, or a smaller one before it, on order."""
    if answer.usage_order == "none":
        return []
    chunks: list[JsonObject] = [{**base, "choices": [], "usage": usage_of(answer)}]
    if answer.usage_order == "twice":
        chunks.insert(0, {**base, "choices": [], "usage": _usage(answer, answer.output_tokens // 2)})
    return chunks


def _usage(answer: Answer, output_tokens: int) -> JsonObject:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": answer.input_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": min(answer.reasoning_tokens, output_tokens),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
