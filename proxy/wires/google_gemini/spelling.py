"""The two spellings of a member: as JSON has it (`systemInstruction`), and as the protocol's own files do (`system_instruction`).

Protocol fact: Google's servers take either. What is read under one is edited under the same; a body that has both is refused, since
nobody can say which of them counts.
"""

import re
from collections.abc import Container
from functools import lru_cache
from typing import Final

from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import JsonMembers, duplicate

_CAPITAL: Final = re.compile("[A-Z]")
_UNDERSCORE: Final = re.compile("_([a-z])")


@lru_cache(maxsize=256)
def snake_of(name: str) -> str:
    """`systemInstruction` as `system_instruction`."""
    return _CAPITAL.sub(lambda found: "_" + found[0].lower(), name)


@lru_cache(maxsize=256)
def camel_of(name: str) -> str:
    """`system_instruction` as `systemInstruction`."""
    return _UNDERSCORE.sub(lambda found: found[1].upper(), name)


def spelled(names: Container[str], name: str) -> str:
    """How one of these names spells `name`; as JSON has it where none does. Raises BadInput(`duplicate_key`) for both spellings."""
    snake = snake_of(name)
    if snake == name or snake not in names:
        return name
    if name in names:
        raise duplicate(name)
    return snake


class Spelled:
    """Edits of an object whose members have two spellings; names are given as JSON has them."""

    __slots__ = ("edits", "members")

    def __init__(self, members: JsonMembers) -> None:
        self.members = members
        self.edits = MemberEdits(members)

    def name(self, name: str) -> str:
        """As it is spelled here. Raises BadInput(`duplicate_key`)."""
        return spelled(self.members.values, name)

    def given(self, name: str) -> bytes | None:
        """The value as it would be sent now; None where absent or `null`."""
        return self.edits.given(self.name(name))

    def has(self, name: str) -> bool:
        """Whether the member is there, be it as `null`."""
        return self.edits.has(self.name(name))

    def set(self, name: str, raw: bytes) -> None:
        """Replace the value, or add the member."""
        self.edits.set(self.name(name), raw)

    def remove(self, name: str) -> None:
        """Take the member out."""
        self.edits.remove(self.name(name))
