"""`switchback audit` and `switchback status`: who changed what, and how the server is.

Counterparts: `/audit`, `/audit/head` and `/status` of the admin API.
"""

from proxy.cli.admin_client import AdminClient, Document
from proxy.cli.admin_command import Limit, admin_command, new_group
from proxy.cli.showing import Columns, Show, member, moment

commands = new_group(no_args_is_help=True, help="The audit log: every change by anyone.")
status_commands = new_group()


def _time(entry: Document) -> object:
    return moment("at_microseconds" if "at_microseconds" in entry else "at")(entry)


AUDIT: Columns = {
    "ENTRY": member("number"),
    "TIME": _time,
    "WHO": member("who"),
    "WHAT": member("what"),
    "SUBJECT": member("subject"),
    "WHY": member("why"),
}


@admin_command(commands, "list", "switchback audit list --limit 20")
def list_audit(api: AdminClient, show: Show, limit: Limit = 50) -> None:
    """List changes, newest first. With --json also what was before and after, and the hashes."""
    show.items(api.items("/audit", limit), AUDIT, "nothing was changed yet")


@admin_command(commands, "head", "switchback audit head --json")
def show_head(api: AdminClient, show: Show) -> None:
    """Print number and hash of the newest entry. Kept elsewhere, it proves later that nothing was rewritten."""
    show.fields(api.get("/audit/head"))


@admin_command(status_commands, "status", "switchback status")
def show_status(api: AdminClient, show: Show) -> None:
    """Show how the server is: version, revision, store, queues."""
    show.fields(api.get("/status"))
