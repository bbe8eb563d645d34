"""The shape that an answer of OpenAI Embeddings is decoded into; the vectors are skipped unread.

Only a declaration: what it means is openai_embeddings/answer.py.
"""

from typing import Any

import msgspec

from proxy.wires.json.values import ABSENT


class EmbeddingList(msgspec.Struct, gc=False):
    """A whole answer."""

    model: Any = None
    service_tier: Any = None
    usage: msgspec.Raw = ABSENT
    error: Any = None
