"""Who is meant by Anthropic's `metadata.user_id`, in which Claude Code packs more than a user.

Protocol facts: newer releases send a JSON text, `{"device_id": …, "account_uuid": …, "session_id": …}`, the account empty where a plain
API key is used; older ones `user_DEVICE_account_ACCOUNT_session_SESSION`. The session is one conversation: taken for part of the
user, everybody would be somebody else each time. Any other text is the user.
"""

import re
from typing import Any, Final

import orjson

_ACCOUNT_MEMBERS: Final = ("account_uuid", "account_id", "account")
_DEVICE_MEMBERS: Final = ("device_id", "device")
_SESSION_MEMBERS: Final = ("session_id", "session")
_PACKED: Final = re.compile(r"user_([0-9A-Za-z]+)_account_([0-9A-Za-z-]*)_session_([0-9A-Za-z-]+)")
_MAX_CHARACTERS: Final = 4096


def user_and_conversation(user_id: str | None) -> tuple[str | None, str | None]:
    """The user (the account, else the device) and the conversation that a `user_id` names."""
    if user_id is None or len(user_id) > _MAX_CHARACTERS:
        return user_id, None
    if (packed := _PACKED.fullmatch(user_id)) is not None:
        device, account, session = packed.groups()
        return account or device, session
    if user_id.lstrip()[:1] != "{":
        return user_id, None
    try:
        members: Any = orjson.loads(user_id)
    except orjson.JSONDecodeError:
        return user_id, None
    user = _first(members, _ACCOUNT_MEMBERS) or _first(members, _DEVICE_MEMBERS)
    session = _first(members, _SESSION_MEMBERS)
    return (user_id, None) if user is None and session is None else (user, session)


def _first(members: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next(filter(None, (_text(members.get(name)) for name in names)), None)


def _text(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None
