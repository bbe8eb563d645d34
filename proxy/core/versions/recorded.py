"""What a version says and nothing here acts on: said wherever a version is shown, so that nobody takes it for a rule.

Retrieval is the application's own matter; of a policy one key is enforced, one counted, one judged by. Versions that were made before keys were
checked may hold others.
"""

from typing import Any, Final

from proxy.core.errors import BadInput
from proxy.core.versions.validators import read_validators

ENFORCED_POLICY: Final = ("max_output_tokens",)
COUNTED_POLICY: Final = ("max_tool_calls",)
JUDGED_POLICY: Final = ("validators",)
#: Of a policy, what is only written down.
RECORDED: Final = "recorded"
_ONLY_RECORDED: Final = "only recorded"


def remark_on(path: str, value: Any) -> str:
    """What is said behind a member of a version, by its dotted path; nothing where it does what it says. Of a change of a list
    `path` may name an item, as `policy.validators[0].regex`."""
    component, _, rest = path.partition(".")
    key, is_item = rest.partition(".")[0].partition("[")[:2]
    if component == "retrieval":
        return _ONLY_RECORDED
    if component != "policy" or not key or key in ENFORCED_POLICY:
        return ""
    if key in JUDGED_POLICY:
        return "judged after the answer, not enforced" if is_item or _judges(rest, value) else _ONLY_RECORDED
    return "counted in runs, not enforced" if key in COUNTED_POLICY else _ONLY_RECORDED


def _judges(rest: str, value: Any) -> bool:
    """Whether it is what answers are judged by: a version made before that was read may have anything there."""
    try:
        return rest in JUDGED_POLICY and bool(read_validators(value))
    except BadInput:
        return False
