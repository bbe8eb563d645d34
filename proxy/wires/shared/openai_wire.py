"""What all wires of OpenAI have in common: a refusal in the shape that its SDKs raise on.

Counterpart: json_wire.py, the half that is about requests, which wires of other families have too.
"""

import orjson

from proxy.core.errors import Refusal
from proxy.wires.shared.json_wire import JsonWire
from proxy.wires.shared.openai_errors import error_of


class OpenAIWire(JsonWire):
    """A wire of OpenAI, but for its paths, its answers and its fixed text."""

    def error_status(self, refusal: Refusal) -> int:
        """The refusal's own."""
        return refusal.status

    def error_body(self, refusal: Refusal, request_id: str) -> bytes:
        """`{"error": {message, type, param, code}}`; the request id travels in the headers alone on these wires."""
        del request_id
        return orjson.dumps({"error": error_of(refusal)})

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """The error JSON as data; the SDKs raise on it."""
        return b"data: %b\n\n" % self.error_body(refusal, request_id)
