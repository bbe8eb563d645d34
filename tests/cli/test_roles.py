"""Each command's help names the least role that its requests need, as the server's route table has it."""

import re
from typing import Any

import pytest
import typer

from proxy.edges.admin.routes import ROUTES, Route
from tests.cli.test_app import COMMANDS, OFFLINE
from tests.cli.test_verbs import CHANGE, READ, VerbCase

BY_OPERATION = {route.operation: route for route in ROUTES}
#: What a command is for, where it is not one of the cases that are tried against a stand-in.
OPERATIONS = {
    ("agents", "import"): "create_version",
    ("agents", "export"): "get_version",
    ("sync",): "create_version",
    ("diff",): "get_diff",
    ("versions", "create"): "create_version",
    ("versions", "check"): "check_version",
    ("versions", "at"): "get_versions_at",
    ("versions", "compare"): "compare_versions",
    ("report", "versions"): "report_versions",
    ("report", "label"): "report_label",
    ("report", "rollout"): "report_rollout",
    ("plans", "set"): "set_plan",
    ("rollout", "pause"): "pause_rollout",
    ("rollout", "resume"): "resume_rollout",
    ("rollout", "simulate"): "list_runs",
    ("drill",): "hold_drill",
    ("runs", "export"): "export_runs",
    ("runs", "quarantine"): "quarantine_runs",
    ("outcome",): "record_outcome",
    ("outcomes", "list"): "list_outcomes",
    ("outcomes", "import"): "record_outcomes",
    ("audit", "verify"): "verify_audit",
    ("audit", "export"): "export_audit",
    ("tokens", "create"): "create_token",
    ("tokens", "list"): "list_tokens",
    ("tokens", "revoke"): "revoke_token",
    ("proposals", "create"): "create_proposal",
    ("proposals", "list"): "list_proposals",
    ("proposals", "show"): "get_proposal",
    ("proposals", "approve"): "approve_proposal",
    ("proposals", "reject"): "reject_proposal",
    ("protection", "list"): "list_protections",
    ("protection", "set"): "protect_label",
    ("protection", "end"): "unprotect_label",
    ("webhooks", "list"): "list_webhooks",
    ("webhooks", "deliveries"): "list_deliveries",
    ("webhooks", "resend"): "resend_delivery",
    ("store", "backup"): "back_up_store",
    ("store", "compact"): "compact_store",
}


def _route_of(case: VerbCase) -> Route:
    def matches(route: Route) -> bool:
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", route.path)
        return route.method == case.method and re.fullmatch(pattern, case.path) is not None

    return next(route for route in ROUTES if matches(route))


def _path_of(case: VerbCase) -> tuple[str, ...]:
    paths = (path for path, _ in COMMANDS if case.line.split()[: len(path)] == list(path))
    return max(paths, key=len)


def _needed() -> dict[tuple[str, ...], set[Route]]:
    needed: dict[tuple[str, ...], set[Route]] = {}
    for case in READ + CHANGE:
        if case.line != "kill --list":
            needed.setdefault(_path_of(case), set()).add(_route_of(case))
    for path, operation in OPERATIONS.items():
        needed.setdefault(path, set()).add(BY_OPERATION[operation])
    return needed


NEEDED = _needed()


def test_it_is_known_of_every_command_what_it_asks_of_the_server() -> None:
    assert {path for path, _ in COMMANDS} - OFFLINE == set(NEEDED)


@pytest.mark.parametrize("path", sorted(NEEDED), ids=" ".join)
def test_the_help_names_the_role_that_the_route_needs(path: tuple[str, ...]) -> None:
    command: Any = dict[Any, Any](COMMANDS)[path]
    told = re.findall(r"Least role: (.+)\.", command.get_help(typer.Context(command, info_name="switchback")))
    assert told == [" or ".join(dict.fromkeys(role for route in NEEDED[path] for role in (route.role, *route.also)))]
