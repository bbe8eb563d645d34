"""Paths of the Gemini API: the version, the model and the method that stand in them, and how a model's name is written there.

Belongs here: reading a target and writing one. Does not belong here: what a method asks for (wire.py).

Protocol facts: `/{version}/models/{model}:{method}`; clients whose base URL has the version, and those that leave it out, give the
rest alone. A model's name may hold colons (`agent:support`) and slashes, so the method is what stands behind the last colon. A tuned
model is in a collection of its own, `tunedModels/{name}`, and is named with it. Without `alt=sse` a stream is one JSON list.
"""

import re
from typing import Final
from urllib.parse import quote, unquote

#: What a path is taken for that says no version: the one that has all of the format.
_DEFAULT_VERSION: Final = "/v1beta"
_PATH: Final = re.compile(r"(/v1(?:alpha|beta)?)?(/(?:models|tunedModels)/)([^?]+):([A-Za-z]+)\Z")
_MODELS: Final = "models/"
_COLLECTIONS: Final = (_MODELS, "tunedModels/")
#: What may stand in a path as it is.
_PLAIN: Final = "/:@-._~"
_EVENTS: Final = re.compile(rb"(?:\A|&)(?:\$|%24)?alt=sse(?:&|\Z)", re.IGNORECASE)


class ModelPath:
    """Where a call goes: `/{version}`, the collection, the model as it is named, the method, and the query."""

    __slots__ = ("_before", "_given", "method", "model", "query")

    def __init__(self, before: str, given: str, model: str, method: str, query: bytes) -> None:
        self._before = before
        self._given = given
        #: Without its collection, unless it is a tuned one.
        self.model = model
        self.method = method
        self.query = query

    @property
    def is_event_stream(self) -> bool:
        """Whether a stream is asked for as events, and not as a list."""
        return _EVENTS.search(self.query) is not None

    def path(self) -> str:
        """As it is sent upstream where the model stays."""
        return f"{self._before}/{self._given}:{self.method}"

    def target(self, model: str) -> bytes:
        """With a model in the place of its own."""
        name = model if model.startswith(_COLLECTIONS) else _MODELS + model
        path = f"{self._before}/{quote(name, safe=_PLAIN)}:{self.method}".encode()
        return path + b"?" + self.query if self.query else path


def place_of(path: str, query: bytes = b"") -> ModelPath | None:
    """What a canonical path says; None for one of another shape."""
    found = _PATH.match(path)
    if found is None:
        return None
    version, collection, given, method = found.groups()
    name = unquote(given)
    model = name if collection == "/models/" else collection[1:] + name
    return ModelPath(version or _DEFAULT_VERSION, collection[1:] + given, model, method, query)


def place_of_target(target: bytes) -> ModelPath | None:
    """As `place_of`, of a target with its query."""
    path, _, query = target.partition(b"?")
    return place_of(path.decode("ascii", "replace"), query)


def plain_model(name: str) -> str:
    """A model as prices and records name it: without the collection that all have."""
    return name.removeprefix(_MODELS)
