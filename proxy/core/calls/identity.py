"""Who is calling: a caller (caller.py) put together from what path, headers and body of a request claim.

The agent can be named by base-URL path, header, model name or the listener's default; two different names are an error.
Names are trusted claims (a sidecar on loopback). Everything here is facts already read from bytes by edges and wires.
"""

import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar, cast

import orjson

from proxy.core.calls.caller import BodyClaims, Caller, PromptClaim
from proxy.core.errors import BadInput, NotFound, Unauthorized
from proxy.core.names import AgentReference, parse_agent_reference
from proxy.core.tokens import TOKEN_PREFIX

Found = TypeVar("Found")

MODEL_PREFIX: Final = "agent:"
#: Request headers that say who calls, lower case; each may occur once. None of them reaches a provider.
AGENT_HEADER: Final = b"switchback-agent"
VERSION_HEADER: Final = b"switchback-version"
LABEL_HEADER: Final = b"switchback-label"
USER_HEADER: Final = b"switchback-user"
CONVERSATION_HEADER: Final = b"switchback-conversation"
TAGS_HEADER: Final = b"switchback-tags"
VARIABLES_HEADER: Final = b"switchback-variables"
OUR_PREFIX: Final = b"switchback-"
#: Headers that carry a credential; each may occur once.
CREDENTIAL_HEADERS: Final = frozenset(
    {
        b"authorization",
        b"x-api-key",
        b"api-key",
        b"x-goog-api-key",
        b"ocp-apim-subscription-key",
        b"x-amz-security-token",
    }
)

_ADMIN_TOKEN: Final = TOKEN_PREFIX.encode()
#: Where a credential stands, one that begins so; anywhere else a whole one, which nothing else looks like (43 characters follow).
_TOKEN_BEGINS: Final = re.compile(rb"(?<![A-Za-z0-9_-])" + _ADMIN_TOKEN)
_WHOLE_TOKEN: Final = re.compile(rb"(?<![A-Za-z0-9_-])" + _ADMIN_TOKEN + rb"[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
_REFERENCE_HEADERS: Final = frozenset({AGENT_HEADER, VERSION_HEADER, LABEL_HEADER})
_NO_IDS: Final[Mapping[str, str]] = {}
_NO_HEADERS: Final[Mapping[bytes, str]] = {}
_NO_CLAIMS: Final = BodyClaims()
_SUBJECT_HEADERS: Final = frozenset({USER_HEADER, CONVERSATION_HEADER})
_MAX_ID_CHARACTERS: Final = 512
_MAX_TAGS: Final = 32
_TAG: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def identify(
    path_agent: str | None,
    headers: Iterable[tuple[bytes, bytes]],
    claims: BodyClaims,
    default_agent: str | None,
    prompt_ids: Mapping[str, str] = _NO_IDS,
) -> Caller:
    """Put the claims of path, headers and body together. `prompt_ids`: agents by ids that a body may name prompts by.

    Raises BadInput: `agent_conflict`, `duplicate_header`, `bad_agent`, `bad_tags`, `bad_variables`, `bad_switchback_member`;
    Unauthorized(`admin_token_refused`).
    """
    ours = _own_headers(headers)
    prompt = claims.prompt
    if (
        claims.switchback is None
        and prompt is None
        and path_agent
        and ours.keys() <= _SUBJECT_HEADERS
        and not _names_agent(claims.model)
    ):
        # What nearly every call brings: an agent in the path, and at most a user and a conversation.
        named = parse_agent_reference(path_agent)
        user, conversation = ours.get(USER_HEADER), ours.get(CONVERSATION_HEADER)
        return Caller(
            agent=named.name,
            pin=named.pin,
            label=named.label,
            user=_identifier("user", user or claims.user),
            conversation=_identifier("conversation", conversation or claims.conversation),
            chain=claims.chain,
        )
    member = _Member(claims.switchback)
    reference = _agent_reference(path_agent, ours, claims, member, default_agent, prompt_ids)
    conversation = ours.get(CONVERSATION_HEADER) or member.text("conversation") or claims.conversation
    tags = _checked_tags({**_header_tags(ours.get(TAGS_HEADER)), **member.texts("tags")})
    variables = {**_header_variables(ours.get(VARIABLES_HEADER)), **member.texts("variables")}
    if prompt is not None:
        variables = {**prompt.variables, **variables}
    return Caller(
        agent=None if reference is None else reference.name,
        pin=None if reference is None else reference.pin,
        label=None if reference is None else reference.label,
        user=_identifier("user", ours.get(USER_HEADER) or member.text("user") or claims.user),
        conversation=_identifier("conversation", conversation),
        chain=claims.chain,
        tags=tags,
        variables=variables,
    )


def named_agent(
    path_agent: str | None, headers: Iterable[tuple[bytes, bytes]], claims: BodyClaims = _NO_CLAIMS
) -> AgentReference | None:
    """The agent that path, headers and body name, whatever else is wrong with the call; None: they name none, or no single one.

    Where they contradict each other the path counts before the headers, and these before the body."""
    ours = {name: value.decode("latin-1") for name, value in headers if name in _REFERENCE_HEADERS}
    agent = None if claims.switchback is None else claims.switchback.get("agent")
    member = _Member({"agent": agent} if isinstance(agent, str) else None)
    for given, said, part in (
        (ours, claims, member),
        (ours, _NO_CLAIMS, _NO_MEMBER),
        (_NO_HEADERS, _NO_CLAIMS, _NO_MEMBER),
    ):
        try:
            return _agent_reference(path_agent, given, said, part, None)
        except (BadInput, NotFound):
            continue
    return None


def _own_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """Our own request headers as text; an identity or credential header that occurs twice is refused."""
    found: dict[bytes, str] = {}
    credentials: set[bytes] = set()
    for name, value in headers:
        if name.startswith(OUR_PREFIX):
            if name in found:
                raise _duplicate(name)
            try:
                found[name] = value.decode("utf-8").strip()
            except UnicodeDecodeError:
                raise BadInput("bad_header", f"the header {name.decode('ascii')} is not UTF-8") from None
        elif name in CREDENTIAL_HEADERS:
            if name in credentials:
                raise _duplicate(name)
            credentials.add(name)
            if _ADMIN_TOKEN in value or value[1:2] in b"aA":  # Basic
                _check_credential(value)
    return found


def _check_credential(value: bytes) -> None:
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() == b"basic":
        try:
            # Name and password, as SDKs send what a base URL has before its host.
            value = binascii.a2b_base64(rest + b"==")
        except binascii.Error:
            return
    if _TOKEN_BEGINS.search(value):
        raise admin_token_refused()


def holds_admin_token(value: bytes) -> bool:
    """Whether a whole token of the admin API stands somewhere in it."""
    return _ADMIN_TOKEN in value and _WHOLE_TOKEN.search(value) is not None


def admin_token_refused() -> Unauthorized:
    """A token of the admin API where the key of a provider belongs."""
    return Unauthorized(
        "admin_token_refused",
        "this is a token of Switchback's admin API, which no provider may see: call the admin port with it, and this one with "
        "the provider's own key",
    )


def _duplicate(name: bytes) -> BadInput:
    return BadInput("duplicate_header", f"the header {name.decode('ascii')} occurs twice", param=name.decode("ascii"))


def _agent_reference(
    path_agent: str | None,
    ours: Mapping[bytes, str],
    claims: BodyClaims,
    member: "_Member",
    default_agent: str | None,
    prompt_ids: Mapping[str, str] = _NO_IDS,
) -> AgentReference | None:
    model = claims.model
    from_model = model.removeprefix(MODEL_PREFIX) if model is not None and _names_agent(model) else None
    named = [
        parse_agent_reference(text)
        for text in (path_agent, ours.get(AGENT_HEADER), member.text("agent"), from_model)
        if text
    ]
    if claims.prompt is not None:
        named.append(_prompt_reference(claims.prompt, prompt_ids))
    pins = {reference.pin for reference in named if reference.pin is not None}
    labels = {reference.label for reference in named if reference.label is not None}
    if ours.get(VERSION_HEADER):
        pins.add(_version_number(ours[VERSION_HEADER]))
    if ours.get(LABEL_HEADER):
        labels.add(ours[LABEL_HEADER])
    names = {reference.name for reference in named}
    if not names and default_agent is not None:
        names.add(default_agent)
    if len(names) > 1 or len(pins) > 1 or len(labels) > 1 or (pins and labels):
        raise BadInput("agent_conflict", "the call names two different agents, versions or labels; name one")
    if not names:
        if pins or labels:
            raise BadInput("bad_agent", "a version or label is named without an agent")
        return None
    return AgentReference(names.pop(), pins.pop() if pins else None, labels.pop() if labels else None)


def _prompt_reference(prompt: PromptClaim, prompt_ids: Mapping[str, str]) -> AgentReference:
    """The agent that a prompt's id stands for. An id that is nobody's name is an unknown one, however it is written."""
    try:
        name = parse_agent_reference(prompt_ids.get(prompt.id, prompt.id)).name
    except BadInput:
        raise NotFound("agent_not_found", f"there is no agent {prompt.id!r} here", param="prompt.id") from None
    if prompt.version is None:
        return AgentReference(name)
    try:
        return parse_agent_reference(f"{name}@{prompt.version}")
    except BadInput:
        raise BadInput(
            "bad_agent", "the version of a prompt is a version number or a label", param="prompt.version"
        ) from None


def _names_agent(model: str | None) -> bool:
    return model is not None and model.startswith(MODEL_PREFIX)


def _version_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadInput("bad_version_number", "Switchback-Version must be a version number", param="switchback-version")
    return int(text)


def _identifier(name: str, value: str | None) -> str | None:
    # As around a header's value: blanks make nobody another.
    value = value and value.strip()
    if not value:
        return None
    if len(value) > _MAX_ID_CHARACTERS:
        raise BadInput("bad_identifier", f"the {name} is longer than {_MAX_ID_CHARACTERS} characters", param=name)
    if not value.isprintable() and _CONTROL.search(value):
        raise BadInput("bad_identifier", f"the {name} holds a control character", param=name)
    return value


def _header_tags(header: str | None) -> dict[str, str]:
    tags: dict[str, str] = {}
    for part in header.split(",") if header else ():
        key, separator, value = part.strip().partition("=")
        if not separator:
            raise _bad_tags()
        tags[key] = value
    return tags


def _checked_tags(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > _MAX_TAGS:
        raise _bad_tags()
    for key, value in tags.items():
        if not _TAG.match(key) or len(value) > _MAX_ID_CHARACTERS or not value.isprintable():
            raise _bad_tags()
    return tags


def _bad_tags() -> BadInput:
    return BadInput("bad_tags", "tags are written key=value, separated by commas, at most 32", param="tags")


def _header_variables(header: str | None) -> dict[str, str]:
    if not header:
        return {}
    try:
        decoded: Any = orjson.loads(header)
    except orjson.JSONDecodeError:
        decoded = None
    return texts_of("variables", decoded)


def texts_of(name: str, value: Any) -> dict[str, str]:
    """A JSON object of texts (numbers and booleans are taken as they are written). Raises BadInput(`bad_{name}`)."""
    if not isinstance(value, dict):
        raise BadInput(f"bad_{name}", f"{name} must be a JSON object of texts", param=name)
    texts: dict[str, str] = {}
    for key, item in cast("dict[str, Any]", value).items():
        if isinstance(item, bool | int | float):
            item = orjson.dumps(item).decode()
        if not isinstance(item, str):
            raise BadInput(f"bad_{name}", f"{name}.{key} must be a text", param=f"{name}.{key}")
        texts[key] = item
    return texts


class _Member:
    """The body's `switchback` object: agent, user, conversation, tags, variables."""

    _KNOWN = ("agent", "user", "conversation", "tags", "variables")

    def __init__(self, content: Mapping[str, Any] | None) -> None:
        self._content = content or {}
        for key in self._content:
            if key not in self._KNOWN:
                raise BadInput(
                    "bad_switchback_member",
                    f"switchback.{key} is unknown; there are {', '.join(self._KNOWN)}",
                    param=f"switchback.{key}",
                )

    def text(self, key: str) -> str | None:
        value = self._content.get(key)
        if key != "agent" and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if value is not None and not isinstance(value, str):
            raise BadInput("bad_switchback_member", f"switchback.{key} must be a text", param=f"switchback.{key}")
        return value or None

    def texts(self, key: str) -> dict[str, str]:
        value = self._content.get(key)
        return {} if value is None else texts_of(key, value)


_NO_MEMBER: Final = _Member(None)


def required_agent(found: Found | None, name: str) -> Found:
    """What was found of a named agent. Raises NotFound(`agent_not_found`): it is never passed through silently."""
    if found is None:
        raise NotFound("agent_not_found", f"there is no agent {name!r} here", param="agent")
    return found
