"""Which refusals an operation can answer with, by code: what all have in common follows from its route, the rest stands there.

A refusal that nobody wrote down is found by the tests of the admin API: every problem that any of them sees must be among those of
its route. A code says what is wrong; its status here is the one it has in this API.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from proxy.edges.admin.answers.problems import Problem


@dataclass(frozen=True, slots=True)
class ToldRefusal:
    """The status that goes with a code, and what is wrong then."""

    status: int
    meaning: str

    def document(self, code: str) -> Problem:
        """An example of it; the message of a real one names what was wrong."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.meaning,
            "code": code,
        }


_MEANINGS: Final[dict[int, dict[str, str]]] = {
    400: {
        "arm_required": "The rollout has several arms, and none is named",
        "bad_arm": "An arm is not as it should be",
        "bad_body": "The body has a member that is unknown, missing or of the wrong kind",
        "bad_cap": "The window does not go with what is counted",
        "bad_change_id": "The change's id is not made of 8 to 64 letters, digits, _ and -",
        "bad_cursor": "The cursor is not one this list gave out",
        "bad_filter": "The filters contradict each other, or one needs another",
        "bad_framing": "The body does not arrive as its headers announce it",
        "bad_http": "This is not a request in HTTP/1.1",
        "bad_json": "The body is not one JSON object",
        "bad_limit": "The limit is no amount in its unit",
        "bad_name": "The name is not one that this may have",
        "bad_outcome": "The outcome's value or severity does not go with its name",
        "bad_percentage": "The percentage is not one of 0 to 100 with three decimals",
        "bad_plan": "The plan has a member that is not as it should be",
        "bad_query": "A parameter is unknown, missing, of the wrong kind, or occurs twice",
        "bad_scope": "The scope names a dimension that is not as it should be",
        "bad_span": "A span of time is not written like 15m",
        "bad_switch": "The switch's members do not go with its mode",
        "bad_time": "A time is not written as RFC 3339, or is yet to come",
        "bad_version": "A component is not as it should be",
        "bad_version_number": "Versions are numbered from 1",
        "bad_why": "`why` is too long",
        "duplicate_member": "A member of the body occurs twice",
        "no_filter": "Nothing says which runs are meant",
        "same_version": "The label serves that version already",
        "unrepresentable": "A value cannot be kept as it is",
        "why_missing": "A switch has to say why",
    },
    401: {"token_expired": "The token is one that has expired", "unauthorized": "There is no valid token"},
    403: {
        "cross_site": "A page of another site asks for a change",
        "role_insufficient": "The token's role does not permit this",
    },
    404: {
        "agent_not_found": "There is no such agent",
        "arm_not_found": "The rollout has no such arm",
        "cap_not_found": "There is no such cap",
        "delivery_not_found": "There is no such delivery: it was made, or given up long ago",
        "label_not_set": "The label is not set, or served nothing then",
        "path_not_found": "There is nothing at this path",
        "plan_not_found": "No plan has that name",
        "proposal_not_found": "There is no such proposal",
        "protection_not_found": "The label is not protected",
        "provider_not_configured": "No such provider is in the settings",
        "release_not_found": "There is no such release",
        "rollout_not_found": "There is no such rollout",
        "run_not_found": "There is no such run",
        "switch_not_found": "There is no such switch",
        "token_not_found": "There is no such token",
        "version_not_found": "There is no such version",
    },
    405: {"method_not_allowed": "The path has other methods"},
    408: {"body_too_slow": "The body did not arrive in time"},
    409: {
        "agent_exists": "An agent has that name already",
        "agent_not_archived": "The agent is in service",
        "approval_required": "A second person has to approve this move",
        "cap_exists": "Another cap counts the same",
        "change_id_used": "That id was used for a change, or asked about; nothing was done",
        "default_label": "An agent's default label stays",
        "drill_label_taken": "A label that is no drill's has the name of theirs",
        "drill_running": "Another drill is held",
        "emergency_meanwhile": "The agent was taken back meanwhile",
        "evaluation_required": "The label asks for evidence of an evaluation",
        "label_moved": "The label is not where its mover saw it",
        "label_protected": "A protected label is not deleted",
        "never_served": "A protected label never served that version",
        "no_arms": "The rollout has no arm beside stable",
        "nothing_moved": "The store had moved on",
        "nothing_to_rehearse": "The agent has one version, and nothing to go back from",
        "nothing_to_roll_back": "There is no release before this one",
        "preflight_failed": "The version would not work; `findings` say why",
        "proposal_decided": "Somebody decided the proposal already",
        "proposal_stale": "The label changed since the proposal",
        "rollout_ended": "The rollout is over",
        "rollout_not_paused": "The rollout is not paused",
        "rollout_paused": "The rollout is paused already",
        "rollout_moved": "The rollout is in another state",
        "rollout_running": "The label is in a rollout",
        "second_person_required": "Whoever proposed it does not approve it",
        "stale_parent": "Another version was made meanwhile",
        "store_conflict": "Somebody else was first",
        "switch_holds": "A kill switch stops or diverts calls of the agent",
    },
    413: {"too_large": "The body is too large"},
    415: {
        "unsupported_encoding": "The body has a Content-Encoding",
        "unsupported_media_type": "The body is not application/json in UTF-8",
    },
    417: {"expectation_failed": "Expect asks for something else than 100-continue"},
    421: {"wrong_host": "Host names another listener"},
    429: {
        "too_many_failures": "Too many requests with a wrong token or none; Retry-After says when the next is looked at"
    },
    431: {"head_too_large": "The request's head is too large"},
    500: {"internal_error": "The proxy failed on this request; its log says more"},
    503: {
        "store_outcome_unknown": "The change is on its way to a slow disk; look whether it is there before it is sent again",
        "store_slow": "The store's disk is too slow for this change now; nothing was done",
        "store_unavailable": "The store is away; kill switches, rollbacks and aborts take effect all the same",
    },
}
REFUSALS: Mapping[str, ToldRefusal] = MappingProxyType(
    {code: ToldRefusal(status, said) for status, codes in _MEANINGS.items() for code, said in codes.items()}
)

#: Of every operation.
ANY: Final = (
    "bad_http",
    "bad_query",
    "token_expired",
    "unauthorized",
    "path_not_found",
    "method_not_allowed",
    "wrong_host",
    "too_many_failures",
    "expectation_failed",
    "head_too_large",
    "internal_error",
    "store_unavailable",
)
#: Where the lowest role does not do.
ROLE: Final = ("role_insufficient",)
#: Where something is changed.
CHANGE: Final = (
    "bad_change_id",
    "change_id_used",
    "store_outcome_unknown",
    "store_slow",
    "cross_site",
    "bad_why",
    "unrepresentable",
    "store_conflict",
    "nothing_moved",
)
BODY: Final = (
    "bad_body",
    "bad_json",
    "bad_framing",
    "duplicate_member",
    "body_too_slow",
    "too_large",
    "unsupported_encoding",
    "unsupported_media_type",
)
PAGE: Final = ("bad_cursor",)
AGENT: Final = ("agent_not_found",)
#: Where the traffic of an agent is changed.
AGENT_CHANGE: Final = ("emergency_meanwhile",)
#: Where a version's way to traffic has to be clear.
CLEARED: Final = ("approval_required", "evaluation_required", "preflight_failed")
#: Where a label is about to serve another version.
MOVE: Final = (
    *CLEARED,
    "bad_name",
    "bad_version_number",
    "label_moved",
    "label_not_set",
    "rollout_running",
    "same_version",
    "version_not_found",
)
ROLLBACK: Final = (
    "bad_version_number",
    "label_not_set",
    "never_served",
    "nothing_to_roll_back",
    "release_not_found",
    "version_not_found",
)
ROLLOUT: Final = ("label_not_set", "rollout_ended", "rollout_moved", "rollout_not_found")
#: Where one of a rollout's arms is meant.
ARM: Final = ("arm_not_found", "arm_required", "no_arms")
PROPOSAL: Final = ("proposal_decided", "proposal_not_found", "proposal_stale")
SCOPE: Final = ("agent_not_found", "bad_scope", "label_not_set", "version_not_found")
FILTER: Final = ("bad_filter", "bad_time")
