"""What handlers are given and give back.

A handler is a plain coroutine from an Ask to an Answer, with the commands and readers it works with as its other parameters: it is
given those by their types, and nothing else. It never sees a request, a header or a socket. Reading requests is reading.py's
matter, giving a handler what it names and writing its answer admin_app.py's.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel

from proxy.core.tokens import AdminCaller

Model = TypeVar("Model", bound=BaseModel)
Content = TypeVar("Content")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One admitted request: who asks, the names in its path, its checked body and query."""

    caller: AdminCaller
    path: Mapping[str, str]
    body: BaseModel
    query: BaseModel

    @property
    def who(self) -> str:
        """The caller's name, as the ledger and the audit log keep it."""
        return self.caller.name

    def body_as(self, kind: type[Model]) -> Model:
        """The body, of the kind the route's entry in the table names."""
        assert isinstance(self.body, kind)
        return self.body

    def query_as(self, kind: type[Model]) -> Model:
        """The query, of the kind the route's entry in the table names."""
        assert isinstance(self.query, kind)
        return self.query


@dataclass(frozen=True, slots=True)
class AdminAnswer(Generic[Content]):
    """`content` is written as JSON. What a handler says it returns is also how the description describes it."""

    content: Content
    status: ClassVar[int] = 200


class Created(AdminAnswer[Content]):
    """Of what was not there before."""

    __slots__ = ()
    status = 201


class Accepted(AdminAnswer[Content]):
    """Of what somebody else has to agree to first."""

    __slots__ = ()
    status = 202


@dataclass(frozen=True, slots=True)
class Streamed(Generic[Content]):
    """An answer that is made while it is sent (streaming.py). What fails after the first chunk breaks the connection.

    Its content is one JSON document, or one a line where the route names a media type of its own.
    """

    chunks: AsyncGenerator[bytes]
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    status: ClassVar[int] = 200


#: Its last parameter is the Ask.
Handler = Callable[..., Awaitable[AdminAnswer[Any] | Streamed[Any]]]
