"""`switchback webhooks`: who is told of changes, what they have not taken, and sending it again. Counterpart: `/webhooks`."""

from typing import Annotated

import typer

from proxy.cli.admin_client import AdminClient, segment
from proxy.cli.admin_command import admin_command, new_group
from proxy.cli.showing import Columns, Show, member, moment

commands = new_group(
    no_args_is_help=True, help="Who is told of changes, what they have not taken, and sending it again."
)

_ALL = 10_000

ENDPOINTS: Columns = {
    "ENDPOINT": member("name"),
    "HOST": member("host"),
    "FORM": member("form"),
    "WAITING": member("waiting"),
    "DEAD": member("dead"),
    "DELIVERED": member("delivered"),
    "LAST": moment("last_delivered_at"),
    "PROBLEM": member("last_problem"),
}
DELIVERIES: Columns = {
    "DELIVERY": member("id"),
    "STATE": member("state"),
    "EVENT": lambda delivery: str(delivery.get("event", {}).get("type", "")),
    "TRIES": member("tries"),
    "NEXT": moment("next_try_at"),
    "PROBLEM": member("problem"),
}


@admin_command(commands, "list", "switchback webhooks list", role="viewer")
def list_webhooks(api: AdminClient, show: Show) -> None:
    """List the endpoints of the settings, and how telling them goes."""
    show.items(api.items("/webhooks", _ALL), ENDPOINTS, "no webhook is in the settings")


@admin_command(commands, "deliveries", "switchback webhooks deliveries --state dead", role="viewer")
def deliveries(
    api: AdminClient,
    show: Show,
    endpoint: Annotated[str | None, typer.Option(metavar="NAME", help="To this endpoint.")] = None,
    state: Annotated[str | None, typer.Option(metavar="waiting|dead", help="In this state.")] = None,
) -> None:
    """List what endpoints have not taken yet; what is dead is not tried any more."""
    found = api.items("/webhooks/deliveries", _ALL, {"endpoint": endpoint, "state": state})
    show.items(found, DELIVERIES, "nothing waits, and there are no dead letters")


@admin_command(commands, "resend", "switchback webhooks resend msg_06AWX3.ops", role="operator")
def resend(
    api: AdminClient,
    show: Show,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, as deliveries shows it.")],
) -> None:
    """Try a delivery again now, and as often as a new one."""
    made = api.post(f"/webhooks/deliveries/{segment(delivery)}/resend", {})
    show.document(made, f"{made.get('id')} is tried again")
