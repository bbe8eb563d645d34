"""Answers: what is wrong, as RFC 9457 says it, and what is told to whoever has no token."""

from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from proxy.core.releasing.preflight import FindingDocument


class FaultyMember(TypedDict):
    """One member, or one parameter, that is not as it should be."""

    param: str
    message: str


class Problem(TypedDict):
    """RFC 9457. `code` is stable, `param` names the member at fault, `errors` every one of them; `findings` are a preflight's."""

    type: Literal["about:blank"]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    code: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$")]
    param: NotRequired[str]
    errors: NotRequired[list[FaultyMember]]
    findings: NotRequired[list[FindingDocument]]


class Marker(TypedDict):
    """What tells this API from another server, before a token is sent."""

    api: Literal["switchback-admin"]
