"""By which names a tool goes, in a request or in a version, so that a switch on any of them stops it.

Belongs here: where a definition, a list of servers or a choice of tools keeps names, over the shapes of all providers. A tool of the
provider's own goes by its type too, with its date of issue and without; a server of tools by its label, its connector and what it is
allowed to bring. Does not belong here: the one name by which tools are merged (components.py).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from proxy.core.versions.components import Bundle

#: Types that say how a tool is written, not which one it is; also the words of a choice that names none.
PLAIN_TYPES: Final = frozenset(
    {
        "allowed_tools",
        "any",
        "auto",
        "custom",
        "function",
        "mcp",
        "mcp_toolset",
        "namespace",
        "none",
        "required",
        "tool",
        "url",
    }
)
_NAMES: Final = ("name", "mcp_server_name", "server_label", "connector_id")
_INSIDE: Final = ("function", "custom", "allowed_tools", "tools", "tool_names", "tool_configuration")
#: How the type of a provider's own tool ends: the date of its issue.
_DATE: Final = re.compile(r"_(?:\d{8}|\d{4}_\d{2}_\d{2})\Z")
#: What became the same tool without this word.
_PREVIEW: Final = "_preview"
_PREVIEWS: Final = frozenset({"computer_use_preview", "web_search_preview"})
#: Members that offer tools or choose one; and the one that asks for a search by being there.
NAMING_MEMBERS: Final = ("tools", "functions", "mcp_servers", "tool_choice", "function_call")
#: Members whose items may each name a model of their own.
BRINGING_MEMBERS: Final = ("tools", "fallbacks")
SEARCH_MEMBER: Final = "web_search_options"
SEARCH: Final = "web_search"


def labels_in(value: Any) -> list[str]:
    """All labels in what was decoded of a tool, a list of them, or a choice; none in a word such as `auto`."""
    labels: list[str] = []
    waiting = [value]
    for one in waiting:  # which grows while it is gone through
        if isinstance(one, str):
            if one and one.lower() not in PLAIN_TYPES:
                labels.append(one)
        elif isinstance(one, Mapping):
            tool = cast("Mapping[str, Any]", one)
            labels += [name for name in map(tool.get, _NAMES) if isinstance(name, str) and name]
            kind, configs = tool.get("type"), tool.get("configs")
            if isinstance(kind, str) and kind not in PLAIN_TYPES:
                labels.append(kind)
            if isinstance(configs, Mapping):
                labels += cast("Mapping[str, Any]", configs)
            waiting += [tool[member] for member in _INSIDE if member in tool]
        elif isinstance(one, Sequence):
            waiting += cast("Sequence[Any]", one)
    return labels


def without_issue(labels: Iterable[str]) -> list[str]:
    """What else they are called: without the date of issue, without being a preview."""
    undated = [plain for label in labels if (plain := _DATE.sub("", label)) != label]
    return undated + [label.removesuffix(_PREVIEW) for label in (*labels, *undated) if label in _PREVIEWS]


def models_in(value: Any) -> list[str]:
    """The models that a list brings, of tools or of what takes over: what an item calls its `model`."""
    if not isinstance(value, Sequence):
        return []
    items = cast("Sequence[Any]", value)
    named = [cast("Mapping[str, Any]", item).get("model") for item in items if isinstance(item, Mapping)]
    return [name for name in named if isinstance(name, str) and name]


def models_of_version(bundle: Bundle) -> frozenset[str]:
    """The models that a version brings beside its own."""
    extra = bundle.model.extra
    lists = (list(bundle.tools.items), *(extra[member] for member in BRINGING_MEMBERS if member in extra))
    return frozenset(name for one in lists for name in models_in(one))


def labels_of_version(bundle: Bundle) -> frozenset[str]:
    """All labels of what a version offers or chooses."""
    model = bundle.model
    choice = model.parameters.get("tool_choice")
    labels = labels_in([list(bundle.tools.items), None if choice is None else choice.value])
    labels += labels_in([model.extra[member] for member in NAMING_MEMBERS if member in model.extra])
    if SEARCH_MEMBER in model.extra:
        labels.append(SEARCH)
    return frozenset((*labels, *without_issue(labels)))
