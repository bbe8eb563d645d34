"""Tools of a Gemini request: which it offers, and a version's put in the place of theirs or among them.

Protocol facts: an item of `tools` holds functions (`functionDeclarations`) and, or instead, tools of the provider's own, each a member
named for it (`googleSearch`, `codeExecution`). A function's parameters may be a JSON schema as others take it
(`parametersJsonSchema`). The official SDKs send all functions of a call in one item.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec
import orjson

from proxy.core.versions.components import Bundle, tool_name
from proxy.wires.google_gemini.spelling import Spelled, camel_of, snake_of
from proxy.wires.json.counting import check_count
from proxy.wires.json.items import parse_items
from proxy.wires.json.members import parse_members
from proxy.wires.json.values import decode, first_byte
from proxy.wires.shared.version_bytes import Remembered

FUNCTIONS: Final = "functionDeclarations"
_SERVERS: Final = "mcpServers"
_OBJECT: Final = ord("{")
#: What a neutral definition says that this format has no place for.
_NEUTRAL_ONLY: Final = frozenset({"type", "strict", "parameters"})


class _Named(msgspec.Struct, gc=False):
    name: str | None = None


_items: Final[msgspec.json.Decoder[list[dict[str, msgspec.Raw]]]] = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_item: Final[msgspec.json.Decoder[dict[str, msgspec.Raw]]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_named: Final[msgspec.json.Decoder[list[_Named]]] = msgspec.json.Decoder(list[_Named])


def labels_of(raw: bytes | None, most: int) -> frozenset[str]:
    """All names of the tools in `tools`; a tool of the provider's own goes by both spellings. Raises BadInput(`wrong_kind`), and
    (`too_many_tools`) for more functions in one item than `most`."""
    names: set[str] = set()
    for item in _decoded(raw):
        for member, value in item.items():
            kind = camel_of(member)
            if kind in (FUNCTIONS, _SERVERS):
                check_count(bytes(value), most, "tools")
                names.update(_names_in(value, kind))
            else:
                names.update((kind, snake_of(kind)))
    return frozenset(names)


def own_tools(raw: bytes | None) -> frozenset[str]:
    """The tools in `tools` that the provider runs itself, as JSON spells them. Raises BadInput(`wrong_kind`)."""
    return frozenset(camel_of(member) for item in _decoded(raw) for member in item) - {FUNCTIONS}


def set_tools(body: Spelled, bundle: Bundle) -> None:
    """Put in the version's tools. Raises BadInput(`wrong_kind`) where the caller's have to be merged and are none."""
    mode = bundle.tools.mode
    if mode != "replace" and (mode != "merge" or not bundle.tools.items):
        return
    functions, others = _written(bundle)
    raw = body.given("tools")
    if mode == "replace" or raw is None:
        new = _as_items(functions, others)
        if new:
            body.set("tools", b"[" + b",".join(new) + b"]")
        elif raw is not None:
            body.remove("tools")
            body.remove("toolConfig")
        return
    body.set("tools", _merged(b"[" + bytes(raw) + b"]" if first_byte(raw) == _OBJECT else raw, functions, others))


def _merged(raw: bytes, functions: Mapping[str, bytes], others: Mapping[str, bytes]) -> bytes:
    """The caller's list with the tools of the same name replaced in place, and the others behind it."""
    left, left_others = dict(functions), dict(others)
    items = parse_items(raw, "tools")
    parts: list[bytes] = []
    for index, item in enumerate(items.values):
        tool = Spelled(parse_members(bytes(item), f"tools[{index}]"))
        for kind in others:
            if tool.has(kind):
                tool.set(kind, others[kind])
                left_others.pop(kind, None)
        theirs = tool.given(FUNCTIONS)
        if theirs is not None:
            tool.set(FUNCTIONS, _replaced(theirs, functions, left))
        parts.append(tool.edits.render())
    return b"[" + b",".join((*parts, *_as_items(left, left_others))) + b"]"


def _replaced(raw: bytes, functions: Mapping[str, bytes], left: dict[str, bytes]) -> bytes:
    names = [one.name or "" for one in decode(raw, _named, FUNCTIONS, "a list of functions")]
    if functions.keys().isdisjoint(names):
        return raw
    items = parse_items(raw, FUNCTIONS).values
    for name in names:
        left.pop(name, None)
    chosen = [functions.get(name, bytes(item)) for name, item in zip(names, items, strict=True)]
    return b"[" + b",".join(chosen) + b"]"


def _as_items(functions: Mapping[str, bytes], others: Mapping[str, bytes]) -> list[bytes]:
    items = [b'{"%b":%b}' % (kind.encode(), value) for kind, value in others.items()]
    if functions:
        items.insert(0, b'{"%b":[%b]}' % (FUNCTIONS.encode(), b",".join(functions.values())))
    return items


def _decoded(raw: bytes | None) -> list[dict[str, msgspec.Raw]]:
    if raw is None:
        return []
    if first_byte(raw) == _OBJECT:
        return [decode(raw, _item, "tools", "a list of tools")]
    return decode(raw, _items, "tools", "a list of tools")


def _names_in(raw: msgspec.Raw, kind: str) -> list[str]:
    found = decode(bytes(raw), _named, f"tools.{kind}", "a list of objects")
    return [one.name for one in found if one.name]


_tools: Final[Remembered[str, tuple[Mapping[str, bytes], Mapping[str, bytes]]]] = Remembered(256)


def _written(bundle: Bundle) -> tuple[Mapping[str, bytes], Mapping[str, bytes]]:
    """The version's functions by name, and the provider's own tools by kind, each in their order."""
    key = bundle.hashes["tools"]
    return _tools.get(key) or _tools.keep(key, _write(bundle))


def _write(bundle: Bundle) -> tuple[Mapping[str, bytes], Mapping[str, bytes]]:
    functions: dict[str, bytes] = {}
    others: dict[str, bytes] = {}
    for item in bundle.tools.items:
        inner: Any = item.get("function")
        definition = cast("Mapping[str, Any]", inner) if isinstance(inner, dict) else item
        if "name" in definition:
            functions[tool_name(item) or ""] = orjson.dumps(_declaration(definition))
        else:
            rest = {key: value for key, value in item.items() if key != "type"}
            others[camel_of(str(item.get("type", "")))] = orjson.dumps(rest)
    return functions, others


def _declaration(item: Mapping[str, Any]) -> Mapping[str, Any]:
    declaration = {key: value for key, value in item.items() if key not in _NEUTRAL_ONLY}
    if "parameters" in item:
        declaration["parametersJsonSchema"] = item["parameters"]
    return declaration
